-- One row per source record and identifier it carries: typed, normalised, with the raw value beside it and when it
-- was seen.
-- Why it exists: everything after this works on (type, value) alone and no longer knows which vendor said it how.
-- Hazard: an address that belonged to somebody else before is two identifiers, not one; that is judged in
-- int_identifiers__judged, so nothing may join on identifier_value straight from here.

with

product as (

    select * from {{ ref('int_product_identities__observed') }}

),

records as (

    select record_key from {{ ref('int_source_records__unioned') }}

),

-- a visitor belongs to the first user who signed in on the device; later users of a shared device are other people
visitors as (

    select
        anonymous_id,
        min_by(user_id, (first_seen_at, user_id)) as user_id,
        min(first_seen_at) as tied_at
    from product
    where anonymous_id is not null and user_id is not null
    group by anonymous_id

),

-- every identifier that any record carries, as the silo wrote it
mentions as (

    ---------- the product's own ids, and who else carries them
    select
        {{ record_key('product', 'account', 'account_id') }} as record_key,
        'account_id' as identifier_type,
        account_id as raw_value,
        min(first_seen_at) as seen_at
    from product
    where account_id is not null
    group by account_id

    union all

    select
        {{ record_key('product', 'user', 'user_id') }} as record_key,
        'user_id' as identifier_type,
        user_id as raw_value,
        min(first_seen_at) as seen_at
    from product
    where user_id is not null
    group by user_id

    union all

    select
        {{ record_key('product', 'anonymous', 'anonymous_id') }} as record_key,
        'anonymous_id' as identifier_type,
        anonymous_id as raw_value,
        min(first_seen_at) as seen_at
    from product
    where anonymous_id is not null
    group by anonymous_id

    union all

    select
        {{ record_key('product', 'user', 'user_id') }} as record_key,
        'anonymous_id' as identifier_type,
        anonymous_id as raw_value,
        tied_at as seen_at
    from visitors

    union all

    select
        {{ record_key('customerio', 'person', 'user_id') }} as record_key,
        'user_id' as identifier_type,
        user_id as raw_value,
        min(created_at) as seen_at
    from (
        select
            user_id,
            created_at
        from {{ ref('stg_customerio__messages') }}
        union all
        select
            user_id,
            cast(null as timestamp) as created_at
        from {{ ref('stg_customerio__unsubscribed') }}
    ) as people
    where user_id is not null
    group by user_id

    union all

    select
        {{ record_key('stripe', 'customer', 'stripe_customer_id') }} as record_key,
        'account_id' as identifier_type,
        account_id as raw_value,
        created_at as seen_at
    from {{ ref('stg_stripe__customers') }}

    union all

    select
        {{ record_key('zendesk', 'organization', 'zendesk_organization_id') }} as record_key,
        'account_id' as identifier_type,
        external_id as raw_value,
        created_at as seen_at
    from {{ ref('stg_zendesk__organizations') }}

    union all

    select
        {{ record_key('zendesk', 'user', 'zendesk_user_id') }} as record_key,
        'user_id' as identifier_type,
        external_id as raw_value,
        created_at as seen_at
    from {{ ref('stg_zendesk__users') }}

    union all

    select
        {{ record_key('bitrix24', 'company', 'company_id') }} as record_key,
        'account_id' as identifier_type,
        account_id as raw_value,
        created_at as seen_at
    from {{ ref('stg_bitrix24__companies') }}

    {%- for entity, record_type in [('leads', 'lead'), ('contacts', 'contact'), ('deals', 'deal')] %}

    union all

    select
        {{ record_key('bitrix24', record_type, record_type ~ '_id') }} as record_key,
        'account_id' as identifier_type,
        account_id as raw_value,
        created_at as seen_at
    from {{ ref('stg_bitrix24__' ~ entity) }}

    {%- endfor %}

    ---------- the CRM's own foreign keys between a lead, the contact it became, and their deals

    {%- for entity, record_type in [('leads', 'lead'), ('contacts', 'contact'), ('deals', 'deal')] %}

    union all

    select
        {{ record_key('bitrix24', record_type, record_type ~ '_id') }} as record_key,
        'crm_lead_id' as identifier_type,
        lead_id as raw_value,
        created_at as seen_at
    from {{ ref('stg_bitrix24__' ~ entity) }}

    union all

    select
        {{ record_key('bitrix24', record_type, record_type ~ '_id') }} as record_key,
        'crm_contact_id' as identifier_type,
        contact_id as raw_value,
        created_at as seen_at
    from {{ ref('stg_bitrix24__' ~ entity) }}

    {%- endfor %}

    ---------- addresses

    union all

    select
        {{ record_key('product', 'user', 'user_id') }} as record_key,
        'email' as identifier_type,
        email as raw_value,
        min(first_seen_at) as seen_at
    from product
    where user_id is not null and email is not null
    group by user_id, email

    union all

    select
        {{ record_key('stripe', 'customer', 'stripe_customer_id') }} as record_key,
        'email' as identifier_type,
        email as raw_value,
        created_at as seen_at
    from {{ ref('stg_stripe__customers') }}

    union all

    select
        {{ record_key('zendesk', 'user', 'zendesk_user_id') }} as record_key,
        'email' as identifier_type,
        email as raw_value,
        created_at as seen_at
    from {{ ref('stg_zendesk__users') }}

    union all

    select
        'bitrix24:' || source_record_type || ':' || source_record_id as record_key,
        'email' as identifier_type,
        field_value as raw_value,
        created_at as seen_at
    from {{ ref('stg_bitrix24__multifields') }}
    where field_type = 'EMAIL'

    union all

    select
        {{ record_key('customerio', 'person', 'user_id') }} as record_key,
        'email' as identifier_type,
        email as raw_value,
        min(created_at) as seen_at
    from (
        select
            user_id,
            email,
            created_at
        from {{ ref('stg_customerio__messages') }}
        union all
        select
            user_id,
            email,
            cast(null as timestamp) as created_at
        from {{ ref('stg_customerio__unsubscribed') }}
    ) as people
    where user_id is not null and email is not null
    group by user_id, email

    ---------- domains that a company declares as its own

    union all

    select
        {{ record_key('product', 'account', 'account_id') }} as record_key,
        'domain' as identifier_type,
        company_domain as raw_value,
        min(first_seen_at) as seen_at
    from product
    where account_id is not null and company_domain is not null
    group by account_id, company_domain

    union all

    select
        {{ record_key('zendesk', 'organization', 'zendesk_organization_id') }} as record_key,
        'domain' as identifier_type,
        {{ json_scalar('domain_name') }} as raw_value,
        created_at as seen_at
    from (
        select
            zendesk_organization_id,
            created_at,
            {{ json_elements('domain_names') }} as domain_name
        from {{ ref('stg_zendesk__organizations') }}
    ) as organization_domains

    union all

    select
        'bitrix24:' || source_record_type || ':' || source_record_id as record_key,
        'domain' as identifier_type,
        field_value as raw_value,
        created_at as seen_at
    from {{ ref('stg_bitrix24__multifields') }}
    where field_type = 'WEB' and source_record_type = 'company'

),

