-- `due`: something promised (a renewal) falls due in lead_seconds, and in the within_seconds before that moment a
-- behaviour was seen fewer than (`below`) or at least (`above`) so many times. A promise made later than the moment is
-- judged when it is made, one that is known to be off by then is not judged. Little use can only be told from a fresh
-- silo.

{# when is a promise judged? #}
{% macro promise_judged_at(promise, lead_seconds) -%}
    greatest(
        {{ dbt.dateadd('second', '-' ~ lead_seconds, promise ~ '.due_at') }}, {{ promise }}.occurred_at
    )
{%- endmacro %}

{% macro signals_due() %}
promised as (

    select
        steps.*,
        {{ promise_judged_at('steps', 'steps.lead_seconds') }} as deadline_at
    from steps
    where steps.kind = 'due' and steps.part = 1

),

candidates_due as (

    select
        {{ candidate_columns('promised', 'promised', 'promised.deadline_at', 'promised.received_at') }},
        case
            when promised.direction = 'above' or promised.deadline_at < promised.observed_through_at then 'fired'
            else 'unknown'
        end as outcome,
        promised.event_id as proving_event_ids,
        1 as proof_count,
        {{ dbt.dateadd('second', '-promised.within_seconds', 'promised.deadline_at') }} as proof_from,
        promised.deadline_at as proof_to
    from promised
    left join steps as seen
        on
            {{ same_track('promised', 'seen') }}
            and seen.kind = 'due'
            and seen.part = 2
            and seen.occurred_at <= promised.deadline_at
            and seen.occurred_at >= {{ dbt.dateadd('second', '-promised.within_seconds', 'promised.deadline_at') }}
    where
        promised.deadline_at < {{ as_of() }}
        and coalesce(promised.gone_at > promised.deadline_at, true)
    group by
        promised.signal_number,
        promised.customer_number,
        promised.user_key,
        promised.user_id,
        promised.event_id,
        promised.received_at,
        promised.deadline_at,
        promised.within_seconds,
        promised.occurrences,
        promised.direction,
        promised.observed_through_at
    having (promised.direction = 'below') = (count(seen.occurred_at) < promised.occurrences)

),
{% endmacro %}
