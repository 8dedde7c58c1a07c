-- One row per account (joined by keys) and thing that suggests it is the same customer as others with that thing: a
-- person who belongs to it, an address, a role inbox, a domain; with a verdict: `admitted`, or why it is not
-- believed.
-- Why it exists: evidence joins accounts that no key joins, but it never joins two that keys keep apart. So anything
-- that touches two product accounts (a consultant, a bookkeeper's inbox) is refused here, before clustering.
-- Hazard: persons without any membership hang on a domain here too, so that a prospect's people are one customer.

with

accounts as (

    select
        node,
        component as account
    from {{ ref('int_accounts__keyed') }}

),

-- an account is anchored when it has a product account id: two anchors are two customers unless a key says otherwise
anchored as (

    select distinct component as account
    from {{ ref('int_accounts__keyed') }}
    where node like 'account_id=%'

),

persons as (

    select
        node,
        person
    from {{ ref('int_persons__limited') }}

),

identifiers as (

    select
        record_key,
        record_level,
        identifier_type,
        identifier_key,
        origin,
        seen_at
    from {{ ref('int_identifiers__judged') }}
    where verdict = 'used'

),

memberships as (

    select
        persons.person,
        coalesce(accounts.account, memberships.account_node) as account,
        count(*) as weight,
        min(memberships.first_seen_at) as known_at
    from {{ ref('int_memberships__observed') }} as memberships
    inner join persons on memberships.record_key = persons.node
    left join accounts on memberships.account_node = accounts.node
    where memberships.membership_rank = 1
    group by persons.person, coalesce(accounts.account, memberships.account_node)

),

person_domains as (

    select
        persons.person,
        identifiers.identifier_key as domain_node,
        count(*) as weight,
        min(identifiers.seen_at) as known_at
    from identifiers
    inner join persons on identifiers.record_key = persons.node
    where identifiers.identifier_type = 'domain'
    group by persons.person, identifiers.identifier_key

),

-- which persons speak for which account?
person_evidence as (

    ---------- somebody who works there
    select
        account,
        person,
        'membership' as evidence_type,
        weight,
        known_at
    from memberships

    union all

    ---------- the inbox of a person, as the account's own address
    select
        accounts.account,
        coalesce(persons.person, identifiers.identifier_key) as person,
        'email' as evidence_type,
        count(*) as weight,
        min(identifiers.seen_at) as known_at
    from identifiers
    inner join accounts on identifiers.record_key = accounts.node
    left join persons on identifiers.identifier_key = persons.node
    where identifiers.record_level = 'account' and identifiers.identifier_type = 'email'
    group by accounts.account, coalesce(persons.person, identifiers.identifier_key)

),

-- who belongs to several product accounts? where they write from says nothing about anybody
contested_persons as (

    select person_evidence.person
    from person_evidence
    inner join anchored on person_evidence.account = anchored.account
    group by person_evidence.person
    having count(distinct person_evidence.account) > 1

),

contested_accounts as (

    select distinct person_evidence.account
    from person_evidence
    inner join contested_persons on person_evidence.person = contested_persons.person
    where person_evidence.evidence_type = 'email'

),

-- everything that two accounts may have in common: persons, domains, inboxes
evidence as (

    select
        account,
        'person=' || person as mediator,
        'person' as mediator_type,
        evidence_type,
        weight,
        known_at,
        false as is_contested
    from person_evidence

    union all

    ---------- what an account declares, and where its own addresses lie
    select
        accounts.account,
        identifiers.identifier_key as mediator,
        identifiers.identifier_type as mediator_type,
        case identifiers.origin
            when 'declared' then 'declared_domain'
            when 'address' then 'address_domain'
            else 'role_email'
        end as evidence_type,
        count(*) as weight,
        min(identifiers.seen_at) as known_at,
        bool_or(identifiers.origin = 'address' and contested_accounts.account is not null) as is_contested
    from identifiers
    inner join accounts on identifiers.record_key = accounts.node
    left join contested_accounts on accounts.account = contested_accounts.account
    where identifiers.record_level = 'account' and identifiers.identifier_type in ('role_email', 'domain')
    group by accounts.account, identifiers.identifier_key, identifiers.identifier_type, identifiers.origin

    union all

    ---------- the domain its people write from
    select
        memberships.account,
        person_domains.domain_node as mediator,
        'domain' as mediator_type,
        'member_domain' as evidence_type,
        count(*) as weight,
        -- the later of the two: that somebody writes from there, and that they belong to the account
        min(greatest(memberships.known_at, person_domains.known_at)) as known_at,
        bool_and(contested_persons.person is not null) as is_contested
    from memberships
    inner join person_domains on memberships.person = person_domains.person
    left join contested_persons on memberships.person = contested_persons.person
    group by memberships.account, person_domains.domain_node

    union all

    ---------- a person who belongs to nobody hangs on the domain they write from
    select
        'person=' || person_domains.person as account,
        person_domains.domain_node as mediator,
        'domain' as mediator_type,
        'stray_person' as evidence_type,
        person_domains.weight,
        person_domains.known_at,
        contested_persons.person is not null as is_contested
    from person_domains
    left join memberships on person_domains.person = memberships.person
    left join contested_persons on person_domains.person = contested_persons.person
    where memberships.person is null

),

-- which evidence do accounts share that a human set apart? record_a's account loses it
set_apart as (

    select distinct
        mine.account,
        mine.mediator
    from {{ ref('identity_overrides') }} as overrides
    inner join accounts as accounts_a on overrides.record_a = accounts_a.node
    inner join accounts as accounts_b on overrides.record_b = accounts_b.node
    inner join evidence as mine on accounts_a.account = mine.account
    inner join evidence as theirs
        on
            accounts_b.account = theirs.account
            and mine.mediator = theirs.mediator
    where overrides.verdict = 'apart'

),

-- what does each thing touch? how many anchored accounts, how many that declare it, is anybody known there?
touched as (

    select
        evidence.mediator,
        count(distinct case when anchored.account is not null then evidence.account end) as anchors,
        count(distinct case
            when anchored.account is not null and evidence.evidence_type = 'declared_domain' then evidence.account
        end) as declaring_anchors,
        count(*) filter (where evidence.evidence_type != 'address_domain') as known_uses,
        min(case when anchored.account is not null then evidence.account end) as any_anchor,
        min(case
            when anchored.account is not null and evidence.evidence_type = 'declared_domain' then evidence.account
        end) as declaring_anchor
    from evidence
    left join anchored on evidence.account = anchored.account
    where not evidence.is_contested
    group by evidence.mediator

),

-- which evidence is believed, and why is the rest not?
judged as (

    select
        evidence.account,
        evidence.mediator,
        evidence.mediator_type,
        evidence.evidence_type,
        evidence.weight,
        evidence.known_at,
        anchored.account is not null as is_anchored,
        case
            when touched.anchors = 1 then touched.any_anchor
            when touched.declaring_anchors = 1 then touched.declaring_anchor
        end as mediator_anchor,
        case
            when set_apart.account is not null then 'set apart by a human'
            when evidence.is_contested then 'written by a person of several accounts'
            when touched.known_uses = 0 then 'nobody is known at this domain'
            when touched.anchors <= 1 then 'admitted'
            when touched.declaring_anchors = 1 and anchored.account is null then 'admitted'
            when touched.declaring_anchors = 1 and evidence.account = touched.declaring_anchor then 'admitted'
            when touched.declaring_anchors = 1 then 'the domain is declared by another account'
            else 'touches several product accounts'
        end as verdict
    from evidence
    left join touched on evidence.mediator = touched.mediator
    left join anchored on evidence.account = anchored.account
    left join set_apart
        on
            evidence.account = set_apart.account
            and evidence.mediator = set_apart.mediator

)

select * from judged
