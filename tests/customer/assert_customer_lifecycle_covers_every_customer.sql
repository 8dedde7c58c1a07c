-- Guards the grain of customer_lifecycle: exactly the customers that customer_identities knows, each once, except
-- those made of nothing but anonymous visits. A join that drops or doubles a customer changes every total built on the
-- row.

with

identities as (

    select
        customer_id,
        count(*) as identity_count
    from {{ ref('customer_identities') }}
    group by customer_id
    having count(*) filter (where source_record_type != 'anonymous') > 0

),

lifecycle as (

    select
        customer_id,
        count(*) as rows_of_customer,
        max(identity_count) as identity_count
    from {{ ref('customer_lifecycle') }}
    group by customer_id

)

select
    coalesce(identities.customer_id, lifecycle.customer_id) as customer_id,
    identities.identity_count,
    lifecycle.identity_count as identity_count_in_row,
    lifecycle.rows_of_customer
from identities
full outer join lifecycle on identities.customer_id = lifecycle.customer_id
where
    lifecycle.rows_of_customer is distinct from 1
    or identities.identity_count is distinct from lifecycle.identity_count
