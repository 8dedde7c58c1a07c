-- Guards the act_ models: together they hold exactly the decisions that are permitted, open and not sent. Their joins
-- (a stage that is not in deal_stages, a customer without a story) must not lose an action in silence.

with

due as (

    select
        action_id,
        destination
    from {{ ref('action_decisions') }}
    where
        decision = 'permitted'
        and is_open
        and sent_at is null

),

desired as (

    select
        action_id,
        destination
    from {{ ref('act_customerio__events') }}
    union all
    select
        action_id,
        destination
    from {{ ref('act_bitrix24__deal_stages') }}
    union all
    select
        action_id,
        destination
    from {{ ref('act_bitrix24__tasks') }}
    union all
    select
        action_id,
        destination
    from {{ ref('act_make__webhooks') }}
    union all
    select
        action_id,
        destination
    from {{ ref('act_zendesk__tickets') }}

)

select
    due.action_id,
    due.destination,
    desired.action_id as desired_action_id,
    desired.destination as desired_destination
from due
full outer join desired
    on
        due.action_id = desired.action_id
        and due.destination = desired.destination
where
    due.action_id is null
    or desired.action_id is null
