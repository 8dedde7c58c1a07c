-- One row per channel (and 'all'): point estimates in US dollars and their 95 % intervals, from replicates
-- studentised by their own standard errors on the scale of logarithms: log(estimate) -/+ (quantile of the studentised
-- replicates) x error.
-- Why not percentiles of the replicates: at 30 customers they cover 80 to 90 % of what they promise.
-- Hazard: an interval exists only where its estimate does. A channel without spend has no cost per customer and a
-- channel without customers neither; both keep their row.

with

replicates as (

    select * from {{ ref('int_channel_replicates__estimated') }}

),

units as (

    select * from {{ ref('int_resampling_units__tallied') }}

),

ltv as (

    select * from {{ ref('int_ltv__valued') }}

),

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

),

-- the same sums with every weight at one: the estimates themselves
observed as (

    select
        channel,
        sum(case when unit_kind = 'bucket' then customers else 0 end) as customers,
        sum(case when unit_kind = 'bucket' then squared_influence else 0 end) as squared_influence,
        sum(case when unit_kind = 'bucket' then influence else 0 end) as influence,
        sum(case when unit_kind = 'week' and is_mature then 1 else 0 end) as weeks,
        sum(case when unit_kind = 'week' then cohort_customers else 0 end) as cohort_customers,
        sum(case when unit_kind = 'week' then cohort_spend_cents else 0 end) as cohort_spend_cents,
        sum(case when unit_kind = 'week' then cohort_paid_spend_cents else 0 end) as cohort_paid_spend_cents
    from units
    group by channel

),

estimates as (

    select
        observed.*,
        ltv.ltv_cents,
        ltv.observed_ltv_cents,
        ltv.observed_months,
        ltv.expected_months,
        observed.cohort_spend_cents / nullif(observed.cohort_customers, 0) as cac_cents,
        observed.cohort_paid_spend_cents / nullif(observed.cohort_customers, 0) as cac_paid_cents,
        sqrt(
            greatest(observed.squared_influence, 0) / nullif(observed.customers * (observed.customers - 1), 0)
        ) / 10000 as ltv_relative_error
    from observed
    left join ltv on observed.channel = ltv.channel

),

week_errors as (

    select
        units.channel,
        max(estimates.weeks) / nullif(max(estimates.weeks) - 1, 0) as small_sample,
        sum(
            power(
                units.cohort_spend_cents / nullif(estimates.cohort_spend_cents, 0)
                - units.cohort_customers / nullif(estimates.cohort_customers, 0),
                2
            ) order by units.unit
        ) as cac_squares,
        sum(
            power(
                units.cohort_paid_spend_cents / nullif(estimates.cohort_paid_spend_cents, 0)
                - units.cohort_customers / nullif(estimates.cohort_customers, 0),
                2
            ) order by units.unit
        ) as cac_paid_squares,
        sum(
            power(
                units.influence / 10000 / nullif(estimates.customers, 0)
                + units.cohort_customers / nullif(estimates.cohort_customers, 0)
                - units.cohort_spend_cents / nullif(estimates.cohort_spend_cents, 0),
                2
            ) order by units.unit
        ) as ltv_cac_squares
    from units
    inner join estimates on units.channel = estimates.channel
    where units.unit_kind = 'week'
    group by units.channel

),

errors as (

    select
        estimates.*,
        estimates.ltv_cents / nullif(estimates.cac_cents, 0) as ltv_cac,
        sqrt(week_errors.small_sample * week_errors.cac_squares) as cac_relative_error,
        sqrt(week_errors.small_sample * week_errors.cac_paid_squares) as cac_paid_relative_error,
        sqrt(week_errors.small_sample * week_errors.ltv_cac_squares) as ltv_cac_relative_error
    from estimates
    left join week_errors on estimates.channel = week_errors.channel

),

