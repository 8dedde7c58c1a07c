-- One row per paying customer and month of tenure (0 = the month that begins with the first payment) that had begun
-- before as_of, up to the horizon, as long as the customer stayed.
-- Why it exists: this is the table that survival is estimated from. is_at_risk says that the renewal into the next
-- month has been observed, is_lost that it did not happen; a customer whose next month has not begun yet is neither
-- (censored).
-- Hazard: a pause is not a loss: a paused customer stays, with a margin of zero. A customer who left and came back is
-- lost at the first leave; what came after is not in the estimate, which is therefore on the low side.
-- Margin is recurring revenue at the beginning of the month times the plan's gross margin, less refunds, in US cents.

with

acquired as (

    select * from {{ ref('int_customers__acquired') }}

),

states as (

    select * from {{ ref('int_subscription_states__historized') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

margins as (

    select * from {{ ref('int_gross_margins__applied') }}

),

revenue as (

    select * from {{ ref('int_revenue__netted') }}

),

months_of_tenure as (

    select cast(month_of_tenure as integer) as month_of_tenure
    from (select {{ numbers(0, economics_setting('ltv_horizon_months')) }} as month_of_tenure) as counted

),

-- one more month than the horizon, to see whether the last one was renewed
begun as (

    select
        acquired.customer_id,
        acquired.channel,
        acquired.week,
        acquired.bucket,
        acquired.first_paid_at,
        months_of_tenure.month_of_tenure,
        {{ dbt.dateadd('month', 'months_of_tenure.month_of_tenure', 'acquired.first_paid_at') }} as begins_at
    from acquired
    inner join months_of_tenure
        on {{ dbt.dateadd('month', 'months_of_tenure.month_of_tenure', 'acquired.first_paid_at') }} < {{ as_of() }}

),

-- what stood at the first second of each month of tenure?
standing as (

    select
        begun.customer_id,
        begun.channel,
        begun.week,
        begun.bucket,
        begun.first_paid_at,
        begun.month_of_tenure,
        begun.begins_at,
        coalesce(sum(states.mrr_units + states.paused_units), 0) > 0 as is_there,
        coalesce(
            sum(
                cast(
                    cast(states.mrr as decimal(18, 2)) * cast(rates.closing_rate as decimal(18, 8)) as decimal(18, 4)
                ) * margins.gross_margin
            ),
            0
        ) as margin
    from begun
    left join states
        on
            begun.customer_id = states.customer_id
            and begun.begins_at >= states.valid_from
            and (states.valid_to is null or begun.begins_at < states.valid_to)
    left join rates
        on
            states.currency = rates.currency
            and {{ reporting_month('begun.begins_at') }} = rates.month
    left join margins
        on
            states.plan = margins.plan
            and {{ reporting_month('begun.begins_at') }} = margins.month
    group by
        begun.customer_id,
        begun.channel,
        begun.week,
        begun.bucket,
        begun.first_paid_at,
        begun.month_of_tenure,
        begun.begins_at

),

followed as (

    select
        *,
        min(case when is_there then 1 else 0 end) over (
            partition by customer_id
            order by month_of_tenure
            rows unbounded preceding
        ) = 1 as has_stayed,
        lead(is_there) over (partition by customer_id order by month_of_tenure) as is_there_next
    from standing

),

stayed as (

    select
        *,
        max(month_of_tenure) over (partition by customer_id) as last_month_of_tenure
    from followed
    where has_stayed

),

-- money given back lowers the month of tenure in which it was; after the last month, the last month
refunded as (

    select
        stayed.customer_id,
        stayed.month_of_tenure,
        sum(revenue.refunds) as refunds
    from stayed
    inner join revenue
        on
            stayed.customer_id = revenue.customer_id
            and least(
                greatest(
                    {{ dbt.datediff(reporting_month('stayed.first_paid_at'), 'revenue.month', 'month') }}, 0
                ),
                stayed.last_month_of_tenure
            ) = stayed.month_of_tenure
    where revenue.refunds > 0
    group by stayed.customer_id, stayed.month_of_tenure

)

select
    stayed.customer_id,
    stayed.channel,
    stayed.week,
    stayed.bucket,
    stayed.month_of_tenure,
    stayed.is_there_next is not null as is_at_risk,
    coalesce(not stayed.is_there_next, false) as is_lost,
    cast(
        (stayed.margin - coalesce(refunded.refunds, 0) * margins.gross_margin) * 100 as decimal(18, 0)
    ) as margin_cents
from stayed
left join refunded
    on
        stayed.customer_id = refunded.customer_id
        and stayed.month_of_tenure = refunded.month_of_tenure
inner join margins
    on
        margins.plan = '*'
        and {{ reporting_month('stayed.begins_at') }} = margins.month
where stayed.month_of_tenure < {{ economics_setting('ltv_horizon_months') }}
