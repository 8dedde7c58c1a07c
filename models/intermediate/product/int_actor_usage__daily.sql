-- One row per attribution key, actor, product, feature family and calendar day (UTC) with a track event, plus one row
-- per computed day with source_record_type 'calendar' and nothing in it.
-- Why it exists: everything that reads events and counts use, done once and incrementally by day. It names no
-- customer, so a merged identity costs a group by over this table and not another reading of the events. Sessions and
-- minutes need no distinct count: in time order, a new session or a new minute is seen by looking at the actor's event
-- before, so every measure here is a plain sum and adds up over families, actors and days. Sessions and minutes are
-- there twice: seen within the product, and seen over all products. A session counts on the day it starts; a day's
-- first event may continue yesterday's session, so a day is always computed with the day before it in sight, and a
-- changed day makes the next one recomputed too.
-- Only what was received before as_of counts, so a replayed day shows what was known then.
-- Hazard: the calendar rows make delete+insert replace a day that has become empty, and remember what the build knew
-- that computed the day; readers filter them out.
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='usage_date',
        on_schema_change='fail',
    )
}}

{% set event_list_row = "concat_ws('|', product, event_name, feature_family, is_qualifying, is_first_value)" %}
{% set session_gap_seconds = var('session_gap_seconds', 1800) | int %}

with

-- who did what, on which day?
events as (

    select
        source_record_type,
        source_record_id,
        case
            when user_id is not null then 'user'
            when anonymous_id is not null then 'anonymous'
            else 'account'
        end as actor_type,
        actor_id,
        product,
        event_name,
        occurred_at,
        cast(occurred_at as date) as usage_date
    from {{ ref('int_events__deduplicated') }}
    where
        event_type = 'track'
        and occurred_at < {{ as_of() }}
        and received_at < {{ as_of() }}

),

event_list as (

    select
        product,
        event_name,
        feature_family,
        is_qualifying,
        is_first_value
    from {{ ref('product_events') }}

),

-- what does this build know?
knowledge as (

    select
        {{ as_of() }} as computed_as_of,
        cast({{ dbt.dateadd('second', -1, as_of()) }} as date) as last_date,
        (
            select cast(sum({{ md5_number(event_list_row) }}) as bigint)
            from event_list
        ) as event_list_fingerprint,
        (select max(_dlt_load_id) from {{ ref('int_events__deduplicated') }}) as loaded_through,
        {% if is_incremental() %}
        (select max(build_number) + 1 from {{ this }}) as build_number
        {% else %}
        1 as build_number
        {% endif %}

),

{% if is_incremental() %}

-- what did the last build know? the earlier of the two instants is how far both agree
last_build as (

    select
        calendar.event_list_fingerprint,
        calendar.loaded_through,
        least(calendar.computed_as_of, knowledge.computed_as_of) as agreed_until
    from {{ this }} as calendar
    inner join knowledge on calendar.build_number = knowledge.build_number - 1
    -- all days of a build know the same
    group by calendar.event_list_fingerprint, calendar.loaded_through, calendar.computed_as_of, knowledge.computed_as_of

),

-- the days that events speak of which only one of the two builds has seen, and the days on which they were received
reported_days as (

    select distinct
        cast(occurred_at as date) as usage_date,
        received_date
    from {{ ref('int_events__deduplicated') }}
    where
        received_at >= (select last_build.agreed_until from last_build)
        or _dlt_load_id > (select last_build.loaded_through from last_build)

),

-- which days have to be computed?
days as (

    select usage_date from reported_days
    union
    select received_date from reported_days
    union
    -- a session may go on past midnight
    select cast({{ dbt.dateadd('day', 1, 'usage_date') }} as date) from reported_days
    union
    -- time has moved on since, or back to replay an earlier day
    select
        cast(
            {{ series(
                "(select cast(" ~ dbt.dateadd('second', -1, 'agreed_until') ~ " as date) from last_build)",
                "(select last_date from knowledge)"
            ) }} as date
        )
    union
    -- what counts as use has changed: every day that was ever computed
    select distinct calendar.usage_date
    from {{ this }} as calendar
    cross join last_build
    inner join knowledge on last_build.event_list_fingerprint != knowledge.event_list_fingerprint
    where calendar.source_record_type = 'calendar'

),

{% else %}

days as (

    select distinct usage_date from events
    union
    select last_date from knowledge

),

{% endif %}

days_to_compute as (

    select days.usage_date
    from days
    cross join knowledge
    where days.usage_date <= knowledge.last_date

),

