-- What an increment reads: CTEs of int_signals__occurred.
--   said         what was said of those who are looked at, as far back as it can still matter to them
--   kept_before  what an entity was told before that, which is why it may not be told again
-- The history before is read only of who is looked at from the beginning or came back after a long silence, by accounts
-- and users. Partitions of the product's behaviours that nobody needs are skipped by `received_date`.

{% macro signals_recalled() %}
{% set text = dbt.type_string() %}
{% set columns = {
    'behaviour': text,
    'user_id': text,
    'occurred_at': 'timestamp',
    'received_at': 'timestamp',
    'event_id': text,
    'measured_value': 'double',
    'due_at': 'timestamp',
    'gone_at': 'timestamp',
} %}
{% set found_columns = ['behaviour', 'user_id', 'occurred_at', 'received_at', 'event_id'] %}
{# use is heard further back than most else, and of it there is most #}
{% set groups = [('true', '='), ('false', '!=')] %}
horizons as (

    {% for is_use, equals in groups %}
    select
        {{ is_use }} as is_use,
        cast(coalesce(
            {{ dbt.dateadd('second', '-max(voices.reach_seconds) - 86400', 'min(listened.renewed_from_at)') }},
            {{ the_beginning() }}
        ) as date) as received_from
    from listened
    cross join voices
    where not listened.is_whole and voices.heard_as {{ equals }} '*'
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- up to when is history read of who is looked at from the beginning? not at all if nobody is
whole_horizons as (

    select
        horizons.is_use,
        max(case when listened.is_whole then horizons.received_from else cast('1970-01-01' as date) end)
            as received_until
    from horizons
    cross join listened
    group by horizons.is_use

),

whole_identities as (

    select
        identities.source_record_type,
        identities.source_record_id,
        listened.customer_number
    from identities
    inner join listened
        on identities.customer_id = listened.customer_id
    where listened.is_whole

),

reachable as (

    {% for is_use, equals in groups %}
    select
        listened.customer_number,
        {{ union_branch(columns, own=columns, alias='behaviours') }}
    from {{ ref('int_behaviours__unioned') }} as behaviours
    inner join listened
        on behaviours.customer_id = listened.customer_id
    inner join voices
        on behaviours.behaviour = voices.heard_as
    where
        behaviours.behaviour {{ equals }} '*'
        and behaviours.received_date >= (
            select horizons.received_from from horizons where horizons.is_use = {{ is_use }}
        )
        and (
            listened.is_whole
            or behaviours.occurred_at
            >= {{ dbt.dateadd('second', '-voices.reach_seconds', 'listened.renewed_from_at') }}
        )
    union all
    select
        whole_identities.customer_number,
        {{ union_branch(columns, own=found_columns, alias='found') }}
    from {{ ref('int_behaviours__found') }} as found
    inner join whole_identities
        on
            found.source_record_type = whole_identities.source_record_type
            and found.source_record_id = whole_identities.source_record_id
    where
        found.behaviour not in ('calendar', '*withdrawn', '*zone')
        and found.behaviour {{ equals }} '*'
        and found.received_date < (
            select whole_horizons.received_until from whole_horizons where whole_horizons.is_use = {{ is_use }}
        )
    union all
    {% endfor %}
    -- a figure and a promise reach back as far as they like, and there are few of them
    select
        listened.customer_number,
        {{ union_branch(columns, own=columns, alias='behaviours') }}
    from {{ ref('int_behaviours__unioned') }} as behaviours
    inner join listened
        on behaviours.customer_id = listened.customer_id
    where behaviours.received_date is null

),

-- whose last word before that may be where a silence began?
silent_before as (

    select distinct
        identities.source_record_type,
        identities.source_record_id,
        listened.customer_number,
        reachable.behaviour,
        {{ dbt.dateadd('second', '-voices.reach_seconds', 'listened.renewed_from_at') }} as heard_from
    from (
        select
            customer_number,
            behaviour,
            user_id,
            min(occurred_at) as occurred_at
        from reachable
        group by customer_number, behaviour, user_id
    ) as reachable
    inner join voices
        on reachable.behaviour = voices.heard_as
    inner join listened
        on reachable.customer_number = listened.customer_number
    inner join identities
        on listened.customer_id = identities.customer_id
    where
        voices.is_silence
        and not listened.is_whole
        and reachable.occurred_at >= listened.renewed_from_at

),

last_before as (

    select once.*
    from (
        select
            silent_before.customer_number,
            {{ union_branch(columns, own=found_columns, alias='found') }}
        from {{ ref('int_behaviours__found') }} as found
        inner join silent_before
            on
                found.source_record_type = silent_before.source_record_type
                and found.source_record_id = silent_before.source_record_id
                and found.behaviour = silent_before.behaviour
                and found.occurred_at < silent_before.heard_from
        qualify row_number() over (
            partition by silent_before.customer_number, found.behaviour, found.event_id
            order by found.occurred_at, found.received_at nulls last, found.user_id
        ) = 1
    ) as once
    qualify row_number() over (
        partition by once.customer_number, once.behaviour, once.user_id
        order by once.occurred_at desc, once.event_id desc
    ) = 1

),

said as (

    select * from reachable
    union all
    select * from last_before

),

kept_before as (

    select
        signals.signal_number,
        listened.customer_number,
        case signals.unit when 'user' then known.user_id else '' end as user_key,
        max(known.occurred_at) as kept_at
    from {{ this }} as known
    inner join signals
        on known.signal_id = signals.signal_id
    inner join listened
        on known.customer_id = listened.customer_id
    where
        known.occurred_at < listened.renewed_from_at
        and known.outcome in ('fired', 'candidate')
        and (signals.rearm in ('once', 'after_cooldown') or signals.is_only_once)
    group by
        signals.signal_number,
        listened.customer_number,
        case signals.unit when 'user' then known.user_id else '' end

),
{% endmacro %}
