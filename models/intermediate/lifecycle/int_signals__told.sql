-- One row per occurrence of a signal, those about ourselves included: everything that actions may follow from.
-- Why it is not int_signals__detected: states are made of signals, so a signal that looks at states and deliveries can
-- only be told when they are known, and cannot move them.

with

detected as (

    select * from {{ ref('int_signals__detected') }}

),

outcomes as (

    select * from {{ ref('int_outcomes__observed') }}

),

told as (

    select
        occurrence_id,
        signal_id,
        definition_hash,
        kind,
        unit,
        proving_source as source,
        rearm,
        customer_id,
        user_id,
        outcome,
        occurred_at,
        detected_at,
        proof_count,
        proof_from,
        proof_to,
        proving_event_ids,
        max_lateness_hours
    from detected
    union all
    select
        occurrence_id,
        signal_id,
        definition_hash,
        kind,
        unit,
        source,
        rearm,
        customer_id,
        user_id,
        outcome,
        occurred_at,
        detected_at,
        proof_count,
        proof_from,
        proof_to,
        proving_event_ids,
        max_lateness_hours
    from outcomes

)

select
    *,
    detected_at > {{ dbt.dateadd('hour', 'max_lateness_hours', 'occurred_at') }} as is_historical
from told
