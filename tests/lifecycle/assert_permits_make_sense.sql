-- Guards the playbook: every action is permitted somewhere, only to the team that owns it, and only where that team
-- owns the state or assists in it. A permit for anybody else is a row that can never be used and reads as if it
-- could.

with

permits as (

    select * from {{ ref('state_permits') }}

),

actions as (

    select
        action,
        owner_team
    from {{ ref('actions') }}

),

states as (

    select
        state,
        owner_team,
        assisting_teams
    from {{ ref('lifecycle_states') }}

)

select
    actions.action,
    cast(null as {{ dbt.type_string() }}) as state,
    'is permitted nowhere' as fault
from actions
left join permits
    on
        actions.action = permits.action
        and actions.owner_team = permits.team
where permits.action is null
union all
select
    permits.action,
    permits.state,
    'is permitted to ' || permits.team || ', and owned by ' || actions.owner_team as fault
from permits
inner join actions
    on permits.action = actions.action
where permits.team != actions.owner_team
union all
select
    permits.action,
    permits.state,
    permits.team || ' neither owns the state nor assists in it' as fault
from permits
inner join states
    on permits.state = states.state
where
    permits.team != states.owner_team
    and strpos(' ' || coalesce(states.assisting_teams, '') || ' ', ' ' || permits.team || ' ') = 0
