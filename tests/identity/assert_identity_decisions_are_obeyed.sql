-- Guards the human's last word: records set together share a customer, records set apart do not, and an override
-- names records that exist (a typing mistake in the seed would otherwise do nothing, in silence). For the same reason
-- an alias is written in normal form, and what it joins is one customer.

with

identities as (

    select
        record_key,
        customer_id
    from {{ ref('int_identities__resolved') }}

),

accounts as (

    select
        keyed.node,
        identities.customer_id
    from {{ ref('int_accounts__keyed') }} as nodes
    inner join {{ ref('int_accounts__keyed') }} as keyed on nodes.component = keyed.component
    inner join identities on nodes.node = identities.record_key
    where keyed.node like 'account_id=%'

),

aliases as (

    select
        identifier_type,
        old_value,
        new_value,
        effective_at
    from {{ ref('identity_aliases') }}

)

select
    overrides.verdict as decision,
    overrides.record_a as one,
    overrides.record_b as other
from {{ ref('identity_overrides') }} as overrides
left join identities as identities_a on overrides.record_a = identities_a.record_key
left join identities as identities_b on overrides.record_b = identities_b.record_key
where
    identities_a.customer_id is null
    or identities_b.customer_id is null
    or (overrides.verdict = 'together' and identities_a.customer_id != identities_b.customer_id)
    or (overrides.verdict = 'apart' and identities_a.customer_id = identities_b.customer_id)

union all

select
    'not in normal form' as decision,
    old_value as one,
    new_value as other
from aliases
where
    (
        identifier_type = 'email'
        and (
            {{ normalize_email('old_value') }} is distinct from old_value
            or {{ normalize_email('new_value') }} is distinct from new_value
        )
    )
    or (
        identifier_type = 'domain'
        and (
            {{ normalize_domain('old_value') }} is distinct from old_value
            or {{ normalize_domain('new_value') }} is distinct from new_value
        )
    )

union all

select
    'alias' as decision,
    aliases.old_value as one,
    aliases.new_value as other
from aliases
inner join accounts as accounts_old on 'account_id=' || aliases.old_value = accounts_old.node
inner join accounts as accounts_new on 'account_id=' || aliases.new_value = accounts_new.node
where
    aliases.identifier_type = 'account_id'
    and aliases.effective_at <= {{ as_of() }}
    and accounts_old.customer_id != accounts_new.customer_id
