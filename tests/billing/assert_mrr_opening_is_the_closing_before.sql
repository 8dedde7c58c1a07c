-- Guards the spine of mrr_movements: opening(m) is closing(m - 1), every month between a customer's first and the
-- last is there exactly once, and everybody's last month is the same. A missing month would turn churn into nothing
-- at all and the return into growth.

with

months as (

    select
        customer_id,
        month,
        opening_mrr,
        closing_mrr,
        lag(month) over (partition by customer_id order by month) as previous_month,
        lag(closing_mrr) over (partition by customer_id order by month) as previous_closing_mrr,
        max(month) over (partition by customer_id) as customer_last_month,
        max(month) over () as last_month
    from {{ ref('mrr_movements') }}

)

select *
from months
where
    opening_mrr != coalesce(previous_closing_mrr, 0)
    or (previous_month is not null and {{ dbt.datediff('previous_month', 'month', 'month') }} != 1)
    or customer_last_month != last_month
