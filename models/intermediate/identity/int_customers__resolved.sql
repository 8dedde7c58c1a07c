-- One row per customer: what it is called, its domain, since when it is known, and which silos know it. A customer is
-- a company that buys or may buy; a lead that nobody ties to a company is a customer of its own. The name is taken
-- from the silo that asks the customer itself for it first (product, billing), then from people's notes.

with

identities as (

    select
        *,
        source_system || '.' || source_record_type as record_source
    from {{ ref('int_identities__resolved') }}

),

domains as (

    select
        record_key,
        identifier_value,
        origin
    from {{ ref('int_identifiers__judged') }}
    where identifier_type = 'domain' and verdict = 'used'

),

-- the order of belief in names; within one, the record known longest, then md5 so that the pick is repeatable
names as (

    select
        customer_id,
        record_name,
        record_source as name_source
    from identities
    where nullif(trim(record_name), '') is not null
    qualify row_number() over (
        partition by customer_id
        order by
            case record_source
                when 'product.account' then 1
                when 'stripe.customer' then 2
                when 'bitrix24.company' then 3
                when 'zendesk.organization' then 4
                when 'bitrix24.lead' then 5
                when 'bitrix24.contact' then 6
                when 'product.user' then 7
                when 'zendesk.user' then 8
                else 9
            end,
            first_seen_at nulls last,
            md5(record_key)
    ) = 1

),

-- the domain most of a customer's records name, declared ones first
customer_domains as (

    select
        identities.customer_id,
        domains.identifier_value as domain
    from domains
    inner join identities on domains.record_key = identities.record_key
    group by identities.customer_id, domains.identifier_value
    qualify row_number() over (
        partition by identities.customer_id
        order by
            sum(case when domains.origin = 'declared' then 1 else 0 end) desc,
            count(*) desc,
            domains.identifier_value
    ) = 1

),

-- which silos know the customer?
known_by as (

    select
        customer_id,
        min(first_seen_at) as first_seen_at,
        count(*) as identity_count,
        count(distinct case when record_level = 'member' then person_id end) as person_count,
        bool_or(source_system = 'product' and source_record_type = 'account') as has_product,
        bool_or(source_system = 'stripe') as has_billing,
        bool_or(source_system = 'zendesk') as has_support,
        bool_or(source_system = 'bitrix24') as has_crm,
        bool_or(source_system = 'customerio') as has_marketing,
        -- a device that nobody signed in on: counted as somebody, but nobody whom a team could write to or call
        bool_and(source_record_type = 'anonymous') as is_visitor_only,
        bool_or(is_disputed) as is_disputed
    from identities
    group by customer_id

)

select
    known_by.customer_id,
    names.record_name as customer_name,
    names.name_source,
    customer_domains.domain,
    known_by.first_seen_at,
    known_by.identity_count,
    known_by.person_count,
    known_by.has_product,
    known_by.has_billing,
    known_by.has_support,
    known_by.has_crm,
    known_by.has_marketing,
    known_by.is_visitor_only,
    known_by.is_disputed
from known_by
left join names on known_by.customer_id = names.customer_id
left join customer_domains on known_by.customer_id = customer_domains.customer_id
