-- One row per occurrence of a signal: what every kind of evidence finds, after the re-arm rule, with a deterministic
-- id; plus one row of kind 'listened' per customer, which readers filter out.
-- This file is the way from what was said to what counts. Its steps are files of macros/signals: macros because a table
-- per kind of evidence would be written and read ten times, and all kinds have to look at the same customers in the
-- same statement. Each gives CTEs, and says which.
-- The id is made of the signal, the definition's hash and the proving events, and not of the customer: two customers
-- that turn out to be one must not be told the same thing again under a new id.
-- Incremental by customer and instant: an occurrence depends on nothing that is dated after it, so whatever is
-- different (macros/signals/changes.sql), only what is dated from then on is found anew; what is older stays, and says
-- whether `once` is used up and when the last cooldown began. A full refresh gives the same occurrences.
-- Each kind puts in order only what it needs in order. Use of the product is most of what is heard, so it is put in
-- order by numbers and times alone, and its event ids are fetched for what is proven by them (`shown`).
-- Hazard: a message that is sent again under its id and dated more than a day otherwise may count twice until the next
-- full refresh.
{{
    config(
        materialized='incremental',
        incremental_strategy='renew',
        unique_key='customer_id',
        on_schema_change='fail',
    )
}}

{% set kinds = [
    'first_every', 'count_within', 'absence', 'sequence', 'regular', 'stopped', 'restarted', 'crossed', 'due',
] %}
{% set text = dbt.type_string() %}
{% set evidence = {
    'customer_id': text,
    'occurrence_id': text,
    'signal_id': text,
    'definition_hash': text,
    'kind': text,
    'unit': text,
    'source': text,
    'proving_source': text,
    'rearm': text,
    'user_id': text,
    'outcome': text,
    'occurred_at': 'timestamp',
    'knowable_at': 'timestamp',
    'proof_count': 'bigint',
    'proof_from': 'timestamp',
    'proof_to': 'timestamp',
    'proving_event_ids': text,
} %}
{# what a row 'listened' says of the customer, and of what all customers depend on #}
{% set remembered = {
    'renewed_from_at': 'timestamp',
    'identity_number': 'bigint',
    'settled_number': 'bigint',
    'unsettled_number': 'bigint',
    'settled_before': 'timestamp',
    'next_deadline_at': 'timestamp',
    'computed_as_of': 'timestamp',
    'observed_through_at': 'timestamp',
    'definitions_hash': text,
    'found_in_run': 'bigint',
    'began_with_number': 'bigint',
} %}

with recursive

-- what is listened for, and under which names is it heard? signals, listeners, sounds, voices (listening.sql)
{{ signals_sounds() }}

-- who is looked at, and from which instant on? listened (changes.sql)
{{ signals_listened(remembered) }}

{% if is_incremental() %}

-- what did they say as far back as it matters, and what were they told before? said, kept_before (recall.sql)
{{ signals_recalled() }}

{% endif %}

-- use of the product, and each message once: used_once (hearing.sql)
used as (

    select
        behaviours.customer_number,
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id,
        {{ fingerprint(['behaviours.behaviour', 'behaviours.event_id']) }} as message_number
    from {{ signals_said() }} as behaviours
    where behaviours.behaviour = '*'

),

{{ signals_taken_once('used', ['event_id'], ['occurred_at', 'received_at nulls last']) }}

-- all other behaviours, in full: told_once
told as (

    select
        behaviours.customer_number,
        behaviours.behaviour,
        behaviours.user_id,
        behaviours.occurred_at,
        behaviours.received_at,
        behaviours.event_id,
        behaviours.measured_value,
        behaviours.due_at,
        behaviours.gone_at,
        {{ fingerprint(['behaviours.behaviour', 'behaviours.event_id']) }} as message_number
    from {{ signals_said() }} as behaviours
    where behaviours.behaviour != '*'

),

{{ signals_taken_once('told', ['behaviour', 'event_id'], ['occurred_at', 'received_at nulls last', 'user_id']) }}

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

-- with use where it has to be known event by event: every event, or the first of each day
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
    {% for is_first_of_day in [false, true] %}
    union all
    select
        '*' as behaviour,
        sounds.is_first_of_day,
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
        on sounds.is_use_in_full and {{ '' if is_first_of_day else 'not ' }}sounds.is_first_of_day
    {% if is_first_of_day %}
    qualify
        row_number() over (
            partition by used_once.customer_number, cast(used_once.occurred_at as date)
            order by used_once.occurred_at, used_once.event_id
        ) = 1
    {% endif %}
    {% endfor %}

),

