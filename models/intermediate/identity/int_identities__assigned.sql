-- One row per source record with the node of the customer it belongs to, and how that was found.
-- Order of belief for a record that hangs on an account: its own membership, then the account its person belongs to,
-- then the account most of its person's records belong to, then the domain it writes from, then itself alone.

with

records as (

    select
        record_key,
        record_level
    from {{ ref('int_source_records__unioned') }}

),

accounts as (

    select
        node,
        component as account
    from {{ ref('int_accounts__keyed') }}

),

persons as (

    select
        node,
        person
    from {{ ref('int_persons__limited') }}

),

customers as (

    select
        node,
        customer_node,
        is_disputed
    from {{ ref('int_customers__separated') }}

),

rules as (

    select
        identifier_type,
        confidence
    from {{ ref('identifier_rules') }}

),

memberships as (

    select
        memberships.record_key,
        memberships.account_node,
        memberships.membership_method,
        memberships.weight,
        memberships.last_seen_at,
        coalesce(customers.customer_node, accounts.account, memberships.account_node) as customer_node,
        coalesce(customers.is_disputed, false) as is_disputed
    from {{ ref('int_memberships__observed') }} as memberships
    left join accounts on memberships.account_node = accounts.node
    left join customers on coalesce(accounts.account, memberships.account_node) = customers.node
    where memberships.membership_rank = 1

),

-- where do most of a person's records belong, when the person works for several? the latest seen breaks a tie, then
-- md5
person_votes as (

    select
        persons.person,
        memberships.customer_node,
        count(*) over (partition by persons.person) as statements,
        row_number() over (
            partition by persons.person
            order by
                count(*) desc,
                max(memberships.last_seen_at) desc nulls last,
                md5(memberships.customer_node)
        ) as place
    from memberships
    inner join persons on memberships.record_key = persons.node
    group by persons.person, memberships.customer_node

),

identifiers as (

    select
        record_key,
        record_level,
        identifier_type,
        identifier_key,
        raw_value,
        origin
    from {{ ref('int_identifiers__judged') }}
    where verdict = 'used'

),

shared_identifiers as (

    select identifier_key
    from identifiers
    group by identifier_key
    having count(*) > 1

),

-- by which identifier does a record hang on its person? the surest one that another record has too
person_links as (

    select
        identifiers.record_key,
        identifiers.identifier_type,
        identifiers.identifier_key,
        rules.confidence
    from identifiers
    inner join rules on identifiers.identifier_type = rules.identifier_type
    inner join persons on identifiers.identifier_key = persons.node
    inner join persons as own on identifiers.record_key = own.node
    inner join shared_identifiers on identifiers.identifier_key = shared_identifiers.identifier_key
    where
        identifiers.record_level = 'member'
        and persons.person = own.person
    qualify row_number() over (
        partition by identifiers.record_key
        order by rules.confidence desc, identifiers.identifier_key asc
    ) = 1

),

evidence as (

    select
        account,
        mediator,
        mediator_type,
        evidence_type,
        mediator_anchor,
        weight
    from {{ ref('int_account_evidence__judged') }}
    where verdict = 'admitted'

),

shared_mediators as (

    select mediator
    from evidence
    group by mediator
    having count(distinct account) > 1

),

-- by which evidence does an account without a product account id hang on its customer?
account_evidence as (

    select
        evidence.account,
        evidence.evidence_type,
        evidence.mediator,
        case evidence.mediator_type when 'person' then 'email' else evidence.mediator_type end as rule_type
    from evidence
    inner join shared_mediators on evidence.mediator = shared_mediators.mediator
    left join customers as own on evidence.account = own.node
    left join customers as anchor on evidence.mediator_anchor = anchor.node
    -- evidence that names another customer is not how this one was found
    where evidence.mediator_anchor is null or own.customer_node = anchor.customer_node
    qualify row_number() over (
        partition by evidence.account
        order by
            case when evidence.mediator_anchor is not null then 0 else 1 end,
            case evidence.mediator_type when 'person' then 1 when 'role_email' then 2 else 3 end,
            evidence.weight desc,
            evidence.mediator asc,
            evidence.evidence_type asc
    ) = 1

),

account_keys as (

    select
        record_key,
        min(identifier_key) as identifier_key
    from identifiers
    where record_level = 'account' and identifier_type = 'account_id'
    group by record_key

),

