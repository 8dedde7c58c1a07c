-- One row per occurrence of a signal: the candidates of every kind after the re-arm rule, with a deterministic id.
-- The id is made of the signal, the definition's hash and the proving events, and not of the customer: two customers
-- that turn out to be one must not be told the same thing again under a new id.
-- Re-arm: `once` keeps the first per entity, `after_cooldown` the first and then each first one at least
-- rearm_after_seconds after the last kept, `every_time` and `rising_edge` (settled by count_within itself) keep all.
-- An `unknown` outcome is kept for the record, and neither uses up `once` nor starts a cooldown.

with recursive

candidates as (

    select * from {{ ref('int_signals__first') }}
    union all
    select * from {{ ref('int_signals__every') }}
    union all
    select * from {{ ref('int_signals__count_within') }}
    union all
    select * from {{ ref('int_signals__absence') }}
    union all
    select * from {{ ref('int_signals__stopped') }}
    union all
    select * from {{ ref('int_signals__restarted') }}

),

signals as (

    select * from {{ ref('int_signals__defined') }}

),

ordered as (

    select
        candidates.*,
        signals.rearm,
        signals.rearm_after_seconds,
        row_number() over (
            partition by candidates.signal_id, candidates.customer_id, candidates.entity_id, candidates.outcome
            order by candidates.occurred_at, candidates.proving_event_ids
        ) as candidate_number
    from candidates
    inner join signals
        on candidates.signal_id = signals.signal_id

),

cooling as (

    select
        signal_id,
        customer_id,
        entity_id,
        candidate_number,
        occurred_at,
        {{ dbt.dateadd('second', 'rearm_after_seconds', 'occurred_at') }} as rearmed_at
    from ordered
    where rearm = 'after_cooldown' and outcome = 'fired'

),

-- if this candidate is kept, which is the next one that may be?
cooled as (

    select
        cooling.signal_id,
        cooling.customer_id,
        cooling.entity_id,
        cooling.candidate_number,
        min(later.candidate_number) as next_candidate_number
    from cooling
    left join cooling as later
        on
            cooling.signal_id = later.signal_id
            and cooling.customer_id = later.customer_id
            and cooling.entity_id = later.entity_id
            and cooling.rearmed_at <= later.occurred_at
            and cooling.candidate_number < later.candidate_number
    group by cooling.signal_id, cooling.customer_id, cooling.entity_id, cooling.candidate_number

),

-- from the first candidate of each entity, step from kept one to kept one
kept_after_cooldown as (

    select
        signal_id,
        customer_id,
        entity_id,
        candidate_number,
        next_candidate_number
    from cooled
    where candidate_number = 1
    union all
    select
        cooled.signal_id,
        cooled.customer_id,
        cooled.entity_id,
        cooled.candidate_number,
        cooled.next_candidate_number
    from kept_after_cooldown
    inner join cooled
        on
            kept_after_cooldown.signal_id = cooled.signal_id
            and kept_after_cooldown.customer_id = cooled.customer_id
            and kept_after_cooldown.entity_id = cooled.entity_id
            and kept_after_cooldown.next_candidate_number = cooled.candidate_number

),

rearmed as (

    select ordered.*
    from ordered
    left join kept_after_cooldown
        on
            ordered.signal_id = kept_after_cooldown.signal_id
            and ordered.customer_id = kept_after_cooldown.customer_id
            and ordered.entity_id = kept_after_cooldown.entity_id
            and ordered.candidate_number = kept_after_cooldown.candidate_number
    where
        ordered.outcome = 'unknown'
        or ordered.rearm in ('every_time', 'rising_edge')
        or (ordered.rearm = 'once' and ordered.candidate_number = 1)
        or (ordered.rearm = 'after_cooldown' and kept_after_cooldown.candidate_number is not null)

)

select
    {{ surrogate_key(['rearmed.signal_id', 'signals.definition_hash', 'rearmed.proving_event_ids']) }}
        as occurrence_id,
    rearmed.signal_id,
    signals.definition_hash,
    signals.kind,
    signals.unit,
    signals.source,
    signals.proving_source,
    signals.max_lateness_hours,
    rearmed.rearm,
    rearmed.customer_id,
    rearmed.user_id,
    rearmed.outcome,
    rearmed.occurred_at,
    rearmed.knowable_at,
    rearmed.proof_count,
    rearmed.proof_from,
    rearmed.proof_to,
    rearmed.proving_event_ids
from rearmed
inner join signals
    on rearmed.signal_id = signals.signal_id
