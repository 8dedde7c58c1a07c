-- What the kinds that hear more than one sound have in common: absence, sequence and due (macros/signals/kinds).
-- Few customers who do A wait for a B, so first it is told from when to when anything of each part was heard
-- (`spans`), then who waits for what in which time (`awaited`), and only then events meet signals: `steps`, one row per
-- signal and event that it may be made of. Use is waited for by customer and comes without its event ids where it may;
-- `shown` has them.

{% macro signals_steps_of_use() %}
{# use as it is heard each time, and once a day #}
{% set uses_heard = [('used_once', 'not '), ('days_of_use', '')] %}
-- from when to when was anything of a sound heard?
spans as (

    select
        sound,
        customer_number,
        user_key,
        min(occurred_at) as first_at,
        max(occurred_at) as last_at
    from heard
    where is_step
    group by sound, customer_number, user_key
    {% for uses, is_each in uses_heard %}
    union all
    select
        sounds.sound,
        {{ uses }}.customer_number,
        '' as user_key,
        min({{ uses }}.occurred_at) as first_at,
        max({{ uses }}.occurred_at) as last_at
    from {{ uses }}
    inner join sounds
        on sounds.is_use_by_instant and {{ is_each }}sounds.is_first_of_day and sounds.is_concluded
    group by sounds.sound, {{ uses }}.customer_number
    {% endfor %}

),

parts as (

    select
        listeners.signal_number,
        listeners.kind,
        listeners.part,
        listeners.parts,
        listeners.within_seconds,
        spans.customer_number,
        spans.user_key,
        spans.first_at,
        spans.last_at
    from spans
    inner join listeners
        on spans.sound = listeners.sound
    where listeners.kind in ('absence', 'sequence')

),

-- who has begun what may go on, and within which time? A promise looks back from the moments it is judged at, all
-- others forward, and of a sequence that nobody finished nothing needs to be looked at
spanned as (

    select
        begun.signal_number,
        begun.customer_number,
        begun.user_key,
        case begun.kind
            when 'absence' then begun.first_at
            else greatest(
                begun.first_at, {{ dbt.dateadd('second', '-begun.within_seconds', 'finished.first_at') }}
            )
        end as heard_from,
        case begun.kind
            when 'absence' then {{ dbt.dateadd('second', 'begun.within_seconds', 'begun.last_at') }}
            else least(
                {{ dbt.dateadd('second', 'begun.within_seconds', 'begun.last_at') }}, finished.last_at
            )
        end as heard_until
    from parts as begun
    left join parts as finished
        on
            {{ same_track('begun', 'finished') }}
            and finished.part = finished.parts
    where
        begun.part = 1
        and (begun.kind != 'sequence' or finished.last_at is not null)
    union all
    select
        judged.signal_number,
        judged.customer_number,
        judged.user_key,
        {{ dbt.dateadd('second', '-max(judged.within_seconds)', 'min(judged.judged_at)') }} as heard_from,
        max(judged.judged_at) as heard_until
    from (
        select
            listeners.signal_number,
            listeners.within_seconds,
            heard.customer_number,
            heard.user_key,
            {{ promise_judged_at('heard', 'listeners.lead_seconds') }} as judged_at
        from heard
        inner join listeners
            on heard.sound = listeners.sound
        where heard.is_step and listeners.kind = 'due' and listeners.part = 1
    ) as judged
    where judged.judged_at < {{ as_of() }}
    group by judged.signal_number, judged.customer_number, judged.user_key

),

-- one row per sound that such a customer is waited for with, because a sound alone would meet all signals that hear it
awaited as (

    select
        listeners.signal_number,
        listeners.sound,
        listeners.kind,
        listeners.part,
        listeners.parts,
        listeners.occurrences,
        listeners.within_seconds,
        listeners.lead_seconds,
        listeners.direction,
        listeners.observed_through_at,
        spanned.customer_number,
        spanned.user_key,
        -- a promise may be made long before the time that it is judged by
        case when listeners.kind = 'due' and listeners.part = 1 then {{ the_beginning() }} else spanned.heard_from end
            as heard_from,
        spanned.heard_until
    from spanned
    inner join listeners
        on spanned.signal_number = listeners.signal_number

),

-- use is waited for by customer, so there it is worth knowing first who waits for it
awaited_uses as (

    select
        awaited.*,
        sounds.is_first_of_day
    from awaited
    inner join sounds
        on awaited.sound = sounds.sound
    where sounds.is_use_by_instant

),

steps_of_use as (

    {% for uses, is_each in uses_heard %}
    select
        awaited_uses.*,
        uses.occurred_at,
        {{ 'uses.received_at' if uses == 'used_once' else 'cast(null as timestamp) as received_at' }},
        {{ 'uses.event_id' if uses == 'used_once' else 'null as event_id' }}
    from {{ uses }} as uses
    inner join awaited_uses
        on
            uses.customer_number = awaited_uses.customer_number
            and uses.occurred_at >= awaited_uses.heard_from
            and uses.occurred_at <= awaited_uses.heard_until
    where {{ is_each }}awaited_uses.is_first_of_day
    {{ 'union all' if not loop.last }}
    {% endfor %}

),
{% endmacro %}


{% macro signals_steps() %}
{% set of_signal = [
    'signal_number', 'kind', 'part', 'parts', 'occurrences', 'within_seconds', 'lead_seconds', 'direction',
    'observed_through_at',
] %}
steps as (

    {% for kinds in ["'sequence'", "'absence', 'due'"] %}
    select
        {% for name in of_signal %}
        awaited.{{ name }},
        {% endfor %}
        heard.customer_number,
        heard.user_key,
        heard.user_id,
        heard.occurred_at,
        heard.received_at,
        heard.event_id,
        heard.due_at,
        heard.gone_at
    from heard
    inner join awaited
        on
            heard.sound = awaited.sound
            and heard.customer_number = awaited.customer_number
            and heard.user_key = awaited.user_key
            and heard.occurred_at >= awaited.heard_from
            and heard.occurred_at <= awaited.heard_until
    where heard.is_step and awaited.kind in ({{ kinds }})
    union all
    {% endfor %}
    select
        {% for name in of_signal %}
        uses.{{ name }},
        {% endfor %}
        uses.customer_number,
        uses.user_key,
        null as user_id,
        uses.occurred_at,
        coalesce(uses.received_at, shown.first_received_at) as received_at,
        coalesce(uses.event_id, shown.first_event_id) as event_id,
        null as due_at,
        null as gone_at
    from steps_of_use as uses
    left join shown
        on
            {{ same_use('uses', 'shown') }}
            and uses.event_id is null

),
{% endmacro %}
