-- One row per person of a customer to whom a message could go, with whether they may be written to.
-- People of the product come before people of the CRM; a lead who never signed up can only be reached by the address in
-- the CRM. Consent is opt-out and personal: somebody on the vendor's unsubscribed list, or who unsubscribed from a
-- single message, is not written to, by id or by address. Neither is anybody who asked to be forgotten.
-- Hazard: shared addresses. If one of two people behind an address said no, the address is not written to.

with

observed as (

    select
        user_id,
        email,
        first_seen_at,
        last_seen_at
    from {{ ref('int_product_identities__observed') }}
    where user_id is not null and last_seen_at < {{ as_of() }}

),

-- the address a person gave last; the address itself settles two of the same instant
users as (

    select
        user_id,
        min(first_seen_at) as first_seen_at
    from observed
    group by user_id

),

user_addresses as (

    select
        user_id,
        email
    from observed
    where email is not null
    qualify row_number() over (partition by user_id order by last_seen_at desc, email asc) = 1

),

identities as (

    select
        source_system,
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}

),

crm_people as (

    select
        'lead' as source_record_type,
        lead_id as source_record_id,
        email,
        created_at as first_seen_at
    from {{ ref('stg_bitrix24__leads') }}
    union all
    select
        'contact' as source_record_type,
        contact_id as source_record_id,
        email,
        created_at as first_seen_at
    from {{ ref('stg_bitrix24__contacts') }}

),

-- everybody who could be written to, by product and CRM
people as (

    select
        identities.customer_id,
        users.user_id,
        user_addresses.email,
        'product' as known_from,
        users.first_seen_at
    from users
    inner join identities
        on
            identities.source_system = 'product'
            and identities.source_record_type = 'user'
            and users.user_id = identities.source_record_id
    left join user_addresses on users.user_id = user_addresses.user_id
    union all
    select
        identities.customer_id,
        cast(null as {{ dbt.type_string() }}) as user_id,
        crm_people.email,
        'crm' as known_from,
        crm_people.first_seen_at
    from crm_people
    inner join identities
        on
            identities.source_system = 'bitrix24'
            and crm_people.source_record_type = identities.source_record_type
            and crm_people.source_record_id = identities.source_record_id
    where crm_people.email is not null and crm_people.first_seen_at < {{ as_of() }}

),

normalised as (

    select
        *,
        {{ normalize_email('email') }} as email_normalised
    from people

),

-- who said no, by id or by address?
refusals as (

    select
        user_id,
        email
    from {{ ref('stg_customerio__unsubscribed') }}
    union all
    select
        user_id,
        email
    from {{ ref('int_messages__attributed') }}
    where unsubscribed_at is not null

),

refusing_users as (

    select distinct user_id
    from refusals
    where user_id is not null

),

refusing_addresses as (

    select distinct {{ normalize_email('email') }} as email_normalised
    from refusals
    where email is not null

),

judged as (

    select
        normalised.*,
        coalesce(refusing_users.user_id, refusing_addresses.email_normalised) is not null
        or {{ is_forgotten('normalised.user_id') }}
        or {{ is_forgotten('normalised.email') }} as has_unsubscribed
    from normalised
    left join refusing_users on normalised.user_id = refusing_users.user_id
    left join refusing_addresses on normalised.email_normalised = refusing_addresses.email_normalised

)

select
    customer_id,
    user_id,
    email,
    known_from,
    first_seen_at,
    has_unsubscribed,
    -- the first known person stands for the customer as long as they may be written to; ids settle ties
    row_number() over (
        partition by customer_id
        order by
            has_unsubscribed,
            case when email_normalised is not null then 1 else 2 end,
            case known_from when 'product' then 1 else 2 end,
            first_seen_at,
            coalesce(user_id, email)
    ) as recipient_rank
from judged
