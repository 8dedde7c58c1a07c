-- One row per customer and signal that moved it in any region, in order, with where it stands in all of them after it,
-- and one for where it starts: the fold of the signals over the transitions. The regions move next to each other and
-- do not see each other. Each starts in its initial state when the customer is first seen and takes the transition that
-- the playbook has for (state, signal); a signal without a row changes nothing. `resume` goes back to the state that an
-- interruption interrupted. At the same instant the signal with the smaller priority comes first, then the id.
-- How: the playbook makes one small table of every combination of places (a state, and during an interruption the one
-- to go back to) and what each signal makes of it. Folding a life is then one look-up by a number for each signal.

with recursive

customers as (

    select
        customer_id,
        first_seen_at,
        row_number() over (order by customer_id) as customer_number
    from {{ ref('int_customers__resolved') }}

),

states as (

    select * from {{ ref('lifecycle_states') }}

),

transitions as (

    select * from {{ ref('lifecycle_transitions') }}

),

occurrences as (

    select * from {{ ref('int_signals__detected') }}
    where outcome = 'fired'

),

-- which signals can move anything, and which of two at the same instant comes first?
signals as (

    select
        signal_id,
        min(priority) as priority,
        row_number() over (order by signal_id) as signal_number
    from transitions
    group by signal_id

),

-- a transition with what it takes to walk it; an interruption of an interruption still goes back to what was
-- interrupted first
edges as (

    select
        transitions.from_state,
        transitions.signal_id,
        transitions.to_state,
        transitions.reason,
        from_states.is_interruption as from_interruption,
        coalesce(to_states.is_interruption, false) as to_interruption
    from transitions
    inner join states as from_states
        on transitions.from_state = from_states.state
    left join states as to_states
        on transitions.to_state = to_states.state

),

-- which states of a region can be reached at all, and which one waits behind an interruption?
places as (

    select
        region,
        state,
        '' as resume_state
    from states
    where is_initial
    union
    select
        places.region,
        case when edges.to_state = 'resume' then places.resume_state else edges.to_state end as state,
        case
            when not edges.to_interruption then ''
            when edges.from_interruption then places.resume_state
            else places.state
        end as resume_state
    from places
    inner join edges
        on places.state = edges.from_state

),

-- what does each signal make of each place?
turns as (

    select
        places.region,
        places.state,
        places.resume_state,
        signals.signal_number,
        case
            when edges.to_state is null then places.state
            when edges.to_state = 'resume' then places.resume_state
            else edges.to_state
        end as next_state,
        case
            when edges.to_state is null then places.resume_state
            when not edges.to_interruption then ''
            when edges.from_interruption then places.resume_state
            else places.state
        end as next_resume_state,
        edges.reason
    from places
    cross join signals
    left join edges
        on
            places.state = edges.from_state
            and signals.signal_id = edges.signal_id

),

-- every combination of places in the three regions, numbered
standings as (

    select
        engagement.state as engagement,
        engagement.resume_state as engagement_resume,
        revenue.state as revenue,
        revenue.resume_state as revenue_resume,
        risk.state as risk,
        risk.resume_state as risk_resume,
        row_number() over (
            order by
                engagement.state, engagement.resume_state, revenue.state, revenue.resume_state, risk.state,
                risk.resume_state
        ) as standing_number
    from places as engagement
    inner join places as revenue
        on revenue.region = 'revenue'
    inner join places as risk
        on risk.region = 'risk'
    where engagement.region = 'engagement'

),

