-- Guards int_messages__attributed and the engagement columns: every staged message before as_of is there once, and
-- what the customers' rows count as sent in 90 days is what the messages of known customers say.

with

staged as (

    select count(*) as staged_messages
    from {{ ref('stg_customerio__messages') }}
    where created_at < {{ as_of() }}

),

attributed as (

    select
        count(*) as messages,
        count(*) filter (
            where customer_id is not null and sent_at >= {{ dbt.dateadd('day', -90, as_of()) }}
        ) as sent_to_customers_90d
    from {{ ref('int_messages__attributed') }}

),

rows_of_customers as (

    select coalesce(sum(messages_sent_90d), 0) as messages_sent_90d
    from {{ ref('int_customer_marketing__current') }}

)

select
    staged.staged_messages,
    attributed.*,
    rows_of_customers.messages_sent_90d
from staged
cross join attributed
cross join rows_of_customers
where
    staged.staged_messages != attributed.messages
    or attributed.sent_to_customers_90d != rows_of_customers.messages_sent_90d
