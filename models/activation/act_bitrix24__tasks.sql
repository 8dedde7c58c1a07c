-- One row per task that the person who looks after the customer in the CRM should get now, with the story in it and the
-- deal beside it. It is due when the action loses its sense.
-- Hazard: adding the same task again makes a second one; the adapter finds it by the id of the action, and what was
-- acknowledged is due no more.

with

due as (

    select * from {{ ref('int_actions__described') }}
    where
        destination = 'bitrix24'
        and object = 'tasks'

)

{% set no_deal, the_deal = json_texts([]), json_texts(["'D_' || crm_deal_id"]) %}
{% set deals = "case when crm_deal_id is null then " ~ no_deal ~ " else " ~ the_deal ~ " end" %}

select
    action_id,
    customer_id,
    action,
    destination,
    object,
    occurrence_id,
    occurred_at,
    decided_at,
    expires_at,
    priority,
    template_version,
    {{ as_json_text(json_object([
        ['task', json_object([
            ['TITLE', "title || ': ' || customer_name"],
            ['DESCRIPTION', 'story'],
            ['RESPONSIBLE_ID', 'crm_owner_id'],
            ['PRIORITY', "case when urgency in ('high', 'urgent') then '2' else '1' end"],
            ['DEADLINE', iso_utc('expires_at')],
            ['UF_CRM_TASK', deals],
        ])],
    ])) }} as payload,
    {{ definition_version() }} as definition_version
from due