-- where does a signal lead from each combination? a region that does not listen stays where it is
steps as (

    select
        -- one key that only a life and its next signal together have, so that no plan pairs all signals with all steps
        standings.standing_number * 1000000 + engagement.signal_number as step_key,
        reached.standing_number as next_standing_number,
        engagement.reason as engagement_reason,
        revenue.reason as revenue_reason,
        risk.reason as risk_reason
    from standings
    inner join turns as engagement
        on
            engagement.region = 'engagement'
            and standings.engagement = engagement.state
            and standings.engagement_resume = engagement.resume_state
    inner join turns as revenue
        on
            revenue.region = 'revenue'
            and standings.revenue = revenue.state
            and standings.revenue_resume = revenue.resume_state
            and engagement.signal_number = revenue.signal_number
    inner join turns as risk
        on
            risk.region = 'risk'
            and standings.risk = risk.state
            and standings.risk_resume = risk.resume_state
            and engagement.signal_number = risk.signal_number
    inner join standings as reached
        on
            engagement.next_state = reached.engagement
            and engagement.next_resume_state = reached.engagement_resume
            and revenue.next_state = reached.revenue
            and revenue.next_resume_state = reached.revenue_resume
            and risk.next_state = reached.risk
            and risk.next_resume_state = reached.risk_resume

),

-- where does every life begin?
beginning as (

    select standings.standing_number
    from standings
    inner join states as engagement
        on
            standings.engagement = engagement.state
            and engagement.is_initial
            and standings.engagement_resume = ''
    inner join states as revenue
        on
            standings.revenue = revenue.state
            and revenue.is_initial
            and standings.revenue_resume = ''
    inner join states as risk
        on
            standings.risk = risk.state
            and risk.is_initial
            and standings.risk_resume = ''

),

-- a customer's signals in the order in which they move it
numbered as (

    select
        customers.customer_number,
        signals.signal_number,
        occurrences.signal_id,
        occurrences.occurrence_id,
        occurrences.occurred_at,
        occurrences.detected_at,
        occurrences.proving_event_ids,
        row_number() over (
            partition by customers.customer_number
            order by occurrences.occurred_at, signals.priority, occurrences.occurrence_id
        ) as point_number
    from occurrences
    inner join signals
        on occurrences.signal_id = signals.signal_id
    inner join customers
        on occurrences.customer_id = customers.customer_id

),

-- signal after signal, where does each life stand?
folded as (

    select
        customers.customer_number,
        cast(0 as bigint) as point_number,
        cast(null as bigint) as signal_number,
        cast(null as bigint) as standing_before,
        beginning.standing_number
    from customers
    cross join beginning
    union all
    select
        folded.customer_number,
        numbered.point_number,
        numbered.signal_number,
        folded.standing_number as standing_before,
        steps.next_standing_number as standing_number
    from folded
    inner join numbered
        on
            folded.customer_number = numbered.customer_number
            and folded.point_number + 1 = numbered.point_number
    inner join steps
        on folded.standing_number * 1000000 + numbered.signal_number = steps.step_key

),

-- nobody was seen before the first signal
first_signals as (

    select
        customer_number,
        occurred_at
    from numbered
    where point_number = 1

)

select
    customers.customer_id,
    folded.customer_number,
    folded.point_number,
    standings.engagement,
    standings.revenue,
    standings.risk,
    earlier.engagement as engagement_before,
    earlier.revenue as revenue_before,
    earlier.risk as risk_before,
    steps.engagement_reason,
    steps.revenue_reason,
    steps.risk_reason,
    numbered.signal_id,
    numbered.occurrence_id,
    numbered.proving_event_ids,
    coalesce(numbered.occurred_at, least(customers.first_seen_at, first_signals.occurred_at)) as valid_from,
    numbered.detected_at
from folded
inner join customers
    on folded.customer_number = customers.customer_number
inner join standings
    on folded.standing_number = standings.standing_number
left join standings as earlier
    on folded.standing_before = earlier.standing_number
left join steps
    on folded.standing_before * 1000000 + folded.signal_number = steps.step_key
left join numbered
    on
        folded.customer_number = numbered.customer_number
        and folded.point_number = numbered.point_number
left join first_signals
    on folded.customer_number = first_signals.customer_number
where
    folded.standing_before is null
    or folded.standing_before != folded.standing_number
