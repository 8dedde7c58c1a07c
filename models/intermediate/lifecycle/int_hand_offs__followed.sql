-- One row per hand-off: a customer moved from a state that one team owns to a state that another one owns.
-- Picked up means that an action of the new owner left for the customer while it was responsible; passed_on, that the
-- customer moved on while there was still time; dropped, that it moved on after that. Being told of the hand-off is not
-- picking it up. Work that leaves no delivery (a phone call) is not seen.

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
        actions.action,
        actions.owner_team,
        actions.priority,
        signals.kind in ('handed_over', 'not_picked_up') as is_about_hand_offs
    from {{ ref('actions') }} as actions
    inner join {{ ref('signal_definitions') }} as signals
        on actions.signal_id = signals.signal_id

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
    where not actions.is_about_hand_offs

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

-- how late may a hand-off be known for anybody to be asked to hurry?
lateness as (

    select max(max_lateness_hours) as max_lateness_hours
    from {{ ref('signal_definitions') }}
    where kind = 'not_picked_up'

),

-- until when is the new owner expected to do something?
handed as (

    select
        responsibilities.*,
        coalesce(
            responsibilities.recorded_at
            > {{ dbt.dateadd('hour', 'lateness.max_lateness_hours', 'responsibilities.valid_from') }},
            false
        ) as is_historical,
        {{ dbt.dateadd('hour', 'states.pick_up_hours', 'responsibilities.recorded_at') }} as pick_up_by
    from responsibilities
    inner join states
        on responsibilities.state = states.state
    cross join lateness
    where responsibilities.team_before is not null

),

-- the first action of the new owner
picked_up as (

    select
        handed.customer_id,
        handed.state_sequence,
        deliveries.sent_at as picked_up_at,
        deliveries.action as picked_up_by_action
    from handed
    inner join deliveries
        on
            handed.customer_id = deliveries.customer_id
            and handed.owner_team = deliveries.owner_team
            and handed.valid_from <= deliveries.sent_at
            and (handed.responsible_until > deliveries.sent_at or handed.responsible_until is null)
    qualify row_number() over (
        partition by handed.customer_id, handed.state_sequence
        order by deliveries.sent_at, deliveries.action_id
    ) = 1

)

select
    -- not of the customer: one that gets another id must not be told again
    {{ surrogate_key(["'hand_off'", 'handed.occurrence_id']) }} as hand_off_id,
    handed.customer_id,
    handed.state_sequence,
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
    case when not handed.is_historical then handed.pick_up_by end as pick_up_by,
    picked_up.picked_up_at,
    picked_up.picked_up_by_action,
    handed.responsible_until as ended_at,
    case
        -- a load of history tells of hand-offs that nobody could have hurried to
        when handed.is_historical or handed.responsible_until <= handed.recorded_at then 'historical'
        when picked_up.picked_up_at > handed.pick_up_by then 'picked_up_late'
        when picked_up.picked_up_at is not null then 'picked_up'
        when handed.pick_up_by is null then 'no_hurry'
        when handed.responsible_until <= handed.pick_up_by then 'passed_on'
        when handed.responsible_until is not null then 'dropped'
        when handed.pick_up_by <= {{ as_of() }} then 'overdue'
        else 'waiting'
    end as outcome
from handed
left join picked_up
    on
        handed.customer_id = picked_up.customer_id
        and handed.state_sequence = picked_up.state_sequence
left join permitted
    on
        handed.state = permitted.state
        and handed.owner_team = permitted.team
