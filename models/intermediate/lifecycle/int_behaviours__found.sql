-- One row per event of the product that is a behaviour signals listen to, per behaviour; and with behaviour '*' the
-- first and the last event that counts as use, per attribution key, day of use (UTC) and day of receipt.
-- Why it exists: signals need one event in twenty, and silences of a day and longer lie between the last event of one
-- active day and the first of the next. This reads the events once, by received-date partition, so that a day costs a
-- day. It names no customer: identities are merged later, and the customer is looked up when a behaviour is read.
-- Hazard: rows with behaviour 'calendar' make delete+insert replace a partition in which nothing is found any more, and
-- remember what was looked for; an edited seed makes every partition be read again. Readers filter them out.
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='received_date',
        on_schema_change='fail',
    )
}}

{% set looked_for = "concat_ws('|', behaviour, event_name, product, property_name, property_test, property_value)" %}

with

listened_to as (

    {% for step in ['behaviour', 'until_behaviour', 'then_behaviour', 'last_behaviour'] %}
    select {{ step }} as behaviour from {{ ref('signal_definitions') }}
    {{ 'union' if not loop.last }}
    {% endfor %}

),

behaviours as (

    select behaviours.*
    from {{ ref('behaviours') }} as behaviours
    inner join listened_to
        on behaviours.behaviour = listened_to.behaviour
    where behaviours.source = 'product' and behaviours.grain = 'event'

),

uses as (

    select
        product,
        event_name
    from {{ ref('product_events') }}
    where is_qualifying

),

-- what is looked for, as one number: it changes when a seed does
wanted as (

    select
        (select coalesce(cast(sum({{ md5_number(looked_for) }}) as bigint), 0) from behaviours)
        + (select coalesce(cast(sum({{ md5_number("product || '|' || event_name") }}) as bigint), 0) from uses)
            as wanted_number

),

{% if is_incremental() %}

-- from which received date on is anything different? the newest known partition may have grown, a newer load may have
-- brought or repaired older ones, and another seed makes all of them different
changes as (

    select
        case
            when
                (
                    select count(*)
                    from {{ this }} as known
                    inner join wanted
                        on known.wanted_number = wanted.wanted_number
                ) = 0
                then cast('1970-01-01' as date)
            else least(
                (select max(known.received_date) from {{ this }} as known),
                (
                    select min(loaded.received_date)
                    from {{ ref('int_events__deduplicated') }} as loaded
                    where loaded._dlt_load_id > (select max(known._dlt_load_id) from {{ this }} as known)
                )
            )
        end as first_received_date

),

{% endif %}

events as (

    select
        event_id,
        source_record_type,
        source_record_id,
        user_id,
        event_type,
        event_name,
        product,
        properties,
        time_zone,
        occurred_at,
        received_at,
        received_date,
        _dlt_load_id
    from {{ ref('int_events__deduplicated') }}
    {% if is_incremental() %}
    where received_date >= (select changes.first_received_date from changes)
    {% endif %}

),

-- which events carry a behaviour by name, product and property? one that does so in two ways is still one
named as (

    select distinct
        behaviours.behaviour,
        events.event_id,
        events.source_record_type,
        events.source_record_id,
        events.user_id,
        events.occurred_at,
        events.received_at,
        events.received_date
    from events
    inner join behaviours
        on events.event_name = behaviours.event_name
    where
        (behaviours.product is null or events.product = behaviours.product)
        and {{ property_matches('events.properties', 'behaviours') }}

),

used as (

    select
        events.event_id,
        events.source_record_type,
        events.source_record_id,
        events.user_id,
        events.time_zone,
        events.occurred_at,
        events.received_at,
        events.received_date,
        cast(events.occurred_at as date) as usage_date
    from events
    inner join uses
        on
            events.event_type = 'track'
            and events.product = uses.product
            and events.event_name = uses.event_name

),

days as (

    select
        source_record_type,
        source_record_id,
        usage_date,
        received_date,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at,
        max(case when time_zone is not null then occurred_at end) as zoned_at,
        count(*) as uses
    from used
    group by source_record_type, source_record_id, usage_date, received_date

),

-- which event stands for the edge when several share its instant? the smallest id first, the largest last
edges as (

    select
        days.source_record_type,
        days.source_record_id,
        days.received_date,
        days.usage_date,
        days.first_at,
        days.last_at,
        days.uses,
        min(used.event_id) filter (where used.occurred_at = days.first_at) as first_event_id,
        max(used.event_id) filter (where used.occurred_at = days.last_at) as last_event_id,
        min(used.received_at) filter (where used.occurred_at = days.first_at) as first_received_at,
        min(used.received_at) filter (where used.occurred_at = days.last_at) as last_received_at,
        max(used.time_zone) filter (where used.occurred_at = days.zoned_at) as time_zone
    from days
    inner join used
        on
            days.source_record_type = used.source_record_type
            and days.source_record_id = used.source_record_id
            and days.usage_date = used.usage_date
            and days.received_date = used.received_date
            and used.occurred_at in (days.first_at, days.last_at, days.zoned_at)
    group by
        days.source_record_type,
        days.source_record_id,
        days.received_date,
        days.usage_date,
        days.first_at,
        days.last_at,
        days.uses

),

found as (

    select
        *,
        cast(null as {{ dbt.type_string() }}) as time_zone,
        1 as uses
    from named
    union all
    select
        '*' as behaviour,
        first_event_id as event_id,
        source_record_type,
        source_record_id,
        cast(null as {{ dbt.type_string() }}) as user_id,
        first_at as occurred_at,
        first_received_at as received_at,
        received_date,
        time_zone,
        uses
    from edges
    union all
    select
        '*' as behaviour,
        last_event_id as event_id,
        source_record_type,
        source_record_id,
        cast(null as {{ dbt.type_string() }}) as user_id,
        last_at as occurred_at,
        last_received_at as received_at,
        received_date,
        time_zone,
        0 as uses
    from edges
    where first_event_id != last_event_id

)

select
    behaviour,
    event_id,
    source_record_type,
    source_record_id,
    user_id,
    occurred_at,
    received_at,
    received_date,
    time_zone,
    uses,
    {{ behaviour_number() }} as behaviour_number,
    cast(null as bigint) as wanted_number,
    cast(null as {{ dbt.type_string() }}) as _dlt_load_id
from found
union all
select
    'calendar' as behaviour,
    null as event_id,
    null as source_record_type,
    null as source_record_id,
    null as user_id,
    null as occurred_at,
    null as received_at,
    events.received_date,
    null as time_zone,
    0 as uses,
    null as behaviour_number,
    max(wanted.wanted_number) as wanted_number,
    max(events._dlt_load_id) as _dlt_load_id
from events
cross join wanted
group by events.received_date
