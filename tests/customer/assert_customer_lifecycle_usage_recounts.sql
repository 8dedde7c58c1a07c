-- Guards the usage columns of the customer's row: active days and minutes recounted from the published usage_daily
-- over the 28 dates that end before as_of. Readers must be able to get the row's numbers from the mart beside it.

with

recounted as (

    select
        customer_id,
        count(*) filter (where is_active_day) as l28,
        sum(active_minutes) as active_minutes_28d
    from {{ ref('usage_daily') }}
    where
        product = 'all'
        and usage_date > {{ dbt.dateadd('day', -28, 'cast(' ~ dbt.dateadd('second', -1, as_of()) ~ ' as date)') }}
    group by customer_id

)

select
    lifecycle.customer_id,
    lifecycle.l28,
    recounted.l28 as recounted_l28,
    lifecycle.active_minutes_28d,
    recounted.active_minutes_28d as recounted_active_minutes_28d
from {{ ref('customer_lifecycle') }} as lifecycle
full outer join recounted on lifecycle.customer_id = recounted.customer_id
where
    coalesce(lifecycle.l28, 0) != coalesce(recounted.l28, 0)
    or coalesce(lifecycle.active_minutes_28d, 0) != coalesce(recounted.active_minutes_28d, 0)
