-- One row per source record and identifier, with the key it may be joined by and a verdict: `used`, or why it is not.
-- Why it exists: this is the only place where an identifier is refused, before any clustering, because one
-- placeholder or one shared inbox that gets through glues thousands of customers together.
-- Hazard: an address that was somebody else's before carries its period in the key (email=a@b#2). It counts as taken
-- over when two product users had it and the second came after the last sign of the first.

with recursive

records as (

    select
        record_key,
        record_level,
        source_system,
        source_record_type,
        first_seen_at,
        last_seen_at
    from {{ ref('int_source_records__unioned') }}

),

identifiers as (

    select
        record_key,
        identifier_type,
        identifier_value,
        raw_value,
        seen_at
    from {{ ref('int_identifiers__extracted') }}

),

rules as (

    select
        identifier_type,
        max_records
    from {{ ref('identifier_rules') }}

),

blocked as (

    select
        identifier_type,
        pattern_kind,
        value_pattern
    from {{ ref('blocked_identifiers') }}

),

-- which domain does an old one stand for by now? a domain may change more than once, so the chain is followed; what
-- runs in a circle has no end and stays as it was said
domain_aliases as (

    select
        old_value as old_domain,
        new_value as new_domain
    from {{ ref('identity_aliases') }}
    where identifier_type = 'domain' and effective_at <= {{ as_of() }}

),

domain_chains as (

    select
        old_domain,
        new_domain
    from domain_aliases
    union
    select
        chains.old_domain,
        aliases.new_domain
    from domain_chains as chains
    inner join domain_aliases as aliases on chains.new_domain = aliases.old_domain

),

current_domains as (

    select
        old_domain,
        min(new_domain) as new_domain
    from domain_chains
    where new_domain not in (select aliases.old_domain from domain_aliases as aliases)
    group by old_domain

),

-- an address is three things: the inbox (of a person or of a role) and the domain it lies in
typed as (

    select
        identifiers.record_key,
        case
            when identifiers.identifier_type = 'email' and role_inboxes.local_part is not null then 'role_email'
            else identifiers.identifier_type
        end as identifier_type,
        identifiers.identifier_value,
        identifiers.raw_value,
        identifiers.seen_at,
        case when identifiers.identifier_type = 'domain' then 'declared' else 'stated' end as origin
    from identifiers
    left join {{ ref('role_inboxes') }} as role_inboxes
        on {{ email_local_part('identifiers.identifier_value') }} = role_inboxes.local_part

    union all

    select
        record_key,
        'domain' as identifier_type,
        {{ email_domain('identifier_value') }} as identifier_value,
        min(raw_value) as raw_value,
        min(seen_at) as seen_at,
        'address' as origin
    from identifiers
    where identifier_type = 'email'
    group by record_key, {{ email_domain('identifier_value') }}

),

-- a domain that a record both declares and writes from counts once, as declared
single as (

    select *
    from typed
    qualify row_number() over (
        partition by record_key, identifier_type, identifier_value
        order by case origin when 'declared' then 0 when 'stated' then 1 else 2 end, raw_value
    ) = 1

),

-- when was each address in use by each product user?
address_users as (

    select
        single.identifier_value as email,
        records.record_key,
        records.first_seen_at,
        records.last_seen_at,
        max(records.last_seen_at) over (
            partition by single.identifier_value
            order by records.first_seen_at, records.record_key
            rows between unbounded preceding and 1 preceding
        ) as others_last_seen_at
    from single
    inner join records on single.record_key = records.record_key
    where
        single.identifier_type = 'email'
        and records.source_system = 'product'
        and records.source_record_type = 'user'

),

-- users whose times overlap are one person with two accounts; a gap between them is a new owner
address_periods as (

    select
        email,
        period_number,
        min(first_seen_at) as starts_at,
        lead(min(first_seen_at)) over (
            partition by email
            order by period_number
        ) as ends_at
    from (
        select
            email,
            first_seen_at,
            1 + sum(case when first_seen_at > others_last_seen_at then 1 else 0 end) over (
                partition by email
                order by first_seen_at, record_key
                rows between unbounded preceding and current row
            ) as period_number
        from address_users
    ) as numbered
    group by email, period_number

),

