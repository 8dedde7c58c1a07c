-- One row per thing that points at several customers at once and customer it points at, with how that was settled.
-- Never silent: a person or address in this table is where somebody should look before believing a number about the
-- customers named.

with

evidence as (

    select
        account,
        mediator,
        mediator_type,
        evidence_type,
        verdict,
        is_anchored
    from {{ ref('int_account_evidence__judged') }}

),

customers as (

    select
        node,
        component,
        is_disputed,
        customer_node
    from {{ ref('int_customers__separated') }}

),

accounts as (

    select
        node,
        component as account
    from {{ ref('int_accounts__keyed') }}

),

names as (

    select distinct
        assigned.customer_node,
        identities.customer_id
    from {{ ref('int_identities__assigned') }} as assigned
    inner join {{ ref('int_identities__resolved') }} as identities on assigned.record_key = identities.record_key

),

-- what did several product accounts use?
contested_mediators as (

    select distinct mediator
    from evidence
    where verdict in ('touches several product accounts', 'the domain is declared by another account')

),

identifiers as (

    select
        record_key,
        identifier_value,
        identifier_key
    from {{ ref('int_identifiers__judged') }}
    where identifier_type = 'email'

),

taken_over as (

    select distinct identifier_value
    from identifiers
    where identifier_key like '%#%'

),

claims as (

    ---------- a person, inbox or domain that two product accounts use
    select
        case evidence.mediator_type
            when 'person' then 'a person of several customers'
            when 'role_email' then 'an inbox of several customers'
            else 'a domain of several customers'
        end as conflict_kind,
        evidence.mediator as subject,
        customers.customer_node,
        case
            when evidence.verdict = 'touches several product accounts'
                then 'not used as evidence'
            else 'believed for the account that declares it'
        end as settlement
    from evidence
    inner join customers on evidence.account = customers.node
    inner join contested_mediators on evidence.mediator = contested_mediators.mediator
    where evidence.is_anchored

    union all

    ---------- a chain of evidence between two product accounts
    select
        'a chain of evidence between customers' as conflict_kind,
        customers.component as subject,
        customers.customer_node,
        'cut at the weakest evidence' as settlement
    from customers
    inner join accounts on customers.node = accounts.account
    where customers.is_disputed

    union all

    ---------- one address, two owners, one after the other
    select
        'an address that changed its owner' as conflict_kind,
        'email=' || identifiers.identifier_value as subject,
        assigned.customer_node,
        'split by the time of use' as settlement
    from identifiers
    inner join taken_over on identifiers.identifier_value = taken_over.identifier_value
    inner join {{ ref('int_identities__assigned') }} as assigned on identifiers.record_key = assigned.record_key

),

-- only what really ends in two customers is a conflict
named as (

    select
        claims.conflict_kind,
        claims.subject,
        names.customer_id,
        min(claims.settlement) as settlement,
        count(*) over (partition by claims.conflict_kind, claims.subject) as customer_count
    from claims
    inner join names on claims.customer_node = names.customer_node
    group by claims.conflict_kind, claims.subject, names.customer_id

)

select
    {{ surrogate_key(['conflict_kind', 'subject']) }} as conflict_id,
    conflict_kind,
    subject,
    customer_id,
    settlement,
    customer_count
from named
where customer_count > 1
