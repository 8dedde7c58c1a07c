-- One row per contradiction in who is who and customer it touches, with how it was settled: a thing that points at
-- several customers, two strong ids in one customer, a person that holds more than one person can have, a human's word
-- against the evidence.
-- Never silent: a customer in this table is where somebody should look before believing a number about it.

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
        record_level,
        identifier_type,
        identifier_value,
        identifier_key,
        verdict
    from {{ ref('int_identifiers__judged') }}
    where identifier_type in ('email', 'account_id') or verdict = 'set apart by a human'

),

taken_over as (

    select distinct identifier_value
    from identifiers
    where identifier_type = 'email' and identifier_key like '%#%'

),

assigned as (

    select
        record_key,
        customer_node
    from {{ ref('int_identities__assigned') }}

),

-- which customers have several product accounts, and which?
joined_accounts as (

    select
        assigned.customer_node,
        {{ text_list('identifiers.identifier_key') }} as account_keys
    from identifiers
    inner join assigned on identifiers.record_key = assigned.record_key
    where
        identifiers.identifier_type = 'account_id'
        and identifiers.record_level = 'account'
        and identifiers.verdict = 'used'
    group by assigned.customer_node
    having count(distinct identifiers.identifier_key) > 1

),

-- whose records held more than one person can have?
crowded_persons as (

    select
        persons.node as record_key,
        connected.component as person
    from {{ ref('int_persons__limited') }} as persons
    inner join {{ ref('int_persons__connected') }} as connected on persons.node = connected.node
    where persons.is_demoted

),

-- every contradiction, the customers it touches, and how it was settled
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
    inner join assigned on identifiers.record_key = assigned.record_key
    where identifiers.identifier_type = 'email'

    union all

    ---------- two strong ids in one customer
    select
        'several product accounts in one customer' as conflict_kind,
        account_keys as subject,
        customer_node,
        'joined by an alias or a human' as settlement
    from joined_accounts

    union all

    ---------- more than one person can have
    select
        'a person above the limits' as conflict_kind,
        'person=' || crowded_persons.person as subject,
        assigned.customer_node,
        'the weakest kind of link was dropped' as settlement
    from crowded_persons
    inner join assigned on crowded_persons.record_key = assigned.record_key

    union all

    ---------- evidence that a human overruled
    select
        'records that a human set apart' as conflict_kind,
        identifiers.identifier_key as subject,
        assigned.customer_node,
        'the human is believed' as settlement
    from identifiers
    inner join identifiers as set_apart
        on
            identifiers.identifier_key = set_apart.identifier_key
            and set_apart.verdict = 'set apart by a human'
    inner join assigned on identifiers.record_key = assigned.record_key

),

-- what points at several customers is a conflict only if it really ends in two
named as (

    select
        claims.conflict_kind,
        claims.subject,
        names.customer_id,
        min(claims.settlement) as settlement,
        claims.conflict_kind in (
            'several product accounts in one customer', 'a person above the limits', 'records that a human set apart'
        ) as is_within_one,
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
    customer_count,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from named
where customer_count > 1 or is_within_one
