-- One row per occurrence of a signal: what every kind finds (macros/signal_kinds.sql) after the re-arm rule, with a
-- deterministic id; plus one row of kind 'listened' per customer, which readers filter out.
-- The id is made of the signal, the definition's hash and the proving events, and not of the customer: two customers
-- that turn out to be one must not be told the same thing again under a new id.
-- Incremental by customer. What a customer's signals are depends on what was heard of it, on the definitions and on
-- which of its deadlines as_of and the silos have passed. The row 'listened' remembers all three, so a customer is
-- looked at again only when one of them is different: late, repeated or withdrawn events, merged identities and edited
-- seeds need no case of their own. A full refresh gives the same rows.
-- Re-arm: `once` keeps the first per entity, `after_cooldown` the first and then each first one at least
-- rearm_after_seconds after the last kept; `every_time` and `rising_edge` (settled by its kind) keep all, and
-- `on_state_entry` is settled when the states are known (int_signals__told). An `unknown` outcome is kept for the
-- record, and neither uses up `once` nor starts a cooldown.
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='customer_id',
        on_schema_change='fail',
    )
}}

{% set steps = [('behaviour', 1), ('until_behaviour', 2), ('then_behaviour', 2), ('last_behaviour', 3)] %}
{% set never = "cast('1970-01-01' as timestamp)" %}

with recursive

signals as (

    select
        defined.*,
        case when defined.last_behaviour is null then 2 else 3 end as parts,
        coalesce(silos.observed_through_at, {{ never }}) as observed_through_at
    from {{ ref('int_signals__defined') }} as defined
    left join {{ ref('int_silos__observed') }} as silos
        on defined.proving_source = silos.source

),

-- what else do all customers' signals depend on? every definition, and nothing that was known may be unknown again
knowledge as (

    select
        {{ as_of() }} as computed_as_of,
        min(observed_through_at) as observed_through_at,
        md5({{ dbt.listagg('definition_hash', "','", 'order by signal_id') }}) as definitions_hash
    from signals
    where behaviour is not null

),

