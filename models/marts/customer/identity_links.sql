-- One row per link of the identity graph: a record and an identifier it carries, a record and the account it says it
-- belongs to, an identifier that became another one, a human's word; with since when, how sure, and whether it was
-- believed. `lifecycle explain` walks over these rows.
-- Why it exists: whoever doubts that two records are one customer finds here every step that says so, and whoever
-- misses a match finds why it was refused.

with

identities as (

    select
        record_key,
        record_level,
        customer_id
    from {{ ref('int_identities__resolved') }}

),

assigned as (

    select
        record_key,
        customer_node
    from {{ ref('int_identities__assigned') }}

),

identifiers as (

    select * from {{ ref('int_identifiers__judged') }}

),

persons as (

    select
        node,
        person
    from {{ ref('int_persons__limited') }}

),

rules as (

    select
        identifier_type,
        confidence
    from {{ ref('identifier_rules') }}

),

-- what became of an address or a domain as evidence about a customer? believed if any of its accounts believes it
evidence as (

    select
        customers.customer_node,
        judged.mediator,
        case
            when bool_or(judged.verdict = 'admitted') then 'used'
            else min(judged.verdict)
        end as verdict
    from {{ ref('int_account_evidence__judged') }} as judged
    inner join {{ ref('int_customers__separated') }} as customers on judged.account = customers.node
    group by customers.customer_node, judged.mediator

),

-- which identifiers does each record carry, and was each believed?
carried as (

    select
        identifiers.record_key as from_node,
        -- a domain is shown as it was said; what it became is an alias row
        case identifiers.identifier_type
            when 'domain' then {{ identifier_key('domain', 'identifiers.identifier_value') }}
            else identifiers.identifier_key
        end as to_node,
        identifiers.identifier_type as link_type,
        case
            when identifiers.verdict != 'used' then identifiers.verdict
            when identifiers.identifier_type in ('domain', 'role_email') or identities.record_level = 'account'
                then
                    case
                        when identifiers.identifier_type = 'account_id' then 'used'
                        when identifiers.identifier_type = 'role_email' and identities.record_level = 'member'
                            then 'a role and no person'
                        else coalesce(evidence.verdict, 'its person belongs elsewhere')
                    end
            when identifiers.identifier_type != 'account_id' and own.person != theirs.person
                then 'more than one person can have'
            else 'used'
        end as verdict,
        identifiers.raw_value as stated_as,
        identifiers.seen_at as since_at,
        identifiers.valid_from,
        identifiers.valid_to,
        identifiers.record_count,
        identities.customer_id
    from identifiers
    inner join identities on identifiers.record_key = identities.record_key
    inner join assigned on identifiers.record_key = assigned.record_key
    left join persons as own on identifiers.record_key = own.node
    left join persons as theirs on identifiers.identifier_key = theirs.node
    left join evidence
        on
            assigned.customer_node = evidence.customer_node
            and case identifiers.identifier_type
                when 'email' then 'person=' || coalesce(theirs.person, identifiers.identifier_key)
                else identifiers.identifier_key
            end = evidence.mediator

),

belonging as (

    select
        memberships.record_key as from_node,
        memberships.account_node as to_node,
        memberships.membership_method as link_type,
        case memberships.membership_rank when 1 then 'used' else 'another membership is believed' end as verdict,
        cast(null as {{ dbt.type_string() }}) as stated_as,
        memberships.first_seen_at as since_at,
        identities.customer_id
    from {{ ref('int_memberships__observed') }} as memberships
    inner join identities on memberships.record_key = identities.record_key
    -- an account id that the record itself carries is a row above already
    where memberships.membership_method != 'account_id'

),

decisions as (

    select
        identifier_type || '=' || old_value as node_a,
        identifier_type || '=' || new_value as node_b,
        decided_by,
        reason
    from {{ ref('identity_aliases') }}

),

