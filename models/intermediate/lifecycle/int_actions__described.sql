-- One row per action that is due (permitted, still in time, not sent): the decision, and what a person needs to know
-- before acting, in words and numbers. The act_ models take their rows from here and add only the payload.
-- Everything is told as of the decision (whole days before it, signals and deliveries up to it), not as of the build:
-- a retry on the next day must carry the same words, or the destination would take it for something else.

with

due as (

    select * from {{ ref('int_actions__decided') }}
    where
        decision = 'permitted'
        and is_open
        and not is_sent

),

occurrences as (

    select * from {{ ref('int_signals__told') }}
    where outcome = 'fired'

),

signals as (

    select
        signal_id,
        meaning
    from {{ ref('signal_definitions') }}

),

stays as (

    select * from {{ ref('int_lifecycle__dated') }}
    where region = 'customer'

),

states as (

    select
        state,
        meaning,
        owner_team
    from {{ ref('lifecycle_states') }}

),

teams as (

    select
        team,
        name as team_name
    from {{ ref('teams') }}

),

actions as (

    select
        action,
        title,
        priority,
        mode
    from {{ ref('actions') }}

),

permits as (

    select
        state,
        team,
        action
    from {{ ref('state_permits') }}

),

customers as (

    select
        customer_id,
        customer_name
    from {{ ref('int_customers__resolved') }}

),

-- the account in the product; the smallest id where a customer has several
accounts as (

    select
        customer_id,
        min(source_record_id) as account_id
    from {{ ref('int_identities__resolved') }}
    where
        source_system = 'product'
        and source_record_type = 'account'
    group by customer_id

),

activity as (

    select
        customer_id,
        activity_date,
        qualifying_events,
        last_at
    from {{ ref('int_activity__daily_edged') }}

),

events as (

    select
        customer_id,
        event_name,
        occurred_at
    from {{ ref('int_events__attributed') }}
    where
        event_name is not null
        and customer_id is not null
        and occurred_at < {{ as_of() }}
        -- what is due was decided within the last three days (actions are stale after 72 hours), and a week is told
        and occurred_at >= {{ dbt.dateadd('day', -11, as_of()) }}

),

billing as (

    select
        customer_id,
        plan,
        seats,
        mrr,
        subscription_status,
        renewal_on
    from {{ ref('int_customer_billing__current') }}

),

support as (

    select
        customer_id,
        created_at
    from {{ ref('int_tickets__attributed') }}
    where not is_own_escalation

),

-- what a notice of a hand-off is about
hand_offs as (

    select
        outcomes.occurrence_id,
        hand_offs.from_team,
        hand_offs.to_team,
        hand_offs.pick_up_by
    from {{ ref('int_outcomes__observed') }} as outcomes
    inner join {{ ref('int_hand_offs__followed') }} as hand_offs
        on outcomes.subject_id = hand_offs.hand_off_id

),

deliveries as (

    select
        customer_id,
        action,
        destination,
        sent_at
    from {{ ref('int_deliveries__committed') }}

),

-- what happened that calls for the action?
triggers as (

    select
        due.action_id,
        signals.meaning as trigger_meaning,
        occurrences.proof_count,
        occurrences.proof_from,
        occurrences.proof_to,
        occurrences.proving_event_ids
    from due
    inner join occurrences
        on due.occurrence_id = occurrences.occurrence_id
    inner join signals
        on due.signal_id = signals.signal_id

),

-- how much was the product used in the whole days before the decision?
usage as (

    select
        due.action_id,
        max(activity.last_at) as last_active_at,
        coalesce(sum(activity.qualifying_events) filter (
            where activity.activity_date >= {{ dbt.dateadd('day', -7, 'cast(due.decided_at as date)') }}
        ), 0) as events_7d,
        count(*) filter (
            where activity.activity_date >= {{ dbt.dateadd('day', -7, 'cast(due.decided_at as date)') }}
        ) as active_days_7d,
        coalesce(sum(activity.qualifying_events) filter (
            where activity.activity_date >= {{ dbt.dateadd('day', -28, 'cast(due.decided_at as date)') }}
        ), 0) as events_28d,
        count(*) filter (
            where activity.activity_date >= {{ dbt.dateadd('day', -28, 'cast(due.decided_at as date)') }}
        ) as active_days_28d
    from due
    inner join activity
        on
            due.customer_id = activity.customer_id
            and cast(due.decided_at as date) > activity.activity_date
    group by due.action_id

),