listening as (

    {% for step, part in steps %}
    select
        signals.*,
        {{ part }} as part,
        {{ step }} as step_behaviour
    from signals
    where {{ step }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

grains as (

    select distinct
        behaviour,
        grain
    from {{ ref('behaviours') }}

),

-- use of the product is heard under one name, whichever behaviours are made of it
tuned as (

    select
        listening.*,
        grains.grain = 'day' as is_first_of_day,
        case when grains.grain in ('day', 'day_edges') then '*' else grains.behaviour end as heard_as
    from listening
    inner join grains
        on listening.step_behaviour = grains.behaviour

),

-- what is heard by several signals is put in order once, and says what for: few events matter to a silence, and finding
-- those first keeps the joins small
sounds as (

    select
        heard_as,
        is_first_of_day,
        unit,
        row_number() over (order by heard_as, is_first_of_day, unit) as sound,
        {% for use, kinds in [
            ('first', "'first'"),
            ('every', "'every'"),
            ('counted', "'count_within'"),
            ('regular', "'regular'"),
            ('crossed', "'crossed'"),
            ('step', "'absence', 'sequence', 'due'"),
        ] %}
        max(case when kind in ({{ kinds }}) then 1 else 0 end) = 1 as is_{{ use }},
        {% endfor %}
        min(case when kind in ('stopped', 'restarted') then within_seconds end) as shortest_silence
    from tuned
    group by heard_as, is_first_of_day, unit

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

heard_of as (

    select
        customer_id,
        cast(sum(behaviour_number) as bigint) as heard_number,
        count(*) as heard_rows
    from {{ ref('int_behaviours__unioned') }}
    group by customer_id

),

{% if is_incremental() %}

remembered as (

    select
        known.customer_id,
        known.heard_number,
        known.heard_rows,
        known.next_deadline_at,
        known.computed_as_of,
        known.observed_through_at,
        known.definitions_hash
    from {{ this }} as known
    where known.kind = 'listened'

),

-- of whom was something else heard, or whose time has run out? numbered, because sorting by numbers costs a fraction of
-- sorting by texts; the numbers mean nothing and leave with this query
listened as (

    select
        coalesce(heard_of.customer_id, remembered.customer_id) as customer_id,
        heard_of.heard_number,
        heard_of.heard_rows,
        row_number() over (order by coalesce(heard_of.customer_id, remembered.customer_id)) as customer_number
    from heard_of
    full outer join remembered
        on heard_of.customer_id = remembered.customer_id
    cross join knowledge
    where
        heard_of.heard_number is distinct from remembered.heard_number
        or heard_of.heard_rows is distinct from remembered.heard_rows
        or remembered.next_deadline_at < knowledge.computed_as_of
        or remembered.definitions_hash != knowledge.definitions_hash
        or remembered.computed_as_of > knowledge.computed_as_of
        or remembered.observed_through_at > knowledge.observed_through_at

),

{% else %}

listened as (

    select
        *,
        row_number() over (order by customer_id) as customer_number
    from heard_of

),

{% endif %}

said as (

    select
        behaviours.*,
        listened.customer_number
    from {{ ref('int_behaviours__unioned') }} as behaviours
    inner join listened
        on behaviours.customer_id = listened.customer_id

),

-- few messages have copies; only those are worth sorting
copied as (

    select
        customer_id,
        behaviour,
        event_id
    from said
    group by customer_id, behaviour, event_id
    having count(*) > 1

),

said_once as (

    select said.*
    from said
    left join copied
        on
            said.customer_id = copied.customer_id
            and said.behaviour = copied.behaviour
            and said.event_id = copied.event_id
    where copied.event_id is null
    union all
    select said.*
    from said
    inner join copied
        on
            said.customer_id = copied.customer_id
            and said.behaviour = copied.behaviour
            and said.event_id = copied.event_id
    qualify row_number() over (
        partition by said.customer_id, said.behaviour, said.event_id
        order by said.occurred_at, said.received_at nulls last, said.user_id
    ) = 1

),

-- the first use of a day stands for the day
first_uses as (

    select
        customer_id,
        event_id
    from said_once
    where behaviour = '*'
    qualify row_number() over (
        partition by customer_id, cast(occurred_at as date)
        order by occurred_at, event_id
    ) = 1

),

streams as (

    select
        sounds.sound,
        sounds.is_first,
        sounds.is_every,
        sounds.is_counted,
        sounds.is_regular,
        sounds.is_crossed,
        sounds.is_step,
        sounds.shortest_silence,
        said_once.customer_number,
        case sounds.unit when 'user' then said_once.user_id else '' end as user_key,
        said_once.user_id,
        said_once.occurred_at,
        said_once.received_at,
        said_once.event_id,
        said_once.measured_value,
        said_once.due_at,
        said_once.gone_at,
        row_number() over stream as place,
        lag(said_once.occurred_at) over stream as previous_at,
        lag(said_once.event_id) over stream as previous_event_id,
        lead(said_once.occurred_at) over stream as next_at
    from said_once
    inner join sounds
        on said_once.behaviour = sounds.heard_as
    left join first_uses
        on
            sounds.is_first_of_day
            and said_once.customer_id = first_uses.customer_id
            and said_once.event_id = first_uses.event_id
    where
        (not sounds.is_first_of_day or first_uses.event_id is not null)
        and (sounds.unit != 'user' or said_once.user_id is not null)
    window stream as (
        partition by
            sounds.sound,
            said_once.customer_number,
            case sounds.unit when 'user' then said_once.user_id else '' end
        order by said_once.occurred_at, said_once.event_id
    )

),

-- who has begun what may go on, and when? nothing but a promise looks back
begun as (

    select
        listeners.signal_id,
        streams.customer_number,
        streams.user_key,
        min(streams.occurred_at) as begun_at
    from streams
    inner join listeners
        on streams.sound = listeners.sound
    where streams.is_step and listeners.part = 1 and listeners.kind in ('absence', 'sequence', 'due')
    group by listeners.signal_id, streams.customer_number, streams.user_key

),

-- one row per sound that such a customer is waited for with, because a sound alone would meet all signals that hear it
awaited as (

    select
        listeners.*,
        begun.customer_number,
        begun.user_key,
        case when listeners.kind != 'due' then begun.begun_at else {{ never }} end as heard_from
    from begun
    inner join listeners
        on begun.signal_id = listeners.signal_id

),

steps as (

    select
        awaited.signal_id,
        awaited.kind,
        awaited.part,
        awaited.parts,
        awaited.occurrences,
        awaited.within_seconds,
        awaited.lead_seconds,
        awaited.direction,
        awaited.observed_through_at,
        streams.customer_number,
        streams.user_key,
        streams.user_id,
        streams.occurred_at,
        streams.received_at,
        streams.event_id,
        streams.due_at,
        streams.gone_at
    from streams
    inner join awaited
        on
            {{ same_stream('streams', 'awaited') }}
            and streams.occurred_at >= awaited.heard_from
    where streams.is_step

),

counted as (
    {{ signals_counted() }}
),

-- 0, 1, 2 ... up to the longest count, out of the data because every engine counts differently
steps_back as (

    select distinct place - 1 as steps
    from counted
    where place <= (select max(signals.occurrences) from signals)

),

placed_steps as (
    {{ signals_placed_steps() }}
),

good_periods as (
    {{ signals_good_periods() }}
),

candidates as (
    {{ signals_single() }}
    union all
    {{ signals_count_within() }}
    union all
    {{ signals_absence() }}
    union all
    {{ signals_sequence() }}
    union all
    {{ signals_regular() }}
    union all
    {{ signals_stopped() }}
    union all
    {{ signals_restarted() }}
    union all
    {{ signals_crossed() }}
    union all
    {{ signals_due() }}
),

ordered as (

    select
        candidates.*,
        signals.rearm,
        signals.rearm_after_seconds,
        row_number() over (
            partition by
                candidates.signal_id, candidates.customer_number, candidates.user_key, candidates.outcome
            order by candidates.occurred_at, candidates.proving_event_ids
        ) as candidate_number
    from candidates
    inner join signals
        on candidates.signal_id = signals.signal_id

),

-- if this candidate is kept, when may the next one be?
cooling as (

    {% for is_question, ordered_at in [
        (0, 'occurred_at'),
        (1, dbt.dateadd('second', 'rearm_after_seconds', 'occurred_at')),
    ] %}
    select
        signal_id,
        customer_number,
        user_key,
        candidate_number,
        {{ ordered_at }} as ordered_at,
        {{ is_question }} as is_question
    from ordered
    where rearm = 'after_cooldown' and outcome = 'fired'
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

cooled as (

    select
        signal_id,
        customer_number,
        user_key,
        candidate_number,
        is_question,
        min(case when is_question = 0 then candidate_number end) over (
            partition by signal_id, customer_number, user_key
            order by ordered_at asc, is_question desc
            rows between current row and unbounded following
        ) as next_candidate_number
    from cooling

),

-- from the first candidate of each entity, step from kept one to kept one
kept_after_cooldown as (

    select
        signal_id,
        customer_number,
        user_key,
        candidate_number,
        next_candidate_number
    from cooled
    where is_question = 1 and candidate_number = 1
    union all
    select
        cooled.signal_id,
        cooled.customer_number,
        cooled.user_key,
        cooled.candidate_number,
        cooled.next_candidate_number
    from kept_after_cooldown
    inner join cooled
        on
            {{ same_track('kept_after_cooldown', 'cooled') }}
            and kept_after_cooldown.next_candidate_number = cooled.candidate_number
    where cooled.is_question = 1

),

rearmed as (

    select ordered.*
    from ordered
    left join kept_after_cooldown
        on
            {{ same_track('ordered', 'kept_after_cooldown') }}
            and ordered.candidate_number = kept_after_cooldown.candidate_number
    where
        ordered.outcome = 'unknown'
        or ordered.rearm in ('every_time', 'rising_edge', 'on_state_entry')
        or (ordered.rearm = 'once' and ordered.candidate_number = 1)
        or (ordered.rearm = 'after_cooldown' and kept_after_cooldown.candidate_number is not null)

),

-- from when on may time alone change what is known of a customer? deadlines that are neither past nor settled
deadlines as (

    select
        waiting.customer_number,
        min(waiting.deadline_at) as next_deadline_at
    from (
        select
            streams.customer_number,
            listeners.observed_through_at,
            case listeners.kind
                when 'due'
                    then greatest(
                        {{ dbt.dateadd('second', '-listeners.lead_seconds', 'streams.due_at') }}, streams.occurred_at
                    )
                else {{ dbt.dateadd('second', 'listeners.within_seconds', 'streams.occurred_at') }}
            end as deadline_at
        from streams
        inner join listeners
            on streams.sound = listeners.sound
        where
            listeners.part = 1
            and (
                (listeners.kind in ('absence', 'due') and streams.is_step)
                or (
                    listeners.kind = 'stopped'
                    and streams.shortest_silence is not null
                    and (
                        streams.next_at is null
                        or streams.next_at
                        > {{ dbt.dateadd('second', 'streams.shortest_silence', 'streams.occurred_at') }}
                    )
                )
            )
    ) as waiting
    cross join knowledge
    where waiting.deadline_at >= least(knowledge.computed_as_of, waiting.observed_through_at)
    group by waiting.customer_number

)

select
    listened.customer_id,
    {{ surrogate_key(['rearmed.signal_id', 'signals.definition_hash', 'rearmed.proving_event_ids']) }}
        as occurrence_id,
    rearmed.signal_id,
    signals.definition_hash,
    signals.kind,
    signals.unit,
    signals.source,
    signals.proving_source,
    rearmed.rearm,
    rearmed.user_id,
    -- which of the candidates counts is for the states to say
    case
        when rearmed.rearm = 'on_state_entry' and rearmed.outcome = 'fired' then 'candidate' else rearmed.outcome
    end as outcome,
    rearmed.occurred_at,
    rearmed.knowable_at,
    rearmed.proof_count,
    rearmed.proof_from,
    rearmed.proof_to,
    rearmed.proving_event_ids,
    cast(null as bigint) as heard_number,
    cast(null as bigint) as heard_rows,
    cast(null as timestamp) as next_deadline_at,
    cast(null as timestamp) as computed_as_of,
    cast(null as timestamp) as observed_through_at,
    cast(null as {{ dbt.type_string() }}) as definitions_hash
from rearmed
inner join signals
    on rearmed.signal_id = signals.signal_id
inner join listened
    on rearmed.customer_number = listened.customer_number
union all
select
    listened.customer_id,
    'listened:' || listened.customer_id as occurrence_id,
    null as signal_id,
    null as definition_hash,
    'listened' as kind,
    null as unit,
    null as source,
    null as proving_source,
    null as rearm,
    null as user_id,
    null as outcome,
    null as occurred_at,
    null as knowable_at,
    null as proof_count,
    null as proof_from,
    null as proof_to,
    null as proving_event_ids,
    listened.heard_number,
    listened.heard_rows,
    deadlines.next_deadline_at,
    knowledge.computed_as_of,
    knowledge.observed_through_at,
    knowledge.definitions_hash
from listened
cross join knowledge
left join deadlines
    on listened.customer_number = deadlines.customer_number
