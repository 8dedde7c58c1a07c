-- One row per attribution rule and channel (and 'all' under `first`): point estimates in US dollars and their 95 %
-- intervals. A limit is the estimate less the quantile of the replicates' t times the standard error: on the scale of
-- dollars for values, which may be negative, on that of logarithms for costs and ratios, which may not.
-- Why not percentiles of the replicates: at 30 customers they cover 80 to 90 % of what they promise.
-- Hazard: an interval exists only where its estimate does. A channel without spend has no cost per customer and a
-- channel without customers neither; both keep their row.

{% set horizon = economics_setting('ltv_horizon_months') | int %}

with

weeks as (

    select * from {{ ref('int_acquisition_weeks__tallied') }}

),

week_replicates as (

    select * from {{ ref('int_week_replicates__estimated') }}

),

ltv as (

    select * from {{ ref('int_channel_ltv__valued') }}

),

ltv_replicates as (

    select * from {{ ref('int_ltv_replicates__estimated') }}

),

attributed_values as (

    select * from {{ ref('int_attributed_values__averaged') }}

),

totals as (

    select
        attribution,
        channel,
        {{ ordered_sum('customers', 'week') }} as customers,
        sum(is_mature) as weeks,
        {{ ordered_sum('cohort_customers', 'week') }} as cohort_customers,
        {{ ordered_sum('expected_cohort_customers', 'week') }} as expected_cohort_customers,
        sum(cohort_spend_cents) as cohort_spend_cents,
        sum(cohort_paid_spend_cents) as cohort_paid_spend_cents
    from weeks
    group by attribution, channel

),

-- values of whole customers: the whole estimator was resampled
resampled_values as (

    select
        channel,
        max(case when replicate = 0 then ltv_error end) as ltv_error,
        max(ltv_skew) as ltv_skew,
        {{ replicate_quantile('case when replicate > 0 then ltv_t end', 0.025) }} as t_low,
        {{ replicate_quantile('case when replicate > 0 then ltv_t end', 0.975) }} as t_high
    from ltv_replicates
    group by channel

),

-- the value of a customer with its limits, by the first touch and under the other rules
valued as (

    select
        'first' as attribution,
        ltv.channel,
        ltv.ltv_cents,
        ltv.effective_customers,
        resampled_values.ltv_error,
        ltv.ltv_cents - resampled_values.t_high * resampled_values.ltv_error as ltv_low_cents,
        ltv.ltv_cents - resampled_values.t_low * resampled_values.ltv_error as ltv_high_cents,
        resampled_values.ltv_skew
    from ltv
    inner join resampled_values on ltv.channel = resampled_values.channel
    union all
    select
        attribution,
        channel,
        mean_value as ltv_cents,
        effective_customers,
        mean_error as ltv_error,
        mean_low as ltv_low_cents,
        mean_high as ltv_high_cents,
        skew_of_mean as ltv_skew
    from attributed_values
    where attribution != 'first'

),

resampled_ratios as (

    select
        {%- for part in ['cac', 'cac_paid', 'ltv_cac'] %}
        max(case when replicate = 0 then {{ part }}_error end) as {{ part }}_error,
        {{ replicate_quantile('case when replicate > 0 then ' ~ part ~ '_t end', 0.025) }} as {{ part }}_t_low,
        {{ replicate_quantile('case when replicate > 0 then ' ~ part ~ '_t end', 0.975) }} as {{ part }}_t_high,
        {%- endfor %}
        attribution,
        channel
    from week_replicates
    group by attribution, channel

),

-- what does a customer cost, and how does its value compare?
estimates as (

    select
        totals.*,
        valued.ltv_cents,
        valued.effective_customers,
        valued.ltv_error,
        valued.ltv_low_cents,
        valued.ltv_high_cents,
        valued.ltv_skew,
        -- no spend means that the cost is not known, not that it is nothing
        nullif(totals.cohort_spend_cents, 0) / nullif(totals.cohort_customers, 0) as cac_cents,
        nullif(totals.cohort_paid_spend_cents, 0) / nullif(totals.cohort_customers, 0) as cac_paid_cents,
        valued.ltv_cents
        / (nullif(totals.cohort_spend_cents, 0) / nullif(totals.cohort_customers, 0)) as ltv_cac
    from totals
    left join valued
        on
            totals.attribution = valued.attribution
            and totals.channel = valued.channel

),

