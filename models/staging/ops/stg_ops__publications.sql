-- One row per run that came to the point of publishing: published, blocked by the gate, or given up.

with

source as (

    select * from {{ source('ops', 'publications') }}

)

select
    run_id,
    version,
    outcome,
    reason,
    file_name,
    sha256 as content_sha256,
    tables as published_tables,
    rows as published_rows,
    gates_passed,
    gates_failed,
    gates_warned,
    as_of,
    published_at
from source
