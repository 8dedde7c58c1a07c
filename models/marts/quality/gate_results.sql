-- One row per run and check of the gate: what was looked at, what was found, whether it let the numbers through.
-- A view, because a run writes its checks after it has built the models and publishes them in the same breath. Why a
-- check is as severe as it is and what to do about it is what the seed says of it now; docs/gates.md shows them all.

{{ config(materialized='view') }}

with

checks as (

    select * from {{ ref('stg_ops__gate_checks') }}

),

catalogue as (

    select
        check_id,
        severity_reason,
        remedy
    from {{ ref('quality_checks') }}

)

select
    checks.result_id,
    checks.run_id,
    checks.check_id,
    checks.check_name,
    checks.subject,
    checks.family,
    checks.silo,
    checks.owner,
    checks.severity,
    catalogue.severity_reason,
    checks.outcome,
    checks.observed,
    checks.expected,
    checks.message,
    catalogue.remedy,
    checks.as_of,
    checks.checked_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from checks
left join catalogue on checks.check_id = catalogue.check_id
