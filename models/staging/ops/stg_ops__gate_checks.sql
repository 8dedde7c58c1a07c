-- One row per run and check of the gate.

with

source as (

    select * from {{ source('ops', 'gate_checks') }}

)

select
    result_id,
    run_id,
    check_id,
    check_name,
    subject,
    family,
    silo,
    owner,
    severity,
    outcome,
    observed,
    expected,
    message,
    as_of,
    checked_at
from source
