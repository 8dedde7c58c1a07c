-- One row per customer whose devices say where they are: the zone on whose clock quiet hours and days are counted.
-- Why it exists: a night is a matter of the place, and no silo but the product's devices knows it. The zone of the most
-- days of use in the last 56 counts, because people travel and companies have branches; of two zones with as many days
-- the more recent, then the alphabetically first. Servers name no zone, and a name that the engine does not know is
-- nobody's: who is not in here lives by the fallback of whoever asks.

{% set observed_days = 56 %}

with

days as (

    select distinct
        source_record_type,
        source_record_id,
        time_zone,
        cast(occurred_at as date) as usage_date
    from {{ ref('int_behaviours__found') }}
    where
        time_zone is not null
        and occurred_at < {{ as_of() }}
        and received_at < {{ as_of() }}
        and occurred_at >= {{ dbt.dateadd('day', -observed_days, as_of()) }}

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product' and customer_id is not null

),

zones as (

    select known.time_zone
    from {{ known_time_zones() }} as known

),

counted as (

    select
        identities.customer_id,
        days.time_zone,
        count(distinct days.usage_date) as days_of_use,
        max(days.usage_date) as last_used_on
    from days
    inner join identities
        on
            days.source_record_type = identities.source_record_type
            and days.source_record_id = identities.source_record_id
    inner join zones
        on days.time_zone = zones.time_zone
    group by identities.customer_id, days.time_zone

)

select
    customer_id,
    time_zone,
    days_of_use,
    last_used_on
from counted
qualify row_number() over (
    partition by customer_id
    order by days_of_use desc, last_used_on desc, time_zone asc
) = 1