-- the month in which the margin of those who survive has paid back the cost, in every replicate of both; nobody's
-- margin depends on what the channel spent, so that replicates of customers and of weeks go side by side
paid_back as (

    select
        ltv_replicates.channel,
        ltv_replicates.replicate,
        case
            when week_replicates.log_cac is null then null
            {%- for month in range(horizon) %}
            when ltv_replicates.margin_by_{{ month }} >= estimates.cac_cents * exp(week_replicates.log_cac)
                then {{ month + 1 }}
            {%- endfor %}
            -- never within the horizon is later than every month of it
            else {{ horizon + 1 }}
        end as payback_months
    from ltv_replicates
    inner join week_replicates
        on
            ltv_replicates.channel = week_replicates.channel
            and ltv_replicates.replicate = week_replicates.replicate
    inner join estimates
        on
            week_replicates.attribution = estimates.attribution
            and week_replicates.channel = estimates.channel
    where week_replicates.attribution = 'first'

),

paybacks as (

    select
        channel,
        max(case when replicate = 0 then payback_months end) as payback_months,
        floor({{ replicate_quantile('case when replicate > 0 then payback_months end', 0.025) }}) as payback_low,
        ceil({{ replicate_quantile('case when replicate > 0 then payback_months end', 0.975) }}) as payback_high
    from paid_back
    group by channel

)

select
    estimates.attribution,
    estimates.channel,
    estimates.customers,
    estimates.effective_customers,
    estimates.weeks,
    estimates.cohort_customers,
    estimates.cohort_spend_cents,
    estimates.cohort_paid_spend_cents,
    estimates.cohort_customers / nullif(estimates.expected_cohort_customers, 0) as cohort_completion,
    estimates.ltv_cents / 100 as ltv,
    estimates.ltv_error / 100 as ltv_se,
    estimates.ltv_low_cents / 100 as ltv_low,
    estimates.ltv_high_cents / 100 as ltv_high,
    estimates.ltv_skew,
    {%- for part in ['cac', 'cac_paid'] %}
    estimates.{{ part }}_cents / 100 as {{ part }},
    estimates.{{ part }}_cents / 100
    * exp(-resampled_ratios.{{ part }}_t_high * resampled_ratios.{{ part }}_error) as {{ part }}_low,
    estimates.{{ part }}_cents / 100
    * exp(-resampled_ratios.{{ part }}_t_low * resampled_ratios.{{ part }}_error) as {{ part }}_high,
    {%- endfor %}
    estimates.ltv_cac,
    estimates.ltv_cac * exp(-resampled_ratios.ltv_cac_t_high * resampled_ratios.ltv_cac_error) as ltv_cac_low,
    estimates.ltv_cac * exp(-resampled_ratios.ltv_cac_t_low * resampled_ratios.ltv_cac_error) as ltv_cac_high,
    -- what was spent and how many came is taken as given; only what the customers are worth is uncertain
    estimates.ltv_low_cents / estimates.cac_cents as ltv_cac_realised_low,
    estimates.ltv_high_cents / estimates.cac_cents as ltv_cac_realised_high,
    nullif(paybacks.payback_months, {{ horizon + 1 }}) as payback_months,
    nullif(paybacks.payback_low, {{ horizon + 1 }}) as payback_months_low,
    nullif(paybacks.payback_high, {{ horizon + 1 }}) as payback_months_high
from estimates
left join resampled_ratios
    on
        estimates.attribution = resampled_ratios.attribution
        and estimates.channel = resampled_ratios.channel
left join paybacks
    on
        estimates.channel = paybacks.channel
        and estimates.attribution = 'first'
