-- One row per channel (and 'all') and replicate: the lifetime value had the buckets of customers come in these numbers,
-- how far that is from the estimate in the replicate's own standard errors, and what a customer has brought by each
-- month of tenure.
-- Why the whole estimator again and not only its linear part: at 30 customers that is worth two points of coverage
-- (benchmarks/coverage.py).
-- Replicate 0 is the data itself, every bucket once: the estimate, its standard error and how skewed it is.
-- Hazard: the months that count as observed are those of the data, not of the replicate; an estimator that chose them
-- anew each time would be another estimator.

{% set horizon = economics_setting('ltv_horizon_months') | int %}

with

cells as (

    select * from {{ ref('int_tenure_cells__tallied') }}

),

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

),

ltv as (

    select * from {{ ref('int_channel_ltv__valued') }}

),

-- a bucket with one column per month of tenure; months of the tail window also count in the tail
buckets as (

    select
        cells.channel,
        {{ unit_key("'bucket:' || cast(cells.bucket as " ~ dbt.type_string() ~ ")") }} as unit_key,
        {%- for column in ['customers_there', 'customers_at_risk', 'customers_lost', 'margin_cents'] %}
        sum(case when survival.is_in_tail_window then cells.{{ column }} else 0 end) as tail_{{ column }},
        {%- for month in range(horizon) %}
        sum(
            case when cells.month_of_tenure = {{ month }} and survival.is_observed then cells.{{ column }} else 0 end
        ) as {{ column }}_{{ month }},
        {%- endfor %}
        {%- endfor %}
        sum(case when cells.month_of_tenure = 0 then cells.customers_there else 0 end) as customers,
        -- the influences of the bucket's customers, added up
        round(
            sum(
                round(
                    survival.per_cent * cells.margin_cents
                    + survival.per_there * cells.customers_there
                    + survival.per_at_risk * cells.customers_at_risk
                    + survival.per_lost * cells.customers_lost
                )
            ) / 100
        ) as influence
    from cells
    inner join survival
        on
            cells.channel = survival.channel
            and cells.month_of_tenure = survival.month_of_tenure
    group by cells.channel, cells.bucket

),

weights as (
    {{ replicate_weights_and_data('buckets') }}
),

-- the one expensive query of the economics: buckets x replicates rows go through it
summed as (

    select
        buckets.channel,
        weights.replicate,
        {%- for column in ['customers_there', 'customers_at_risk', 'customers_lost', 'margin_cents'] %}
        sum(weights.weight * buckets.tail_{{ column }}) as tail_{{ column }},
        {%- for month in range(horizon) %}
        sum(weights.weight * buckets.{{ column }}_{{ month }}) as {{ column }}_{{ month }},
        {%- endfor %}
        {%- endfor %}
        count(*) as buckets,
        sum(weights.weight * buckets.customers) as customers,
        sum(weights.weight * buckets.influence) as influence,
        sum(weights.weight * buckets.customers * buckets.customers) as customers_customers,
        sum(weights.weight * buckets.customers * buckets.influence) as customers_influence,
        sum(weights.weight * buckets.influence * buckets.influence) as influence_influence
    from weights
    inner join buckets on weights.unit_key = buckets.unit_key
    group by buckets.channel, weights.replicate

),

-- a month that no customer of the replicate reaches is treated like one beyond the data
rated as (

    select
        *,
        {%- for month in range(horizon) %}
        coalesce(
            customers_lost_{{ month }} / nullif(customers_at_risk_{{ month }}, 0),
            tail_customers_lost / nullif(tail_customers_at_risk, 0),
            0
        ) as hazard_{{ month }},
        coalesce(
            margin_cents_{{ month }} / nullif(customers_there_{{ month }}, 0),
            tail_margin_cents / nullif(tail_customers_there, 0),
            0
        ) as mean_margin_{{ month }},
        {%- endfor %}
        replicate = 0 as is_data
    from summed

),

-- survival, month by month, each in a step of its own so that no expression grows with the horizon
survived_0 as (

    select
        *,
        cast(1 as double) as survival_0,
        mean_margin_0 as brought_0,
        mean_margin_0 as value_0
    from rated

),

{% for month in range(1, horizon) %}
survived_{{ month }} as (

    select
        *,
        survival_{{ month - 1 }} * (1 - hazard_{{ month - 1 }}) as survival_{{ month }},
        brought_{{ month - 1 }}
        + survival_{{ month - 1 }} * (1 - hazard_{{ month - 1 }}) * mean_margin_{{ month }} as brought_{{ month }},
        value_{{ month - 1 }}
        + survival_{{ month - 1 }} * (1 - hazard_{{ month - 1 }}) * mean_margin_{{ month }}
        * power(1 + {{ economics_setting('ltv_annual_discount_rate') }}, -{{ month }} / 12.0) as value_{{ month }}
    from survived_{{ month - 1 }}

),
{% endfor %}

skews as (

    select
        channel,
        {{ skew_of_sum('influence', 'unit_key') }} as ltv_skew
    from buckets
    group by channel

),

-- influences are ten-thousandths of the estimate of the data; a replicate's error is that of influences from their mean
estimated as (

    select
        survived.*,
        skews.ltv_skew,
        survived.value_{{ [horizon - 1, 0] | max }} as replicate_ltv_cents,
        ltv.ltv_cents,
        abs(ltv.ltv_cents) / 10000 / nullif(survived.customers, 0) * sqrt(
            greatest(
                survived.influence_influence
                - 2 * (survived.influence / nullif(survived.customers, 0)) * survived.customers_influence
                + power(survived.influence / nullif(survived.customers, 0), 2) * survived.customers_customers,
                0
            )
        ) as plain_error
    from survived_{{ [horizon - 1, 0] | max }} as survived
    inner join ltv on survived.channel = ltv.channel
    inner join skews on survived.channel = skews.channel

)

select
    channel,
    replicate,
    replicate_ltv_cents as ltv_cents,
    case
        -- the jackknife's; see macros/economics/resampling.sql
        when is_data then plain_error * buckets / nullif(buckets - 1, 0)
        else plain_error
    end as ltv_error,
    -- influences are those of the data. A replicate's own would be larger where its value is: in proportion to it as
    -- far as margins made it so, not at all as far as survival did. The fourth root lies between; without it limits
    -- are too low more often than too high (benchmarks/coverage.py)
    (replicate_ltv_cents - ltv_cents)
    / nullif(plain_error * sqrt(sqrt(greatest(replicate_ltv_cents / ltv_cents, 0))), 0) as ltv_t,
    {%- for month in range(horizon) %}
    brought_{{ month }} as margin_by_{{ month }},
    {%- endfor %}
    ltv_skew
from estimated
