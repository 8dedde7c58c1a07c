-- One row per occurrence of a signal: what every kind finds (macros/signal_kinds.sql) after the re-arm rule, with a
-- deterministic id; plus one row of kind 'listened' per customer, which readers filter out.
-- The id is made of the signal, the definition's hash and the proving events, and not of the customer: two customers
-- that turn out to be one must not be told the same thing again under a new id.
-- Incremental by customer and instant: an occurrence depends on nothing that is dated after it, so whatever is different
-- (macros/signal_changes.sql), only what is dated from then on is found anew; what is older stays, says whether `once` is
-- used up and when the last cooldown began. Events are read only as far back as a signal reaches. The row 'listened'
-- remembers what the customer was looked at with. A full refresh gives the same occurrences.
-- Re-arm: `once` keeps the first per entity, `after_cooldown` the first and then each first one at least
-- rearm_after_seconds after the last kept; `every_time` and `rising_edge` (settled by its kind) keep all, and
-- `on_state_entry` is settled when the states are known (int_signals__told). An `unknown` outcome is kept for the
-- record, and neither uses up `once` nor starts a cooldown.
-- Use of the product is most of what is heard, so it is put in order by numbers and times alone, and its event ids are
-- fetched for what is proven by them. Hazard: a message that is sent again under its id and dated more than a day
-- otherwise may count twice until the next full refresh.
{{
    config(
        materialized='incremental',
        incremental_strategy='renew',
        unique_key='customer_id',
        on_schema_change='fail',
    )
}}

