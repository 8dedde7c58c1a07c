-- Guards lifecycle_state_history: per customer and region the stays follow each other without gap or overlap,
-- numbered from 1, and only the last one is open. A gap would leave moments in which nothing is permitted and nobody
-- is responsible.

with

stays as (

    select
        customer_id,
        region,
        state_sequence,
        valid_from,
        valid_to,
        is_current,
        lead(state_sequence) over (partition by customer_id, region order by state_sequence) as next_sequence,
        lead(valid_from) over (partition by customer_id, region order by state_sequence) as next_valid_from,
        min(state_sequence) over (partition by customer_id, region) as first_sequence
    from {{ ref('lifecycle_state_history') }}

)

select *
from stays
where
    first_sequence != 1
    or valid_to < valid_from
    or (next_sequence is null) != (valid_to is null)
    or (next_sequence is null) != is_current
    or next_sequence != state_sequence + 1
    or next_valid_from != valid_to
