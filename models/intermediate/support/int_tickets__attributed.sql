-- One row per ticket that existed before as_of and was not deleted, tied to the customer of its organisation, or of its
-- requester when the organisation is unknown. The organisation comes first because it is who buys; the requester may
-- have written from a private address. Our own escalations are in here and marked: they are work that we created, not
-- load that the customer caused.

with

tickets as (

    select * from {{ ref('stg_zendesk__tickets') }}
    where
        created_at < {{ as_of() }}
        and status != 'deleted'

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'zendesk'

),

deliveries as (

    select distinct action_id
    from {{ ref('stg_receipts__deliveries') }}
    where destination = 'zendesk'

),

ratings as (

    select
        ticket_id,
        score,
        updated_at
    from {{ ref('stg_zendesk__satisfaction_ratings') }}
    where is_answered and created_at < {{ as_of() }}
    -- the last answer is the verdict; the rating's id settles answers of the same second
    qualify row_number() over (partition by ticket_id order by updated_at desc, rating_id desc) = 1

)

select
    ---------- ids
    tickets.ticket_id,
    coalesce(organizations.customer_id, requesters.customer_id) as customer_id,
    tickets.requester_id,
    tickets.zendesk_organization_id,
    tickets.external_id,

    ---------- strings
    case
        when organizations.customer_id is not null then 'organization'
        when requesters.customer_id is not null then 'requester'
    end as attributed_by,
    tickets.status,
    tickets.priority,
    ratings.score as satisfaction_score,

    ---------- numerics
    tickets.first_reply_minutes,
    tickets.full_resolution_minutes,
    coalesce(tickets.reopens, 0) as reopens,

    ---------- booleans
    tickets.is_own_escalation or deliveries.action_id is not null as is_own_escalation,
    tickets.status in ('new', 'open', 'pending', 'hold') as is_open,

    ---------- timestamps
    tickets.created_at,
    -- a ticket that was reopened keeps the time of its earlier solving in the metric set
    case when tickets.status in ('solved', 'closed') then tickets.solved_at end as solved_at,
    ratings.updated_at as rated_at
from tickets
left join identities as organizations
    on
        organizations.source_record_type = 'organization'
        and tickets.zendesk_organization_id = organizations.source_record_id
left join identities as requesters
    on
        requesters.source_record_type = 'user'
        and tickets.requester_id = requesters.source_record_id
left join deliveries on tickets.external_id = deliveries.action_id
left join ratings on tickets.ticket_id = ratings.ticket_id
