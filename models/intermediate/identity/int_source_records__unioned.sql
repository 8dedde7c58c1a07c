-- One row per record of a silo that is somebody: a company account (level account), or a person or deal that hangs on
-- one (level member). These are the rows that customer_identities gives a customer.
-- Hazard: first_seen_at decides which member names the customer, so it must never change for a record: vendors'
-- creation times and the first event, nothing that is updated.

with

product as (

    select * from {{ ref('int_product_identities__observed') }}

),

-- the unsubscribe list has no times: a person who is only there has none either, and never names a customer
marketing_people as (

    select
        user_id,
        min(seen_at) as first_seen_at,
        max(seen_at) as last_seen_at
    from (
        select
            user_id,
            created_at as seen_at
        from {{ ref('stg_customerio__messages') }}
        union all
        select
            user_id,
            cast(null as timestamp) as seen_at
        from {{ ref('stg_customerio__unsubscribed') }}
    ) as mentions
    where user_id is not null
    group by user_id

),

-- every record of every silo that stands for somebody
records as (

    select
        'product' as source_system,
        'account' as source_record_type,
        account_id as source_record_id,
        'account' as record_level,
        max_by(company_name, last_seen_at) filter (where company_name is not null) as record_name,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from product
    where account_id is not null
    group by account_id

    union all

    select
        'product' as source_system,
        'user' as source_record_type,
        user_id as source_record_id,
        'member' as record_level,
        max_by(person_name, last_seen_at) filter (where person_name is not null) as record_name,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from product
    where user_id is not null
    group by user_id

    union all

    select
        'product' as source_system,
        'anonymous' as source_record_type,
        anonymous_id as source_record_id,
        'member' as record_level,
        cast(null as {{ dbt.type_string() }}) as record_name,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from product
    where anonymous_id is not null
    group by anonymous_id

    union all

    select
        'stripe' as source_system,
        'customer' as source_record_type,
        stripe_customer_id as source_record_id,
        'account' as record_level,
        customer_name as record_name,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_stripe__customers') }}

    union all

    select
        'zendesk' as source_system,
        'organization' as source_record_type,
        zendesk_organization_id as source_record_id,
        'account' as record_level,
        organization_name as record_name,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_zendesk__organizations') }}

    union all

    select
        'zendesk' as source_system,
        'user' as source_record_type,
        zendesk_user_id as source_record_id,
        'member' as record_level,
        user_name as record_name,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_zendesk__users') }}
    where user_role = 'end-user'

    union all

    select
        'bitrix24' as source_system,
        'company' as source_record_type,
        company_id as source_record_id,
        'account' as record_level,
        company_name as record_name,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_bitrix24__companies') }}

    union all

    select
        'bitrix24' as source_system,
        'lead' as source_record_type,
        lead_id as source_record_id,
        'member' as record_level,
        coalesce(company_title, lead_title) as record_name,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_bitrix24__leads') }}

    union all

    select
        'bitrix24' as source_system,
        'contact' as source_record_type,
        contact_id as source_record_id,
        'member' as record_level,
        trim(coalesce(first_name, '') || ' ' || coalesce(last_name, '')) as record_name,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_bitrix24__contacts') }}

    union all

    select
        'bitrix24' as source_system,
        'deal' as source_record_type,
        deal_id as source_record_id,
        'member' as record_level,
        deal_title as record_name,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_bitrix24__deals') }}

    union all

    select
        'customerio' as source_system,
        'person' as source_record_type,
        user_id as source_record_id,
        'member' as record_level,
        cast(null as {{ dbt.type_string() }}) as record_name,
        first_seen_at,
        last_seen_at
    from marketing_people

)

select
    source_system || ':' || source_record_type || ':' || source_record_id as record_key,
    source_system,
    source_record_type,
    source_record_id,
    record_level,
    record_name,
    first_seen_at,
    last_seen_at
from records
where first_seen_at is null or first_seen_at < {{ as_of() }}
