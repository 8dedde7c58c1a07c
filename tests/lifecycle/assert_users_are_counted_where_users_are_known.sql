-- Guards the seed signal_definitions: a signal must be able to hear what it asks for. Only single product events say
-- which user it was. The edges of days bound silences of a day and longer, and are no count of anything. Only
-- figures have values to cross a threshold, and only promises fall due. Anything else would never fire, or fire
-- wrongly, in silence.

with

steps as (

    {% for step in ['behaviour', 'until_behaviour', 'then_behaviour', 'last_behaviour'] %}
    select
        signal_id,
        kind,
        unit,
        within_seconds,
        '{{ step }}' as step,
        {{ step }} as behaviour
    from {{ ref('signal_definitions') }}
    where {{ step }} is not null
    {{ 'union all' if not loop.last }}
    {% endfor %}

)

select
    steps.signal_id,
    steps.behaviour
from steps
inner join {{ ref('behaviours') }} as behaviours
    on steps.behaviour = behaviours.behaviour
where
    (steps.unit = 'user' and (behaviours.source != 'product' or behaviours.grain != 'event'))
    or (
        behaviours.grain = 'day_edges'
        and not (
            steps.within_seconds >= 86400
            and (
                steps.kind in ('stopped', 'restarted')
                or (steps.kind = 'absence' and steps.step = 'until_behaviour')
            )
        )
    )
    or (steps.kind = 'crossed' and behaviours.grain != 'measured')
    or (
        steps.kind = 'due'
        and (steps.step = 'behaviour') != (behaviours.event_name = 'renewal_promised')
    )
