-- One row per channel (and 'all'), way of resampling and replicate: what the estimates would have been had the units
-- come in these numbers, and the standard errors they would have been given.
-- Hazard: the months that count as observed are those of the data, not of the replicate; an estimator that chose them
-- anew each time would be another estimator.

{% set horizon = economics_setting('ltv_horizon_months') | int %}

with

summed as (

    select * from {{ ref('int_channel_replicates__summed') }}

),

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

),

value_of_data as (

    select * from {{ ref('int_ltv__valued') }}

),

-- back to one row per month of tenure
by_month as (

    select
        channel,
        unit_kind,
        replicate,
        0 as month_of_tenure,
        there_0 as customers_there,
        at_risk_0 as customers_at_risk,
        lost_0 as customers_lost,
        margin_0 as margin_cents
    from summed
    {%- for month in range(1, horizon) %}
    union all
    select
        channel,
        unit_kind,
        replicate,
        {{ month }} as month_of_tenure,
        there_{{ month }} as customers_there,
        at_risk_{{ month }} as customers_at_risk,
        lost_{{ month }} as customers_lost,
        margin_{{ month }} as margin_cents
    from summed
    {%- endfor %}

),

placed as (

    select
        by_month.channel,
        by_month.unit_kind,
        by_month.replicate,
        by_month.month_of_tenure,
        survival.is_observed,
        survival.discount,
        by_month.customers_lost / nullif(by_month.customers_at_risk, 0) as own_hazard,
        by_month.margin_cents / nullif(by_month.customers_there, 0) as own_mean_margin_cents,
        sum(case when survival.is_in_tail_window then by_month.customers_lost else 0 end) over replicate_of_channel
        / nullif(
            sum(case when survival.is_in_tail_window then by_month.customers_at_risk else 0 end)
                over replicate_of_channel,
            0
        ) as tail_hazard,
        sum(case when survival.is_in_tail_window then by_month.margin_cents else 0 end) over replicate_of_channel
        / nullif(
            sum(case when survival.is_in_tail_window then by_month.customers_there else 0 end)
                over replicate_of_channel,
            0
        ) as tail_mean_margin_cents
    from by_month
    inner join survival
        on
            by_month.channel = survival.channel
            and by_month.month_of_tenure = survival.month_of_tenure
    window replicate_of_channel as (partition by by_month.channel, by_month.unit_kind, by_month.replicate)

),

-- a month that no unit of the replicate reaches is treated like one beyond the data
rated as (

    select
        *,
        coalesce(case when is_observed then own_hazard end, tail_hazard, 0) as hazard,
        coalesce(case when is_observed then own_mean_margin_cents end, tail_mean_margin_cents, 0) as mean_margin_cents
    from placed

),

survived as (

    select
        *,
        case
            when coalesce(max(case when hazard >= 1 then 1 else 0 end) over earlier, 0) = 1 then 0
            else coalesce(exp(sum(ln(case when hazard < 1 then 1 - hazard else 1 end)) over earlier), 1)
        end as survival
    from rated
    window earlier as (
        partition by channel, unit_kind, replicate
        order by month_of_tenure
        rows between unbounded preceding and 1 preceding
    )

),

valued as (

    select
        channel,
        unit_kind,
        replicate,
        month_of_tenure,
        survival * mean_margin_cents * discount as value_cents,
        sum(survival * mean_margin_cents) over (
            partition by channel, unit_kind, replicate
            order by month_of_tenure
            rows unbounded preceding
        ) as cumulative_margin_cents
    from survived

),

ltv as (

    select
        channel,
        unit_kind,
        replicate,
        sum(value_cents order by month_of_tenure) as ltv_cents
    from valued
    group by channel, unit_kind, replicate

),

costs as (

    select
        *,
        cohort_spend_cents / nullif(cohort_customers, 0) as cac_cents,
        cohort_paid_spend_cents / nullif(cohort_customers, 0) as cac_paid_cents,
        nullif(cohort_spend_cents, 0) / 100 as spend_total,
        nullif(cohort_paid_spend_cents, 0) / 100 as paid_total,
        nullif(cohort_customers, 0) as customer_total,
        mature_units / nullif(mature_units - 1, 0) as small_sample
    from summed

),

-- influences are relative to the estimate of the data; here they are wanted relative to the replicate's own
scaled as (

    select
        costs.*,
        ltv.ltv_cents,
        value_of_data.ltv_cents / nullif(ltv.ltv_cents, 0) / 10000 as influence_scale
    from costs
    left join ltv
        on
            costs.channel = ltv.channel
            and costs.unit_kind = ltv.unit_kind
            and costs.replicate = ltv.replicate
    left join value_of_data on costs.channel = value_of_data.channel

),

paid_back as (

    select
        valued.channel,
        valued.unit_kind,
        valued.replicate,
        min(valued.month_of_tenure) + 1 as payback_months
    from valued
    inner join costs
        on
            valued.channel = costs.channel
            and valued.unit_kind = costs.unit_kind
            and valued.replicate = costs.replicate
    where
        valued.unit_kind = 'week'
        and valued.cumulative_margin_cents >= costs.cac_cents
    group by valued.channel, valued.unit_kind, valued.replicate

)

select
    scaled.channel,
    scaled.unit_kind,
    scaled.replicate,
    scaled.ltv_cents,
    scaled.cac_cents,
    scaled.cac_paid_cents,
    paid_back.payback_months,

    ---------- standard errors, relative to the replicate's estimate: of the value, by influences
    scaled.influence_scale * sqrt(
        greatest(
            scaled.squared_influence - scaled.influence * scaled.influence / nullif(scaled.customers, 0), 0
        )
    ) / nullif(scaled.customers, 0) as ltv_relative_error,

    ---------- of ratios, by weeks: (spend of the week) / spend - (customers of the week) / customers, and so on
    sqrt(
        greatest(
            scaled.small_sample * (
                scaled.spend_spend / (scaled.spend_total * scaled.spend_total)
                - 2 * scaled.spend_customers / (scaled.spend_total * scaled.customer_total)
                + scaled.customers_customers / (scaled.customer_total * scaled.customer_total)
            ),
            0
        )
    ) as cac_relative_error,
    sqrt(
        greatest(
            scaled.small_sample * (
                scaled.paid_paid / (scaled.paid_total * scaled.paid_total)
                - 2 * scaled.paid_customers / (scaled.paid_total * scaled.customer_total)
                + scaled.customers_customers / (scaled.customer_total * scaled.customer_total)
            ),
            0
        )
    ) as cac_paid_relative_error,
    sqrt(
        greatest(
            scaled.small_sample * (
                scaled.influence_scale * scaled.influence_scale * scaled.influence_influence
                / nullif(scaled.customers * scaled.customers, 0)
                + 2 * scaled.influence_scale * scaled.influence_customers
                / nullif(scaled.customers * scaled.customer_total, 0)
                - 2 * scaled.influence_scale * scaled.influence_spend
                / nullif(scaled.customers * scaled.spend_total, 0)
                + scaled.customers_customers / (scaled.customer_total * scaled.customer_total)
                - 2 * scaled.spend_customers / (scaled.spend_total * scaled.customer_total)
                + scaled.spend_spend / (scaled.spend_total * scaled.spend_total)
            ),
            0
        )
    ) as ltv_cac_relative_error
from scaled
left join paid_back
    on
        scaled.channel = paid_back.channel
        and scaled.unit_kind = paid_back.unit_kind
        and scaled.replicate = paid_back.replicate
