-- Guards the grain of int_identities__resolved: every source record is there exactly once. A lost record takes its
-- money or its tickets out of every customer row; a doubled one counts them twice.

with

records as (

    select
        record_key,
        count(*) as times
    from {{ ref('int_source_records__unioned') }}
    group by record_key

),

identities as (

    select
        record_key,
        count(*) as times
    from {{ ref('int_identities__resolved') }}
    group by record_key

)

select
    coalesce(records.record_key, identities.record_key) as record_key,
    records.times as times_in_records,
    identities.times as times_in_identities
from records
full outer join identities on records.record_key = identities.record_key
where records.times is distinct from 1 or identities.times is distinct from 1
