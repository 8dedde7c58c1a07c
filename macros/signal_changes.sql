-- Whose signals have to be looked at, from which instant on, and what has to be read for it: CTEs of
-- int_signals__occurred. In an increment that is whoever something new or withdrawn is found of, whose figures,
-- accounts or definitions are others than what the row 'listened' remembers, and whose deadline has passed since.

{# how long a figure may move before a change of it makes a customer be looked at from the beginning #}
{% macro settled_before() -%}
    {{ dbt.dateadd('day', -7, "date_trunc('day', " ~ as_of() ~ ")") }}
{%- endmacro %}

{% macro signals_listened() %}
identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product' and customer_id is not null

),

-- which accounts and users is a customer made of?
owned as (

    select
        customer_id,
        cast(sum({{ fingerprint(['source_record_type', 'source_record_id']) }}) as bigint) as identity_number
    from identities
    group by customer_id

),

{% if is_incremental() %}

remembered as (

    select
        known.customer_id,
        known.identity_number,
        known.settled_number,
        known.unsettled_number,
        known.settled_before,
        known.next_deadline_at,
        known.computed_as_of,
        known.observed_through_at,
        known.definitions_hash,
        known.found_in_run,
        known.began_with_number
    from {{ this }} as known
    where known.kind = 'listened'

),

known_until as (

    select
        max(found_in_run) as found_in_run,
        date_trunc('day', max(computed_as_of)) as day_of_computation
    from remembered

),

{% endif %}

-- what is computed anew in every build is compared by sums, those of the last days apart
figures as (

    select
        behaviours.customer_id,
        {% for name, boundary in [('', settled_before())]
            + ([('_then', 'remembered.settled_before')] if is_incremental() else []) %}
        {% for settled, is_before in [('settled', '<'), ('unsettled', '>=')] %}
        cast(
            sum(
                case
                    when behaviours.occurred_at {{ is_before }} {{ boundary }} then behaviours.behaviour_number else 0
                end
            ) as bigint
        ) as {{ settled }}_number{{ name }},
        {% endfor %}
        {% endfor %}
        count(*) as figures
    from {{ ref('int_behaviours__unioned') }} as behaviours
    {% if is_incremental() %}
    left join remembered
        on behaviours.customer_id = remembered.customer_id
    {% endif %}
    where behaviours.received_date is null
    group by behaviours.customer_id

),

{% if is_incremental() %}

-- from when on is something else found of somebody? whole days of use stand in for the events of the day of as_of
moved as (

    {% for is_new in [
        "found.found_in_run > (select known_until.found_in_run from known_until)",
        "found.received_date >= cast((select " ~ dbt.dateadd('day', -1, 'known_until.day_of_computation')
        ~ " from known_until) as date) and greatest(found.occurred_at, found.received_at)"
        ~ " >= (select known_until.day_of_computation from known_until)",
    ] %}
    select
        identities.customer_id,
        found.occurred_at as moved_at
    from {{ ref('int_behaviours__found') }} as found
    inner join identities
        on
            found.source_record_type = identities.source_record_type
            and found.source_record_id = identities.source_record_id
    where {{ is_new }}
    union all
    {% endfor %}
    select
        customer_id,
        occurred_at as moved_at
    from {{ ref('int_behaviours__unioned') }}
    where
        behaviour = '*'
        and received_date >= cast({{ dbt.dateadd('day', -1, as_of()) }} as date)
        and greatest(occurred_at, received_at) >= date_trunc('day', {{ as_of() }})

),

first_moved as (

    select
        customer_id,
        min(moved_at) as moved_at
    from moved
    group by customer_id

),

questioned as (

    select
        coalesce(owned.customer_id, figures.customer_id, remembered.customer_id) as customer_id,
        owned.identity_number,
        figures.settled_number,
        figures.unsettled_number,
        first_moved.moved_at,
        case when remembered.next_deadline_at < knowledge.computed_as_of then remembered.next_deadline_at end
            as due_at,
        case
            when figures.unsettled_number_then is distinct from remembered.unsettled_number
                then remembered.settled_before
        end as refigured_at,
        remembered.customer_id is null
        or owned.identity_number is distinct from remembered.identity_number
        or figures.settled_number_then is distinct from remembered.settled_number
        or remembered.definitions_hash != knowledge.definitions_hash
        or remembered.computed_as_of > knowledge.computed_as_of
        or remembered.observed_through_at > knowledge.observed_through_at
        or remembered.began_with_number is distinct from knowledge.began_with_number as is_whole
    from owned
    full outer join figures
        on owned.customer_id = figures.customer_id
    full outer join remembered
        on coalesce(owned.customer_id, figures.customer_id) = remembered.customer_id
    left join first_moved
        on coalesce(owned.customer_id, figures.customer_id, remembered.customer_id) = first_moved.customer_id
    cross join knowledge

),

