-- One row per record that hangs on an account and account it says it belongs to, with the rank of that statement
-- among the record's own (1 is believed).
-- Why it exists: a person may work for two accounts (a consultant, somebody who moved). That is two memberships of
-- one person, and it must never make the two accounts one customer, so memberships are not links.

with

records as (

    select record_key
    from {{ ref('int_source_records__unioned') }}
    where record_level = 'member'

),

identifiers as (

    select
        record_key,
        record_level,
        identifier_type,
        identifier_key,
        seen_at
    from {{ ref('int_identifiers__judged') }}
    where verdict = 'used'

),

-- which accounts did the product say its users belong to?
user_groups as (

    select
        {{ record_key('product', 'user', 'user_id') }} as record_key,
        {{ identifier_key('account_id', 'account_id') }} as account_node,
        sum(message_count) as weight,
        min(first_seen_at) as first_seen_at,
        max(last_seen_at) as last_seen_at
    from {{ ref('int_product_identities__observed') }}
    where user_id is not null and account_id is not null
    group by user_id, account_id

),

-- which record says it belongs to which account?
statements as (

    select
        record_key,
        account_node,
        'product_group' as membership_method,
        1 as method_rank,
        weight,
        first_seen_at,
        last_seen_at
    from user_groups

    union all

    ---------- what carries a product user's id (or device) belongs where that user does, even if the user's address has
    ---------- had another owner
    select
        identifiers.record_key,
        user_groups.account_node,
        identifiers.identifier_type as membership_method,
        2 as method_rank,
        user_groups.weight,
        greatest(user_groups.first_seen_at, identifiers.seen_at) as first_seen_at,
        user_groups.last_seen_at
    from identifiers
    inner join identifiers as user_identifiers on identifiers.identifier_key = user_identifiers.identifier_key
    inner join user_groups on user_identifiers.record_key = user_groups.record_key
    where
        identifiers.record_level = 'member'
        and identifiers.identifier_type in ('user_id', 'anonymous_id')
        and identifiers.record_key != user_identifiers.record_key

    union all

    ---------- the CRM row carries the product's account id
    select
        record_key,
        identifier_key as account_node,
        'account_id' as membership_method,
        1 as method_rank,
        1 as weight,
        seen_at as first_seen_at,
        seen_at as last_seen_at
    from identifiers
    where record_level = 'member' and identifier_type = 'account_id'

    union all

    select
        {{ record_key('zendesk', 'user', 'zendesk_user_id') }} as record_key,
        {{ record_key('zendesk', 'organization', 'zendesk_organization_id') }} as account_node,
        'zendesk_organization' as membership_method,
        3 as method_rank,
        1 as weight,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_zendesk__users') }}
    where zendesk_organization_id is not null

    union all

    ---------- an agent filed a ticket of this requester under an organisation, though the requester has none
    select
        {{ record_key('zendesk', 'user', 'requester_id') }} as record_key,
        {{ record_key('zendesk', 'organization', 'zendesk_organization_id') }} as account_node,
        'zendesk_ticket' as membership_method,
        4 as method_rank,
        count(*) as weight,
        min(created_at) as first_seen_at,
        max(created_at) as last_seen_at
    from {{ ref('stg_zendesk__tickets') }}
    where requester_id is not null and zendesk_organization_id is not null
    group by requester_id, zendesk_organization_id

    {%- for entity, record_type in [('leads', 'lead'), ('contacts', 'contact'), ('deals', 'deal')] %}

    union all

    select
        {{ record_key('bitrix24', record_type, record_type ~ '_id') }} as record_key,
        {{ record_key('bitrix24', 'company', 'company_id') }} as account_node,
        'crm_company' as membership_method,
        3 as method_rank,
        1 as weight,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_bitrix24__' ~ entity) }}
    where company_id is not null

    {%- endfor %}

    union all

    ---------- a company that a lead became
    select
        {{ record_key('bitrix24', 'lead', 'lead_id') }} as record_key,
        {{ record_key('bitrix24', 'company', 'company_id') }} as account_node,
        'crm_company' as membership_method,
        3 as method_rank,
        1 as weight,
        created_at as first_seen_at,
        created_at as last_seen_at
    from {{ ref('stg_bitrix24__companies') }}
    where lead_id is not null

),

-- two silos may say the same; the stronger statement is kept
single as (

    select statements.*
    from statements
    inner join records on statements.record_key = records.record_key
    qualify row_number() over (
        partition by statements.record_key, statements.account_node
        order by
            statements.method_rank asc,
            statements.weight desc,
            statements.membership_method asc,
            statements.first_seen_at asc nulls last,
            statements.last_seen_at asc nulls last
    ) = 1

)

-- which account does the record itself belong to? the stronger kind of statement, then where it was seen most, then
-- latest; the node's md5 breaks ties so that the pick depends on no row order
select
    record_key,
    account_node,
    membership_method,
    weight,
    first_seen_at,
    last_seen_at,
    row_number() over (
        partition by record_key
        order by method_rank asc, weight desc, last_seen_at desc nulls last, md5(account_node)
    ) as membership_rank
from single
