-- One row per customer, product (or 'all') and stay in a usage cohort: which one, from when until when, and what the
-- deciding four weeks looked like.
-- Why it exists: a cohort is a habit, and who moves between cohorts is what success and growth act on. It is decided
-- every Monday 00:00 UTC from exactly the 28 dates before, by the frozen bands of one rule version, and held against
-- noise: a customer rises as soon as a band is reached and falls only below the band's own, lower threshold.
-- How the holding is computed: a band with a threshold to enter and a lower one to leave is a switch that stays where
-- it is in between, so its position is that of the last Monday that moved it, which one running maximum finds. No
-- recursion, and weeks in which nobody did anything cost nothing: a stay goes on until a row ends it.
-- Hazard: until the first Monday after a customer became known the cohort is 'new', because four weeks that the
-- customer did not have cannot be judged; that stay alone begins at the instant of the first sight.

{% set levels = [2, 3, 4, 5] %}
{% set rule_version = var('usage_rule_version', '1') %}

with

usage as (

    select * from {{ ref('int_usage__daily') }}
    where qualifying_events > 0

),

actor_usage as (

    select * from {{ ref('int_actor_usage__daily') }}
    where qualifying_events > 0 and usage_date < {{ as_of() }}

),

identities as (

    select * from {{ ref('int_identities__resolved') }}

),

bands as (

    select
        product,
        measure,
        band,
        band_order,
        cast(lower_bound as double) as lower_bound,
        cast(leave_below as double) as leave_below
    from {{ ref('usage_cohort_bands') }}
    where rule_version = '{{ rule_version }}'

),

-- one row per product, so that a week meets all thresholds in one join
thresholds as (

    select
        product,
        row_number() over (order by product) as product_number,
        {% for level in levels %}
        {% for measure in ['frequency', 'duration'] %}
        max(
            case when measure = '{{ measure }}' and band_order = {{ level }} then lower_bound end
        ) as {{ measure }}_enter_{{ level }},
        max(
            case when measure = '{{ measure }}' and band_order = {{ level }} then leave_below end
        ) as {{ measure }}_leave_{{ level }},
        {% endfor %}
        {% endfor %}
        max(case when measure = 'mix' and band_order = 2 then lower_bound end) as mix_enter,
        max(case when measure = 'mix' and band_order = 2 then leave_below end) as mix_leave
    from bands
    group by product

),

sightings as (

    select
        customer_id,
        cast(first_seen_at as date) as seen_on
    from identities
    where source_system = 'product' and source_record_type = 'account' and first_seen_at < {{ as_of() }}
    union all
    select
        customer_id,
        usage_date as seen_on
    from usage

),

-- no stay may begin before there was anybody: on the day of the first sight midnight is too early
first_sights as (

    select
        customer_id,
        min(first_seen_at) as first_seen_at
    from identities
    group by customer_id

),

-- since when is there a customer to judge? numbered, because sorting millions of weeks by a number costs a fraction of
-- sorting them by two texts; the numbers mean nothing and leave with this query
known as (

    select
        customer_id,
        min(seen_on) as known_since,
        row_number() over (order by customer_id) as customer_number
    from sightings
    group by customer_id

),

units as (

    select
        known.customer_id,
        known.known_since,
        greatest(cast(known.known_since as timestamp), first_sights.first_seen_at) as known_at,
        thresholds.product,
        known.customer_number * 16 + thresholds.product_number as unit
    from known
    inner join first_sights on known.customer_id = first_sights.customer_id
    cross join thresholds

),

listed_families as (

    select distinct
        product,
        feature_family
    from actor_usage

),

-- what a family is called in its own product and in the total, where collaboration in one product is not the same as in
-- another; alphabetical numbers settle ties
families as (

    select
        listed_families.product as used_in,
        listed_families.feature_family as used_family,
        thresholds.product_number,
        case thresholds.product
            when 'all' then listed_families.product || '.' || listed_families.feature_family
            else listed_families.feature_family
        end as feature_family,
        row_number() over (
            partition by thresholds.product
            order by listed_families.product, listed_families.feature_family
        ) as family_number
    from listed_families
    inner join thresholds on thresholds.product in (listed_families.product, 'all')

),

