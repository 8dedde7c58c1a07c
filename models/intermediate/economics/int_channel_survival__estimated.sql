-- One row per channel (and 'all') and month of tenure up to the horizon: how many were there, how many could be lost
-- and were, what one of those who are there is worth, and the share that survives until then.
-- The estimate of lifetime value is sum(survival x mean margin x discount): discrete Kaplan-Meier times the mean
-- margin among those still there (Lin, Feuer, Etzioni and Wax 1997), which is right under censoring and lets revenue
-- and churn depend on each other.
-- The pooled columns are the same with customers of all channels mixed in where the channel has few: closer to the
-- truth for one with less than a hundred customers, but not what the channel's own customers did.
-- The per_* columns are the estimate's influence function: what one customer there, one cent of margin, one customer at
-- risk and one lost in the month do to it. Standard errors follow from them without any resampling, of customers
-- (int_customer_values__scored) and of buckets of customers (int_ltv_replicates__estimated) alike.
-- Hazard: beyond the last month with enough customers at risk nothing is known. There the mean hazard and margin of
-- the last months stand in (is_observed is false), and channel_economics says which share of the value that is.

with

cells as (

    select * from {{ ref('int_tenure_cells__tallied') }}

),

months_of_tenure as (

    select cast(month_of_tenure as integer) as month_of_tenure
    from (select {{ numbers(0, (economics_setting('ltv_horizon_months') | int) - 1) }} as month_of_tenure) as counted

),

counted as (

    select
        channel,
        month_of_tenure,
        sum(customers_there) as customers_there,
        sum(customers_at_risk) as customers_at_risk,
        sum(customers_lost) as customers_lost,
        sum(margin_cents) as margin_cents
    from cells
    group by channel, month_of_tenure

),

-- the last month of tenure before the number at risk first falls below what an estimate needs (in a small channel:
-- below one)
support as (

    select
        channel,
        coalesce(
            min(month_of_tenure) filter (
                where customers_at_risk < case
                    when customers_at_start >= {{ economics_setting('ltv_min_at_risk') }}
                        then {{ economics_setting('ltv_min_at_risk') }}
                    else 1
                end
            ) - 1,
            max(month_of_tenure)
        ) as last_observed_month
    from (
        select
            *,
            max(customers_at_risk) over (partition by channel) as customers_at_start
        from counted
    ) as with_start
    group by channel

),

-- the mean of the last observed months stands in for what nobody has reached
tails as (

    select
        counted.channel,
        support.last_observed_month,
        count(*) as tail_months,
        sum(counted.customers_there) as tail_there,
        sum(counted.customers_at_risk) as tail_at_risk,
        sum(counted.customers_lost) as tail_lost,
        sum(counted.margin_cents) as tail_margin_cents
    from counted
    inner join support on counted.channel = support.channel
    where
        counted.month_of_tenure between
        support.last_observed_month - {{ economics_setting('ltv_tail_months') }} + 1 and support.last_observed_month
    group by counted.channel, support.last_observed_month

),

-- every month of tenure of every channel, those that nobody has reached yet included
filled as (

    select
        tails.channel,
        months_of_tenure.month_of_tenure,
        tails.last_observed_month,
        months_of_tenure.month_of_tenure <= tails.last_observed_month as is_observed,
        months_of_tenure.month_of_tenure between
        tails.last_observed_month - {{ economics_setting('ltv_tail_months') }} + 1
        and tails.last_observed_month as is_in_tail_window,
        coalesce(counted.customers_there, 0) as customers_there,
        coalesce(counted.customers_at_risk, 0) as customers_at_risk,
        coalesce(counted.customers_lost, 0) as customers_lost,
        coalesce(counted.margin_cents, 0) as margin_cents,
        tails.tail_months,
        tails.tail_there,
        tails.tail_at_risk,
        tails.tail_lost / nullif(tails.tail_at_risk, 0) as tail_hazard,
        tails.tail_margin_cents / nullif(tails.tail_there, 0) as tail_mean_margin_cents
    from tails
    cross join months_of_tenure
    left join counted
        on
            tails.channel = counted.channel
            and months_of_tenure.month_of_tenure = counted.month_of_tenure

),

-- how many leave in each month of tenure, what do those who stay bring, and what is that worth today?
rated as (

    select
        *,
        case
            when is_observed then customers_lost / nullif(customers_at_risk, 0)
            else tail_hazard
        end as hazard,
        case
            when is_observed then margin_cents / nullif(customers_there, 0)
            else tail_mean_margin_cents
        end as mean_margin_cents,
        power(1 + {{ economics_setting('ltv_annual_discount_rate') }}, -month_of_tenure / 12.0) as discount
    from filled

),

everybody as (

    select
        month_of_tenure,
        hazard,
        mean_margin_cents
    from rated
    where channel = 'all'

),

