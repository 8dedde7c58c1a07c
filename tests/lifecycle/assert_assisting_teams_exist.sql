-- Guards lifecycle_states: assisting_teams is a list in one field, so no relationship test can look into it.

with

states as (

    select
        state,
        ' ' || assisting_teams || ' ' as assisting_teams
    from {{ ref('lifecycle_states') }}
    where assisting_teams is not null

),

-- what remains of the list when every known team is taken out of it
remaining as (

    select
        states.state,
        length(trim(states.assisting_teams)) - length(replace(trim(states.assisting_teams), ' ', '')) + 1
            as teams_named,
        count(teams.team) as teams_known
    from states
    left join {{ ref('teams') }} as teams
        on strpos(states.assisting_teams, ' ' || teams.team || ' ') > 0
    group by states.state, states.assisting_teams

)

select * from remaining
where teams_named != teams_known
