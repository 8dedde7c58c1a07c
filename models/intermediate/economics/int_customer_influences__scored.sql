-- One row per channel (and 'all') and customer: how much the customer pulls the channel's lifetime value, as the
-- value of the influence function times the number of customers, relative to the estimate, in ten-thousandths.
-- Why it exists: the sum of squares is the standard error without any resampling, and resampled estimates are
-- studentised by it. The influences of a channel sum to zero but for rounding (assert_influences_sum_to_zero), which
-- no wrong term would survive.
-- Hazard: whole numbers on purpose. Sums of them are the same in every order, so one thread and two give the same
-- interval.

with

tenures as (

    select * from {{ ref('int_customer_tenures__observed') }}

),

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

),

ltv as (

    select * from {{ ref('int_ltv__valued') }}

),

-- what the months beyond the last observed one hang on: the mean margin and the hazard of the tail window
extrapolated as (

    select
        channel,
        coalesce(sum(survival * discount order by month_of_tenure), 0) as margin_weight,
        coalesce(
            sum(later_value_cents / nullif(1 - tail_hazard, 0) order by month_of_tenure), 0
        ) as hazard_weight
    from survival
    where not is_observed
    group by channel

),

-- what one customer there, one cent of margin, one at risk and one lost in a month do to the estimate
coefficients as (

    select
        survival.channel,
        survival.month_of_tenure,
        survival.survival * survival.discount / nullif(survival.customers_there, 0) as per_margin,
        survival.mean_margin_cents,
        coalesce(
            survival.later_value_cents / nullif((1 - survival.hazard) * survival.customers_at_risk, 0), 0
        ) as per_loss,
        coalesce(survival.hazard, 0) as hazard,
        case
            when survival.is_in_tail_window
                then coalesce(extrapolated.margin_weight, 0) / nullif(survival.tail_there, 0)
            else 0
        end as per_tail_margin,
        survival.tail_mean_margin_cents,
        case
            when survival.is_in_tail_window
                then coalesce(extrapolated.hazard_weight, 0) / nullif(survival.tail_at_risk, 0)
            else 0
        end as per_tail_loss,
        coalesce(survival.tail_hazard, 0) as tail_hazard,
        ltv.customers * 10000.0 / nullif(ltv.ltv_cents, 0) as relative_scale
    from survival
    inner join ltv on survival.channel = ltv.channel
    left join extrapolated on survival.channel = extrapolated.channel
    where survival.is_observed

),

memberships as (

    select
        channel,
        customer_id,
        week,
        bucket,
        month_of_tenure,
        is_at_risk,
        is_lost,
        margin_cents
    from tenures

    union all

    select
        'all' as channel,
        customer_id,
        week,
        bucket,
        month_of_tenure,
        is_at_risk,
        is_lost,
        margin_cents
    from tenures

),

-- hundredths of the unit, so that rounding each month stays invisible in the sum
terms as (

    select
        memberships.channel,
        memberships.customer_id,
        memberships.week,
        memberships.bucket,
        cast(
            round(
                100 * coefficients.relative_scale * (
                    coefficients.per_margin * (memberships.margin_cents - coefficients.mean_margin_cents)
                    - coefficients.per_loss * (
                        case when memberships.is_lost then 1 else 0 end
                        - case when memberships.is_at_risk then coefficients.hazard else 0 end
                    )
                    + coefficients.per_tail_margin * (memberships.margin_cents - coefficients.tail_mean_margin_cents)
                    - coefficients.per_tail_loss * (
                        case when memberships.is_lost then 1 else 0 end
                        - case when memberships.is_at_risk then coefficients.tail_hazard else 0 end
                    )
                )
            ) as bigint
        ) as influence_hundredths
    from memberships
    inner join coefficients
        on
            memberships.channel = coefficients.channel
            and memberships.month_of_tenure = coefficients.month_of_tenure

)

select
    channel,
    customer_id,
    week,
    bucket,
    cast(round(sum(influence_hundredths) / 100.0) as bigint) as influence
from terms
group by channel, customer_id, week, bucket
