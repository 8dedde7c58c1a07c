-- `sequence`: A then B, or A then B then C, the whole within T, once per event that completes it. Then means later:
-- events of the same instant are in no order. The latest B before C and the latest A before that B are the shortest way
-- there, so if they do not fit into T nothing does.

{% macro signals_sequence() %}
-- later steps come first at the same instant, so that none is before another
placed_steps as (

    select
        steps.*,
        row_number() over (
            partition by steps.signal_number, steps.customer_number, steps.user_key
            order by steps.occurred_at, steps.part desc, steps.event_id
        ) as place
    from steps
    where steps.kind = 'sequence'

),

-- where was the latest first step, and the latest second step, before each event?
led_up_to as (

    select
        placed_steps.*,
        max(case when placed_steps.part = 1 then placed_steps.place end) over so_far as first_place,
        max(case when placed_steps.part = 2 then placed_steps.place end) over so_far as second_place
    from placed_steps
    window so_far as (
        partition by placed_steps.signal_number, placed_steps.customer_number, placed_steps.user_key
        order by placed_steps.place
        rows between unbounded preceding and current row
    )

),

candidates_sequence as (

    select
        {{ candidate_columns(
            'final',
            'final',
            'final.occurred_at',
            'greatest(opening.received_at, middle.received_at, final.received_at)',
        ) }},
        'fired' as outcome,
        opening.event_id
        || coalesce(',' || middle.event_id, '')
        || ',' || final.event_id as proving_event_ids,
        case when middle.event_id is null then 2 else 3 end as proof_count,
        opening.occurred_at as proof_from,
        final.occurred_at as proof_to
    from led_up_to as final
    left join led_up_to as middle
        on
            {{ same_track('final', 'middle') }}
            and final.second_place = middle.place
            and final.part = 3
    inner join led_up_to as opening
        on
            {{ same_track('final', 'opening') }}
            and opening.place = case when final.part = 3 then middle.first_place else final.first_place end
    where
        final.part = final.parts
        and opening.occurred_at >= {{ dbt.dateadd('second', '-final.within_seconds', 'final.occurred_at') }}

),
{% endmacro %}
