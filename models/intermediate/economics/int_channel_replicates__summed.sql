-- One row per channel (and 'all'), way of resampling and replicate: the weighted sums over units, under Poisson(1)
-- weights that are a function of unit and replicate (macros/economics/poisson_weights.sql).
-- This is the one expensive query of the economics: units x replicates rows go through it, everything after is small.

{% set horizon = economics_setting('ltv_horizon_months') | int %}

with

units as (

    select * from {{ ref('int_resampling_units__tallied') }}

),

replicates as (

    select
        cast(replicate as integer) as replicate,
        {{ replicate_factor('replicate') }} as factor,
        {{ replicate_offset('replicate') }} as offset_number
    from (select {{ numbers(1, economics_setting('bootstrap_replicates')) }} as replicate) as counted

),

unit_keys as (

    select distinct unit_key from units

),

-- weights once per unit and replicate, whatever the number of channels the unit has customers in
weights as (

    select
        unit_keys.unit_key,
        replicates.replicate,
        cast(
            {{ poisson_weight(
                "((replicates.factor * unit_keys.unit_key + replicates.offset_number) % " ~ poisson_prime() ~ ")"
            ) }} as double
        ) as weight
    from unit_keys
    cross join replicates

)

select
    units.channel,
    units.unit_kind,
    weights.replicate,
    {%- for month in range(horizon) %}
    sum(weights.weight * units.there_{{ month }}) as there_{{ month }},
    sum(weights.weight * units.at_risk_{{ month }}) as at_risk_{{ month }},
    sum(weights.weight * units.lost_{{ month }}) as lost_{{ month }},
    sum(weights.weight * units.margin_{{ month }}) as margin_{{ month }},
    {%- endfor %}
    sum(weights.weight * units.customers) as customers,
    sum(weights.weight * units.influence) as influence,
    sum(weights.weight * units.squared_influence) as squared_influence,
    sum(weights.weight * case when units.is_mature then 1.0 else 0.0 end) as mature_units,
    sum(weights.weight * units.cohort_customers) as cohort_customers,
    sum(weights.weight * units.cohort_spend_cents) as cohort_spend_cents,
    sum(weights.weight * units.cohort_paid_spend_cents) as cohort_paid_spend_cents,
    sum(weights.weight * units.cohort_customers * units.cohort_customers) as customers_customers,
    sum(weights.weight * units.spend_dollars * units.spend_dollars) as spend_spend,
    sum(weights.weight * units.paid_spend_dollars * units.paid_spend_dollars) as paid_paid,
    sum(weights.weight * units.spend_dollars * units.cohort_customers) as spend_customers,
    sum(weights.weight * units.paid_spend_dollars * units.cohort_customers) as paid_customers,
    sum(weights.weight * units.influence * units.influence) as influence_influence,
    sum(weights.weight * units.influence * units.cohort_customers) as influence_customers,
    sum(weights.weight * units.influence * units.spend_dollars) as influence_spend
from weights
inner join units on weights.unit_key = units.unit_key
where weights.weight > 0
group by units.channel, units.unit_kind, weights.replicate
