-- One row per occurrence and action that listens to its signal, with everything a decision looks at and no decision
-- yet. What holds an action back for good is judged at the moment of decision (when the occurrence was first known,
-- or at the end of its usefulness if that came first), so the answer does not change from run to run. Holdout and arm
-- are assigned for every row, before any cap or consent.

with

occurrences as (

    select * from {{ ref('int_signals__detected') }}
    where outcome = 'fired'

),

actions as (

    select * from {{ ref('actions') }}

),

stays as (

    select * from {{ ref('int_lifecycle__dated') }}
    where region = 'customer'

),

permits as (

    select * from {{ ref('state_permits') }}

),

holdouts as (

    select * from {{ ref('holdouts') }}
    where layer = 'global'

),

recipients as (

    select
        customer_id,
        primary_user_id,
        primary_email,
        has_consent,
        crm_deal_id,
        open_deal_id is not null as has_open_deal,
        -- the part of a stage id before the colon is its pipeline; the first pipeline has none
        case when crm_deal_stage_id like '%:%' then split_part(crm_deal_stage_id, ':', 1) else '' end as deal_pipeline
    from {{ ref('int_customer_marketing__current') }}

),

stages as (

    select
        template,
        stage_id,
        case when stage_id like '%:%' then split_part(stage_id, ':', 1) else '' end as pipeline
    from {{ ref('deal_stages') }}

),

-- what has left already, or may have
deliveries as (

    select
        action_id,
        action,
        occurrence_id,
        sent_at
    from {{ ref('int_deliveries__committed') }}
    qualify row_number() over (
        partition by action, occurrence_id
        order by sent_at, action_id
    ) = 1

),

timed as (

    select
        occurrences.occurrence_id,
        occurrences.signal_id,
        occurrences.rearm,
        occurrences.customer_id,
        occurrences.user_id,
        occurrences.occurred_at,
        occurrences.detected_at,
        occurrences.is_historical or occurrences.occurred_at < actions.enabled_at as is_historical,
        actions.action,
        actions.destination,
        actions.object,
        actions.template,
        actions.template_version,
        actions.owner_team,
        actions.priority,
        actions.cooldown_hours,
        actions.cap_class,
        actions.requires_consent,
        actions.is_transactional,
        actions.respects_holdout,
        actions.mode,
        actions.control_percent,
        actions.goal_signal_id,
        actions.urgency,
        actions.title,
        greatest(occurrences.detected_at, actions.enabled_at) as decided_at,
        {{ dbt.dateadd('hour', 'actions.stale_after_hours', 'occurrences.occurred_at') }} as expires_at
    from occurrences
    inner join actions
        on occurrences.signal_id = actions.signal_id

),

placed as (

    select
        timed.*,
        stays.state as state_at_decision,
        stays.state_sequence as stay_at_decision,
        stays.valid_from as stay_started_at
    from timed
    left join stays
        on
            timed.customer_id = stays.customer_id
            and least(timed.decided_at, timed.expires_at) >= stays.valid_from
            and (least(timed.decided_at, timed.expires_at) < stays.valid_to or stays.valid_to is null)

),

-- which actions may somebody take in a state, whoever it is?
permits_of_any_team as (

    select distinct
        state,
        action
    from permits

),

-- may the action be taken in that state, and by the team that owns the action?
judged as (

    select
        placed.*,
        any_permit.action is not null as is_permitted,
        own_permit.action is not null as is_permitted_to_owner,
        own_permit.max_per_stay
    from placed
    left join permits_of_any_team as any_permit
        on
            placed.state_at_decision = any_permit.state
            and placed.action = any_permit.action
    left join permits as own_permit
        on
            placed.state_at_decision = own_permit.state
            and placed.action = own_permit.action
            and placed.owner_team = own_permit.team

),

assigned as (

    select
        judged.*,
        recipients.primary_user_id as recipient_user_id,
        recipients.primary_email as recipient_email,
        -- a stage can only be reached by an open deal of its own pipeline
        case
            when
                stages.stage_id is null
                or (recipients.has_open_deal and recipients.deal_pipeline = stages.pipeline)
                then recipients.crm_deal_id
        end as crm_deal_id,
        coalesce(recipients.has_consent, false) as has_consent,
        {{ shard('holdouts.salt', 'judged.customer_id') }} as holdout_shard,
        {{ shard('judged.action', 'judged.customer_id') }} as arm_shard,
        holdouts.first_shard as holdout_first_shard,
        holdouts.last_shard as holdout_last_shard,
        deliveries.action_id as delivered_action_id,
        deliveries.sent_at
    from judged
    cross join holdouts
    left join recipients
        on judged.customer_id = recipients.customer_id
    left join stages
        on
            judged.object = 'deal_stages'
            and judged.template = stages.template
    left join deliveries
        on
            judged.action = deliveries.action
            and judged.occurrence_id = deliveries.occurrence_id

)

select
    -- what was delivered under an id keeps it, even if the customer has since been merged into another
    coalesce(
        delivered_action_id,
        {{ surrogate_key(['action', 'customer_id', 'occurrence_id', 'template_version']) }}
    ) as action_id,
    occurrence_id,
    signal_id,
    rearm,
    customer_id,
    user_id,
    action,
    destination,
    object,
    template,
    template_version,
    title,
    urgency,
    owner_team,
    priority,
    cooldown_hours,
    cap_class,
    is_transactional,
    mode,
    goal_signal_id,
    max_per_stay,
    occurred_at,
    detected_at,
    decided_at,
    expires_at,
    sent_at,
    sent_at is not null as is_sent,
    decided_at < expires_at and expires_at > {{ as_of() }} as is_open,
    state_at_decision,
    stay_at_decision,
    stay_started_at,
    recipient_user_id,
    recipient_email,
    crm_deal_id,
    holdout_shard,
    arm_shard,
    holdout_shard between holdout_first_shard and holdout_last_shard as is_in_holdout,
    case
        when mode != 'experiment' then 'none'
        when arm_shard < control_percent * 100 then 'control'
        else 'treatment'
    end as arm,
    case
        when not is_permitted then 'not_permitted_in_state'
        when not is_permitted_to_owner then 'owner_mismatch'
        when requires_consent and not has_consent then 'no_consent'
        when destination = 'customerio' and recipient_user_id is null then 'no_recipient'
        when destination = 'zendesk' and recipient_email is null then 'no_recipient'
        when destination = 'bitrix24' and crm_deal_id is null then 'no_recipient'
        when is_historical then 'historical'
        when decided_at >= expires_at then 'stale'
        when respects_holdout and holdout_shard between holdout_first_shard and holdout_last_shard then 'holdout'
        when mode = 'experiment' and arm_shard < control_percent * 100 then 'control_arm'
        when mode = 'shadow' then 'shadow'
        when mode = 'paused' then 'paused'
    end as standing_reason
from assigned
