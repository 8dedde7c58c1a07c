-- One row per run and check of the gate.

with

source as (

    select * from {{ source('ops', 'gate_checks') }}

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
    checked_at
from source
