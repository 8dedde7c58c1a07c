-- Guards int_customer_state__current, which the customer row shows: it is the last stay of the history, with its
-- proof.

with

last_stays as (

    select *
    from {{ ref('lifecycle_state_history') }}
    where region = 'customer'
    qualify row_number() over (partition by customer_id order by state_sequence desc) = 1

)

select
    last_stays.customer_id,
    last_stays.lifecycle_state,
    shown.lifecycle_state as shown_lifecycle_state
from last_stays
full outer join {{ ref('int_customer_state__current') }} as shown
    on last_stays.customer_id = shown.customer_id
where
    last_stays.lifecycle_state is distinct from shown.lifecycle_state
    or last_stays.valid_from is distinct from shown.state_entered_at
    or last_stays.owner_team is distinct from shown.state_owner_team
    or last_stays.proof_occurrence_id is distinct from shown.state_proof_occurrence_id
