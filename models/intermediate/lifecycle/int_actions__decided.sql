-- One row per occurrence and action, decided: permitted, or suppressed for the first reason in the order of the seed
-- suppression_reasons; held_back_by lists every reason that applies, so that the order never hides one.
-- What was sent stays permitted, and counts before anything else against cooldowns, stays and caps. Everything still
-- open would leave at as_of, so the open rows compete with each other at one instant: by priority, then value, then
-- age, then ids. Only rows that nothing else holds back compete, and the limits are applied one after the other, each
-- only to what the one before let through; a row that a later limit stops never frees a place in an earlier one,
-- because the limits nest (a cooldown is per action, a cap per class of actions), so ranking is the same as admitting
-- one by one. Hence the order of the reasons decides what is said, never who gets what.

with

proposed as (

    select * from {{ ref('int_actions__proposed') }}

),

occurrences as (

    select
        customer_id,
        signal_id,
        occurred_at
    from {{ ref('int_signals__told') }}
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

-- everything that has not left, at the moment it would
waiting as (

    select
        *,
        -- an open row would leave now; a closed one could have left from its decision to its expiry
        case when is_open then {{ as_of() }} else decided_at end as leaves_from,
        least({{ as_of() }}, expires_at) as leaves_until
    from proposed
    where not is_sent

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

-- since when does each cap count? a calendar day begins at midnight where the customer is
windows as (

    select
        waiting.action_id,
        waiting.customer_id,
        waiting.cap_class,
        waiting.leaves_until,
        caps.max_actions,
        case caps.per
            when 'calendar_day'
                then {{ utc_time(
                    dbt.date_trunc('day', local_time('waiting.leaves_from', 'waiting.time_zone')),
                    'waiting.time_zone'
                ) }}
            -- an action exactly as old as the window has left it
            else {{ dbt.dateadd(
                'microsecond', 1, dbt.dateadd('second', '-caps.within_seconds', 'waiting.leaves_from')
            ) }}
        end as counts_from
    from waiting
    inner join caps
        on waiting.cap_class = caps.cap_class
    where not waiting.is_transactional

),

-- how many of its class may still leave under the tightest cap?
allowances as (

    select
        action_id,
        min(max_actions - sent_in_window) as allowance
    from (
        select
            windows.action_id,
            windows.max_actions,
            windows.counts_from,
            count(sent.occurrence_id) as sent_in_window
        from windows
        left join sent
            on
                windows.customer_id = sent.customer_id
                and windows.cap_class = sent.cap_class
                and not sent.is_transactional
                and windows.counts_from <= sent.sent_at
                and windows.leaves_until > sent.sent_at
        group by windows.action_id, windows.max_actions, windows.counts_from
    ) as counted
    group by action_id

),

-- what speaks against each action at the moment it could go out?
circumstances as (

    select
        waiting.*,
        coalesce(sent_before.sent_in_stay, 0) as sent_in_stay,
        allowances.allowance,
        goals.action_id is not null as is_goal_met,
        not waiting.is_not_permitted and not waiting.is_owner_mismatch and still_permitted.action_id is null
            as is_state_left,
        coalesce(sent_before.sent_of_milestone, 0) > 0 as is_duplicate,
        waiting.cooldown_hours > 0 and coalesce(sent_before.sent_in_cooldown, 0) > 0 as is_in_cooldown,
        coalesce(sent_before.sent_in_stay >= waiting.max_per_stay, false) as is_over_stay,
        coalesce(allowances.allowance <= 0, false) as is_over_cap
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

competing as (

    select
        *,
        is_open and not (
            is_not_permitted or is_owner_mismatch or lacks_consent or lacks_recipient or is_suppressed
            or release_at is not null or is_goal_met or is_state_left or is_stale or is_historical or is_held_out
            or is_in_other_experiment or is_control or is_shadow or is_paused or is_destination_paused or is_duplicate
            or is_in_cooldown
        ) as is_competing
    from circumstances

),

-- the same action for the same customer twice in one run: the cooldown lets the first one through
after_cooldown as (

    select
        *,
        row_number() over (
            partition by customer_id, action, is_competing
            order by occurred_at, occurrence_id
        ) as place_in_action
    from competing

),

after_stay as (

    select
        *,
        is_competing and cooldown_hours > 0 and place_in_action > 1 as is_cooled_by_twin,
        is_competing and sent_in_stay + place_in_action > max_per_stay as is_over_stay_with_twins
    from after_cooldown

),

-- among the open rows that are left, who comes first within a class of capped actions? transactional ones do not
-- compete
arbitrated as (

    select
        *,
        is_competing and not is_cooled_by_twin and not is_over_stay_with_twins as is_in_arbitration,
        row_number() over (
            partition by
                customer_id,
                cap_class,
                is_transactional,
                is_competing and not is_cooled_by_twin and not is_over_stay_with_twins
            order by priority asc, value_usd desc, occurred_at asc, action asc, occurrence_id asc
        ) as place_in_class
    from after_stay

),

-- every reason that applies, in the order of suppression_reasons
reasoned as (

    select
        action_id,
        concat_ws(
            ', ',
            case when is_not_permitted then 'not_permitted_in_state' end,
            case when is_owner_mismatch then 'owner_mismatch' end,
            case when lacks_consent then 'no_consent' end,
            case when lacks_recipient then 'no_recipient' end,
            case when is_suppressed then 'suppressed' end,
            case when release_at is not null then 'quiet_hours' end,
            case when is_over_cap then 'frequency_cap' end,
            case when is_in_arbitration and allowance > 0 and place_in_class > allowance then 'lost_arbitration' end,
            case when is_in_cooldown or is_cooled_by_twin then 'cooldown' end,
            case when is_over_stay or is_over_stay_with_twins then 'stay_limit' end,
            case when is_goal_met then 'goal_met' end,
            case when is_state_left then 'state_left' end,
            case when is_stale then 'stale' end,
            case when is_historical then 'historical' end,
            case when is_held_out then 'holdout' end,
            case when is_in_other_experiment then 'other_experiment' end,
            case when is_control then 'control_arm' end,
            case when is_shadow then 'shadow' end,
            case when is_paused then 'paused' end,
            case when is_destination_paused then 'destination_paused' end,
            case when is_duplicate then 'duplicate' end,
            case when not is_open and not is_stale then 'expired' end
        ) as held_back_by
    from arbitrated

)

select
    proposed.*,
    nullif(reasoned.held_back_by, '') as held_back_by,
    nullif(split_part(reasoned.held_back_by, ', ', 1), '') as suppression_reason,
    case when coalesce(reasoned.held_back_by, '') = '' then 'permitted' else 'suppressed' end as decision
from proposed
left join reasoned
    on proposed.action_id = reasoned.action_id