-- what does it count as? the day before is read, too, because a session may begin in it
listed as (

    select
        events.source_record_type,
        events.source_record_id,
        events.actor_type,
        events.actor_id,
        events.product,
        events.event_name,
        events.occurred_at,
        events.usage_date,
        coalesce(event_list.feature_family, 'unlisted') as feature_family,
        coalesce(event_list.is_qualifying, false) as is_qualifying,
        coalesce(event_list.is_first_value, false) as is_first_value
    from events
    left join event_list
        on
            events.product = event_list.product
            and events.event_name = event_list.event_name
    {% if is_incremental() %}
    where
        events.occurred_at >= (
            select {{ dbt.dateadd('day', -1, 'min(usage_date)') }}
            from days_to_compute
        )
    {% endif %}

),

-- what did the actor do before, within the same product and anywhere? qualifying events form sessions among themselves;
-- of events at the same instant the alphabetically first opens the session
sequenced as (

    select
        *,
        lag(occurred_at) over (
            partition by actor_id, is_qualifying, product
            order by occurred_at, event_name, source_record_id
        ) as previous_in_product_at,
        lag(occurred_at) over (
            partition by actor_id, is_qualifying
            order by occurred_at, product, event_name, source_record_id
        ) as previous_at
    from listed

),

-- does the event open a session (the gap is longer than allowed) or a minute (nothing before in the same minute)?
flagged as (

    select
        sequenced.source_record_type,
        sequenced.source_record_id,
        sequenced.actor_type,
        sequenced.actor_id,
        sequenced.product,
        sequenced.feature_family,
        sequenced.usage_date,
        sequenced.is_qualifying,
        sequenced.is_first_value,
        sequenced.event_name = 'export_failed' as is_failed_export,
        sequenced.event_name = 'api_called' as is_api_call,
        sequenced.is_qualifying and (
            sequenced.previous_in_product_at is null
            or sequenced.occurred_at
            > {{ dbt.dateadd('second', session_gap_seconds, 'sequenced.previous_in_product_at') }}
        ) as opens_session_in_product,
        sequenced.is_qualifying and (
            sequenced.previous_at is null
            or sequenced.occurred_at > {{ dbt.dateadd('second', session_gap_seconds, 'sequenced.previous_at') }}
        ) as opens_session,
        sequenced.is_qualifying and (
            date_trunc('minute', sequenced.occurred_at)
            is distinct from date_trunc('minute', sequenced.previous_in_product_at)
        ) as opens_minute_in_product,
        sequenced.is_qualifying and (
            date_trunc('minute', sequenced.occurred_at) is distinct from date_trunc('minute', sequenced.previous_at)
        ) as opens_minute
    from sequenced
    {% if is_incremental() %}
    inner join days_to_compute on sequenced.usage_date = days_to_compute.usage_date
    {% endif %}

),

-- how much of everything on the day?
counted as (

    select
        source_record_type,
        source_record_id,
        actor_type,
        actor_id,
        product,
        feature_family,
        usage_date,
        count(*) as events,
        count(*) filter (where is_qualifying) as qualifying_events,
        count(*) filter (where is_first_value) as first_value_events,
        count(*) filter (where opens_session_in_product) as sessions_in_product,
        count(*) filter (where opens_session) as sessions_overall,
        count(*) filter (where opens_minute_in_product) as minutes_in_product,
        count(*) filter (where opens_minute) as minutes_overall,
        count(*) filter (where is_failed_export) as failed_exports,
        count(*) filter (where is_api_call) as api_calls
    from flagged
    group by
        source_record_type,
        source_record_id,
        actor_type,
        actor_id,
        product,
        feature_family,
        usage_date

),

-- a row for every day that was computed, so that one on which nothing is left is replaced, too
with_calendar as (

    select
        *,
        cast(null as timestamp) as computed_as_of,
        cast(null as bigint) as event_list_fingerprint,
        cast(null as {{ dbt.type_string() }}) as loaded_through,
        cast(null as bigint) as build_number
    from counted
    union all
    select
        'calendar' as source_record_type,
        null as source_record_id,
        null as actor_type,
        null as actor_id,
        null as product,
        null as feature_family,
        days_to_compute.usage_date,
        0 as events,
        0 as qualifying_events,
        0 as first_value_events,
        0 as sessions_in_product,
        0 as sessions_overall,
        0 as minutes_in_product,
        0 as minutes_overall,
        0 as failed_exports,
        0 as api_calls,
        knowledge.computed_as_of,
        knowledge.event_list_fingerprint,
        knowledge.loaded_through,
        knowledge.build_number
    from days_to_compute
    cross join knowledge

)

select * from with_calendar
