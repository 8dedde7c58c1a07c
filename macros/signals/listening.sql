-- What is listened for: CTEs of int_signals__occurred that are made of definitions alone.
--   signals    one row per signal, numbered: sorting by numbers costs a fraction of sorting by texts
--   listeners  one row per signal and part of it: which sound it hears as part 1 (behaviour), 2 (until_behaviour or
--              then_behaviour) or 3 (last_behaviour)
--   sounds     one row per sound, a behaviour as it is heard: by customer or by user, each time or once a day. What
--              several signals hear is read once, and says which kinds hear it (`is_...`), so that joins stay small
--   voices     one row per behaviour that is heard at all: how far back it reaches, and whether it may fall silent
-- Use of the product is heard under one name, '*', whichever behaviours are made of it.

{# before anything that is known #}
{% macro the_beginning() -%}
    cast('1970-01-01' as timestamp)
{%- endmacro %}

{% macro signals_sounds() %}
{% set parts = [('behaviour', 1), ('until_behaviour', 2), ('then_behaviour', 2), ('last_behaviour', 3)] %}
{% set takes_steps = "kind in ('absence', 'sequence', 'due')" %}
{% set is_use = "heard_as = '*' and unit != 'user'" %}
{% set needs_events %}
        is_first or is_every or is_crossed or is_begun
        or (is_first_of_day and shortest_silence is not null)
        or (not is_first_of_day and (is_counted or is_regular))
{%- endset %}
signals as (

    select
        defined.*,
        row_number() over (order by defined.signal_id) as signal_number,
        case when defined.last_behaviour is null then 2 else 3 end as parts,
        -- can only be found once per entity, however it is re-armed
        defined.kind = 'first'
        or (defined.kind = 'count_within' and defined.occurrences = 1 and defined.rearm = 'rising_edge')
            as is_only_once,
        coalesce(silos.observed_through_at, {{ the_beginning() }}) as observed_through_at
    from {{ ref('int_signals__defined') }} as defined
    left join {{ ref('int_silos__observed') }} as silos
        on defined.proving_source = silos.source

),

listening as (

    {% for behaviour, part in parts %}
    select
        signals.*,
        {{ part }} as part,
        {{ behaviour }} as part_behaviour
    from signals
    where {{ behaviour }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

grains as (

    select distinct
        behaviour,
        grain
    from {{ ref('behaviours') }}

),

tuned as (

    select
        listening.*,
        grains.grain = 'day' as is_first_of_day,
        case when grains.grain in ('day', 'day_edges') then '*' else grains.behaviour end as heard_as
    from listening
    inner join grains
        on listening.part_behaviour = grains.behaviour

),

-- what does each sound have to be known for?
asked_for as (

    select
        heard_as,
        is_first_of_day,
        unit,
        {% for purpose, asks in [
            ('first', "kind = 'first'"),
            ('every', "kind = 'every'"),
            ('counted', "kind = 'count_within'"),
            ('regular', "kind = 'regular'"),
            ('crossed', "kind = 'crossed'"),
            ('step', takes_steps),
            ('begun', takes_steps ~ " and part = 1"),
            ('concluded', "kind = 'sequence' and part = parts"),
        ] %}
        max(case when {{ asks }} then 1 else 0 end) = 1 as is_{{ purpose }},
        {% endfor %}
        min(case when kind in ('stopped', 'restarted') then within_seconds end) as shortest_silence,
        -- how far back something that happens now can reach; a day of use may be cut in two, hence two days more
        max(case kind
            when 'count_within' then 2 * within_seconds
            when 'regular' then of_periods * case period
                when 'hour' then 3600 when 'day' then 86400 when 'week' then 604800 else 2678400
            end
            when 'first' then 0
            when 'every' then 0
            when 'crossed' then 0
            else within_seconds
        end) + 172800 as reach_seconds
    from tuned
    group by heard_as, is_first_of_day, unit

),

-- of use by customer, only what has to be known event by event (`is_use_in_full`) goes the way of all other behaviours;
-- for the rest instants are enough (`is_use_by_instant`)
sounds as (

    select
        asked_for.*,
        row_number() over (order by heard_as, is_first_of_day, unit) as sound,
        {{ is_use }} and ({{ needs_events }}) as is_use_in_full,
        {{ is_use }} and not ({{ needs_events }}) as is_use_by_instant
    from asked_for

),

listeners as (

    select
        tuned.*,
        sounds.sound
    from tuned
    inner join sounds
        on
            tuned.heard_as = sounds.heard_as
            and tuned.is_first_of_day = sounds.is_first_of_day
            and tuned.unit = sounds.unit

),

voices as (

    select
        heard_as,
        max(reach_seconds) as reach_seconds,
        max(case when shortest_silence is not null then 1 else 0 end) = 1 as is_silence
    from sounds
    group by heard_as

),
{% endmacro %}