{% set steps = [('behaviour', 1), ('until_behaviour', 2), ('then_behaviour', 2), ('last_behaviour', 3)] %}
{# what a row 'listened' remembers #}
{% set remembered = [
    ('renewed_from_at', 'timestamp'),
    ('identity_number', 'bigint'),
    ('settled_number', 'bigint'),
    ('unsettled_number', 'bigint'),
    ('settled_before', 'timestamp'),
    ('next_deadline_at', 'timestamp'),
    ('computed_as_of', 'timestamp'),
    ('observed_through_at', 'timestamp'),
    ('definitions_hash', dbt.type_string()),
    ('found_in_run', 'bigint'),
    ('began_with_number', 'bigint'),
] %}
{% set never = "cast('1970-01-01' as timestamp)" %}

with recursive

signals as (

    select
        defined.*,
        row_number() over (order by defined.signal_id) as signal_number,
        case when defined.last_behaviour is null then 2 else 3 end as parts,
        -- can only be found once per entity, however it is re-armed
        defined.kind = 'first'
        or (defined.kind = 'count_within' and defined.occurrences = 1 and defined.rearm = 'rising_edge')
            as is_only_once,
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
        md5({{ dbt.listagg('definition_hash', "','", 'order by signal_id') }}) as definitions_hash,
        (select max(found_in_run) from {{ ref('int_behaviours__found') }} where behaviour = 'calendar')
            as found_in_run,
        (select max(began_with_number) from {{ ref('int_behaviours__found') }} where behaviour = 'calendar')
            as began_with_number
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

-- what is heard by several signals is read once, and says what for: each kind takes up only what it asks for. Of use, what
-- has to be known event by event (`is_whole`) goes the way of all other behaviours
sounds as (

    select
        summed.*,
        row_number() over (order by heard_as, is_first_of_day, unit) as sound,
        heard_as = '*' and unit != 'user' as is_use,
        heard_as != '*' or is_first or is_every or is_crossed or is_begun
        or (is_first_of_day and shortest_silence is not null)
        or (not is_first_of_day and (is_counted or is_regular)) as is_whole
    from (
        select
            heard_as,
            is_first_of_day,
            unit,
            {% for use, kinds in [
                ('first', "kind = 'first'"),
                ('every', "kind = 'every'"),
                ('counted', "kind = 'count_within'"),
                ('regular', "kind = 'regular'"),
                ('crossed', "kind = 'crossed'"),
                ('step', "kind in ('absence', 'sequence', 'due')"),
                ('begun', "kind in ('absence', 'sequence', 'due') and part = 1"),
                ('concluded', "kind = 'sequence' and part = parts"),
            ] %}
            max(case when {{ kinds }} then 1 else 0 end) = 1 as is_{{ use }},
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
    ) as summed

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

-- under which names is anything heard, how far back, and may it fall silent?
voices as (

    select
        heard_as,
        max(reach_seconds) as reach_seconds,
        max(case when shortest_silence is not null then 1 else 0 end) = 1 as is_silence
    from sounds
    group by heard_as

),

{{ signals_listened() }}

{% if is_incremental() %}

{{ signals_said_anew() }}

{% endif %}

-- use by numbers and times, the rest in full
{% for way, name in [("behaviours.behaviour = '*'", 'used'), ("behaviours.behaviour != '*'", 'told')] %}
{{ name }} as (

    select
        {% if name == 'told' %}
        behaviours.behaviour,
        behaviours.user_id,
        behaviours.measured_value,
        behaviours.due_at,
        behaviours.gone_at,
        {% endif %}
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id,
        {{ fingerprint(['behaviours.behaviour', 'behaviours.event_id']) }} as message_number,
        {% if is_incremental() %}
        behaviours.customer_number
    from said as behaviours
    where {{ way }}
        {% else %}
        listened.customer_number
    from {{ ref('int_behaviours__unioned') }} as behaviours
    inner join listened
        on behaviours.customer_id = listened.customer_id
    where {{ way }}
        {% endif %}

),

-- few messages have copies; only those are worth sorting. Two messages may share a number: that only costs a look
{{ name }}_twice as (

    select message_number
    from {{ name }}
    group by message_number
    having count(*) > 1

),

{{ name }}_once as (

    select {{ name }}.*
    from {{ name }}
    left join {{ name }}_twice
        on {{ name }}.message_number = {{ name }}_twice.message_number
    where {{ name }}_twice.message_number is null
    union all
    select {{ name }}.*
    from {{ name }}
    inner join {{ name }}_twice
        on {{ name }}.message_number = {{ name }}_twice.message_number
    qualify row_number() over (
        partition by {{ name }}.customer_number, {{ 'told.behaviour, ' if name == 'told' }}{{ name }}.event_id
        order by {{ name }}.occurred_at, {{ name }}.received_at nulls last{{ ', told.user_id' if name == 'told' }}
    ) = 1

),

{% endfor %}

uses_in_order as (

    select
        customer_number,
        occurred_at,
        lag(occurred_at) over stream as previous_at,
        lead(occurred_at) over stream as next_at
    from used_once
    window stream as (
        partition by customer_number
        order by occurred_at
    )

),

-- the first use of a day stands for the day
days_of_use as (

    select
        customer_number,
        occurred_at
    from uses_in_order
    where previous_at is null or cast(previous_at as date) < cast(occurred_at as date)

),

spoken as (

    select
        behaviour,
        false as is_first_of_day,
        customer_number,
        user_id,
        occurred_at,
        received_at,
        event_id,
        measured_value,
        due_at,
        gone_at
    from told_once
    {% for first_of_day in ['false', 'true'] %}
    union all
    select
        '*' as behaviour,
        {{ first_of_day }} as is_first_of_day,
        used_once.customer_number,
        null as user_id,
        used_once.occurred_at,
        used_once.received_at,
        used_once.event_id,
        null as measured_value,
        null as due_at,
        null as gone_at
    from used_once
    inner join sounds
        on
            sounds.is_use
            and sounds.is_whole
            and sounds.is_first_of_day = {{ first_of_day }}
    {% if first_of_day == 'true' %}
    qualify row_number() over (
        partition by used_once.customer_number, cast(used_once.occurred_at as date)
        order by used_once.occurred_at, used_once.event_id
    ) = 1
    {% endif %}
    {% endfor %}

),

heard as (

    select
        sounds.sound,
        sounds.is_first,
        sounds.is_every,
        sounds.is_counted,
        sounds.is_regular,
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
    where is_counted
    window stream as (
        partition by sound, customer_number, user_key
        order by occurred_at, event_id
    )
    union all
    select
        sounds.sound,
        days_of_use.customer_number,
        '' as user_key,
        null as user_id,
        days_of_use.occurred_at,
        null as received_at,
        null as event_id,
        row_number() over days as place,
        lag(days_of_use.occurred_at) over days as previous_at
    from days_of_use
    inner join sounds
        on
            sounds.is_use
            and sounds.is_first_of_day
            and sounds.is_counted
            and not sounds.is_whole
    window days as (
        partition by days_of_use.customer_number
        order by days_of_use.occurred_at
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

neighboured_uses as (

    select
        uses.customer_number,
        uses.occurred_at,
        uses.previous_at,
        uses.next_at
    from uses_in_order as uses
    inner join sounds
        on
            sounds.is_use
            and not sounds.is_first_of_day
            and not sounds.is_whole
            and (
                uses.next_at is null
                or uses.next_at > {{ dbt.dateadd('second', 'sounds.shortest_silence', 'uses.occurred_at') }}
                or uses.occurred_at > {{ dbt.dateadd('second', 'sounds.shortest_silence', 'uses.previous_at') }}
            )
    where sounds.shortest_silence is not null

),

counted as (
    {{ signals_counted() }}
),

completed as (
    {{ signals_completed() }}
),

counting as (
    {{ signals_counting() }}
),

good_dates as (
    {{ signals_good_dates() }}
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
    {% for uses, first_of_day in [('used_once', 'not '), ('days_of_use', '')] %}
    union all
    select
        sounds.sound,
        {{ uses }}.customer_number,
        '' as user_key,
        min({{ uses }}.occurred_at) as first_at,
        max({{ uses }}.occurred_at) as last_at
    from {{ uses }}
    inner join sounds
        on
            sounds.is_use
            and {{ first_of_day }}sounds.is_first_of_day
            and sounds.is_concluded
            and not sounds.is_whole
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
        -- a promise may be made long before the time that it is judged by
        case when listeners.kind = 'due' and listeners.part = 1 then {{ never }} else spanned.heard_from end
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
    where sounds.is_use and not sounds.is_whole

),

steps_of_use as (

    {% for uses, first_of_day in [('used_once', 'not '), ('days_of_use', '')] %}
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
    where {{ first_of_day }}awaited_uses.is_first_of_day
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- which instants of use prove something?
proving as (

    select customer_number, occurred_at from neighboured_uses
    union
    select customer_number, previous_at as occurred_at from neighboured_uses
    union
    select customer_number, occurred_at from good_dates where event_id is null
    union
    select customer_number, occurred_at from counting where event_id is null
    union
    select customer_number, occurred_at from steps_of_use where kind = 'sequence' and event_id is null

),

-- the first and the last event of each
shown as (

    select
        used_once.customer_number,
        used_once.occurred_at,
        min(used_once.event_id) as first_event_id,
        max(used_once.event_id) as last_event_id,
        min_by(used_once.received_at, used_once.event_id) as first_received_at,
        max_by(used_once.received_at, used_once.event_id) as last_received_at
    from used_once
    inner join proving
        on
            used_once.customer_number = proving.customer_number
            and used_once.occurred_at = proving.occurred_at
    group by used_once.customer_number, used_once.occurred_at

),

-- before a silence its last event is the one that counts, after it the first
silences as (

    select
        sound,
        shortest_silence,
        customer_number,
        user_key,
        user_id,
        occurred_at,
        received_at,
        event_id,
        next_at
    from neighboured
    where next_at is null or next_at > {{ dbt.dateadd('second', 'shortest_silence', 'occurred_at') }}
    union all
    select
        sounds.sound,
        sounds.shortest_silence,
        silent.customer_number,
        '' as user_key,
        null as user_id,
        silent.occurred_at,
        shown.last_received_at as received_at,
        shown.last_event_id as event_id,
        silent.next_at
    from neighboured_uses as silent
    inner join sounds
        on
            sounds.is_use
            and not sounds.is_first_of_day
            and not sounds.is_whole
            and (
                silent.next_at is null
                or silent.next_at > {{ dbt.dateadd('second', 'sounds.shortest_silence', 'silent.occurred_at') }}
            )
    inner join shown
        on
            silent.customer_number = shown.customer_number
            and silent.occurred_at = shown.occurred_at

),

returns as (

    select
        sound,
        customer_number,
        user_key,
        user_id,
        occurred_at,
        received_at,
        event_id,
        previous_at,
        previous_event_id
    from neighboured
    where occurred_at > {{ dbt.dateadd('second', 'shortest_silence', 'previous_at') }}
    union all
    select
        sounds.sound,
        silent.customer_number,
        '' as user_key,
        null as user_id,
        silent.occurred_at,
        shown.first_received_at as received_at,
        shown.first_event_id as event_id,
        silent.previous_at,
        shown_before.last_event_id as previous_event_id
    from neighboured_uses as silent
    inner join sounds
        on
            sounds.is_use
            and not sounds.is_first_of_day
            and not sounds.is_whole
            and silent.occurred_at > {{ dbt.dateadd('second', 'sounds.shortest_silence', 'silent.previous_at') }}
    inner join shown
        on
            silent.customer_number = shown.customer_number
            and silent.occurred_at = shown.occurred_at
    inner join shown as shown_before
        on
            silent.customer_number = shown_before.customer_number
            and silent.previous_at = shown_before.occurred_at

),

good_periods as (

    select
        good_dates.signal_number,
        good_dates.in_periods,
        good_dates.of_periods,
        good_dates.rearm,
        good_dates.period_number,
        good_dates.good_number,
        good_dates.customer_number,
        good_dates.user_key,
        good_dates.user_id,
        good_dates.occurred_at,
        coalesce(good_dates.received_at, shown.first_received_at) as received_at,
        coalesce(good_dates.event_id, shown.first_event_id) as event_id
    from good_dates
    left join shown
        on
            good_dates.customer_number = shown.customer_number
            and good_dates.occurred_at = shown.occurred_at
            and good_dates.event_id is null

),

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
    union all
    {% endfor %}
    select
        uses.signal_number,
        uses.kind,
        uses.part,
        uses.parts,
        uses.occurrences,
        uses.within_seconds,
        uses.lead_seconds,
        uses.direction,
        uses.observed_through_at,
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
            uses.customer_number = shown.customer_number
            and uses.occurred_at = shown.occurred_at
            and uses.event_id is null

),

placed_steps as (
    {{ signals_placed_steps() }}
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

candidates_told as (

    select
        candidates.*,
        signals.rearm,
        signals.rearm_after_seconds
    from candidates
    inner join signals
        on candidates.signal_number = signals.signal_number
    {% if is_incremental() %}
    inner join listened
        on candidates.customer_number = listened.customer_number
    left join kept_before
        on {{ same_track('candidates', 'kept_before') }}
    where
        candidates.occurred_at >= listened.renewed_from_at
        and (
            kept_before.kept_at is null
            or candidates.outcome = 'unknown'
            or case
                when signals.rearm = 'after_cooldown' and not signals.is_only_once
                    then candidates.occurred_at
                        >= {{ dbt.dateadd('second', 'signals.rearm_after_seconds', 'kept_before.kept_at') }}
                else false
            end
        )
    {% endif %}

),

-- what is not kept as it is
limited as (

    select
        *,
        row_number() over (
            partition by signal_number, customer_number, user_key
            order by occurred_at, proving_event_ids
        ) as candidate_number
    from candidates_told
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
        candidates_told.*,
        cast(null as bigint) as candidate_number
    from candidates_told
    where candidates_told.outcome = 'unknown' or candidates_told.rearm in ('every_time', 'rising_edge', 'on_state_entry')
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
    {% for name, type in remembered %}
    cast(null as {{ type }}) as {{ name }}{{ ',' if not loop.last }}
    {% endfor %}
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
    {% for name, type in remembered %}
    {% if name == 'next_deadline_at' %}
    deadlines.next_deadline_at,
    {% elif name in ('computed_as_of', 'observed_through_at', 'definitions_hash', 'found_in_run', 'began_with_number') %}
    knowledge.{{ name }}{{ ',' if not loop.last }}
    {% else %}
    listened.{{ name }},
    {% endif %}
    {% endfor %}
from listened
cross join knowledge
left join deadlines
    on listened.customer_number = deadlines.customer_number
