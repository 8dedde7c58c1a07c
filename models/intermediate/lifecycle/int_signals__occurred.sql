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
        row_number() over (order by defined.signal_id) as signal_number,
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

-- what is heard by several signals is read once, and says what for: each kind takes up only what it asks for
sounds as (

    select
        heard_as,
        is_first_of_day,
        unit,
        row_number() over (order by heard_as, is_first_of_day, unit) as sound,
        {% for use, kinds in [
            ('first', "'first'"),
            ('every', "'every'"),
            ('placed', "'count_within', 'regular'"),
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

{% if is_incremental() %}

heard_of as (

    select
        customer_id,
        cast(sum(behaviour_number) as bigint) as heard_number,
        count(*) as heard_rows
    from {{ ref('int_behaviours__unioned') }}
    group by customer_id

),

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

-- of whom was something else heard, or whose time has run out?
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

said as (

    select
        behaviours.*,
        {{ fingerprint(['behaviours.behaviour', 'behaviours.event_id']) }} as message_number
    from {{ ref('int_behaviours__unioned') }} as behaviours
    where behaviours.customer_id in (select listened.customer_id from listened)

),

{% else %}

said as (

    select
        behaviours.*,
        {{ fingerprint(['behaviours.behaviour', 'behaviours.event_id']) }} as message_number
    from {{ ref('int_behaviours__unioned') }} as behaviours

),

-- numbered, because sorting by numbers costs a fraction of sorting by texts; the numbers mean nothing and leave with
-- this query. That they are looked at once more tells the engine that there are far fewer customers than events
listened as (

    select numbered.*
    from (
        select
            customer_id,
            cast(sum(behaviour_number) as bigint) as heard_number,
            count(*) as heard_rows,
            row_number() over (order by customer_id) as customer_number
        from said
        group by customer_id
    ) as numbered
    where numbered.customer_number > 0

),

{% endif %}

-- few messages have copies; only those are worth sorting
copied as (

    select
        customer_id,
        message_number
    from said
    group by customer_id, message_number
    having count(*) > 1

),

-- the left join finds a customer for every message; an inner one lets the engine guess that hardly any message is left
said_once as (

    select
        said.*,
        listened.customer_number
    from said
    left join listened
        on said.customer_id = listened.customer_id
    left join copied
        on
            said.message_number = copied.message_number
            and said.customer_id = copied.customer_id
    where
        copied.message_number is null
    union all
    select
        said.*,
        listened.customer_number
    from said
    inner join listened
        on said.customer_id = listened.customer_id
    inner join copied
        on
            said.message_number = copied.message_number
            and said.customer_id = copied.customer_id
    qualify row_number() over (
        partition by said.customer_id, said.behaviour, said.event_id
        order by said.occurred_at, said.received_at nulls last, said.user_id
    ) = 1

),

-- the first use of a day stands for the day
spoken as (

    select
        said_once.*,
        false as is_first_of_day
    from said_once
    union all
    select
        said_once.*,
        true as is_first_of_day
    from said_once
    where said_once.behaviour = '*'
    qualify row_number() over (
        partition by said_once.customer_number, cast(said_once.occurred_at as date)
        order by said_once.occurred_at, said_once.event_id
    ) = 1

),

heard as (

    select
        sounds.sound,
        sounds.is_first,
        sounds.is_every,
        sounds.is_placed,
        sounds.is_crossed,
        sounds.is_step,
        sounds.shortest_silence,
        spoken.customer_number,
        case sounds.unit when 'user' then spoken.user_id else '' end as user_key,
        spoken.user_id,
        spoken.occurred_at,
        spoken.received_at,
        spoken.event_id,
        spoken.measured_value,
        spoken.due_at,
        spoken.gone_at
    from spoken
    inner join sounds
        on
            spoken.behaviour = sounds.heard_as
            and spoken.is_first_of_day = sounds.is_first_of_day
    where sounds.unit != 'user' or spoken.user_id is not null

),

-- what is counted, in order
placed as (

    select
        sound,
        customer_number,
        user_key,
        user_id,
        occurred_at,
        received_at,
        event_id,
        row_number() over stream as place,
        lag(occurred_at) over stream as previous_at
    from heard
    where is_placed
    window stream as (
        partition by sound, customer_number, user_key
        order by occurred_at, event_id
    )

),

-- what may fall silent, with its neighbours
neighboured as (

    select
        sound,
        shortest_silence,
        customer_number,
        user_key,
        user_id,
        occurred_at,
        received_at,
        event_id,
        lag(occurred_at) over stream as previous_at,
        lag(event_id) over stream as previous_event_id,
        lead(occurred_at) over stream as next_at
    from heard
    where shortest_silence is not null
    window stream as (
        partition by sound, customer_number, user_key
        order by occurred_at, event_id
    )

),

silences as (

    select *
    from neighboured
    where
        next_at is null
        or next_at > {{ dbt.dateadd('second', 'shortest_silence', 'occurred_at') }}
        or occurred_at > {{ dbt.dateadd('second', 'shortest_silence', 'previous_at') }}

),

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
    where listeners.kind in ('absence', 'sequence', 'due')

),

-- who has begun what may go on, and within which time?
spanned as (
    {{ signals_spanned() }}
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
        spanned.heard_from,
        spanned.heard_until
    from spanned
    inner join listeners
        on spanned.signal_number = listeners.signal_number

),

-- twice, because what is read once is not kept, and joined in an order of the engine's choice
steps as (

    {% for kinds in ["'sequence'", "'absence', 'due'"] %}
    select
        awaited.signal_number,
        awaited.kind,
        awaited.part,
        awaited.parts,
        awaited.occurrences,
        awaited.within_seconds,
        awaited.lead_seconds,
        awaited.direction,
        awaited.observed_through_at,
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
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

counted as (
    {{ signals_counted() }}
),

completed as (
    {{ signals_completed() }}
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

told as (

    select
        candidates.*,
        signals.rearm,
        signals.rearm_after_seconds
    from candidates
    inner join signals
        on candidates.signal_number = signals.signal_number

),

-- what is not kept as it is
limited as (

    select
        *,
        row_number() over (
            partition by signal_number, customer_number, user_key
            order by occurred_at, proving_event_ids
        ) as candidate_number
    from told
    where rearm in ('once', 'after_cooldown') and outcome = 'fired'

),

-- if this candidate is kept, when may the next one be?
cooling as (

    {% for is_question, ordered_at in [
        (0, 'occurred_at'),
        (1, dbt.dateadd('second', 'rearm_after_seconds', 'occurred_at')),
    ] %}
    select
        signal_number,
        customer_number,
        user_key,
        candidate_number,
        {{ ordered_at }} as ordered_at,
        {{ is_question }} as is_question
    from limited
    where rearm = 'after_cooldown'
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

cooled as (

    select
        signal_number,
        customer_number,
        user_key,
        candidate_number,
        is_question,
        min(case when is_question = 0 then candidate_number end) over (
            partition by signal_number, customer_number, user_key
            order by ordered_at asc, is_question desc
            rows between current row and unbounded following
        ) as next_candidate_number
    from cooling

),

-- from the first candidate of each entity, step from kept one to kept one
kept_after_cooldown as (

    select
        signal_number,
        customer_number,
        user_key,
        candidate_number,
        next_candidate_number
    from cooled
    where is_question = 1 and candidate_number = 1
    union all
    select
        cooled.signal_number,
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

    select
        told.*,
        cast(null as bigint) as candidate_number
    from told
    where told.outcome = 'unknown' or told.rearm in ('every_time', 'rising_edge', 'on_state_entry')
    union all
    select limited.*
    from limited
    where limited.rearm = 'once' and limited.candidate_number = 1
    union all
    select limited.*
    from limited
    inner join kept_after_cooldown
        on
            {{ same_track('limited', 'kept_after_cooldown') }}
            and limited.candidate_number = kept_after_cooldown.candidate_number

),

-- from when on may time alone change what is known of a customer? deadlines that are neither past nor settled
deadlines as (

    select
        waiting.customer_number,
        min(waiting.deadline_at) as next_deadline_at
    from (
        {{ signals_waiting() }}
    ) as waiting
    cross join knowledge
    where waiting.deadline_at >= least(knowledge.computed_as_of, waiting.observed_through_at)
    group by waiting.customer_number

)

select
    listened.customer_id,
    {{ surrogate_key(['signals.signal_id', 'signals.definition_hash', 'rearmed.proving_event_ids']) }}
        as occurrence_id,
    signals.signal_id,
    signals.definition_hash,
    signals.kind,
    signals.unit,
    signals.source,
    signals.proving_source,
    signals.rearm,
    rearmed.user_id,
    -- which of the candidates counts is for the states to say
    case
        when signals.rearm = 'on_state_entry' and rearmed.outcome = 'fired' then 'candidate' else rearmed.outcome
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
    on rearmed.signal_number = signals.signal_number
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
