-- One row per customer who ever paid: what the customer has brought (cash, less refunds, times margin) and what may be
-- expected of them over the next months of the horizon, with the limits in which 95 % of such customers will end up.
-- Expected: the margin of today, for as long as customers of the channel and tenure stay, growing or shrinking with
-- tenure as theirs does, discounted. The pooled curve of the channel is used: for one customer the closest guess
-- counts, not the channel's own record.
-- The limits are about this customer, not about the mean: the 2.5 % who leave first and the 2.5 % who stay longest.
-- They do not hold what a change of plan would do.
-- Hazard: beyond the horizon's last month the mean hazard and margin of the last observed months go on.

{% set horizon = economics_setting('ltv_horizon_months') | int %}

with

acquired as (

    select * from {{ ref('int_customers__acquired') }}

),

billing as (

    select * from {{ ref('int_customer_billing__current') }}

),

margins as (

    select * from {{ ref('int_gross_margins__applied') }}

),

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

),

-- how long a customer has been one, in whole months, and what they bring now; who has left brings nothing more
present as (

    select
        acquired.customer_id,
        acquired.channel,
        billing.ltv_realised,
        coalesce(billing.mrr, 0) * margins.gross_margin as monthly_margin,
        least(
            cast(floor({{ dbt.datediff('acquired.first_paid_at', as_of(), 'day') }} / 30.4375) as integer),
            {{ horizon - 1 }}
        ) as month_of_tenure
    from acquired
    inner join billing on acquired.customer_id = billing.customer_id
    left join margins
        on
            coalesce(billing.plan, '*') = margins.plan
            and {{ reporting_month(as_of() ~ " - interval '1' second") }} = margins.month

),

-- the curve twice as long as it is estimated: the last month's rates go on
lengthened as (

    select
        survival.channel,
        counted.month_of_tenure,
        survival.pooled_hazard,
        survival.pooled_mean_margin_cents
    from (select {{ numbers(0, 2 * horizon - 1) }} as month_of_tenure) as counted
    inner join survival on least(counted.month_of_tenure, {{ horizon - 1 }}) = survival.month_of_tenure

),

curves as (

    select
        *,
        {{ surviving_share('pooled_hazard', 'channel') }} as survival
    from lengthened

),

-- from each month of tenure, the next months: the share still there and what one of them brings, as multiples of today
futures as (

    select
        today.channel,
        today.month_of_tenure,
        later.month_of_tenure - today.month_of_tenure as months_ahead,
        later.survival / nullif(today.survival, 0) as share_there,
        later.pooled_mean_margin_cents / nullif(today.pooled_mean_margin_cents, 0)
        * power(
            1 + {{ economics_setting('ltv_annual_discount_rate') }},
            -(later.month_of_tenure - today.month_of_tenure) / 12.0
        ) as margin_factor
    from curves as today
    inner join curves as later
        on
            today.channel = later.channel
            and today.month_of_tenure < later.month_of_tenure
            and today.month_of_tenure + {{ horizon }} >= later.month_of_tenure
    where today.month_of_tenure < {{ horizon }}

),

-- months that all but the quickest and the slowest leavers make
multiples as (

    select
        channel,
        month_of_tenure,
        {{ ordered_sum('share_there * margin_factor', 'months_ahead') }} as expected_months,
        coalesce(
            {{ ordered_sum('case when share_there > 0.975 then margin_factor end', 'months_ahead') }}, 0
        ) as least_months,
        coalesce(
            {{ ordered_sum('case when share_there > 0.025 then margin_factor end', 'months_ahead') }}, 0
        ) as most_months
    from futures
    group by channel, month_of_tenure

),

supports as (

    select
        channel,
        customers_there
    from survival
    where month_of_tenure = 0

)

select
    present.customer_id,
    cast(present.ltv_realised as decimal(18, 2)) as ltv_realised,
    cast(present.ltv_realised + present.monthly_margin * multiples.expected_months as decimal(18, 2)) as ltv_predicted,
    cast(present.ltv_realised + present.monthly_margin * multiples.least_months as decimal(18, 2)) as ltv_predicted_low,
    cast(present.ltv_realised + present.monthly_margin * multiples.most_months as decimal(18, 2)) as ltv_predicted_high,
    cast(supports.customers_there as bigint) as ltv_predicted_n,
    cast(present.monthly_margin * multiples.expected_months as decimal(18, 2)) as ltv_remaining,
    cast({{ horizon }} as bigint) as ltv_remaining_months
from present
left join multiples
    on
        present.channel = multiples.channel
        and present.month_of_tenure = multiples.month_of_tenure
left join supports on present.channel = supports.channel