studentised as (

    select
        replicates.channel,
        replicates.unit_kind,
        replicates.replicate,
        case
            when replicates.ltv_cents > 0 and errors.ltv_cents > 0
                then ln(replicates.ltv_cents / errors.ltv_cents) / nullif(replicates.ltv_relative_error, 0)
        end as ltv_t,
        case
            when replicates.cac_cents > 0 and errors.cac_cents > 0
                then ln(replicates.cac_cents / errors.cac_cents) / nullif(replicates.cac_relative_error, 0)
        end as cac_t,
        case
            when replicates.cac_paid_cents > 0 and errors.cac_paid_cents > 0
                then
                    ln(replicates.cac_paid_cents / errors.cac_paid_cents)
                    / nullif(replicates.cac_paid_relative_error, 0)
        end as cac_paid_t,
        case
            when
                replicates.ltv_cents > 0 and errors.ltv_cents > 0
                and replicates.cac_cents > 0 and errors.cac_cents > 0
                then
                    ln(replicates.ltv_cents / replicates.cac_cents / errors.ltv_cac)
                    / nullif(replicates.ltv_cac_relative_error, 0)
        end as ltv_cac_t,
        -- never within the horizon is later than every month of it
        coalesce(replicates.payback_months, {{ economics_setting('ltv_horizon_months') }} + 1) as payback_months,
        replicates.cac_cents is not null as has_cost
    from replicates
    inner join errors on replicates.channel = errors.channel

),

quantiles as (

    select
        channel,
        {%- for part, unit_kind in [('ltv', 'bucket'), ('cac', 'week'), ('cac_paid', 'week'), ('ltv_cac', 'week')] %}
        quantile_cont(case when unit_kind = '{{ unit_kind }}' then {{ part }}_t end, 0.025) as {{ part }}_t_low,
        quantile_cont(case when unit_kind = '{{ unit_kind }}' then {{ part }}_t end, 0.975) as {{ part }}_t_high,
        {%- endfor %}
        quantile_disc(case when unit_kind = 'week' and has_cost then payback_months end, 0.025) as payback_low,
        quantile_disc(case when unit_kind = 'week' and has_cost then payback_months end, 0.975) as payback_high
    from studentised
    group by channel

),

margins as (

    select
        channel,
        month_of_tenure,
        sum(survival * mean_margin_cents) over (
            partition by channel
            order by month_of_tenure
            rows unbounded preceding
        ) as cumulative_margin_cents
    from survival

),

paid_back as (

    select
        margins.channel,
        min(margins.month_of_tenure) + 1 as payback_months
    from margins
    inner join errors on margins.channel = errors.channel
    where margins.cumulative_margin_cents >= errors.cac_cents
    group by margins.channel

)

select
    errors.channel,
    errors.customers,
    errors.weeks,
    errors.cohort_customers,
    errors.cohort_spend_cents,
    errors.cohort_paid_spend_cents,
    errors.observed_months,
    errors.expected_months,
    errors.observed_ltv_cents / 100 as observed_ltv,
    1 - errors.observed_ltv_cents / nullif(errors.ltv_cents, 0) as extrapolated_share,
    errors.ltv_cents / 100 as ltv,
    errors.ltv_cents / 100 * errors.ltv_relative_error as ltv_se,
    errors.ltv_cents / 100 * exp(-quantiles.ltv_t_high * errors.ltv_relative_error) as ltv_low,
    errors.ltv_cents / 100 * exp(-quantiles.ltv_t_low * errors.ltv_relative_error) as ltv_high,
    errors.cac_cents / 100 as cac,
    errors.cac_cents / 100 * exp(-quantiles.cac_t_high * errors.cac_relative_error) as cac_low,
    errors.cac_cents / 100 * exp(-quantiles.cac_t_low * errors.cac_relative_error) as cac_high,
    errors.cac_paid_cents / 100 as cac_paid,
    errors.cac_paid_cents / 100 * exp(-quantiles.cac_paid_t_high * errors.cac_paid_relative_error) as cac_paid_low,
    errors.cac_paid_cents / 100 * exp(-quantiles.cac_paid_t_low * errors.cac_paid_relative_error) as cac_paid_high,
    errors.ltv_cac,
    errors.ltv_cac * exp(-quantiles.ltv_cac_t_high * errors.ltv_cac_relative_error) as ltv_cac_low,
    errors.ltv_cac * exp(-quantiles.ltv_cac_t_low * errors.ltv_cac_relative_error) as ltv_cac_high,
    paid_back.payback_months,
    nullif(quantiles.payback_low, {{ economics_setting('ltv_horizon_months') }} + 1) as payback_months_low,
    nullif(quantiles.payback_high, {{ economics_setting('ltv_horizon_months') }} + 1) as payback_months_high
from errors
left join quantiles on errors.channel = quantiles.channel
left join paid_back on errors.channel = paid_back.channel
