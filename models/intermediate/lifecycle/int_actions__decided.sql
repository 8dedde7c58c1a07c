-- One row per occurrence and action, decided: permitted, or suppressed for the first reason in the order of the seed
-- suppression_reasons.
-- What was sent stays permitted, and counts before anything else against cooldowns, stays and caps. Everything still
-- open would leave at as_of, so the open rows compete with each other at one instant: by priority, then age, then
-- ids. The three limits are applied one after the other, each only to what the one before let through; a row that a
-- later limit stops never frees a place in an earlier one, because the limits nest (a cooldown is per action, a cap
-- per class of actions), so ranking is the same as admitting one by one.

with

proposed as (

    select * from {{ ref('int_actions__proposed') }}

),

occurrences as (

    select
        customer_id,
        signal_id,
        occurred_at
    from {{ ref('int_signals__detected') }}
    where outcome = 'fired'

),

stays as (

    select * from {{ ref('int_lifecycle__dated') }}
    where region = 'customer'

),

permits as (

    select * from {{ ref('state_permits') }}

),

actions as (

    select
        action,
        cap_class,
        is_transactional
    from {{ ref('actions') }}

),

caps as (

    select * from {{ ref('frequency_caps') }}

),

sent as (

    select
        deliveries.customer_id,
        deliveries.action,
        deliveries.occurrence_id,
        deliveries.sent_at,
        actions.cap_class,
        actions.is_transactional
    from {{ ref('int_deliveries__committed') }} as deliveries
    inner join actions
        on deliveries.action = actions.action

),

-- the rows that only the circumstances of the moment can still hold back
waiting as (

    select
        *,
        -- an open row would leave now; a closed one could have left from its decision to its expiry
        case when is_open then {{ as_of() }} else decided_at end as leaves_from,
        least({{ as_of() }}, expires_at) as leaves_until
    from proposed
    where
        standing_reason is null
        and not is_sent

),

goals as (

    select distinct waiting.action_id
    from waiting
    inner join occurrences
        on
            waiting.customer_id = occurrences.customer_id
            and waiting.goal_signal_id = occurrences.signal_id
            and waiting.occurred_at < occurrences.occurred_at
            and waiting.leaves_until > occurrences.occurred_at

),

-- is the customer, at the moment of leaving, still in a state that permits the action?
still_permitted as (

    select distinct waiting.action_id
    from waiting
    inner join stays
        on
            waiting.customer_id = stays.customer_id
            and waiting.leaves_until >= stays.valid_from
            and (waiting.leaves_until < stays.valid_to or stays.valid_to is null)
    inner join permits
        on
            stays.state = permits.state
            and waiting.action = permits.action
            and waiting.owner_team = permits.team

),

-- what did the customer already get that counts against this row?
sent_before as (

    select
        waiting.action_id,
        count(*) filter (
            where waiting.action = sent.action and waiting.rearm = 'once'
        ) as sent_of_milestone,
        count(*) filter (
            where
            waiting.action = sent.action
            and sent.sent_at > {{ dbt.dateadd('hour', '-waiting.cooldown_hours', 'waiting.leaves_from') }}
        ) as sent_in_cooldown,
        count(*) filter (
            where
            waiting.action = sent.action
            and sent.sent_at >= waiting.stay_started_at
        ) as sent_in_stay
    from waiting
    inner join sent
        on
            waiting.customer_id = sent.customer_id
            and waiting.leaves_until > sent.sent_at
    group by waiting.action_id

),

-- how many of its class may still leave under the tightest cap?
allowances as (

    select
        action_id,
        min(max_actions - sent_in_window) as allowance
    from (
        select
            waiting.action_id,
            caps.max_actions,
            caps.within_hours,
            count(sent.occurrence_id) as sent_in_window
        from waiting
        inner join caps
            on waiting.cap_class = caps.cap_class
        left join sent
            on
                waiting.customer_id = sent.customer_id
                and waiting.cap_class = sent.cap_class
                and not sent.is_transactional
                and sent.sent_at > {{ dbt.dateadd('hour', '-caps.within_hours', 'waiting.leaves_from') }}
                and waiting.leaves_until > sent.sent_at
        where not waiting.is_transactional
        group by waiting.action_id, caps.max_actions, caps.within_hours
    ) as windows
    group by action_id

),

circumstances as (

    select
        waiting.*,
        coalesce(sent_before.sent_in_stay, 0) as sent_in_stay,
        allowances.allowance,
        case
            when goals.action_id is not null then 'goal_met'
            when still_permitted.action_id is null then 'state_left'
            when sent_before.sent_of_milestone > 0 then 'duplicate'
            when waiting.cooldown_hours > 0 and sent_before.sent_in_cooldown > 0 then 'cooldown'
        end as passing_reason
    from waiting
    left join goals
        on waiting.action_id = goals.action_id
    left join still_permitted
        on waiting.action_id = still_permitted.action_id
    left join sent_before
        on waiting.action_id = sent_before.action_id
    left join allowances
        on waiting.action_id = allowances.action_id

),

-- the same action for the same customer twice in one run: the cooldown lets the first one through
after_cooldown as (

    select
        *,
        row_number() over (
            partition by customer_id, action, is_open, passing_reason is null
            order by occurred_at, occurrence_id
        ) as place_in_action
    from circumstances

),

after_stay as (

    select
        *,
        coalesce(
            passing_reason,
            case
                when is_open and cooldown_hours > 0 and place_in_action > 1 then 'cooldown'
                when sent_in_stay >= max_per_stay then 'stay_limit'
                when is_open and sent_in_stay + place_in_action > max_per_stay then 'stay_limit'
            end
        ) as limiting_reason
    from after_cooldown

),

-- among the open rows that are left, who comes first within a class of capped actions? transactional ones do not
-- compete
arbitrated as (

    select
        *,
        row_number() over (
            partition by customer_id, cap_class, is_open, is_transactional, limiting_reason is null
            order by priority, occurred_at, action, occurrence_id
        ) as place_in_class
    from after_stay

),

ruled as (

    select
        action_id,
        coalesce(
            limiting_reason,
            case
                when allowance <= 0 then 'frequency_cap'
                when is_open and place_in_class > allowance then 'lost_arbitration'
                when not is_open then 'expired'
            end
        ) as circumstance_reason
    from arbitrated

)

select
    proposed.*,
    case
        when proposed.is_sent then null
        else coalesce(proposed.standing_reason, ruled.circumstance_reason)
    end as suppression_reason,
    case
        when proposed.is_sent or coalesce(proposed.standing_reason, ruled.circumstance_reason) is null then 'permitted'
        else 'suppressed'
    end as decision
from proposed
left join ruled
    on proposed.action_id = ruled.action_id
