-- The re-arm rule: which candidates count. CTEs of int_signals__occurred, the last of which is `rearmed`.
--   once            the first per entity (customer or user)
--   after_cooldown  the first, and then each first one at least rearm_after_seconds after the last that was kept
--   every_time      all of them
--   rising_edge     all of them: whether it became true or only stayed so is settled by the kind
--   on_state_entry  all of them: settled when the states are known (int_signals__told)
-- An `unknown` outcome is kept for the record, and neither uses up `once` nor starts a cooldown.

{% macro signals_rearmed() %}
candidates_told as (

    select
        candidates.*,
        signals.rearm,
        signals.rearm_after_seconds
    from candidates
    inner join signals
        on candidates.signal_number = signals.signal_number
    {% if is_incremental() %}
    -- what is older stays as it was found, and what it used up is used up
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

-- if this candidate is kept, when may the next one be? The end of its cooldown stands among the candidates as a
-- question, before a candidate of the same instant
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

-- the first candidate after a question is the answer
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
    where outcome = 'unknown' or rearm in ('every_time', 'rising_edge', 'on_state_entry')
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
{% endmacro %}
