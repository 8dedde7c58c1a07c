-- `absence`: A and then no B within T, dated at the deadline. Silence is only a fact when somebody was listening: it
-- fires when the silo of B is complete through the deadline, and is `unknown` when the deadline is past and the silo is
-- not. A B at the instant of A or at the deadline was done in time.

{% macro signals_absence() %}
lacking as (

    select
        steps.*,
        {{ dbt.dateadd('second', 'steps.within_seconds', 'steps.occurred_at') }} as deadline_at,
        min(case when steps.part = 2 then steps.occurred_at end) over (
            partition by steps.signal_number, steps.customer_number, steps.user_key
            order by steps.occurred_at
            range between current row and unbounded following
        ) as done_at
    from steps
    where steps.kind = 'absence'

),

candidates_absence as (

    select
        {{ candidate_columns('lacking', 'lacking', 'lacking.deadline_at', 'lacking.received_at') }},
        case when lacking.deadline_at < lacking.observed_through_at then 'fired' else 'unknown' end as outcome,
        lacking.event_id as proving_event_ids,
        1 as proof_count,
        lacking.occurred_at as proof_from,
        lacking.deadline_at as proof_to
    from lacking
    where
        lacking.part = 1
        and lacking.deadline_at < {{ as_of() }}
        and (lacking.done_at is null or lacking.done_at > lacking.deadline_at)

),
{% endmacro %}