-- to which customer does each account belong, by what, and how surely?
account_records as (

    select
        records.record_key,
        customers.customer_node,
        customers.is_disputed,
        'account:' || accounts.account as person_node,
        case
            when account_keys.record_key is not null then 'account_id'
            when account_evidence.account is not null then account_evidence.evidence_type
            else 'self'
        end as match_method,
        case
            when records.record_key like 'product:%' then 1
            when account_keys.record_key is not null then key_rule.confidence
            when account_evidence.account is not null then evidence_rule.confidence
            else 1
        end as match_confidence,
        coalesce(account_keys.identifier_key, account_evidence.mediator) as matched_via
    from records
    inner join accounts on records.record_key = accounts.node
    inner join customers on accounts.account = customers.node
    left join account_keys on records.record_key = account_keys.record_key
    left join account_evidence on accounts.account = account_evidence.account
    left join rules as key_rule on key_rule.identifier_type = 'account_id'
    left join rules as evidence_rule on account_evidence.rule_type = evidence_rule.identifier_type
    where records.record_level = 'account'

),

-- and each person's record: by the account it belongs to, else by where most of the person's records do
member_records as (

    select
        records.record_key,
        coalesce(
            memberships.customer_node,
            person_votes.customer_node,
            customers.customer_node,
            'person=' || persons.person
        ) as customer_node,
        coalesce(memberships.is_disputed, customers.is_disputed, false) as is_disputed,
        persons.person as person_node,
        case
            when memberships.record_key is not null then memberships.membership_method
            when person_votes.person is not null then person_links.identifier_type
            when account_evidence.account is not null then 'domain'
            when person_links.record_key is not null then person_links.identifier_type
            else 'self'
        end as match_method,
        case
            when memberships.record_key is not null then membership_rule.confidence
            -- a person with memberships in several accounts: the pick between them is a guess among as many
            when person_votes.person is not null then person_links.confidence / person_votes.statements
            when account_evidence.account is not null then domain_rule.confidence
            when person_links.record_key is not null then person_links.confidence
            else 1
        end as match_confidence,
        case
            when memberships.record_key is not null then memberships.account_node
            when person_votes.person is not null then person_links.identifier_key
            when account_evidence.account is not null then account_evidence.mediator
            else person_links.identifier_key
        end as matched_via
    from records
    inner join persons on records.record_key = persons.node
    left join memberships on records.record_key = memberships.record_key
    left join person_votes
        on
            persons.person = person_votes.person
            and person_votes.place = 1
    left join customers on 'person=' || persons.person = customers.node
    left join person_links on records.record_key = person_links.record_key
    left join account_evidence on 'person=' || persons.person = account_evidence.account
    left join rules as membership_rule on memberships.membership_method = membership_rule.identifier_type
    left join rules as domain_rule on domain_rule.identifier_type = 'domain'
    where records.record_level = 'member'

),

assigned as (

    select * from account_records
    union all
    select * from member_records

),

-- a human's "apart" is the last word: record_a leaves if it still stands with record_b
set_apart as (

    select distinct overrides.record_a as record_key
    from {{ ref('identity_overrides') }} as overrides
    inner join assigned as assigned_a on overrides.record_a = assigned_a.record_key
    inner join assigned as assigned_b on overrides.record_b = assigned_b.record_key
    where
        overrides.verdict = 'apart'
        and assigned_a.customer_node = assigned_b.customer_node

),

set_together as (

    select record_a as record_key from {{ ref('identity_overrides') }}
    where verdict = 'together'
    union
    select record_b as record_key from {{ ref('identity_overrides') }}
    where verdict = 'together'

)

select
    assigned.record_key,
    assigned.person_node,
    assigned.is_disputed,
    case
        when set_apart.record_key is not null then assigned.record_key
        else assigned.customer_node
    end as customer_node,
    case
        when set_apart.record_key is not null or set_together.record_key is not null then 'override'
        else assigned.match_method
    end as match_method,
    cast(
        case
            when set_apart.record_key is not null or set_together.record_key is not null then 1
            else assigned.match_confidence
        end as decimal(5, 4)
    ) as match_confidence,
    assigned.matched_via
from assigned
left join set_apart on assigned.record_key = set_apart.record_key
left join set_together on assigned.record_key = set_together.record_key
