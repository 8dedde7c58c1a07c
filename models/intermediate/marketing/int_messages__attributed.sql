-- One row per marketing message created before as_of, tied to the customer of the person who got it.
-- Outcomes after as_of have not happened yet and are null.

with

messages as (

    select * from {{ ref('stg_customerio__messages') }}
    where created_at < {{ as_of() }}

),

identities as (

    select
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'customerio' and source_record_type = 'person'

)

select
    messages.message_id,
    identities.customer_id,
    messages.user_id,
    messages.campaign_id,
    messages.email,
    {% for outcome in ['sent', 'delivered', 'opened', 'clicked', 'bounced', 'unsubscribed'] %}
    case when messages.{{ outcome }}_at < {{ as_of() }} then messages.{{ outcome }}_at end as {{ outcome }}_at,
    {% endfor %}
    messages.created_at
from messages
left join identities on messages.user_id = identities.source_record_id