listened as (

    select
        customer_id,
        identity_number,
        settled_number,
        unsettled_number,
        {{ settled_before() }} as settled_before,
        is_whole,
        case
            when is_whole then cast('1970-01-01' as timestamp)
            else least(moved_at, due_at, refigured_at, {{ as_of() }})
        end as renewed_from_at,
        row_number() over (order by customer_id) as customer_number
    from questioned
    where
        is_whole
        or moved_at is not null
        or due_at is not null
        or refigured_at is not null

),

{% else %}

-- numbered, because sorting by numbers costs a fraction of sorting by texts; the numbers mean nothing and leave with
-- this query. That they are looked at once more tells the engine that there are far fewer customers than events
listened as (

    select numbered.*
    from (
        select
            coalesce(owned.customer_id, figures.customer_id) as customer_id,
            owned.identity_number,
            figures.settled_number,
            figures.unsettled_number,
            {{ settled_before() }} as settled_before,
            cast('1970-01-01' as timestamp) as renewed_from_at,
            row_number() over (order by coalesce(owned.customer_id, figures.customer_id)) as customer_number
        from owned
        full outer join figures
            on owned.customer_id = figures.customer_id
    ) as numbered
    where numbered.customer_number > 0

),

{% endif %}
{% endmacro %}


-- What was said of those who are looked at, as far back as it can still matter. The history before that is read only of
-- who is looked at from the beginning or came back after a long silence, by accounts and users.
{% macro signals_said_anew() %}
{% set columns = [
    'behaviour', 'user_id', 'occurred_at', 'received_at', 'event_id', 'measured_value', 'due_at', 'gone_at',
] %}
{% set old_columns = [
    'found.behaviour', 'found.user_id', 'found.occurred_at', 'found.received_at', 'found.event_id',
    'cast(null as double) as measured_value', 'cast(null as timestamp) as due_at', 'cast(null as timestamp) as gone_at',
] %}
horizons as (

    {% for heard_as in ["= '*'", "!= '*'"] %}
    select
        {{ loop.first }} as is_use,
        cast(coalesce(
            {{ dbt.dateadd('second', '-max(voices.reach_seconds) - 86400', 'min(listened.renewed_from_at)') }},
            cast('1970-01-01' as timestamp)
        ) as date) as received_from
    from listened
    cross join voices
    where not listened.is_whole and voices.heard_as {{ heard_as }}
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

    {% for is_use in ['true', 'false'] %}
    select
        listened.customer_number,
        {% for column in columns %}
        behaviours.{{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('int_behaviours__unioned') }} as behaviours
    inner join listened
        on behaviours.customer_id = listened.customer_id
    inner join voices
        on behaviours.behaviour = voices.heard_as
    where
        behaviours.behaviour {{ '=' if is_use == 'true' else '!=' }} '*'
        and behaviours.received_date >= (
            select horizons.received_from from horizons where horizons.is_use = {{ is_use }}
        )
        and (
            listened.is_whole
            or behaviours.occurred_at
            >= {{ dbt.dateadd('second', '-voices.reach_seconds', 'listened.renewed_from_at') }}
        )
    union all
    {% endfor %}
    {% for is_use in ['true', 'false'] %}
    select
        whole_identities.customer_number,
        {% for column in old_columns %}
        {{ column }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ ref('int_behaviours__found') }} as found
    inner join whole_identities
        on
            found.source_record_type = whole_identities.source_record_type
            and found.source_record_id = whole_identities.source_record_id
    where
        found.behaviour not in ('calendar', '*withdrawn', '*zone')
        and found.behaviour {{ '=' if is_use == 'true' else '!=' }} '*'
        and found.received_date < (
            select whole_horizons.received_until from whole_horizons where whole_horizons.is_use = {{ is_use }}
        )
    union all
    {% endfor %}
    -- a figure and a promise reach back as far as they like, and there are few of them
    select
        listened.customer_number,
        {% for column in columns %}
        behaviours.{{ column }}{{ ',' if not loop.last }}
        {% endfor %}
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
            {% for column in old_columns %}
            {{ column }}{{ ',' if not loop.last }}
            {% endfor %}
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

-- what an entity was told before, which is why it may not be told again
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


-- Lands an increment that knows from when on each customer is found anew: what is dated before stays where it is, so
-- that an increment costs what it brings and not what the table holds.
{% macro get_incremental_renew_sql(arguments) %}
    {%- set columns = get_quoted_csv(arguments['dest_columns'] | map(attribute='name')) -%}
    delete from {{ arguments['target_relation'] }} as known
    using {{ arguments['temp_relation'] }} as renewed
    where
        renewed.kind = 'listened'
        and known.customer_id = renewed.customer_id
        and (known.kind = 'listened' or known.occurred_at >= renewed.renewed_from_at);

    insert into {{ arguments['target_relation'] }} ({{ columns }})
    select {{ columns }} from {{ arguments['temp_relation'] }}
{% endmacro %}
