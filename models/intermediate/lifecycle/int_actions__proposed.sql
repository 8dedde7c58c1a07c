-- One row per occurrence and action that listens to its signal, with everything a decision looks at and no decision
-- yet. What holds an action back for good is judged at the moment of decision (when the occurrence was first known,
-- or at the end of its usefulness if that came first), so the answer does not change from run to run. Holdout, layer
-- and arm are assigned for every row, before any cap, consent or quiet hour.

with

occurrences as (

    select * from {{ ref('int_signals__told') }}
    where outcome = 'fired'

),

actions as (

    select * from {{ ref('actions') }}

),

-- what is a turn of a journey happens on such a turn and never by itself
turns as (

    select
        walked.occurrence_id,
        walked.next_action,
        walked.journey,
        walked.journey_version,
        walked.path_id,
        tried.goal_signal_id
    from {{ ref('int_journeys__walked') }} as walked
    inner join {{ ref('int_deliveries__committed') }} as deliveries
        on walked.after_action_id = deliveries.action_id
    inner join actions as tried
        on deliveries.action = tried.action

),

next_actions as (

    select distinct next_action
    from {{ ref('journeys') }}
    where next_action is not null

),

stays as (

    select * from {{ ref('int_lifecycle__dated') }}
    where region = 'customer'

),

permits as (

    select * from {{ ref('state_permits') }}

),

layers as (

    select * from {{ ref('holdouts') }}

),

holdouts as (

    select * from layers
    where layer = 'global'

),

pauses as (

    select * from {{ ref('pauses') }}
    where
        starts_at <= {{ as_of() }}
        and (ends_at > {{ as_of() }} or ends_at is null)

),

time_zones as (

    select * from {{ ref('time_zones') }}

),

observed_zones as (

    select
        customer_id,
        time_zone
    from {{ ref('int_time_zones__observed') }}

),

-- where neither a person nor a device said anything, the customer lives where `*` does
zone_elsewhere as (

    select time_zone
    from time_zones
    where customer_id = '*'

),

paused_customers as (

    select distinct customer_id
    from pauses
    where customer_id is not null

),

paused_destinations as (

    select distinct destination
    from pauses
    where customer_id is null

),

recipients as (

    select
        customer_id,
        primary_user_id,
        primary_email,
        has_consent,
        crm_deal_id,
        crm_owner_id,
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

-- which actions listen to what happened, and until when do they make sense?
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
        actions.value_usd,
        actions.cooldown_hours,
        actions.quiet_from_hour,
        actions.quiet_until_hour,
        actions.cap_class,
        actions.requires_consent,
        actions.is_transactional,
        actions.respects_holdout,
        actions.mode,
        actions.control_percent,
        -- a step that only continues wants what the one before it wanted
        coalesce(actions.goal_signal_id, turns.goal_signal_id) as goal_signal_id,
        actions.urgency,
        actions.title,
        turns.journey,
        turns.journey_version,
        turns.path_id,
        greatest(occurrences.detected_at, actions.enabled_at) as decided_at,
        {{ dbt.dateadd('hour', 'actions.stale_after_hours', 'occurrences.occurred_at') }} as expires_at
    from occurrences
    inner join actions
        on occurrences.signal_id = actions.signal_id
    left join next_actions
        on actions.action = next_actions.next_action
    left join turns
        on
            occurrences.occurrence_id = turns.occurrence_id
            and actions.action = turns.next_action
    where next_actions.next_action is null or turns.path_id is not null

),

-- in which state was the customer then? What happened before anything was known of them (a ticket that was given to
-- another organization has a time of before that one came) finds them in their first.
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
            and (least(timed.decided_at, timed.expires_at) >= stays.valid_from or stays.state_sequence = 1)
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