-- what was done in each week, as a whole (family 0) and with each family of features. The week in which a customer
-- became known is there for every product, used or not: it leads to the first decision
weekly as (

    select
        units.unit,
        0 as family_number,
        date_trunc('week', usage.usage_date) as week,
        count(*) as active_days,
        sum(usage.active_minutes) as active_minutes,
        0 as qualifying_events
    from usage
    inner join units
        on
            usage.customer_id = units.customer_id
            and usage.product = units.product
    group by units.unit, date_trunc('week', usage.usage_date)

    union all

    select
        unit,
        0 as family_number,
        date_trunc('week', known_since) as week,
        0 as active_days,
        0 as active_minutes,
        0 as qualifying_events
    from units

    union all

    select
        known.customer_number * 16 + families.product_number as unit,
        families.family_number,
        date_trunc('week', actor_usage.usage_date) as week,
        0 as active_days,
        0 as active_minutes,
        sum(actor_usage.qualifying_events) as qualifying_events
    from actor_usage
    inner join identities
        on
            identities.source_system = 'product'
            and actor_usage.source_record_type = identities.source_record_type
            and actor_usage.source_record_id = identities.source_record_id
    inner join known on identities.customer_id = known.customer_id
    inner join families
        on
            actor_usage.product = families.used_in
            and actor_usage.feature_family = families.used_family
    group by unit, families.family_number, date_trunc('week', actor_usage.usage_date)

),