-- what was used most in the seven days before?
event_counts as (

    select
        due.action_id,
        events.event_name,
        count(*) as event_count,
        row_number() over (partition by due.action_id order by count(*) desc, events.event_name) as event_rank
    from due
    inner join events
        on
            due.customer_id = events.customer_id
            and due.decided_at > events.occurred_at
            and {{ dbt.dateadd('day', -7, 'due.decided_at') }} <= events.occurred_at
    group by due.action_id, events.event_name

),

-- what did people do most in the week before?
deeds as (

    select
        action_id,
        {{ dbt.listagg(
            "event_name || ' ' || cast(event_count as " ~ dbt.type_string() ~ ")",
            "', '",
            'order by event_rank',
        ) }} as top_events_7d
    from event_counts
    where event_rank <= 5
    group by action_id

),

-- what else happened to the customer in the thirty days before? people read it in a ticket
recent_occurrences as (

    select
        due.action_id,
        occurrences.occurred_at,
        signals.meaning,
        row_number() over (
            partition by due.action_id
            order by occurrences.occurred_at desc, occurrences.occurrence_id asc
        ) as recency
    from due
    inner join occurrences
        on
            due.customer_id = occurrences.customer_id
            and due.occurrence_id != occurrences.occurrence_id
            and due.decided_at >= occurrences.occurred_at
            and {{ dbt.dateadd('day', -30, 'due.decided_at') }} <= occurrences.occurred_at
    inner join signals
        on occurrences.signal_id = signals.signal_id

),

-- what else happened in the month before?
recent as (

    select
        action_id,
        {{ dbt.listagg(
            "'- ' || " ~ utc_words('occurred_at') ~ " || ': ' || meaning",
            'chr(10)',
            'order by recency',
        ) }} as recent_signals
    from recent_occurrences
    where recency <= 8
    group by action_id

),

-- what was already tried in the month before?
tried as (

    select
        due.action_id,
        {{ dbt.listagg(
            "'- ' || " ~ utc_words('deliveries.sent_at')
            ~ " || ': ' || actions.title || ' (' || deliveries.destination || ')'",
            'chr(10)',
            'order by deliveries.sent_at desc, deliveries.action',
        ) }} as tried_actions
    from due
    inner join deliveries
        on
            due.customer_id = deliveries.customer_id
            and due.decided_at >= deliveries.sent_at
            and {{ dbt.dateadd('day', -30, 'due.decided_at') }} <= deliveries.sent_at
    inner join actions
        on deliveries.action = actions.action
    group by due.action_id

),

-- who may do what in this state?
permitted as (

    select
        permits.state,
        {{ dbt.listagg(
            "'- ' || teams.team_name || ': ' || actions.title || ' (' || permits.action || ')'",
            'chr(10)',
            'order by actions.priority, permits.action',
        ) }} as permitted_actions
    from permits
    inner join actions
        on permits.action = actions.action
    inner join teams
        on permits.team = teams.team
    where actions.mode != 'paused'
    group by permits.state

),

tickets as (

    select
        due.action_id,
        count(*) as tickets_28d
    from due
    inner join support
        on
            due.customer_id = support.customer_id
            and due.decided_at > support.created_at
            and {{ dbt.dateadd('day', -28, 'due.decided_at') }} <= support.created_at
    group by due.action_id

),

