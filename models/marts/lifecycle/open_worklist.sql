-- One row per customer and team that the customer waits for: what asks for a person of that team, since when, by which
-- proof, and what the customer pays. Why it exists: who needs a person today is a rule, and lists that each apply it in
-- their own way send two people to one customer and nobody to the next.
-- What counts is said in the playbook: hand-offs by pick_up_hours, fresh danger by attention_days and stays that last
-- too long by time_limit_days (lifecycle_states), tickets and tasks by the objects of the actions.
-- Hazard: work that leaves no delivery (a phone call) takes nobody off the list before the reason itself is over.

with

hand_offs as (

    select * from {{ ref('int_hand_offs__followed') }}
    where outcome in ('waiting', 'overdue')

),

decisions as (

    select * from {{ ref('int_actions__decided') }}
    where
        decision = 'permitted'
        and is_open
        and object in ('tickets', 'tasks')

),

actions as (

    select
        action,
        title
    from {{ ref('actions') }}

),

customers as (

    select
        customer_id,
        lifecycle_state,
        mrr
    from {{ ref('customer_lifecycle') }}

),

stays as (

    select * from {{ ref('int_customer_state__current') }}

),

states as (

    select
        state,
        attention_days
    from {{ ref('lifecycle_states') }}

),

-- who pays, and came into a state that asks for a look, or has been in one for too long?
paying as (

    select
        stays.*,
        coalesce(
            {{ dbt.dateadd('day', 'states.attention_days', 'stays.state_entered_at') }} > {{ as_of() }},
            false
        ) as is_new
    from stays
    inner join customers
        on stays.customer_id = customers.customer_id
    inner join states
        on stays.lifecycle_state = states.state
    where customers.mrr > 0

),

-- one row per thing that asks for a person; the most urgent kind has the lowest urgency
asked as (

    select
        customer_id,
        to_team as owner_team,
        case when outcome = 'overdue' then 'hand_off_overdue' else 'hand_off_waiting' end as reason,
        case when outcome = 'overdue' then 1 else 3 end as urgency,
        'handed over by ' || from_team || ': ' || handed_because as because,
        recorded_at as waiting_since,
        pick_up_by,
        proof_occurrence_id
    from hand_offs
    union all
    select
        decisions.customer_id,
        decisions.owner_team,
        'action_permitted' as reason,
        2 as urgency,
        actions.title as because,
        decisions.decided_at as waiting_since,
        cast(null as {{ dbt.type_timestamp() }}) as pick_up_by,
        decisions.occurrence_id as proof_occurrence_id
    from decisions
    inner join actions
        on decisions.action = actions.action
    union all
    select
        customer_id,
        state_owner_team as owner_team,
        'new_in_danger' as reason,
        4 as urgency,
        'newly in this state' as because,
        state_entered_at as waiting_since,
        cast(null as {{ dbt.type_timestamp() }}) as pick_up_by,
        state_proof_occurrence_id as proof_occurrence_id
    from paying
    where is_new
    union all
    select
        customer_id,
        state_owner_team as owner_team,
        'over_time_limit' as reason,
        5 as urgency,
        'too long in this state' as because,
        state_time_limit_at as waiting_since,
        cast(null as {{ dbt.type_timestamp() }}) as pick_up_by,
        state_proof_occurrence_id as proof_occurrence_id
    from paying
    where is_over_time_limit

),

-- which comes first, and which says again what another one has said?
ranked as (

    select
        *,
        row_number() over (
            partition by customer_id, owner_team
            order by urgency, waiting_since, because, proof_occurrence_id
        ) as place,
        row_number() over (
            partition by customer_id, owner_team, because
            order by waiting_since, proof_occurrence_id
        ) as place_among_same
    from asked

),

gathered as (

    select
        customer_id,
        owner_team,
        max(case when place = 1 then reason end) as reason,
        max(case when place = 1 then proof_occurrence_id end) as proof_occurrence_id,
        {{ dbt.listagg("case when place_among_same = 1 then because end", "'; '", "order by place") }} as because,
        min(waiting_since) as waiting_since,
        min(pick_up_by) as pick_up_by,
        min(urgency) = 1 as is_overdue
    from ranked
    group by customer_id, owner_team

)

select
    gathered.customer_id,
    gathered.owner_team,
    row_number() over (
        order by
            gathered.is_overdue desc, coalesce(customers.mrr, 0) desc, gathered.customer_id asc, gathered.owner_team asc
    ) as worklist_position,
    gathered.reason,
    gathered.because,
    gathered.waiting_since,
    gathered.pick_up_by,
    gathered.is_overdue,
    gathered.proof_occurrence_id,
    customers.lifecycle_state,
    customers.mrr,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from gathered
inner join customers
    on gathered.customer_id = customers.customer_id
