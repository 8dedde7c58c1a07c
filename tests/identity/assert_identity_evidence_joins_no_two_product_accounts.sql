-- Guards the rule that evidence never joins what keys keep apart: a customer with two product accounts must have a
-- key or an alias between them. If it fails, two paying companies have become one row.

select
    identities.customer_id,
    count(distinct accounts.component) as keyed_accounts
from {{ ref('int_identities__resolved') }} as identities
inner join {{ ref('int_accounts__keyed') }} as accounts on identities.record_key = accounts.node
where identities.source_system = 'product' and identities.source_record_type = 'account'
group by identities.customer_id
having count(distinct accounts.component) > 1
