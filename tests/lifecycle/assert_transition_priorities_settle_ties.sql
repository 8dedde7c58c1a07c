-- Guards the fold: at one instant the signal with the smaller priority comes first. That is only an order if a signal
-- has one priority and no two signals share one.

with

priorities as (

    select distinct
        signal_id,
        priority
    from {{ ref('lifecycle_transitions') }}

)

select
    signal_id,
    cast(count(*) as {{ dbt.type_string() }}) || ' priorities' as fault
from priorities
group by signal_id
having count(*) > 1
union all
select
    min(signal_id) as signal_id,
    'shares priority ' || cast(priority as {{ dbt.type_string() }}) || ' with another signal' as fault
from priorities
group by priority
having count(*) > 1
