-- Guards int_tickets__attributed: staged tickets before as_of = deleted ones + those with a customer + those without,
-- and the customers' rows count every ticket that is not our own exactly once. A requester with two identities would
-- double.

with

staged as (

    select
        count(*) as staged_tickets,
        count(*) filter (where status = 'deleted') as deleted_tickets
    from {{ ref('stg_zendesk__tickets') }}
    where created_at < {{ as_of() }}

),

attributed as (

    select
        count(customer_id) as with_customer,
        count(*) - count(customer_id) as without_customer,
        count(*) filter (where customer_id is not null and not is_own_escalation) as customer_load
    from {{ ref('int_tickets__attributed') }}

),

rows_of_customers as (

    select coalesce(sum(tickets_total), 0) as tickets_total
    from {{ ref('int_customer_support__current') }}

)

select
    staged.*,
    attributed.*,
    rows_of_customers.tickets_total
from staged
cross join attributed
cross join rows_of_customers
where
    staged.staged_tickets != staged.deleted_tickets + attributed.with_customer + attributed.without_customer
    or attributed.customer_load != rows_of_customers.tickets_total
