-- One row per acquisition channel, and one for all of them: what a customer is worth, what one cost, and how sure we
-- are.
-- Why it exists: budgets are moved on these numbers; each carries its interval, its sample and whether to trust it.
-- Hazard: 'all' is a row like the others; sums over channels must leave it out. A channel without spend has no cost
-- per customer (null, with its spend beside it), which is not the same as a free customer.

with

channels as (

    select
        channel,
        is_paid
    from {{ ref('acquisition_channels') }}
    union all
    select
        'all' as channel,
        cast(null as boolean) as is_paid

),

acquired as (

    select * from {{ ref('int_customers__acquired') }}

),

spend as (

    select * from {{ ref('int_spend__weekly') }}

),

intervals as (

    select *
    from {{ ref('int_channel_intervals__studentised') }}
    where attribution = 'first'

),

ltv as (

    select * from {{ ref('int_channel_ltv__valued') }}

),

realised as (

    select * from {{ ref('int_realised_values__averaged') }}

),

customers as (

    select
        channel,
        count(*) as new_customers
    from acquired
    group by channel
    union all
    select
        'all' as channel,
        count(*) as new_customers
    from acquired

),

spent as (

    select
        channel,
        sum(spend_cents) as spend_cents,
        sum(paid_spend_cents) as paid_spend_cents
    from spend
    group by channel
    union all
    select
        'all' as channel,
        sum(spend_cents) as spend_cents,
        sum(paid_spend_cents) as paid_spend_cents
    from spend

),

blended as (

    select * from intervals
    where channel = 'all'

),

-- everything known of a channel, and how far it can be relied on
judged as (

    select
        channels.channel,
        channels.is_paid,
        coalesce(customers.new_customers, 0) as new_customers,
        coalesce(spent.spend_cents, 0) as spend_cents,
        coalesce(spent.paid_spend_cents, 0) as paid_spend_cents,
        intervals.effective_customers,
        intervals.weeks,
        intervals.cohort_customers,
        intervals.cohort_spend_cents,
        intervals.cohort_completion,
        intervals.customers,
        intervals.ltv,
        intervals.ltv_se,
        intervals.ltv_low,
        intervals.ltv_high,
        intervals.cac,
        intervals.cac_low,
        intervals.cac_high,
        intervals.cac_paid,
        intervals.cac_paid_low,
        intervals.cac_paid_high,
        intervals.ltv_cac,
        intervals.ltv_cac_low,
        intervals.ltv_cac_high,
        intervals.ltv_cac_realised_low,
        intervals.ltv_cac_realised_high,
        intervals.payback_months,
        intervals.payback_months_low,
        intervals.payback_months_high,
        intervals.ltv_skew,
        ltv.observed_months,
        ltv.expected_months,
        ltv.observed_ltv_cents / 100 as observed_ltv,
        1 - ltv.observed_ltv_cents / nullif(ltv.ltv_cents, 0) as extrapolated_share,
        ltv.pooled_ltv_cents / 100 as pooled_ltv,
        ltv.ltv_tail_cents / 100 as ltv_tail,
        ltv.sbg_alpha,
        ltv.sbg_beta,
        realised.customers as realised_customers,
        realised.mean_value / 100 as realised_ltv,
        realised.mean_low / 100 as realised_ltv_low,
        realised.mean_high / 100 as realised_ltv_high,
        blended.cac as cac_blended,
        blended.cac_low as cac_blended_low,
        blended.cac_high as cac_blended_high,
        blended.cohort_customers as cac_blended_n,
        {{ economics_reliability(
            'coalesce(customers.new_customers, 0)', 'intervals',
            'ltv.observed_ltv_cents < 0.5 * ltv.ltv_cents'
        ) }} as reliability
    from channels
    left join customers on channels.channel = customers.channel
    left join spent on channels.channel = spent.channel
    left join intervals on channels.channel = intervals.channel
    left join ltv on channels.channel = ltv.channel
    left join realised on channels.channel = realised.channel
    left join blended on true

),

