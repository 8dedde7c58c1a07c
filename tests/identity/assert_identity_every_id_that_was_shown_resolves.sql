-- Guards the memory: an id that a publication showed is a customer now, or customer_aliases says which one it means. If
-- it fails, somebody's CRM field leads nowhere.

with

customers as (

    select distinct customer_id from {{ ref('int_identities__resolved') }}

),

aliases as (

    select
        alias_customer_id,
        customer_id
    from {{ ref('customer_aliases') }}
    where is_current

),

shown as (

    select distinct customer_id from {{ ref('stg_ops__identity_log') }}

)

select
    shown.customer_id,
    'neither a customer nor an alias' as problem
from shown
left join customers on shown.customer_id = customers.customer_id
left join aliases on shown.customer_id = aliases.alias_customer_id
where customers.customer_id is null and aliases.alias_customer_id is null

union all

select
    aliases.alias_customer_id as customer_id,
    case
        when own.customer_id is not null then 'a customer and an alias at once'
        else 'an alias of nobody'
    end as problem
from aliases
left join customers as own on aliases.alias_customer_id = own.customer_id
left join customers as meant on aliases.customer_id = meant.customer_id
where own.customer_id is not null or (aliases.customer_id is not null and meant.customer_id is null)
