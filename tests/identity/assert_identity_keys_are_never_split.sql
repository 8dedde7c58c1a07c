-- Guards the opposite: account-level records that carry the same product account id are one customer, whatever
-- evidence says, unless a human set them apart.

select
    accounts.component,
    count(distinct identities.customer_id) as customers
from {{ ref('int_identities__resolved') }} as identities
inner join {{ ref('int_accounts__keyed') }} as accounts on identities.record_key = accounts.node
where identities.match_method != 'override'
group by accounts.component
having count(distinct identities.customer_id) > 1
