-- One row per customer, leads included: how they were found, whether and to whom a message may go, how messages were
-- received in the 90 days before as_of, and who in sales looks after them.

with

customers as (

    select customer_id
    from {{ ref('int_customers__resolved') }}

),

acquisition as (

    select
        customer_id,
        channel,
        campaign,
        touched_at,
        method
    from {{ ref('int_acquisition__first_touched') }}

),

last_touches as (

    select
        customer_id,
        channel,
        campaign,
        touched_at
    from {{ ref('int_touchpoints__unioned') }}
    where customer_id is not null and channel is not null
    -- the id settles touches of the same instant
    qualify row_number() over (partition by customer_id order by touched_at desc, touchpoint_id asc) = 1

),

messages as (

    select
        customer_id,
        sent_at,
        delivered_at,
        opened_at,
        clicked_at
    from {{ ref('int_messages__attributed') }}
    where
        customer_id is not null
        and sent_at >= {{ dbt.dateadd('day', -90, as_of()) }}

),

-- outcomes of the messages sent in the window, so that a rate never exceeds one
engagement as (

    select
        customer_id,
        count(*) as messages_sent_90d,
        count(delivered_at) as messages_delivered_90d,
        count(opened_at) as messages_opened_90d,
        count(clicked_at) as messages_clicked_90d,
        max(sent_at) as last_message_sent_at,
        max(coalesce(clicked_at, opened_at)) as last_message_engaged_at
    from messages
    group by customer_id

),

recipients as (

    select
        customer_id,
        user_id,
        email,
        has_unsubscribed,
        recipient_rank
    from {{ ref('int_recipients__reachable') }}

),

consent as (

    select
        customer_id,
        count(*) as people,
        count(*) filter (where has_unsubscribed) as people_unsubscribed
    from recipients
    group by customer_id

),

deals as (

    select
        deal_id,
        customer_id,
        stage_id,
        outcome,
        assigned_by_id,
        created_at
    from {{ ref('int_deals__attributed') }}
    where customer_id is not null

),

-- which deal do we talk about? the newest open one, else the newest; the larger id among deals of the same second
current_deals as (

    select * from deals
    qualify row_number() over (
        partition by customer_id
        order by case outcome when 'open' then 1 else 2 end, created_at desc, deal_id desc
    ) = 1

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'bitrix24'

),

-- who looks after the customer where there is no deal? the company's person, else the newest lead's
owners as (

    select
        identities.customer_id,
        companies.assigned_by_id,
        companies.company_id as record_id,
        1 as preference,
        companies.created_at
    from {{ ref('stg_bitrix24__companies') }} as companies
    inner join identities
        on
            identities.source_record_type = 'company'
            and companies.company_id = identities.source_record_id
    where companies.assigned_by_id is not null
    union all
    select
        identities.customer_id,
        leads.assigned_by_id,
        leads.lead_id as record_id,
        2 as preference,
        leads.created_at
    from {{ ref('stg_bitrix24__leads') }} as leads
    inner join identities
        on
            identities.source_record_type = 'lead'
            and leads.lead_id = identities.source_record_id
    where leads.assigned_by_id is not null

),

current_owners as (

    select
        customer_id,
        assigned_by_id
    from owners
    where created_at < {{ as_of() }}
    qualify row_number() over (
        partition by customer_id
        order by preference asc, created_at desc, record_id desc
    ) = 1

)

select
    ---------- ids
    customers.customer_id,
    recipients.user_id as primary_user_id,
    current_deals.deal_id as crm_deal_id,
    case when current_deals.outcome = 'open' then current_deals.deal_id end as open_deal_id,
    coalesce(current_deals.assigned_by_id, current_owners.assigned_by_id) as crm_owner_id,

    ---------- strings
    recipients.email as primary_email,
    acquisition.channel as first_touch_channel,
    acquisition.campaign as first_touch_campaign,
    acquisition.method as first_touch_method,
    last_touches.channel as last_touch_channel,
    last_touches.campaign as last_touch_campaign,
    current_deals.stage_id as crm_deal_stage_id,
    current_deals.outcome as crm_deal_outcome,

    ---------- numerics
    cast(coalesce(engagement.messages_sent_90d, 0) as bigint) as messages_sent_90d,
    cast(coalesce(engagement.messages_delivered_90d, 0) as bigint) as messages_delivered_90d,
    cast(coalesce(engagement.messages_opened_90d, 0) as bigint) as messages_opened_90d,
    cast(coalesce(engagement.messages_clicked_90d, 0) as bigint) as messages_clicked_90d,
    cast(coalesce(consent.people, 0) as bigint) as reachable_people,
    cast(coalesce(consent.people_unsubscribed, 0) as bigint) as unsubscribed_people,

    ---------- booleans
    -- nobody to write to is no consent
    coalesce(not recipients.has_unsubscribed and recipients.email is not null, false) as has_consent,

    ---------- timestamps
    acquisition.touched_at as first_touched_at,
    last_touches.touched_at as last_touched_at,
    engagement.last_message_sent_at,
    engagement.last_message_engaged_at
from customers
left join acquisition on customers.customer_id = acquisition.customer_id
left join last_touches on customers.customer_id = last_touches.customer_id
left join engagement on customers.customer_id = engagement.customer_id
left join recipients
    on
        customers.customer_id = recipients.customer_id
        and recipients.recipient_rank = 1
left join consent on customers.customer_id = consent.customer_id
left join current_deals on customers.customer_id = current_deals.customer_id
left join current_owners on customers.customer_id = current_owners.customer_id
