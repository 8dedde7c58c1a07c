-- Guards lifecycle_state_history: every move of a region is a row of lifecycle_transitions and is proven by an
-- occurrence that fired for this customer, at that instant, and was known no later than recorded. What is shown changes
-- only with such a move. A state without proof is an opinion.

with

stays as (

    select * from {{ ref('lifecycle_state_history') }}
    where state_sequence > 1

),

transitions as (

    select
        from_state,
        signal_id,
        to_state
    from {{ ref('lifecycle_transitions') }}

),

proofs as (

    select * from {{ ref('signals') }}
    where outcome = 'fired'

),

-- what moved at all, by which occurrence
moved as (

    select distinct
        customer_id,
        proof_occurrence_id,
        valid_from
    from stays
    where region != 'customer'

)

select
    stays.customer_id,
    stays.region,
    stays.state_sequence,
    stays.previous_lifecycle_state,
    stays.entered_by_signal,
    stays.lifecycle_state,
    stays.proof_occurrence_id
from stays
left join transitions
    on
        stays.previous_lifecycle_state = transitions.from_state
        and stays.entered_by_signal = transitions.signal_id
left join proofs
    on
        stays.proof_occurrence_id = proofs.occurrence_id
        and stays.customer_id = proofs.customer_id
        and stays.entered_by_signal = proofs.signal_id
left join moved
    on
        stays.customer_id = moved.customer_id
        and stays.proof_occurrence_id = moved.proof_occurrence_id
        and stays.valid_from = moved.valid_from
where
    moved.customer_id is null
    or (stays.region != 'customer' and coalesce(transitions.to_state not in (stays.lifecycle_state, 'resume'), true))
    or proofs.occurrence_id is null
    or proofs.occurred_at != stays.valid_from
    or proofs.detected_at > stays.recorded_at