-- whose was the address when this record took it down? what is older than the first owner's sign-up belongs to the
-- first
dated as (

    select
        single.record_key,
        single.identifier_type,
        single.identifier_value,
        single.raw_value,
        single.seen_at,
        single.origin,
        coalesce(max(address_periods.period_number), 1) as period_number
    from single
    left join records on single.record_key = records.record_key
    left join address_periods
        on
            single.identifier_type = 'email'
            and single.identifier_value = address_periods.email
            and address_periods.starts_at <= case
                when records.source_system = 'product' then records.first_seen_at
                else single.seen_at
            end
    group by
        single.record_key,
        single.identifier_type,
        single.identifier_value,
        single.raw_value,
        single.seen_at,
        single.origin

),

-- under which name do two records that carry it meet? an address with another owner is another name
keyed as (

    select
        dated.*,
        dated.identifier_type || '=' || coalesce(current_domains.new_domain, dated.identifier_value)
        || case
            when dated.period_number > 1 then '#' || cast(dated.period_number as {{ dbt.type_string() }})
            else ''
        end as identifier_key,
        case when dated.period_number > 1 then address_periods.starts_at end as valid_from,
        address_periods.ends_at as valid_to
    from dated
    left join current_domains
        on
            dated.identifier_type = 'domain'
            and dated.identifier_value = current_domains.old_domain
    left join address_periods
        on
            dated.identifier_type = 'email'
            and dated.identifier_value = address_periods.email
            and dated.period_number = address_periods.period_number

),

-- which values may join nobody, whoever carries them?
blocked_values as (

    select distinct
        spelled.identifier_type,
        spelled.identifier_value
    from (
        select distinct
            identifier_type,
            identifier_value
        from keyed
    ) as spelled
    inner join blocked
        on
            (blocked.identifier_type = 'any' or spelled.identifier_type = blocked.identifier_type)
            and case blocked.pattern_kind
                when 'only' then translate(spelled.identifier_value, blocked.value_pattern, '') = ''
                else lower(spelled.identifier_value) like blocked.value_pattern
            end

),

degrees as (

    select
        identifier_key,
        count(distinct record_key) as record_count
    from keyed
    group by identifier_key

),

-- what a human set apart no longer shares identifiers: record_a gives up those that record_b has too
given_up as (

    select distinct
        mine.record_key,
        mine.identifier_key
    from {{ ref('identity_overrides') }} as overrides
    inner join keyed as mine on overrides.record_a = mine.record_key
    inner join keyed as theirs
        on
            overrides.record_b = theirs.record_key
            and mine.identifier_key = theirs.identifier_key
    where overrides.verdict = 'apart'

)

select
    keyed.record_key,
    records.record_level,
    keyed.identifier_type,
    keyed.identifier_value,
    keyed.identifier_key,
    keyed.raw_value,
    keyed.origin,
    keyed.seen_at,
    keyed.valid_from,
    keyed.valid_to,
    degrees.record_count,
    case
        when blocked_values.identifier_value is not null then 'blocked value'
        when free_mail_domains.domain is not null then 'free-mail domain'
        when given_up.record_key is not null then 'set apart by a human'
        when degrees.record_count > rules.max_records then 'shared by too many records'
        else 'used'
    end as verdict
from keyed
inner join records on keyed.record_key = records.record_key
inner join degrees on keyed.identifier_key = degrees.identifier_key
left join rules on keyed.identifier_type = rules.identifier_type
left join blocked_values
    on
        keyed.identifier_type = blocked_values.identifier_type
        and keyed.identifier_value = blocked_values.identifier_value
left join {{ ref('free_mail_domains') }} as free_mail_domains
    on
        keyed.identifier_type = 'domain'
        and keyed.identifier_value = free_mail_domains.domain
left join given_up
    on
        keyed.record_key = given_up.record_key
        and keyed.identifier_key = given_up.identifier_key
