-- One row per run that came to the point of publishing: the version it made, or why there is none.
-- A view for the same reason as gate_results; content_sha256 is equal for two versions exactly when their numbers are.

{{ config(materialized='view') }}

with

publications as (

    select * from {{ ref('stg_ops__publications') }}

)

select
    run_id,
    version,
    outcome,
    reason,
    file_name,
    content_sha256,
    published_tables,
    published_rows,
    gates_passed,
    gates_failed,
    gates_warned,
    as_of,
    published_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from publications