-- each spelling is normalised once, however many records carry it
spellings as (

    select distinct
        identifier_type,
        raw_value
    from mentions
    where raw_value is not null

),

normal_forms as (

    select
        identifier_type,
        raw_value,
        case identifier_type
            when 'email' then {{ email_normal_form('raw_value') }}
            when 'domain' then {{ domain_normal_form('raw_value') }}
            else trim(raw_value)
        end as normal_form
    from spellings

),

-- a domain in two spellings is one domain
readable as (

    select
        identifier_type,
        raw_value,
        case
            when identifier_type in ('email', 'domain') then {{ unicode_labels('normal_form', 'raw_value') }}
            else normal_form
        end as identifier_value
    from normal_forms

),

normalised as (

    select
        mentions.record_key,
        mentions.identifier_type,
        mentions.raw_value,
        mentions.seen_at,
        readable.identifier_value
    from mentions
    inner join readable
        on
            mentions.identifier_type = readable.identifier_type
            and mentions.raw_value = readable.raw_value

)

-- several spellings of one address on one record are one identifier; the first spelling seen is shown
select
    normalised.record_key,
    normalised.identifier_type,
    normalised.identifier_value,
    min_by(
        normalised.raw_value,
        (coalesce(normalised.seen_at, cast('9999-12-31' as timestamp)), normalised.raw_value)
    ) as raw_value,
    min(normalised.seen_at) as seen_at
from normalised
inner join records on normalised.record_key = records.record_key
where normalised.identifier_value is not null
group by normalised.record_key, normalised.identifier_type, normalised.identifier_value
