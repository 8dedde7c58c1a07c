-- One row per entry into a state and publication that told it for the first time, or told it no more, known before
-- as_of: what a run at the same instant publishes again must not depend on what it published.

with

source as (

    select * from {{ source('ops', 'state_log') }}

)

select
    customer_id,
    region,
    state,
    nullif(occurrence_id, '') as occurrence_id,
    run_id,
    is_withdrawn,
    valid_from,
    known_at
from source
where known_at < {{ as_of() }}
