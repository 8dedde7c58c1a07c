-- Guards the human's last word: records set together share a customer, records set apart do not, and an override
-- names records that exist (a typing mistake in the seed would otherwise do nothing, in silence).

select
    overrides.record_a,
    overrides.record_b,
    overrides.verdict,
    identities_a.customer_id as customer_a,
    identities_b.customer_id as customer_b
from {{ ref('identity_overrides') }} as overrides
left join {{ ref('int_identities__resolved') }} as identities_a on overrides.record_a = identities_a.record_key
left join {{ ref('int_identities__resolved') }} as identities_b on overrides.record_b = identities_b.record_key
where
    identities_a.customer_id is null
    or identities_b.customer_id is null
    or (overrides.verdict = 'together' and identities_a.customer_id != identities_b.customer_id)
    or (overrides.verdict = 'apart' and identities_a.customer_id = identities_b.customer_id)
