-- One row per run and silo: what it gave, and up to when.

with

source as (

    select * from {{ source('ops', 'extracts') }}

)

select
    extract_id,
    run_id,
    source,
    status,
    error,
    rows_loaded,
    rows_quarantined,
    as_of,
    data_through_at,
    started_at,
    finished_at
from source