-- what a customer of the channel brings, as a multiple of what one of the same tenure brings anywhere
levels as (

    select
        rated.channel,
        {{ ordered_sum('rated.margin_cents', 'rated.month_of_tenure') }}
        / nullif(
            {{ ordered_sum(
                'rated.customers_there * everybody.mean_margin_cents',
                'rated.month_of_tenure'
            ) }}, 0
        ) as margin_level
    from rated
    inner join everybody on rated.month_of_tenure = everybody.month_of_tenure
    group by rated.channel

),

-- the same with ten customers added to every month who leave like everybody and bring what everybody brings, at the
-- level of the channel: where a channel has many of its own they hardly count, where it has few they speak
pooled as (

    select
        rated.*,
        (rated.customers_lost + {{ economics_setting('ltv_pseudo_customers') }} * everybody.hazard)
        / (rated.customers_at_risk + {{ economics_setting('ltv_pseudo_customers') }}) as pooled_hazard,
        (
            rated.margin_cents
            + {{ economics_setting('ltv_pseudo_customers') }} * everybody.mean_margin_cents * levels.margin_level
        ) / (rated.customers_there + {{ economics_setting('ltv_pseudo_customers') }}) as pooled_mean_margin_cents
    from rated
    inner join everybody on rated.month_of_tenure = everybody.month_of_tenure
    inner join levels on rated.channel = levels.channel

),

survived as (

    select
        *,
        {{ surviving_share('hazard', 'channel') }} as survival,
        {{ surviving_share('pooled_hazard', 'channel') }} as pooled_survival
    from pooled

),

valued as (

    select
        *,
        survival * mean_margin_cents * discount as value_cents,
        pooled_survival * pooled_mean_margin_cents * discount as pooled_value_cents
    from survived

),

with_later_value as (

    select
        *,
        coalesce(
            sum(value_cents) over (
                partition by channel
                order by month_of_tenure
                rows between 1 following and unbounded following
            ),
            0
        ) as later_value_cents
    from valued

),

-- the estimate as a whole, and what its months beyond the last observed one hang on: the mean margin and the hazard of
-- the tail window
estimates as (

    select
        channel,
        {{ ordered_sum('value_cents', 'month_of_tenure') }} as ltv_cents,
        max(case when month_of_tenure = 0 then customers_there end) as customers,
        coalesce(
            {{ ordered_sum(
                'case when not is_observed then survival * discount end',
                'month_of_tenure'
            ) }}, 0
        ) as beyond_per_margin,
        coalesce(
            {{ ordered_sum(
                'case when not is_observed then later_value_cents / nullif(1 - tail_hazard, 0) end',
                'month_of_tenure'
            ) }},
            0
        ) as beyond_per_loss
    from with_later_value
    group by channel

),

-- in cents of the estimate: through the month's own hazard and mean margin, and through those of the tail window; a
-- month that the estimate does not observe does not move it
pulls as (

    select
        with_later_value.*,
        estimates.customers as customers_of_channel,
        estimates.ltv_cents,
        coalesce(
            with_later_value.survival * with_later_value.discount / nullif(with_later_value.customers_there, 0), 0
        ) as own_margin,
        coalesce(
            with_later_value.later_value_cents
            / nullif((1 - with_later_value.hazard) * with_later_value.customers_at_risk, 0),
            0
        ) as own_loss,
        case
            when with_later_value.is_in_tail_window
                then estimates.beyond_per_margin / nullif(with_later_value.tail_there, 0)
            else 0
        end as tail_margin,
        case
            when with_later_value.is_in_tail_window
                then coalesce(estimates.beyond_per_loss / nullif(with_later_value.tail_at_risk, 0), 0)
            else 0
        end as tail_loss
    from with_later_value
    inner join estimates on with_later_value.channel = estimates.channel

),

-- times the number of customers and relative to the estimate, in millionths of it, so that what is rounded to whole
-- numbers stays invisible
scaled as (

    select
        *,
        case
            when is_observed and ltv_cents != 0 then 1000000.0 * customers_of_channel / ltv_cents
            else 0
        end as pull_scale
    from pulls

)

select
    channel,
    month_of_tenure,
    last_observed_month,
    is_observed,
    is_in_tail_window,
    customers_there,
    customers_at_risk,
    customers_lost,
    margin_cents,
    tail_months,
    tail_there,
    tail_at_risk,
    tail_hazard,
    tail_mean_margin_cents,
    hazard,
    mean_margin_cents,
    discount,
    survival,
    value_cents,
    later_value_cents,
    pooled_hazard,
    pooled_mean_margin_cents,
    pooled_survival,
    pooled_value_cents,
    pull_scale * (own_margin + tail_margin) as per_cent,
    -pull_scale * (own_margin * coalesce(mean_margin_cents, 0) + tail_margin * tail_mean_margin_cents) as per_there,
    pull_scale * (own_loss * coalesce(hazard, 0) + tail_loss * coalesce(tail_hazard, 0)) as per_at_risk,
    -pull_scale * (own_loss + tail_loss) as per_lost
from scaled