final as (

    select
        channel,
        is_paid,
        reliability = 'ok' as is_reliable,
        reliability,

        cast(new_customers as bigint) as new_customers,
        cast(spend_cents / 100.0 as decimal(18, 2)) as spend,
        cast(paid_spend_cents / 100.0 as decimal(18, 2)) as spend_paid,
        cast(coalesce(cohort_customers, 0) as bigint) as cohort_customers,
        cast(coalesce(cohort_spend_cents, 0) / 100.0 as decimal(18, 2)) as cohort_spend,
        cast(coalesce(weeks, 0) as bigint) as cohort_weeks,

        cast(ltv as decimal(18, 2)) as ltv,
        cast(ltv_low as decimal(18, 2)) as ltv_low,
        cast(ltv_high as decimal(18, 2)) as ltv_high,
        cast(coalesce(customers, 0) as bigint) as ltv_n,
        cast(effective_customers as decimal(18, 2)) as ltv_effective_n,
        cast(ltv_se as decimal(18, 2)) as ltv_se,
        cast(ltv_skew as decimal(9, 4)) as ltv_skew,
        cast(observed_ltv as decimal(18, 2)) as ltv_observed,
        cast(observed_months as bigint) as ltv_observed_months,
        cast(extrapolated_share as decimal(9, 4)) as ltv_extrapolated_share,
        cast(expected_months as decimal(9, 2)) as expected_months,
        cast(pooled_ltv as decimal(18, 2)) as ltv_pooled,
        cast(ltv_tail as decimal(18, 2)) as ltv_tail,
        case
            when ltv is null then null
            when ltv_tail is null then 'no fit'
            else 'extrapolation (shifted beta-geometric)'
        end as ltv_tail_basis,
        cast({{ economics_setting('ltv_horizon_months') }} as bigint) as ltv_tail_from_month,
        cast({{ economics_setting('ltv_lifetime_months') }} as bigint) as ltv_tail_to_month,
        cast(sbg_alpha as decimal(18, 6)) as ltv_tail_alpha,
        cast(sbg_beta as decimal(18, 6)) as ltv_tail_beta,

        cast(realised_ltv as decimal(18, 2)) as ltv_realised,
        cast(realised_ltv_low as decimal(18, 2)) as ltv_realised_low,
        cast(realised_ltv_high as decimal(18, 2)) as ltv_realised_high,
        cast(coalesce(realised_customers, 0) as bigint) as ltv_realised_n,

        cast(cac as decimal(18, 2)) as cac,
        cast(cac_low as decimal(18, 2)) as cac_low,
        cast(cac_high as decimal(18, 2)) as cac_high,
        cast(coalesce(cohort_customers, 0) as bigint) as cac_n,
        cast(cohort_completion as decimal(9, 4)) as cac_completion,
        cast(cac * cohort_completion as decimal(18, 2)) as cac_lag_adjusted,
        cast(cac_low * cohort_completion as decimal(18, 2)) as cac_lag_adjusted_low,
        cast(cac_high * cohort_completion as decimal(18, 2)) as cac_lag_adjusted_high,
        cast(coalesce(cohort_customers, 0) as bigint) as cac_lag_adjusted_n,
        cast(cac_paid as decimal(18, 2)) as cac_paid,
        cast(cac_paid_low as decimal(18, 2)) as cac_paid_low,
        cast(cac_paid_high as decimal(18, 2)) as cac_paid_high,
        cast(coalesce(cohort_customers, 0) as bigint) as cac_paid_n,
        cast(cac_blended as decimal(18, 2)) as cac_blended,
        cast(cac_blended_low as decimal(18, 2)) as cac_blended_low,
        cast(cac_blended_high as decimal(18, 2)) as cac_blended_high,
        cast(coalesce(cac_blended_n, 0) as bigint) as cac_blended_n,

        cast(ltv_cac as decimal(18, 4)) as ltv_cac,
        cast(ltv_cac_low as decimal(18, 4)) as ltv_cac_low,
        cast(ltv_cac_high as decimal(18, 4)) as ltv_cac_high,
        cast(coalesce(cohort_customers, 0) as bigint) as ltv_cac_n,
        cast(ltv_cac as decimal(18, 4)) as ltv_cac_realised,
        cast(ltv_cac_realised_low as decimal(18, 4)) as ltv_cac_realised_low,
        cast(ltv_cac_realised_high as decimal(18, 4)) as ltv_cac_realised_high,
        cast(coalesce(cohort_customers, 0) as bigint) as ltv_cac_realised_n,

        cast(payback_months as bigint) as payback_months,
        cast(payback_months_low as bigint) as payback_months_low,
        cast(payback_months_high as bigint) as payback_months_high,
        cast(coalesce(cohort_customers, 0) as bigint) as payback_months_n,

        'process' as estimand,
        'discrete Kaplan-Meier x mean margin; Poisson bootstrap-t over buckets of customers' as ltv_method,
        'spend / first-time paying customers; Poisson bootstrap-t over acquisition weeks' as cac_method,
        cast({{ economics_setting('ltv_horizon_months') }} as bigint) as ltv_horizon_months,
        cast({{ economics_setting('ltv_annual_discount_rate') }} as decimal(9, 4)) as annual_discount_rate,
        {{ data_through_at() }} as data_through_at,
        {{ definition_version() }} as definition_version
    from judged

)

select * from final
