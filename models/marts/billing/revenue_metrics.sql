-- One row per reporting month: the revenue bridge of the whole company and the ratios that are read from it.
-- Why it exists: a ratio is only comparable if its numerator, its denominator and its cohort are written down once.
-- Hazard: the row of the open month covers a part of it. Retention over twelve months compares closings in dollars, so
-- exchange rates are in it; the bridge shows them apart. CAC here is the spend of the month over the customers of the
-- month, for comparison with reports that do so; channel_economics credits spend to the customers it found.
{% set z = 1.959963985 %}
{% set bridge = [
    'opening_mrr', 'new_mrr', 'reactivation_mrr', 'expansion_mrr', 'contraction_mrr', 'churn_mrr', 'movement_mrr',
    'fx_mrr', 'closing_mrr', 'seat_mrr', 'price_mrr', 'plan_mrr', 'discount_mrr', 'closing_mrr_contract',
    'mrr_past_due', 'mrr_scheduled_churn', 'mrr_paused', 'intra_month_new_churn',
] %}

with

bridged as (

    select * from {{ ref('int_mrr__bridged') }}

),

usage as (

    select * from {{ ref('int_usage_revenue__monthly') }}

),

spend as (

    select * from {{ ref('stg_spend__ad_spend') }}

),

margins as (

    select * from {{ ref('int_gross_margins__applied') }}
    where plan = '*'

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

-- the bridge and the cohort of a year ago, added up over customers
summed as (

    select
        month,
        bool_or(is_open_month) as is_open_month,
        {%- for column in bridge %}
        sum({{ column }}) as {{ column }},
        {%- endfor %}
        count(*) filter (where opening_mrr > 0) as opening_customers,
        count(*) filter (where movement = 'new') as new_customers,
        count(*) filter (where movement = 'reactivation') as reactivated_customers,
        count(*) filter (where movement = 'churn') as churned_customers,
        count(*) filter (where closing_mrr > 0) as closing_customers,
        count(*) filter (where mrr_year_before > 0) as cohort_customers,
        cast(sum(mrr_year_before) as double) as cohort_before,
        cast(sum(closing_mrr) filter (where mrr_year_before > 0) as double) as cohort_after,
        cast(sum(least(closing_mrr, mrr_year_before)) filter (where mrr_year_before > 0) as double) as cohort_kept,
        sum(cast(mrr_year_before as double) * mrr_year_before) as before_squared,
        sum(cast(closing_mrr as double) * closing_mrr) filter (where mrr_year_before > 0) as after_squared,
        sum(cast(closing_mrr as double) * mrr_year_before) filter (where mrr_year_before > 0) as after_times_before,
        sum(cast(least(closing_mrr, mrr_year_before) as double) * least(closing_mrr, mrr_year_before))
        filter (where mrr_year_before > 0) as kept_squared,
        sum(cast(least(closing_mrr, mrr_year_before) as double) * mrr_year_before)
        filter (where mrr_year_before > 0) as kept_times_before
    from bridged
    group by month

),

-- usage invoiced in the last three closed months, per month; rounded per customer, so that customers add up to it
usage_windows as (

    select
        month,
        {{ dbt.dateadd('month', 'case when is_open_month then -3 else -2 end', 'month') }} as first_month,
        {{ dbt.dateadd('month', 'case when is_open_month then -1 else 0 end', 'month') }} as last_month
    from summed

),

usage_by_customer as (

    select
        usage_windows.month,
        {{ rated_units_to_usd(whole_division(
            'sum(' ~ units_at_rate('usage.usage_units', 'rates.closing_rate', 'usage.minor_unit_digits') ~ ')', '3'
        )) }} as usage_mrr_3m
    from usage_windows
    inner join usage on usage.month between usage_windows.first_month and usage_windows.last_month
    inner join rates
        on
            usage.currency = rates.currency
            and usage.month = rates.month
    group by usage_windows.month, usage.customer_id

),

usage_months as (

    select
        month,
        sum(usage_mrr_3m) as usage_mrr_3m
    from usage_by_customer
    group by month

),

spend_months as (

    select
        cast(date_trunc('month', spend.spend_date) as date) as month,
        sum(cast(spend.amount * rates.closing_rate as decimal(18, 2))) as acquisition_spend
    from spend
    inner join rates
        on
            spend.currency = rates.currency
            and cast(date_trunc('month', spend.spend_date) as date) = rates.month
    where spend.spend_date < {{ as_of() }}
    group by cast(date_trunc('month', spend.spend_date) as date)

),

-- what the six months before this one say about leaving
looked_back as (

    select
        summed.*,
        coalesce(spend_months.acquisition_spend, 0) as acquisition_spend,
        margins.gross_margin,
        {{ dbt.datediff('summed.month', dbt.dateadd('month', 1, 'summed.month'), 'day') }} as month_days,
        coalesce(usage_months.usage_mrr_3m, 0) as usage_mrr_3m,
        cast(sum(summed.churned_customers) over six_before as double)
        / nullif(sum(summed.opening_customers) over six_before, 0) as logo_churn_6m
    from summed
    left join usage_months on summed.month = usage_months.month
    left join spend_months on summed.month = spend_months.month
    left join margins on summed.month = margins.month
    window six_before as (
        order by summed.month
        rows between 6 preceding and 1 preceding
    )

),

-- every ratio from one numerator and one denominator
rated as (

    select
        *,
        cast(closing_mrr as double) / nullif(closing_customers, 0) as arpa,
        cast(new_mrr as double) / nullif(new_customers, 0) as new_customer_arpa,
        cast(acquisition_spend as double) / nullif(new_customers, 0) as spend_per_new_customer,
        cast(churned_customers as double) / nullif(opening_customers, 0) as logo_churn,
        -cast(churn_mrr + contraction_mrr as double) / nullif(opening_mrr, 0) as gross_mrr_churn,
        -cast(churn_mrr + contraction_mrr + expansion_mrr as double) / nullif(opening_mrr, 0) as net_mrr_churn,
        cast(new_mrr + reactivation_mrr + expansion_mrr as double) / nullif(-(churn_mrr + contraction_mrr), 0)
            as quick_ratio,
        cohort_after / nullif(cohort_before, 0) as nrr_12m,
        cohort_kept / nullif(cohort_before, 0) as grr_12m,
        case
            when logo_churn_6m * {{ economics_setting('lifetime_cap_months') }} > 1 then 1 / logo_churn_6m
            when logo_churn_6m is not null then {{ economics_setting('lifetime_cap_months') }}
        end as customer_lifetime_months
    from looked_back

),

-- how far could chance have moved them? ratios by the spread of customers around the ratio, shares by Wilson's interval
bounded as (

    select
        *,
        sqrt(greatest(
            after_squared - 2 * nrr_12m * after_times_before + nrr_12m * nrr_12m * before_squared, 0
        ) * cohort_customers / nullif(cohort_customers - 1, 0)) / cohort_before as nrr_error,
        sqrt(greatest(
            kept_squared - 2 * grr_12m * kept_times_before + grr_12m * grr_12m * before_squared, 0
        ) * cohort_customers / nullif(cohort_customers - 1, 0)) / cohort_before as grr_error,
        (logo_churn + {{ z * z / 2 }} / nullif(opening_customers, 0)) / (1 + {{ z * z }} / nullif(opening_customers, 0))
            as wilson_centre,
        {{ z }} * sqrt(
            logo_churn * (1 - logo_churn) / nullif(opening_customers, 0)
            + {{ z * z / 4 }} / nullif(opening_customers * opening_customers, 0)
        ) / (1 + {{ z * z }} / nullif(opening_customers, 0)) as wilson_half
    from rated

)

select
    month,
    is_open_month,
    {%- for column in bridge %}
    cast({{ column }} as decimal(18, 2)) as {{ column }},
    {%- endfor %}
    cast(closing_mrr - opening_mrr as decimal(18, 2)) as net_new_mrr,
    cast(closing_mrr * 12 as decimal(18, 2)) as arr,
    cast(usage_mrr_3m as decimal(18, 2)) as usage_mrr_3m,
    cast((closing_mrr + usage_mrr_3m) * 12 as decimal(18, 2)) as arr_incl_usage,
    cast(opening_customers as bigint) as opening_customers,
    cast(new_customers as bigint) as new_customers,
    cast(reactivated_customers as bigint) as reactivated_customers,
    cast(churned_customers as bigint) as churned_customers,
    cast(closing_customers as bigint) as closing_customers,
    cast(arpa as decimal(18, 2)) as arpa,
    cast(gross_mrr_churn as decimal(18, 6)) as gross_mrr_churn,
    cast(net_mrr_churn as decimal(18, 6)) as net_mrr_churn,
    cast(quick_ratio as decimal(18, 3)) as quick_ratio,
    cast(logo_churn as decimal(18, 6)) as logo_churn,
    cast(greatest(wilson_centre - wilson_half, 0) as decimal(18, 6)) as logo_churn_low,
    cast(least(wilson_centre + wilson_half, 1) as decimal(18, 6)) as logo_churn_high,
    cast(opening_customers as bigint) as logo_churn_n,
    cast({{ over_horizon('logo_churn', 'month_days', '365.0 / 12') }} as decimal(18, 6)) as logo_churn_monthly,
    cast({{ over_horizon('logo_churn', 'month_days', '365') }} as decimal(18, 6)) as logo_churn_annual,
    cast(nrr_12m as decimal(18, 6)) as nrr_12m,
    cast(nrr_12m - {{ z }} * nrr_error as decimal(18, 6)) as nrr_12m_low,
    cast(nrr_12m + {{ z }} * nrr_error as decimal(18, 6)) as nrr_12m_high,
    cast(cohort_customers as bigint) as nrr_12m_n,
    cast(grr_12m as decimal(18, 6)) as grr_12m,
    cast(grr_12m - {{ z }} * grr_error as decimal(18, 6)) as grr_12m_low,
    cast(least(grr_12m + {{ z }} * grr_error, 1) as decimal(18, 6)) as grr_12m_high,
    cast(cohort_customers as bigint) as grr_12m_n,
    cast(logo_churn_6m as decimal(18, 6)) as logo_churn_6m,
    cast(customer_lifetime_months as decimal(18, 2)) as customer_lifetime_months,
    coalesce(customer_lifetime_months >= {{ economics_setting('lifetime_cap_months') }}, false) as lifetime_is_capped,
    cast(arpa * customer_lifetime_months as decimal(18, 2)) as arpa_lifetime_value,
    cast(acquisition_spend as decimal(18, 2)) as acquisition_spend,
    cast(spend_per_new_customer as decimal(18, 2)) as spend_per_new_customer,
    cast(new_customer_arpa as decimal(18, 2)) as new_customer_arpa,
    cast(gross_margin as decimal(9, 4)) as gross_margin,
    cast(spend_per_new_customer / nullif(new_customer_arpa * gross_margin, 0) as decimal(18, 2)) as payback_months,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from bounded
