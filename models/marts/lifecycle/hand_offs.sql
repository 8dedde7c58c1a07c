-- One row per hand-off: a customer moved from a state that one team owns to a state that another one owns.
-- Why it exists: customers are lost between teams. A hand-off says to both sides who, why and by which proof, what is
-- permitted now, and whether the new owner acted in time. Picked up means that an action of the new owner reached the
-- customer during the stay; passed_on, that the customer moved on while there was still time; dropped, that it moved on
-- after that. Work that leaves no delivery (a phone call) is not seen.

with

stays as (

    select * from {{ ref('int_lifecycle__dated') }}
    where region = 'customer'

),

states as (

    select
        state,
        pick_up_hours
    from {{ ref('lifecycle_states') }}

),

permits as (

    select
        state,
        team,
        action
    from {{ ref('state_permits') }}

),

actions as (

    select
        action,
        owner_team,
        priority
    from {{ ref('actions') }}

),

deliveries as (

    select
        deliveries.customer_id,
        actions.owner_team,
        deliveries.action,
        deliveries.action_id,
        deliveries.sent_at
    from {{ ref('int_deliveries__committed') }} as deliveries
    inner join actions
        on deliveries.action = actions.action

),

-- what may the owner of a state do there?
permitted as (

    select
        permits.state,
        permits.team,
        {{ dbt.listagg('permits.action', "', '", 'order by actions.priority, permits.action') }} as permitted_actions
    from permits
    inner join actions
        on permits.action = actions.action
    group by permits.state, permits.team

),

-- a stay that changes the owner; stays of one owner in a row are one responsibility
owned as (

    select
        *,
        lag(owner_team) over (partition by customer_id order by state_sequence) as team_before
    from stays

),

responsibilities as (

    select
        *,
        lead(valid_from) over (partition by customer_id order by state_sequence) as responsible_until
    from owned
    where team_before is null or owner_team != team_before

),

handed as (

    select
        responsibilities.*,
        states.pick_up_hours,
        {{ dbt.dateadd('hour', 'states.pick_up_hours', 'responsibilities.recorded_at') }} as pick_up_by
    from responsibilities
    inner join states
        on responsibilities.state = states.state
    where responsibilities.team_before is not null

),

picked_up as (

    select
        handed.customer_id,
        handed.state_sequence,
        min(deliveries.sent_at) as picked_up_at,
        min_by(deliveries.action, deliveries.sent_at) as picked_up_by_action
    from handed
    inner join deliveries
        on
            handed.customer_id = deliveries.customer_id
            and handed.owner_team = deliveries.owner_team
            and handed.valid_from <= deliveries.sent_at
            and (handed.responsible_until > deliveries.sent_at or handed.responsible_until is null)
    group by handed.customer_id, handed.state_sequence

)

select
    {{ surrogate_key(['handed.customer_id', 'handed.occurrence_id']) }} as hand_off_id,
    handed.customer_id,
    cast(handed.state_sequence as bigint) as state_sequence,
    handed.team_before as from_team,
    handed.owner_team as to_team,
    handed.state_before as from_state,
    handed.state as to_state,
    handed.reason as handed_because,
    handed.occurrence_id as proof_occurrence_id,
    handed.proving_event_ids as proof_event_ids,
    permitted.permitted_actions,
    handed.valid_from as handed_at,
    handed.recorded_at,
    handed.pick_up_by,
    picked_up.picked_up_at,
    picked_up.picked_up_by_action,
    handed.responsible_until as ended_at,
    case
        when picked_up.picked_up_at <= handed.pick_up_by then 'picked_up'
        when picked_up.picked_up_at is not null then 'picked_up_late'
        -- a load of history tells of hand-offs that were over before anybody could know
        when handed.responsible_until <= handed.recorded_at then 'historical'
        when handed.pick_up_by is null then 'no_hurry'
        when handed.responsible_until <= handed.pick_up_by then 'passed_on'
        when handed.responsible_until is not null then 'dropped'
        when handed.pick_up_by <= {{ as_of() }} then 'overdue'
        else 'waiting'
    end as outcome,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from handed
left join picked_up
    on
        handed.customer_id = picked_up.customer_id
        and handed.state_sequence = picked_up.state_sequence
left join permitted
    on
        handed.state = permitted.state
        and handed.owner_team = permitted.team