joined as (

    select
        due.action_id,
        due.customer_id,
        due.action,
        due.destination,
        due.object,
        due.occurrence_id,
        due.occurred_at,
        due.decided_at,
        due.expires_at,
        cast(due.priority as integer) as priority,
        cast(due.template_version as integer) as template_version,
        due.template,
        due.title,
        due.urgency,
        due.owner_team,
        due.recipient_user_id,
        due.recipient_email,
        due.crm_deal_id,
        due.crm_owner_id,
        accounts.account_id,
        coalesce(customers.customer_name, due.customer_id) as customer_name,
        due.state_at_decision as lifecycle_state,
        states.meaning as state_meaning,
        stays.valid_from as state_since,
        coalesce(stays.reason, 'first seen') as state_reason,
        states.owner_team as state_owner_team,
        teams.team_name as state_owner_name,
        triggers.trigger_meaning,
        triggers.proof_count,
        triggers.proof_from,
        triggers.proof_to,
        triggers.proving_event_ids,
        usage.last_active_at,
        coalesce(usage.events_7d, 0) as events_7d,
        coalesce(usage.active_days_7d, 0) as active_days_7d,
        coalesce(usage.events_28d, 0) as events_28d,
        coalesce(usage.active_days_28d, 0) as active_days_28d,
        coalesce(tickets.tickets_28d, 0) as tickets_28d,
        billing.plan,
        billing.seats,
        billing.mrr,
        billing.subscription_status,
        billing.renewal_on,
        deeds.top_events_7d,
        recent.recent_signals,
        tried.tried_actions,
        permitted.permitted_actions,
        hand_offs.from_team as handed_from,
        hand_offs.to_team as handed_to,
        hand_offs.pick_up_by
    from due
    inner join triggers
        on due.action_id = triggers.action_id
    inner join states
        on due.state_at_decision = states.state
    inner join teams
        on states.owner_team = teams.team
    left join stays
        on
            due.customer_id = stays.customer_id
            and due.stay_at_decision = stays.state_sequence
    left join customers
        on due.customer_id = customers.customer_id
    left join accounts
        on due.customer_id = accounts.customer_id
    left join usage
        on due.action_id = usage.action_id
    left join tickets
        on due.action_id = tickets.action_id
    left join billing
        on due.customer_id = billing.customer_id
    left join deeds
        on due.action_id = deeds.action_id
    left join recent
        on due.action_id = recent.action_id
    left join tried
        on due.action_id = tried.action_id
    left join permitted
        on due.state_at_decision = permitted.state
    left join hand_offs
        on due.occurrence_id = hand_offs.occurrence_id

)

{% set text = dbt.type_string() %}

select
    *,
    customer_name || ' (' || customer_id || ')' || chr(10) || chr(10)
    || 'What happened: ' || trigger_meaning || chr(10)
    || 'Proof: ' || cast(proof_count as {{ text }}) || case when proof_count = 1 then ' event' else ' events' end
    || ' from ' || {{ utc_words('proof_from') }} || ' to ' || {{ utc_words('proof_to') }}
    || ' (' || proving_event_ids || ').' || chr(10) || chr(10)
    || 'State: ' || lifecycle_state || ' since ' || {{ utc_words('state_since') }} || ', because: ' || state_reason
    || '. ' || state_meaning || ' Owner: ' || state_owner_name || '.' || chr(10)
    || coalesce(
        'Handed from ' || handed_from || ' to ' || handed_to
        || coalesce(', to be picked up by ' || {{ utc_words('pick_up_by') }}, '') || '.' || chr(10),
        ''
    )
    || 'Use in the 7 days before: ' || cast(events_7d as {{ text }}) || ' events, active days: '
    || cast(active_days_7d as {{ text }}) || '; in 28 days: ' || cast(events_28d as {{ text }})
    || ' events, active days: ' || cast(active_days_28d as {{ text }}) || '. '
    || coalesce('Last active ' || {{ utc_words('last_active_at') }} || '.', 'Never active before that.') || chr(10)
    || coalesce('Most frequent in 7 days: ' || top_events_7d || '.' || chr(10), '')
    || 'Tickets in 28 days: ' || cast(tickets_28d as {{ text }}) || '.' || chr(10)
    || coalesce(
        'Pays: USD ' || cast(mrr as {{ text }}) || ' a month'
        || coalesce(', plan ' || plan, '')
        || coalesce(', ' || cast(seats as {{ text }}) || ' seats', '')
        || coalesce(', ' || subscription_status, '')
        || coalesce(', renewal on ' || cast(renewal_on as {{ text }}), '') || '.' || chr(10),
        'Pays: no subscription known.' || chr(10)
    )
    || chr(10) || 'Before that, in 30 days:' || chr(10)
    || coalesce(recent_signals, '- nothing that the playbook listens to')
    || chr(10) || chr(10) || 'Already tried in 30 days:' || chr(10) || coalesce(tried_actions, '- nothing')
    || chr(10) || chr(10) || 'Permitted in this state:' || chr(10) || coalesce(permitted_actions, '- nothing')
        as story
from joined
