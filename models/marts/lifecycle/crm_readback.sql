-- One row per deal that we have set in the CRM: what the last acknowledged change set, what the CRM shows now, and
-- whether the two agree. Why it exists: "acknowledged" is the vendor's word; only reading the deal back proves it.
-- Hazard: people work in the CRM. A deal that was edited after our change has every right to look different, and what
-- was not read since the change proves nothing either way.

with

deliveries as (

    select
        action_id,
        customer_id,
        action,
        vendor_reference,
        acknowledged_at
    from {{ ref('action_deliveries') }}
    where
        destination = 'bitrix24'
        and object = 'deal_stages'
        and outcome = 'acknowledged'

),

decisions as (

    select
        action_id,
        template,
        state_at_decision
    from {{ ref('int_actions__decided') }}

),

stages as (

    select
        template,
        stage_id
    from {{ ref('deal_stages') }}

),

deals as (

    select
        deal_id,
        lifecycle_state,
        lifecycle_action,
        stage_id,
        updated_at
    from {{ ref('stg_bitrix24__deals') }}

),

silos as (

    select
        source,
        observed_through_at
    from {{ ref('int_silos__observed') }}

),

-- which change of a deal came last? they are sent one after the other; the id breaks ties
last_set as (

    select * from deliveries
    qualify row_number() over (
        partition by vendor_reference
        order by acknowledged_at desc, action_id desc
    ) = 1

),

-- what did that change set? null where it left a field alone, or where its decision no longer exists
was_set as (

    select
        last_set.vendor_reference as deal_id,
        last_set.customer_id,
        last_set.action_id,
        last_set.action,
        last_set.acknowledged_at,
        decisions.action_id is not null as has_decision,
        decisions.state_at_decision as set_lifecycle_state,
        stages.stage_id as set_stage_id
    from last_set
    left join decisions
        on last_set.action_id = decisions.action_id
    left join stages
        on decisions.template = stages.template

)

select
    was_set.deal_id,
    was_set.customer_id,
    was_set.action_id,
    was_set.action as set_lifecycle_action,
    was_set.set_lifecycle_state,
    was_set.set_stage_id,
    was_set.acknowledged_at,
    deals.lifecycle_action as read_lifecycle_action,
    deals.lifecycle_state as read_lifecycle_state,
    deals.stage_id as read_stage_id,
    deals.updated_at as deal_updated_at,
    case
        when not was_set.has_decision then 'no_decision'
        when coalesce(silos.observed_through_at <= was_set.acknowledged_at, true) then 'not_read_yet'
        when deals.deal_id is null then 'gone'
        when
            deals.lifecycle_action = was_set.action
            and deals.lifecycle_state = was_set.set_lifecycle_state
            and coalesce(deals.stage_id = was_set.set_stage_id, was_set.set_stage_id is null)
            then 'as_set'
        when deals.updated_at > was_set.acknowledged_at then 'changed_since'
        else 'not_kept'
    end as verdict,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from was_set
left join deals
    on was_set.deal_id = deals.deal_id
left join silos
    on silos.source = 'bitrix24'
