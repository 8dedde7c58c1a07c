-- Whose signals have to be looked at, and from which instant on: CTEs of int_signals__occurred, the last of which is
-- `listened`, one row per customer to be looked at. In a full run that is everybody, from the beginning.
-- In an increment it is whom something is different of since the last look, and only from there on:
--   what the product said   from the earliest behaviour that is found or withdrawn since then (int_behaviours__found
--                           counts its runs)
--   figures, other silos    those of the last week are compared by their sum, and may move without the history before
--                           them being read again; those before by a sum of their own
--   time itself             from the next deadline that was still open
--   who the customer is, any definition, a silo that is known less far, or a full run of int_behaviours__found: from
--                           the beginning (`is_whole`)
-- What the comparison needs is remembered in the table itself, in a row of kind 'listened' per customer, so that it
-- can never be newer or older than the occurrences that go with it.

{# how long a figure may move before a change of it makes a customer be looked at from the beginning #}
{% macro settled_before() -%}
    {{ dbt.dateadd('day', -7, "date_trunc('day', " ~ as_of() ~ ")") }}
{%- endmacro %}

{% macro sum_of_behaviours(condition) -%}
    cast(sum(case when {{ condition }} then behaviours.behaviour_number else 0 end) as bigint)
{%- endmacro %}

{# `remembered`: what a row 'listened' remembers, by name #}
{% macro signals_listened(remembered) %}
-- what do all customers' signals depend on?
knowledge as (

    select
        {{ as_of() }} as computed_as_of,
        min(observed_through_at) as observed_through_at,
        md5({{ dbt.listagg('definition_hash', "','", 'order by signal_id') }}) as definitions_hash,
        (select max(found_in_run) from {{ ref('int_behaviours__found') }} where behaviour = 'calendar')
            as found_in_run,
        (select max(began_with_number) from {{ ref('int_behaviours__found') }} where behaviour = 'calendar')
            as began_with_number
    from signals
    where behaviour is not null

),

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
        customer_id,
        {{ remembered | join(',\n        ') }}
    from {{ this }}
    where kind = 'listened'

),

{% endif %}
-- what is computed anew in every build, as sums; in an increment also what they would have been at the last look
figures as (

    select
        behaviours.customer_id,
        {{ sum_of_behaviours('behaviours.occurred_at < ' ~ settled_before()) }} as settled_number,
        {{ sum_of_behaviours('behaviours.occurred_at >= ' ~ settled_before()) }} as unsettled_number
        {% if is_incremental() %},
        {{ sum_of_behaviours('behaviours.occurred_at < remembered.settled_before') }} as settled_number_then,
        {{ sum_of_behaviours('behaviours.occurred_at >= remembered.settled_before') }} as unsettled_number_then
        {% endif %}
    from {{ ref('int_behaviours__unioned') }} as behaviours
    {% if is_incremental() %}
    left join remembered
        on behaviours.customer_id = remembered.customer_id
    {% endif %}
    where behaviours.received_date is null
    group by behaviours.customer_id

),

{{ signals_listened_again() if is_incremental() else signals_listened_all() }}
{% endmacro %}


{# That they are looked at once more (`> 0`) tells the engine that there are far fewer customers than events #}
{% macro signals_listened_all() -%}
listened as (

    select numbered.*
    from (
        select
            coalesce(owned.customer_id, figures.customer_id) as customer_id,
            owned.identity_number,
            figures.settled_number,
            figures.unsettled_number,
            {{ settled_before() }} as settled_before,
            {{ the_beginning() }} as renewed_from_at,
            row_number() over (order by coalesce(owned.customer_id, figures.customer_id)) as customer_number
        from owned
        full outer join figures
            on owned.customer_id = figures.customer_id
    ) as numbered
    where numbered.customer_number > 0

),
{%- endmacro %}


{% macro signals_listened_again() -%}
known_until as (

    select
        max(found_in_run) as found_in_run,
        date_trunc('day', max(computed_as_of)) as day_of_computation
    from remembered

),

{% set found_of_customers %}
    select
        identities.customer_id,
        found.occurred_at as moved_at
    from {{ ref('int_behaviours__found') }} as found
    inner join identities
        on
            found.source_record_type = identities.source_record_type
            and found.source_record_id = identities.source_record_id
{% endset %}

-- from when on is something else found of somebody?
moved as (
    {{ found_of_customers }}
    where found.found_in_run > (select known_until.found_in_run from known_until)
    union all
    -- whole days of use stand in for the events of the day of as_of, of the last look as of this one
    {{ found_of_customers }}
    where
        found.received_date >= cast(
            (select {{ dbt.dateadd('day', -1, 'known_until.day_of_computation') }} from known_until) as date
        )
        and greatest(found.occurred_at, found.received_at) >= (select known_until.day_of_computation from known_until)
    union all
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
            when (figures.unsettled_number_then is distinct from remembered.unsettled_number)
                then remembered.settled_before
        end as refigured_at,
        remembered.customer_id is null
        or (owned.identity_number is distinct from remembered.identity_number)
        or (figures.settled_number_then is distinct from remembered.settled_number)
        or remembered.definitions_hash != knowledge.definitions_hash
        or remembered.computed_as_of > knowledge.computed_as_of
        or remembered.observed_through_at > knowledge.observed_through_at
        or (remembered.began_with_number is distinct from knowledge.began_with_number) as is_whole
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
            when is_whole then {{ the_beginning() }}
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
{%- endmacro %}


-- Lands an increment: what is dated before a customer's `renewed_from_at` stays where it is, so that an increment costs
-- what it brings and not what the table holds.
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