-- which names became others?
aliases as (

    select
        node_a,
        node_b,
        min(linked_at) as linked_at
    from (
        select
            node_a,
            node_b,
            linked_at
        from {{ ref('int_account_links__drawn') }}
        where link_method = 'alias'
        union all
        select
            node_a,
            node_b,
            linked_at
        from {{ ref('int_person_links__drawn') }}
        where link_method = 'alias'
        union all
        select
            identifier_type || '=' || old_value as node_a,
            identifier_type || '=' || new_value as node_b,
            effective_at as linked_at
        from {{ ref('identity_aliases') }}
        where identifier_type = 'domain' and effective_at <= {{ as_of() }}
    ) as links
    group by node_a, node_b

),

-- whose is an identifier that became another one?
holders as (

    select
        identifiers.identifier_type || '=' || identifiers.identifier_value as node,
        min(identities.customer_id) as customer_id
    from identifiers
    inner join identities on identifiers.record_key = identities.record_key
    where
        identifiers.identifier_type || '=' || identifiers.identifier_value in (
            select aliases.node_a from aliases
            union
            select aliases.node_b from aliases
        )
    group by identifiers.identifier_type || '=' || identifiers.identifier_value

),

-- carried, belonging, renamed or decided: every link in one shape
linked as (

    select
        from_node,
        to_node,
        link_type,
        verdict,
        stated_as,
        since_at,
        valid_from,
        valid_to,
        record_count,
        customer_id,
        cast(null as {{ dbt.type_string() }}) as decided_by,
        cast(null as {{ dbt.type_string() }}) as reason
    from carried

    union all

    select
        from_node,
        to_node,
        link_type,
        verdict,
        stated_as,
        since_at,
        cast(null as timestamp) as valid_from,
        cast(null as timestamp) as valid_to,
        cast(null as bigint) as record_count,
        customer_id,
        cast(null as {{ dbt.type_string() }}) as decided_by,
        cast(null as {{ dbt.type_string() }}) as reason
    from belonging

    union all

    select
        aliases.node_a as from_node,
        aliases.node_b as to_node,
        'alias' as link_type,
        'used' as verdict,
        cast(null as {{ dbt.type_string() }}) as stated_as,
        aliases.linked_at as since_at,
        cast(null as timestamp) as valid_from,
        cast(null as timestamp) as valid_to,
        cast(null as bigint) as record_count,
        coalesce(holders_a.customer_id, holders_b.customer_id) as customer_id,
        coalesce(decided.decided_by, 'the product') as decided_by,
        coalesce(decided.reason, 'The product moved the account and said so') as reason
    from aliases
    left join holders as holders_a on aliases.node_a = holders_a.node
    left join holders as holders_b on aliases.node_b = holders_b.node
    left join decisions as decided
        on
            aliases.node_a = decided.node_a
            and aliases.node_b = decided.node_b

    union all

    select
        overrides.record_a as from_node,
        overrides.record_b as to_node,
        'override' as link_type,
        case overrides.verdict when 'together' then 'used' else 'set apart by a human' end as verdict,
        cast(null as {{ dbt.type_string() }}) as stated_as,
        cast(overrides.decided_on as timestamp) as since_at,
        cast(null as timestamp) as valid_from,
        cast(null as timestamp) as valid_to,
        cast(null as bigint) as record_count,
        identities.customer_id,
        overrides.decided_by,
        overrides.reason
    from {{ ref('identity_overrides') }} as overrides
    inner join identities on overrides.record_a = identities.record_key

)

select
    linked.from_node,
    linked.to_node,
    linked.link_type,
    linked.verdict = 'used' as is_used,
    linked.verdict,
    linked.stated_as,
    linked.since_at,
    linked.valid_from,
    linked.valid_to,
    cast(coalesce(rules.confidence, 1) as decimal(5, 4)) as confidence,
    linked.record_count,
    linked.customer_id,
    linked.decided_by,
    linked.reason,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from linked
left join rules on linked.link_type = rules.identifier_type
