-- One row per silo: how often it is read, up to when its data is complete, how much of the last 24 hours is still to
-- come, what is therefore final, and whether the numbers shown rest on an older answer of it.
-- Why it exists: a run goes on without a silo that is down. Nothing stale may look fresh, so every reader can ask here.
-- Only events of the product arrive later than they happened; APIs are asked for everything up to the watermark, and
-- what they change afterwards is a change, not a late arrival.
-- Hazard: only what is a function of as_of stands here. Rows per run would differ between two runs over the same data.

with

extracts as (

    select * from {{ ref('stg_ops__extracts') }}
    where as_of <= {{ as_of() }}

),

silos as (

    {% for silo in var('silos') %}
    select cast('{{ silo }}' as {{ dbt.type_string() }}) as source
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- how did the silo answer at this as_of? a success outweighs a failure that a later try made good; the id breaks ties
latest as (

    select
        source,
        as_of,
        status,
        error
    from extracts
    qualify row_number() over (
        partition by source
        order by as_of desc, case when status = 'succeeded' then 0 else 1 end asc, extract_id asc
    ) = 1

),

-- when did it last answer in full?
successes as (

    select
        source,
        max(as_of) as last_succeeded_as_of,
        max(data_through_at) as silo_through_at
    from extracts
    where status = 'succeeded'
    group by source

),

-- how often was it read in full lately? pauses between the instants at which it answered
reads as (

    select
        source,
        as_of,
        lag(as_of) over (partition by source order by as_of) as previous_as_of
    from extracts
    where status = 'succeeded'
    group by source, as_of

),

cadences as (

    select
        source,
        count(*) as reads_28d,
        cast(
            median({{ dbt.datediff('previous_as_of', 'as_of', 'second') }}) / 3600.0 as decimal(18, 2)
        ) as cadence_hours
    from reads
    where as_of > {{ dbt.dateadd('day', -28, as_of()) }}
    group by source

),

-- days of 24 hours back from the watermark, 0 being the one that is still filling up; how late was each event?
arrivals as (

    select
        cast(
            floor({{ dbt.datediff('events.occurred_at', 'successes.silo_through_at', 'second') }} / 86400.0) as integer
        ) as days_back,
        greatest({{ dbt.datediff('events.occurred_at', 'events.received_at', 'second') }}, 0) as lateness_seconds,
        events.received_at,
        events.occurred_at,
        successes.silo_through_at
    from {{ ref('int_events__deduplicated') }} as events
    cross join successes
    where
        successes.source = 'product'
        and events.occurred_at >= {{ dbt.dateadd('day', -31, 'successes.silo_through_at') }}
        and events.occurred_at < successes.silo_through_at

),

-- days that are old enough to be whole: what of them was there when they ended, as the last one ends now?
whole_days as (

    select
        days_back,
        avg(
            case
                when received_at < {{ dbt.dateadd('second', '-86400 * days_back', 'silo_through_at') }} then 1.0
                else 0.0
            end
        ) as share_there
    from arrivals
    where days_back between 3 and 30
    group by days_back

),

completeness as (

    select
        count(*) as days_seen,
        avg(share_there) as share_there,
        stddev_samp(share_there) as share_spread
    from whole_days

),

-- after how long had all but one in a thousand arrived?
lateness as (

    select min(lateness_seconds) as p999_seconds
    from (
        select
            lateness_seconds,
            cume_dist() over (order by lateness_seconds) as share_by_then
        from arrivals
        where days_back between 3 and 30
    ) as ordered
    where share_by_then >= 0.999

),

expected as (

    select
        'product' as source,
        completeness.days_seen,
        completeness.share_there,
        -- of the next such day, so the spread of days and the error of their mean
        {{ student_t('completeness.days_seen - 1') }}
        * completeness.share_spread * sqrt(1 + 1.0 / completeness.days_seen) as half_width,
        lateness.p999_seconds
    from completeness
    cross join lateness
    where completeness.days_seen > 0

),

joined as (

    select
        silos.source,
        cadences.reads_28d,
        cadences.cadence_hours,
        expected.days_seen,
        expected.share_there,
        expected.half_width,
        expected.p999_seconds,
        coalesce(latest.status, 'never asked') as latest_status,
        latest.error as latest_error,
        successes.last_succeeded_as_of,
        successes.silo_through_at,
        coalesce(successes.last_succeeded_as_of < {{ as_of() }}, true) as is_stale
    from silos
    left join latest
        on silos.source = latest.source
    left join successes
        on silos.source = successes.source
    left join cadences
        on silos.source = cadences.source
    left join expected
        on silos.source = expected.source

)

select
    source,
    is_stale,
    latest_status,
    case when latest_status <> 'succeeded' then latest_error end as latest_error,
    last_succeeded_as_of,
    silo_through_at,
    cast({{ dbt.datediff('silo_through_at', as_of(), 'minute') }} as bigint) as minutes_behind,
    cadence_hours,
    cast(coalesce(reads_28d, 0) as bigint) as cadence_n,
    case when source = 'product' then 'arrival times' else 'read whole' end as lateness_basis,
    cast(ceil(p999_seconds / 60.0) as bigint) as lateness_p999_minutes,
    cast(share_there as decimal(9, 6)) as expected_completeness_24h,
    -- greatest and least ignore nulls, and no interval is not the widest one
    cast(case when half_width is not null then greatest(share_there - half_width, 0) end as decimal(9, 6))
        as expected_completeness_24h_low,
    cast(case when half_width is not null then least(share_there + half_width, 1) end as decimal(9, 6))
        as expected_completeness_24h_high,
    cast(days_seen as bigint) as expected_completeness_24h_n,
    case
        when source <> 'product' then silo_through_at
        else {{ dbt.dateadd('second', '-p999_seconds', 'silo_through_at') }}
    end as data_is_final_until,
    -- false in every build: a run that the gate holds back writes into the version that goes on serving
    false as is_held_back,
    cast(null as timestamp) as held_back_as_of,
    cast(null as {{ dbt.type_string() }}) as held_back_reason,
    {{ as_of() }} as as_of,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from joined
