-- One row per event of the product that is a behaviour signals listen to, per behaviour; and with behaviour '*' the
-- first and the last event that counts as use, per attribution key, day of use (UTC) and day of receipt.
-- Why it exists: signals need one event in twenty, and silences of a day and longer lie between the last event of one
-- active day and the first of the next. This reads the events once, by received-date partition, so that a day costs a
-- day. It names no customer: identities are merged later, and the customer is looked up when a behaviour is read.
-- Every row says in which run of this model it was first found as it is, so that signals learn what is new without
-- comparing everything.
-- Hazard: rows that are no behaviour, which readers filter out. 'calendar' makes delete+insert replace a partition in
-- which nothing is found any more, and remembers what was looked for; an edited seed makes every partition be read
-- again. '*withdrawn' stands for what was found once and is no longer, '*zone' for a device that named its time zone
-- between the first and the last use of a day. After a full run of this model alone the run is told from the one before
-- by how many events were read and up to which load.
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='received_date',
        on_schema_change='fail',
    )
}}

{% set text = dbt.type_string() %}
{% set events = {
    'behaviour': text,
    'event_id': text,
    'source_record_type': text,
    'source_record_id': text,
    'user_id': text,
    'occurred_at': 'timestamp',
    'received_at': 'timestamp',
    'received_date': 'date',
    'time_zone': text,
    'uses': 'bigint',
} %}
{% set said = dict(events, behaviour_number='bigint', found_in_run='bigint') %}
{# of a partition #}
{% set columns = dict(said, began_with_number='bigint', wanted_number='bigint', _dlt_load_id=text) %}
{# the partitions in which anything may be different #}
{% set is_different = 'events.received_date >= (select changes.first_received_date from changes)'
    if is_incremental() else 'true' %}
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

partitions as (

    select
        events.received_date,
        max(events._dlt_load_id) as _dlt_load_id,
        count(*) as events
    from {{ ref('int_events__deduplicated') }} as events
    where {{ is_different }}
    group by events.received_date

),

-- which run is this, and which full one did it begin with?
runs as (

    {% if is_incremental() %}
    select
        max(known.found_in_run) + 1 as this_run,
        max(known.began_with_number) as began_with_number
    from {{ this }} as known
    where known.behaviour = 'calendar'
    {% else %}
    select
        1 as this_run,
        coalesce({{ md5_number("max(_dlt_load_id) || '|' || cast(sum(events) as " ~ dbt.type_string() ~ ")") }}, 0)
            as began_with_number
    from partitions
    {% endif %}

),

-- a behaviour that has several ways to be said by the same event
ambiguous as (

    select
        behaviour,
        event_name
    from behaviours
    group by behaviour, event_name
    having count(*) > 1

),

-- which events carry a behaviour by name, product and property? one that does so in two ways is still one, and only
-- where there are two ways is it worth looking
{% for several in [false, true] %}
named{{ '_in_ways' if several }} as (

    select {{ 'distinct' if several }}
        behaviours.behaviour,
        events.event_id,
        events.source_record_type,
        events.source_record_id,
        events.user_id,
        events.occurred_at,
        events.received_at,
        events.received_date
    from {{ ref('int_events__deduplicated') }} as events
    inner join behaviours
        on events.event_name = behaviours.event_name
    where
        {{ 'not' if not several }} exists (
            select 1
            from ambiguous
            where
                behaviours.behaviour = ambiguous.behaviour
                and behaviours.event_name = ambiguous.event_name
        )
        and (behaviours.product is null or events.product = behaviours.product)
        and {{ property_matches('events.properties', 'behaviours') }}
        and {{ is_different }}

),

{% endfor %}

{# three questions to the same events, because asking thrice is cheaper than keeping millions of them #}
{% set events_of_use %}
    (
        select events.*
        from {{ ref('int_events__deduplicated') }} as events
        inner join uses
            on
                events.event_type = 'track'
                and events.product = uses.product
                and events.event_name = uses.event_name
        where {{ is_different }}
    )
{% endset %}

-- when was the first and the last use of a day, and when did a device last name its time zone?
days as (

    select
        events.source_record_type,
        events.source_record_id,
        cast(events.occurred_at as date) as usage_date,
        events.received_date,
        min(events.occurred_at) as first_at,
        max(events.occurred_at) as last_at,
        max(case when events.time_zone is not null then events.occurred_at end) as zoned_at,
        count(*) as uses
    from {{ events_of_use }} as events
    group by
        events.source_record_type,
        events.source_record_id,
        cast(events.occurred_at as date),
        events.received_date

),

-- several at the same instant are the exception, and only they have to be put in order
tied as (

    select
        events.source_record_type,
        events.source_record_id,
        events.received_date,
        events.occurred_at
    from {{ events_of_use }} as events
    group by events.source_record_type, events.source_record_id, events.received_date, events.occurred_at
    having count(*) > 1

),

-- which events stand at the first or last use of a day, or last named a time zone?
edges as (

    select
        events.event_id,
        events.source_record_type,
        events.source_record_id,
        events.received_date,
        events.occurred_at,
        events.received_at,
        events.time_zone,
        days.first_at,
        days.last_at,
        days.zoned_at,
        days.uses,
        tied.occurred_at is not null as is_tied
    from {{ events_of_use }} as events
    inner join days
        on
            events.source_record_type = days.source_record_type
            and events.source_record_id = days.source_record_id
            and cast(events.occurred_at as date) = days.usage_date
            and events.received_date = days.received_date
    left join tied
        on
            events.source_record_type = tied.source_record_type
            and events.source_record_id = tied.source_record_id
            and events.received_date = tied.received_date
            and events.occurred_at = tied.occurred_at
    where events.occurred_at in (days.first_at, days.last_at, days.zoned_at)

),

{% set edge = 'source_record_type, source_record_id, received_date, occurred_at, first_at, last_at, zoned_at, uses' %}
-- which event stands for the edge when several share its instant? the smallest id first, the largest last
edge_instants as (

    select
        {{ edge }},
        event_id as first_event_id,
        event_id as last_event_id,
        received_at,
        time_zone
    from edges
    where not is_tied
    union all
    select
        {{ edge }},
        min(event_id) as first_event_id,
        max(event_id) as last_event_id,
        min(received_at) as received_at,
        max(time_zone) as time_zone
    from edges
    where is_tied
    group by {{ edge }}

),

-- one row per edge; the first carries how many uses the day had
used as (

    select
        case when occurred_at in (first_at, last_at) then '*' else '*zone' end as behaviour,
        case when occurred_at = first_at then first_event_id else last_event_id end as event_id,
        source_record_type,
        source_record_id,
        occurred_at,
        received_at,
        received_date,
        case when occurred_at = zoned_at then time_zone end as time_zone,
        case when occurred_at = first_at then uses else 0 end as uses
    from edge_instants
    union all
    -- all uses of the day at one instant
    select
        '*' as behaviour,
        last_event_id as event_id,
        source_record_type,
        source_record_id,
        occurred_at,
        received_at,
        received_date,
        time_zone,
        0 as uses
    from edge_instants
    where first_at = last_at and first_event_id != last_event_id

),

seen as (

    {% for names in ['named', 'named_in_ways'] %}
    select
        {{ union_branch(
            events,
            own=[
                'behaviour', 'event_id', 'source_record_type', 'source_record_id', 'user_id', 'occurred_at',
                'received_at', 'received_date',
            ],
            given={'uses': '1'},
        ) }}
    from {{ names }}
    union all
    {% endfor %}
    select
        {{ union_branch(events, own=events | reject('equalto', 'user_id')) }}
    from used

),

found as (

    select
        *,
        {{ behaviour_number() }} as behaviour_number
    from seen

),

{% if is_incremental() %}

{% set is_as_it_was %}
            known_before.received_date = found.received_date
            and known_before.behaviour = found.behaviour
            and known_before.source_record_type is not distinct from found.source_record_type
            and known_before.source_record_id is not distinct from found.source_record_id
            and known_before.event_id = found.event_id
            and known_before.behaviour_number = found.behaviour_number
{% endset %}

-- what did earlier runs find in the partitions that may be different?
known_before as (

    select
        known.received_date,
        known.behaviour,
        known.source_record_type,
        known.source_record_id,
        known.event_id,
        known.occurred_at,
        known.behaviour_number,
        known.found_in_run
    from {{ this }} as known
    where
        known.behaviour != 'calendar'
        and known.received_date >= (select changes.first_received_date from changes)

),

-- of whom is something gone, and from when on?
withdrawn as (

    select
        known_before.received_date,
        known_before.source_record_type,
        known_before.source_record_id,
        min(known_before.occurred_at) as occurred_at,
        -- what was gone before is no news
        max(case when known_before.behaviour = '*withdrawn' then known_before.found_in_run else runs.this_run end)
            as found_in_run
    from known_before
    cross join runs
    left join found
        on {{ is_as_it_was }}
    where found.received_date is null
    group by known_before.received_date, known_before.source_record_type, known_before.source_record_id

),

{% endif %}

dated as (

    select
        found.*,
        {{ 'coalesce(known_before.found_in_run, runs.this_run)' if is_incremental() else 'runs.this_run' }}
            as found_in_run
    from found
    cross join runs
    {% if is_incremental() %}
    -- what is as it was keeps its run
    left join known_before
        on {{ is_as_it_was }}
    {% endif %}

),

calendar as (

    select
        partitions.received_date,
        partitions._dlt_load_id,
        runs.this_run as found_in_run,
        runs.began_with_number,
        wanted.wanted_number
    from partitions
    cross join runs
    cross join wanted

)

select
    {{ union_branch(columns, own=said) }}
from dated
{% if is_incremental() %}
union all
select
    {{ union_branch(
        columns,
        own=['source_record_type', 'source_record_id', 'occurred_at', 'received_date', 'found_in_run'],
        given={'behaviour': "'*withdrawn'", 'uses': '0'},
    ) }}
from withdrawn
{% endif %}
union all
select
    {{ union_branch(
        columns,
        own=['received_date', 'found_in_run', 'began_with_number', 'wanted_number', '_dlt_load_id'],
        given={'behaviour': "'calendar'", 'uses': '0'},
    ) }}
from calendar