-- every event once per sound, with the kinds that hear it; customer_number and user_key say whose it is
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

-- what the kinds make of use, by its instants: silent_uses, counting, good_dates (kinds/), steps_of_use (steps.sql)
{{ signals_silent_uses() }}
{{ signals_counting() }}
{{ signals_good_dates() }}
{{ signals_steps_of_use() }}

-- which instants of use prove something?
proving as (

    {% for instant, found_in in [
        ('occurred_at', 'silent_uses'),
        ('previous_at', 'silent_uses'),
        ('occurred_at', 'good_dates where event_id is null'),
        ('occurred_at', 'counting where event_id is null'),
        ('occurred_at', "steps_of_use where kind = 'sequence' and event_id is null"),
    ] %}
    select
        customer_number,
        {{ instant }} as occurred_at
    from {{ found_in }}
    {{ 'union' if not loop.last }}
    {% endfor %}

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
        on {{ same_use('used_once', 'proving') }}
    group by used_once.customer_number, used_once.occurred_at

),

-- what each kind finds: candidates_<kind> (kinds/)
{{ signals_first_every() }}
{{ signals_count_within() }}
{{ signals_steps() }}
{{ signals_absence() }}
{{ signals_sequence() }}
{{ signals_regular() }}
{{ signals_stopped_restarted() }}
{{ signals_crossed() }}
{{ signals_due() }}

candidates as (

    {% for kind in kinds %}
    select * from candidates_{{ kind }}
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

-- which of them count? rearmed (rearm.sql)
{{ signals_rearmed() }}

-- when could time alone bring an occurrence? the deadlines of what was begun, promised or last seen, past ones included
waiting as (

    select
        heard.customer_number,
        listeners.observed_through_at,
        case listeners.kind
            when 'due' then {{ promise_judged_at('heard', 'listeners.lead_seconds') }}
            else {{ dbt.dateadd('second', 'listeners.within_seconds', 'heard.occurred_at') }}
        end as deadline_at
    from heard
    inner join listeners
        on heard.sound = listeners.sound
    where heard.is_step and listeners.part = 1 and listeners.kind in ('absence', 'due')
    union all
    select
        silences.customer_number,
        listeners.observed_through_at,
        {{ dbt.dateadd('second', 'listeners.within_seconds', 'silences.occurred_at') }} as deadline_at
    from silences
    inner join listeners
        on silences.sound = listeners.sound
    where listeners.kind = 'stopped'

),

-- from when on may time alone change what is known of a customer? the next that is neither past nor settled
deadlines as (

    select
        waiting.customer_number,
        min(waiting.deadline_at) as next_deadline_at
    from waiting
    cross join knowledge
    where waiting.deadline_at >= least(knowledge.computed_as_of, waiting.observed_through_at)
    group by waiting.customer_number

),

-- which occurrence of which signal is it?
occurred as (

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
        rearmed.proving_event_ids
    from rearmed
    inner join signals
        on rearmed.signal_number = signals.signal_number
    inner join listened
        on rearmed.customer_number = listened.customer_number

),

-- what the next build has to know of everybody who was looked at
memory as (

    select
        listened.customer_id,
        listened.renewed_from_at,
        listened.identity_number,
        listened.settled_number,
        listened.unsettled_number,
        listened.settled_before,
        deadlines.next_deadline_at,
        knowledge.computed_as_of,
        knowledge.observed_through_at,
        knowledge.definitions_hash,
        knowledge.found_in_run,
        knowledge.began_with_number
    from listened
    cross join knowledge
    left join deadlines
        on listened.customer_number = deadlines.customer_number

)

{% set columns = dict(evidence, **remembered) %}
select
    {{ union_branch(columns, own=evidence) }}
from occurred
union all
select
    {{ union_branch(
        columns,
        own=['customer_id'] + remembered | list,
        given={'occurrence_id': "'listened:' || customer_id", 'kind': "'listened'"},
    ) }}
from memory
