-- One row per source record and publication that gave it another customer or person than the one before, known before
-- as_of: what a run at the same instant publishes again must not depend on what it published.

with

source as (

    select * from {{ source('ops', 'identity_log') }}

)

select
    record_key,
    customer_id,
    person_id,
    run_id,
    first_seen_at,
    known_at
from source
where known_at < {{ as_of() }}
