-- One row per attribution rule, channel (and 'all' under `first`) and replicate: how far cost per customer, paid cost
-- per customer and LTV:CAC would have been from the estimate had the acquisition weeks come in these numbers, in the
-- replicate's own standard errors.
-- Replicate 0 is the data itself, every week once: its errors are the errors of the estimates.

with

weeks as (

    select *
    from {{ ref('int_acquisition_weeks__tallied') }}

),

weights as (
    {{ replicate_weights_and_data('weeks') }}
),

summed as (

    select
        weeks.attribution,
        weeks.channel,
        weights.replicate,
        {{ part_sums(
            ['value_deviation', 'customer_part', 'cohort_part', 'spend_part'], 'weeks', 'weights.weight'
        ) }}
        sum(weights.weight * weeks.paid_part) as paid_part,
        sum(weights.weight * weeks.cohort_part * weeks.paid_part) as cohort_part_x_paid_part,
        sum(weights.weight * weeks.paid_part * weeks.paid_part) as paid_part_x_paid_part,
        sum(weights.weight * weeks.is_mature) as mature_weeks
    from weights
    inner join weeks on weights.unit_key = weeks.unit_key
    group by weeks.attribution, weeks.channel, weights.replicate

),

-- what one part of a week pulls at the logarithm of a total
scaled as (

    select
        *,
        mature_weeks / nullif(mature_weeks - 1, 0) as small_sample,
        1 / nullif(cohort_part, 0) as per_cohort,
        -1 / nullif(spend_part, 0) as per_spend,
        -1 / nullif(paid_part, 0) as per_paid,
        1 / nullif(customer_part + value_deviation, 0) as per_value,
        -value_deviation / nullif(customer_part, 0) / nullif(customer_part + value_deviation, 0) as per_customer
    from summed

),

-- the estimates of each replicate, on the logarithmic scale, with the errors they would have been given
estimated as (

    select
        *,
        case when cohort_part > 0 and spend_part > 0 then ln(spend_part / cohort_part) end as log_cac,
        case when cohort_part > 0 and paid_part > 0 then ln(paid_part / cohort_part) end as log_cac_paid,
        case
            when cohort_part > 0 and spend_part > 0 and customer_part + value_deviation > 0
                then ln((1 + value_deviation / nullif(customer_part, 0)) * cohort_part / spend_part)
        end as log_ltv_cac,
        sqrt(
            greatest(
                small_sample * (
                    {{ squared_pulls({'cohort_part': 'per_cohort', 'spend_part': 'per_spend'}) }}
                ),
                0
            )
        ) as cac_error,
        sqrt(
            greatest(
                small_sample * (
                    {{ squared_pulls({'cohort_part': 'per_cohort', 'paid_part': 'per_paid'}) }}
                ),
                0
            )
        ) as cac_paid_error,
        sqrt(
            greatest(
                small_sample * (
                    {{ squared_pulls({
                        'value_deviation': 'per_value', 'customer_part': 'per_customer', 'cohort_part': 'per_cohort',
                        'spend_part': 'per_spend'
                    }) }}
                ),
                0
            )
        ) as ltv_cac_error
    from scaled

)

select
    attribution,
    channel,
    replicate,
    log_cac,
    cac_error,
    cac_paid_error,
    ltv_cac_error,
    log_cac / nullif(cac_error, 0) as cac_t,
    log_cac_paid / nullif(cac_paid_error, 0) as cac_paid_t,
    log_ltv_cac / nullif(ltv_cac_error, 0) as ltv_cac_t
from estimated
