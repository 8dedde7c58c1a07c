-- One row per publication of closed months, with what it was made under.

with

source as (

    select * from {{ source('ops', 'mrr_publications') }}

)

select
    run_id,
    as_of,
    published_at,
    closed_through,
    definition_version,
    fx_version,
    project_version,
    try_cast(last_load_id as double) as loaded_through
from source
