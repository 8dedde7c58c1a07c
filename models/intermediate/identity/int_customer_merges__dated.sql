-- One row per customer and instant at which records that had stood apart from it became part of it: the id they were a
-- customer under, and when the evidence was complete. From what the silos say alone, so a warehouse built from nothing
-- knows it too; what was really published is in customer_aliases.
-- How: units (a product account with its records, a lone company record, a person) hold keys (identifiers, accounts,
-- aliases), each since some time. From the unit that names the customer, the earliest time at which each other unit
-- can be reached is passed along, key by key; what was known before that time was apart until then. Of those that came
-- at the same instant only the oldest had given its name.
-- Hazard: a chain longer than the rounds below gives no row. Customers are two or three steps wide.
{% set rounds = [1, 2, 3, 4] %}

with

identities as (

    select
        record_key,
        record_level,
        customer_id,
        given_customer_id,
        person_id,
        first_seen_at
    from {{ ref('int_identities__resolved') }}

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

account_keys as (

    select
        record_key,
        min(identifier_key) as identifier_key
    from identifiers
    where record_level = 'account' and identifier_type = 'account_id'
    group by record_key

),

units as (

    select
        identities.record_key,
        identities.customer_id,
        identities.given_customer_id,
        identities.first_seen_at,
        case
            when identities.record_level = 'member' then identities.person_id
            else coalesce(account_keys.identifier_key, identities.record_key)
        end as unit
    from identities
    left join account_keys on identities.record_key = account_keys.record_key

),

-- under which nodes may a member be known to belong to an account?
account_nodes as (

    select
        record_key as node,
        unit,
        customer_id
    from units
    where unit not like 'p_%'
    union
    select
        unit as node,
        unit,
        customer_id
    from units
    where unit like 'account_id=%'

),

-- what did each part of a customer hold, and since when was that known?
statements as (

    select
        units.customer_id,
        units.unit,
        identifiers.identifier_key as held,
        identifiers.seen_at as known_at
    from identifiers
    inner join units on identifiers.record_key = units.record_key

    union all

    ---------- an account holds itself, its members hold it since they are known to belong there
    select
        customer_id,
        unit,
        'unit:' || unit as held,
        first_seen_at as known_at
    from units
    where unit not like 'p_%'

    union all

    select
        units.customer_id,
        units.unit,
        'unit:' || account_nodes.unit as held,
        memberships.first_seen_at as known_at
    from {{ ref('int_memberships__observed') }} as memberships
    inner join units on memberships.record_key = units.record_key
    inner join account_nodes
        on
            memberships.account_node = account_nodes.node
            and units.customer_id = account_nodes.customer_id
    where memberships.membership_rank = 1

    union all

    ---------- two accounts that an alias or a human joined
    select
        account_nodes.customer_id,
        account_nodes.unit,
        'link:' || links.node_a || '>' || links.node_b as held,
        links.linked_at as known_at
    from {{ ref('int_account_links__drawn') }} as links
    inner join account_nodes on links.node_a = account_nodes.node or links.node_b = account_nodes.node
    where links.link_method in ('alias', 'override')

),

-- a customer of one unit never grew together from several
grown_customers as (

    select customer_id
    from units
    group by customer_id
    having count(distinct unit) > 1

),

holdings as (

    select
        statements.customer_id,
        statements.unit,
        statements.held,
        min(statements.known_at) as known_at
    from statements
    inner join grown_customers on statements.customer_id = grown_customers.customer_id
    where statements.known_at is not null
    group by statements.customer_id, statements.unit, statements.held

),

-- where it starts: the unit of the record that names the customer, or else of its oldest
reached_0 as (

    select
        customer_id,
        unit,
        cast('0001-01-01' as timestamp) as reached_at
    from units
    qualify row_number() over (
        partition by customer_id
        order by
            case when customer_id = given_customer_id then 0 else 1 end,
            first_seen_at nulls last,
            md5(record_key)
    ) = 1

),
{% for round in rounds %}
passed_{{ round }} as (

    select
        holdings.customer_id,
        holdings.held,
        min(greatest(reached.reached_at, holdings.known_at)) as reached_at
    from holdings
    inner join reached_{{ round - 1 }} as reached
        on
            holdings.customer_id = reached.customer_id
            and holdings.unit = reached.unit
    group by holdings.customer_id, holdings.held

),

reached_{{ round }} as (

    select
        customer_id,
        unit,
        min(reached_at) as reached_at
    from (
        select
            holdings.customer_id,
            holdings.unit,
            greatest(passed.reached_at, holdings.known_at) as reached_at
        from holdings
        inner join passed_{{ round }} as passed
            on
                holdings.customer_id = passed.customer_id
                and holdings.held = passed.held
        union all
        select
            customer_id,
            unit,
            reached_at
        from reached_{{ round - 1 }}
    ) as ways
    group by customer_id, unit

),
{% endfor %}
-- who was reached when? of those that came together, the oldest had the name
latecomers as (

    select
        units.customer_id,
        units.given_customer_id,
        units.record_key,
        units.first_seen_at,
        reached.reached_at as merged_at
    from units
    inner join reached_{{ rounds | last }} as reached
        on
            units.customer_id = reached.customer_id
            and units.unit = reached.unit
    where units.first_seen_at < reached.reached_at
    qualify row_number() over (
        partition by units.customer_id, reached.reached_at
        order by units.first_seen_at nulls last, md5(units.record_key)
    ) = 1

)

select
    customer_id,
    given_customer_id as lost_customer_id,
    record_key,
    first_seen_at,
    merged_at
from latecomers
-- signing up takes a few messages; what was apart for less than an hour was apart for nobody
where merged_at >= {{ dbt.dateadd('hour', 1, 'first_seen_at') }}