-- a week counts in the four decisions after it; the fifth is there to notice that it does not count any more
later_mondays as (

    {% for weeks_later in range(1, 6) %}
    select {{ weeks_later }} as weeks_later
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- the four weeks before each Monday
windows as (

    select
        weekly.unit,
        weekly.family_number,
        cast({{ dbt.dateadd('day', '7 * later_mondays.weeks_later', 'weekly.week') }} as date) as decided_on,
        cast(sum(case when later_mondays.weeks_later < 5 then weekly.active_days else 0 end) as bigint) as l28,
        sum(case when later_mondays.weeks_later < 5 then weekly.active_minutes else 0 end) as active_minutes,
        cast(sum(case when later_mondays.weeks_later < 5 then weekly.qualifying_events else 0 end) as bigint)
            as qualifying_events
    from weekly
    cross join later_mondays
    where {{ dbt.dateadd('day', '7 * later_mondays.weeks_later', 'weekly.week') }} <= {{ as_of() }}
    group by weekly.unit, weekly.family_number, decided_on

),

-- the family used most is the alphabetically first among equals, so that every build agrees (there are far fewer than a
-- thousand families)
decided as (

    select
        unit,
        decided_on,
        sum(l28) as l28,
        sum(active_minutes) / nullif(cast(sum(l28) as double), 0) as minutes_per_active_day,
        max_by(family_number, qualifying_events * 1000 - family_number) filter (where qualifying_events > 0)
            as top_family_number,
        max(qualifying_events) / nullif(cast(sum(qualifying_events) as double), 0) as top_family_share
    from windows
    group by unit, decided_on

),

measured as (

    select
        *,
        unit % 16 as product_number,
        lag(top_family_number) over (partition by unit order by decided_on) as previous_top_family_number,
        -- a later Monday is a larger number, with room for the position of a switch below it
        2 * {{ dbt.datediff("cast('2000-01-03' as date)", 'decided_on', 'day') }} as monday
    from decided

),

-- one switch per band above the lowest: on (odd) when entered, off (even) when left, else where it was
switched as (

    select
        measured.*,
        {% for level in levels %}
        max(
            case
                when measured.l28 >= thresholds.frequency_enter_{{ level }} then measured.monday + 1
                when measured.l28 < thresholds.frequency_leave_{{ level }} then measured.monday
            end
        ) over so_far % 2 as frequency_{{ level }},
        max(
            case
                when measured.minutes_per_active_day >= thresholds.duration_enter_{{ level }} then measured.monday + 1
                when measured.minutes_per_active_day < thresholds.duration_leave_{{ level }} then measured.monday
            end
        ) over so_far % 2 as duration_{{ level }},
        {% endfor %}
        -- a family stays dominant only as long as it remains the largest
        max(
            case
                when measured.top_family_share >= thresholds.mix_enter then measured.monday + 1
                when
                    measured.top_family_share < thresholds.mix_leave
                    or measured.top_family_number is distinct from measured.previous_top_family_number
                    then measured.monday
            end
        ) over so_far % 2 as is_dominated
    from measured
    inner join thresholds on measured.product_number = thresholds.product_number
    window so_far as (
        partition by measured.unit
        order by measured.decided_on
        rows between unbounded preceding and current row
    )

),

-- nobody has a duration or a mix without an active day
positioned as (

    select
        unit,
        product_number,
        cast(decided_on as timestamp) as entered_at,
        l28,
        minutes_per_active_day,
        top_family_share,
        1 + coalesce(frequency_2, 0) + coalesce(frequency_3, 0) + coalesce(frequency_4, 0) + coalesce(frequency_5, 0)
            as frequency_order,
        case when l28 > 0 then 1 end
        + coalesce(duration_2, 0) + coalesce(duration_3, 0) + coalesce(duration_4, 0) + coalesce(duration_5, 0)
            as duration_order,
        case when l28 > 0 and is_dominated = 1 then top_family_number when l28 > 0 then 0 end as family_number
    from switched

),

-- what was the position on the Monday before? numbers are compared here and named afterwards, when few are left
with_start as (

    select * from positioned
    union all
    select
        unit,
        unit % 16 as product_number,
        known_at as entered_at,
        null as l28,
        null as minutes_per_active_day,
        null as top_family_share,
        0 as frequency_order,
        null as duration_order,
        null as family_number
    from units

),

changes as (

    select *
    from with_start
    window unit_in_time as (partition by unit order by entered_at)
    qualify
        lag(frequency_order, 1, -1) over unit_in_time != frequency_order
        or lag(duration_order) over unit_in_time is distinct from duration_order
        or lag(family_number) over unit_in_time is distinct from family_number

),

-- what are the bands called?
named as (

    select
        changes.unit,
        changes.entered_at,
        changes.l28,
        changes.minutes_per_active_day,
        changes.top_family_share,
        coalesce(frequency.band, 'new') as frequency_band,
        duration.band as duration_band,
        case when changes.family_number is not null then coalesce(families.feature_family, broad.band) end
            as feature_mix
    from changes
    inner join thresholds on changes.product_number = thresholds.product_number
    left join bands as frequency
        on
            thresholds.product = frequency.product
            and changes.frequency_order = frequency.band_order
            and frequency.measure = 'frequency'
    left join bands as duration
        on
            thresholds.product = duration.product
            and changes.duration_order = duration.band_order
            and duration.measure = 'duration'
    left join bands as broad
        on
            thresholds.product = broad.product
            and broad.band_order = 1
            and broad.measure = 'mix'
    left join families
        on
            changes.product_number = families.product_number
            and changes.family_number = families.family_number

)

select
    units.customer_id,
    units.product,
    -- 'dormant', or for example 'regular/long/signing'
    named.frequency_band || coalesce('/' || named.duration_band || '/' || named.feature_mix, '') as usage_cohort,
    named.frequency_band,
    named.duration_band,
    named.feature_mix,
    '{{ rule_version }}' as usage_rule_version,
    cast(named.l28 as bigint) as l28,
    cast(named.minutes_per_active_day as decimal(18, 4)) as minutes_per_active_day,
    cast(named.top_family_share as decimal(18, 4)) as top_family_share,
    named.entered_at,
    lead(named.entered_at) over (partition by named.unit order by named.entered_at) as left_at
from named
inner join units on named.unit = units.unit
