-- Guards the spine of mrr_movements: opening(m) is closing(m - 1), mrr_year_before(m) is closing(m - 12), every month
-- between a customer's first and the last is there exactly once, and everybody's last month is the same. A missing
-- month would turn churn into nothing at all and the return into growth.

with

movements as (

    select * from {{ ref('mrr_movements') }}

),

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
    from movements

)

select
    months.*,
    movements.mrr_year_before,
    year_before.closing_mrr as closing_a_year_before
from months
inner join movements
    on
        months.customer_id = movements.customer_id
        and months.month = movements.month
left join movements as year_before
    on
        months.customer_id = year_before.customer_id
        and months.month = {{ dbt.dateadd('year', 1, 'year_before.month') }}
where
    movements.mrr_year_before is distinct from year_before.closing_mrr
    or months.opening_mrr != coalesce(months.previous_closing_mrr, 0)
    or (
        months.previous_month is not null
        and {{ dbt.datediff('months.previous_month', 'months.month', 'month') }} != 1
    )
    or months.customer_last_month != months.last_month
