-- One row per occurrence and action of the playbook: permitted, or suppressed and why.
-- Why it exists: what was not sent is as much an answer as what was. The reason is the first that applies, in the
-- order of the seed suppression_reasons; holdout and arm are logged for every row, before caps and consent.

with

decisions as (

    select * from {{ ref('int_actions__decided') }}

)

select
    action_id,
    customer_id,
    action,
    occurrence_id,
    signal_id,
    destination,
    object,
    owner_team,
    cast(priority as bigint) as priority,
    cast(value_usd as bigint) as value_usd,
    cast(template_version as bigint) as template_version,
    mode,
    arm,
    cast(arm_shard as bigint) as arm_shard,
    layer,
    cast(layer_shard as bigint) as layer_shard,
    holdout_shard,
    is_in_holdout,
    journey,
    cast(journey_version as bigint) as journey_version,
    path_id as journey_path_id,
    decision,
    suppression_reason,
    held_back_by,
    release_at,
    is_transactional as is_exempt_from_caps,
    state_at_decision as lifecycle_state,
    occurred_at,
    detected_at,
    decided_at,
    expires_at,
    is_open,
    sent_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from decisions
