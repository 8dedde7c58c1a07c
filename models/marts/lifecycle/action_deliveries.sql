-- One row per action that the ledger has taken on, with its attempts, its outcome and the decision behind it.
-- Receipts from as_of on are not visible yet: what this run delivers is news of the next one. A delivery whose
-- decision no longer exists (an edited definition, a merged customer) stays, with has_decision false: it happened.

with

deliveries as (

    select * from {{ ref('stg_receipts__deliveries') }}
    where first_planned_at < {{ as_of() }}

),

attempts as (

    select * from {{ ref('stg_receipts__attempts') }}
    where started_at < {{ as_of() }}

),

decisions as (

    select
        action_id,
        decided_at,
        occurred_at,
        detected_at,
        decision,
        owner_team,
        state_at_decision
    from {{ ref('int_actions__decided') }}

),

tried as (

    select
        action_id,
        count(*) as attempt_count,
        min(started_at) as first_attempt_at,
        max(started_at) as last_attempt_at
    from attempts
    group by action_id

),

-- what did the last attempt say? the attempt id breaks ties
last_said as (

    select
        action_id,
        status_code,
        reason
    from attempts
    qualify row_number() over (
        partition by action_id
        order by attempt_number desc, attempt_id desc
    ) = 1

)

select
    deliveries.action_id,
    deliveries.customer_id,
    deliveries.action,
    deliveries.occurrence_id,
    deliveries.destination,
    deliveries.object,
    decisions.action_id is not null as has_decision,
    decisions.decision,
    decisions.owner_team,
    decisions.state_at_decision as lifecycle_state,
    -- an outcome that came at or after as_of is not known yet
    case
        when deliveries.acknowledged_at < {{ as_of() }} then 'acknowledged'
        when deliveries.acknowledged_at is not null then 'planned'
        else deliveries.delivery_state
    end as outcome,
    case when deliveries.acknowledged_at < {{ as_of() }} then deliveries.vendor_reference end as vendor_reference,
    cast(coalesce(tried.attempt_count, 0) as bigint) as attempt_count,
    cast(last_said.status_code as bigint) as last_status_code,
    last_said.reason as last_reason,
    decisions.occurred_at,
    decisions.detected_at,
    decisions.decided_at,
    deliveries.first_planned_at,
    tried.first_attempt_at,
    tried.last_attempt_at,
    case when deliveries.acknowledged_at < {{ as_of() }} then deliveries.acknowledged_at end as acknowledged_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from deliveries
left join decisions
    on deliveries.action_id = decisions.action_id
left join tried
    on deliveries.action_id = tried.action_id
left join last_said
    on deliveries.action_id = last_said.action_id
