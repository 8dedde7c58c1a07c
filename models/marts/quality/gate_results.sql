-- One row per run and check of the gate: what was looked at, what was found, whether it let the numbers through.
-- A view, because a run writes its checks after it has built the models and publishes them in the same breath.

{{ config(materialized='view') }}

with

checks as (

    select * from {{ ref('stg_ops__gate_checks') }}

)

select
    check_id,
    run_id,
    check_name,
    family,
    silo,
    severity,
    outcome,
    observed,
    expected,
    message,
    as_of,
    checked_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from checks
