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

    select * from {{ ref('int_channel_intervals__studentised') }}

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

judged as (

    select
        channels.channel,
        channels.is_paid,
        coalesce(customers.new_customers, 0) as new_customers,
        coalesce(spent.spend_cents, 0) as spend_cents,
        coalesce(spent.paid_spend_cents, 0) as paid_spend_cents,
        intervals.customers,
        intervals.weeks,
        intervals.cohort_customers,
        intervals.cohort_spend_cents,
        intervals.observed_months,
        intervals.expected_months,
        intervals.observed_ltv,
        intervals.extrapolated_share,
        intervals.ltv,
        intervals.ltv_se,
        intervals.ltv_low,
        intervals.ltv_high,
        intervals.payback_months,
        intervals.payback_months_low,
        intervals.payback_months_high,
        -- no spend means that the cost is not known, not that it is nothing
        case when intervals.cohort_spend_cents > 0 then intervals.cac end as cac,
        case when intervals.cohort_spend_cents > 0 then intervals.cac_low end as cac_low,
        case when intervals.cohort_spend_cents > 0 then intervals.cac_high end as cac_high,
        case when intervals.cohort_paid_spend_cents > 0 then intervals.cac_paid end as cac_paid,
        case when intervals.cohort_paid_spend_cents > 0 then intervals.cac_paid_low end as cac_paid_low,
        case when intervals.cohort_paid_spend_cents > 0 then intervals.cac_paid_high end as cac_paid_high,
        blended.cac as cac_blended,
        blended.cac_low as cac_blended_low,
        blended.cac_high as cac_blended_high,
        blended.cohort_customers as cac_blended_n,
        intervals.ltv_cac,
        intervals.ltv_cac_low,
        intervals.ltv_cac_high,
        case
            when coalesce(customers.new_customers, 0) = 0 then 'no customers'
            when intervals.ltv is null then 'no renewal observed yet'
            when customers.new_customers < {{ economics_setting('reliable_customers') }} then 'few customers'
            when intervals.weeks < {{ economics_setting('reliable_weeks') }} then 'few weeks'
            when coalesce(intervals.cohort_spend_cents, 0) = 0 then 'no spend'
            when intervals.extrapolated_share > 0.5 then 'mostly extrapolated'
            else 'ok'
        end as reliability
    from channels
    left join customers on channels.channel = customers.channel
    left join spent on channels.channel = spent.channel
    left join intervals on channels.channel = intervals.channel
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
        cast(ltv_se as decimal(18, 2)) as ltv_se,
        cast(observed_ltv as decimal(18, 2)) as ltv_observed,
        cast(observed_months as bigint) as ltv_observed_months,
        cast(extrapolated_share as decimal(9, 4)) as ltv_extrapolated_share,
        cast(expected_months as decimal(9, 2)) as expected_months,

        cast(cac as decimal(18, 2)) as cac,
        cast(cac_low as decimal(18, 2)) as cac_low,
        cast(cac_high as decimal(18, 2)) as cac_high,
        cast(coalesce(cohort_customers, 0) as bigint) as cac_n,
        cast(cac_paid as decimal(18, 2)) as cac_paid,
        cast(cac_paid_low as decimal(18, 2)) as cac_paid_low,
        cast(cac_paid_high as decimal(18, 2)) as cac_paid_high,
        cast(coalesce(cohort_customers, 0) as bigint) as cac_paid_n,
        cast(cac_blended as decimal(18, 2)) as cac_blended,
        cast(cac_blended_low as decimal(18, 2)) as cac_blended_low,
        cast(cac_blended_high as decimal(18, 2)) as cac_blended_high,
        cast(coalesce(cac_blended_n, 0) as bigint) as cac_blended_n,

        cast(case when cac is not null then ltv_cac end as decimal(18, 4)) as ltv_cac,
        cast(case when cac is not null then ltv_cac_low end as decimal(18, 4)) as ltv_cac_low,
        cast(case when cac is not null then ltv_cac_high end as decimal(18, 4)) as ltv_cac_high,
        cast(coalesce(cohort_customers, 0) as bigint) as ltv_cac_n,

        cast(case when cac is not null then payback_months end as bigint) as payback_months,
        cast(case when cac is not null then payback_months_low end as bigint) as payback_months_low,
        cast(case when cac is not null then payback_months_high end as bigint) as payback_months_high,
        cast(coalesce(cohort_customers, 0) as bigint) as payback_months_n,

        'process' as estimand,
        'discrete Kaplan-Meier x mean margin; Poisson bootstrap-t over customer buckets' as ltv_method,
        'spend / first-time paying customers; Poisson bootstrap-t over acquisition weeks' as cac_method,
        cast({{ economics_setting('ltv_horizon_months') }} as bigint) as ltv_horizon_months,
        cast({{ economics_setting('ltv_annual_discount_rate') }} as decimal(9, 4)) as annual_discount_rate,
        {{ data_through_at() }} as data_through_at,
        {{ definition_version() }} as definition_version
    from judged

)

select * from final
