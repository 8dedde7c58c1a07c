-- One row per deal of the CRM that should change now: its lifecycle state, and its stage where the playbook moves it.
-- Stage ids belong to the portal, so the playbook names a change by template and the seed deal_stages translates.
-- Fields that the portal does not know are dropped there without a word; the adapter takes that for a refusal.

with

due as (

    select * from {{ ref('int_actions__described') }}
    where
        destination = 'bitrix24'
        and object = 'deal_stages'

),

stages as (

    select
        template,
        stage_id
    from {{ ref('deal_stages') }}

)

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
    due.priority,
    due.template_version,
    case
        when stages.stage_id is null
            then {{ as_json_text(json_object([
                ['deal_id', 'due.crm_deal_id'],
                ['fields', json_object([
                    ['ufCrmLifecycleState', 'due.lifecycle_state'],
                    ['ufCrmLifecycleAction', 'due.action'],
                ])],
            ])) }}
        else {{ as_json_text(json_object([
            ['deal_id', 'due.crm_deal_id'],
            ['fields', json_object([
                ['stageId', 'stages.stage_id'],
                ['ufCrmLifecycleState', 'due.lifecycle_state'],
                ['ufCrmLifecycleAction', 'due.action'],
            ])],
        ])) }}
    end as payload,
    {{ definition_version() }} as definition_version
from due
inner join stages
    on due.template = stages.template