-- who would get it, where they are, what keeps it from them, and in which shards the dice have put them
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
        recipients.crm_owner_id,
        coalesce(recipients.has_consent, false) as has_consent,
        paused_customers.customer_id is not null as is_suppressed,
        paused_destinations.destination is not null as is_destination_paused,
        coalesce(time_zones.time_zone, observed_zones.time_zone, zone_elsewhere.time_zone) as time_zone,
        {{ shard('holdouts.salt', 'judged.customer_id') }} as holdout_shard,
        {{ shard('judged.action', 'judged.customer_id') }} as arm_shard,
        layers.layer,
        {{ shard('layers.salt', 'judged.customer_id') }} as layer_shard,
        holdouts.first_shard as holdout_first_shard,
        holdouts.last_shard as holdout_last_shard,
        layers.first_shard as layer_first_shard,
        layers.last_shard as layer_last_shard,
        deliveries.action_id as delivered_action_id,
        deliveries.sent_at
    from judged
    cross join holdouts
    cross join zone_elsewhere
    left join layers
        on judged.action = layers.action
    left join time_zones
        on judged.customer_id = time_zones.customer_id
    left join observed_zones
        on judged.customer_id = observed_zones.customer_id
    left join paused_customers
        on judged.customer_id = paused_customers.customer_id
    left join paused_destinations
        on judged.destination = paused_destinations.destination
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

),

-- what time is it where the customer is, and when does the night end there?
clocked as (

    select
        *,
        decided_at < expires_at and expires_at > {{ as_of() }} as is_open,
        {{ local_time(as_of(), 'time_zone') }} as local_now,
        coalesce(holdout_shard between holdout_first_shard and holdout_last_shard, false) as is_in_holdout,
        -- without a layer every customer is the experiment's; in one, only those of its own shards
        coalesce(layer_shard between layer_first_shard and layer_last_shard, true) as is_in_layer
    from assigned

),

-- from when on may it go out, if it is night where the customer is?
released as (

    select
        *,
        case
            when
                not is_open or is_transactional or quiet_from_hour is null
                or (
                    quiet_from_hour < quiet_until_hour
                    and not extract(hour from local_now) between quiet_from_hour and quiet_until_hour - 1
                )
                or (
                    quiet_from_hour > quiet_until_hour
                    and extract(hour from local_now) between quiet_until_hour and quiet_from_hour - 1
                )
                then null
            when extract(hour from local_now) < quiet_until_hour
                then {{ utc_time(
                    dbt.dateadd('hour', 'quiet_until_hour', dbt.date_trunc('day', 'local_now')), 'time_zone'
                ) }}
            else {{ utc_time(
                dbt.dateadd('hour', '24 + quiet_until_hour', dbt.date_trunc('day', 'local_now')), 'time_zone'
            ) }}
        end as release_at,
        case
            when mode != 'experiment' then 'none'
            when not is_in_layer then 'other_experiment'
            when arm_shard < control_percent * 100 then 'control'
            else 'treatment'
        end as arm
    from clocked

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
    value_usd,
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
    is_open,
    state_at_decision,
    stay_at_decision,
    stay_started_at,
    recipient_user_id,
    recipient_email,
    crm_deal_id,
    crm_owner_id,
    journey,
    journey_version,
    path_id,
    time_zone,
    release_at,
    holdout_shard,
    layer,
    layer_shard,
    arm_shard,
    is_in_holdout,
    arm,
    -- each reason for itself: a decision names the first in the order of suppression_reasons, and lists them all
    not is_permitted as is_not_permitted,
    is_permitted and not is_permitted_to_owner as is_owner_mismatch,
    requires_consent and not has_consent as lacks_consent,
    case object
        when 'events' then recipient_user_id is null
        when 'tickets' then recipient_email is null
        when 'deal_stages' then crm_deal_id is null
        when 'tasks' then crm_owner_id is null
        else false
    end as lacks_recipient,
    is_suppressed,
    decided_at >= expires_at as is_stale,
    is_historical,
    respects_holdout and is_in_holdout as is_held_out,
    arm = 'other_experiment' as is_in_other_experiment,
    arm = 'control' as is_control,
    mode = 'shadow' as is_shadow,
    mode = 'paused' as is_paused,
    is_destination_paused
from released
