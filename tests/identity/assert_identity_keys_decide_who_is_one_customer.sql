-- Guards the rule that evidence neither joins what keys keep apart nor parts what a key joins. If it fails, two paying
-- companies have become one row, or one has become two.

with

accounts as (

    select
        identities.customer_id,
        identities.source_system,
        identities.source_record_type,
        identities.match_method,
        keyed.component
    from {{ ref('int_identities__resolved') }} as identities
    inner join {{ ref('int_accounts__keyed') }} as keyed on identities.record_key = keyed.node

)

select
    'two product accounts without a key between them' as problem,
    customer_id as subject,
    count(distinct component) as found
from accounts
where source_system = 'product' and source_record_type = 'account'
group by customer_id
having count(distinct component) > 1

union all

---------- unless a human set them apart
select
    'one key and several customers' as problem,
    component as subject,
    count(distinct customer_id) as found
from accounts
where match_method != 'override'
group by component
having count(distinct customer_id) > 1
