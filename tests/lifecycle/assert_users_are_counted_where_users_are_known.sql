-- Guards the seed signal_definitions: only single product events say which user it was. Counted per user, days of
-- activity and the other silos would never fire.

with

behaviours as (

    select
        behaviour,
        source,
        grain
    from {{ ref('behaviours') }}

)

select
    signals.signal_id,
    behaviours.behaviour
from {{ ref('signal_definitions') }} as signals
inner join behaviours
    on
        signals.behaviour = behaviours.behaviour
        or signals.until_behaviour = behaviours.behaviour
where
    signals.unit = 'user'
    and (behaviours.source != 'product' or behaviours.grain != 'event')
