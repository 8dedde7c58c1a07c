-- One row per customer, product (or 'all') and stay in a usage cohort, the present one with an open end.
-- Why it exists: how customers move between habits is what the cohort rules are for; entries and exits are dated here
-- and nowhere else.
-- Hazard: stays in 'all' and in the single products overlap in time; pick one product before counting.

with

stays as (

    select * from {{ ref('int_usage_cohorts__held') }}

)

select
    customer_id,
    product,
    entered_at,
    left_at,
    left_at is null as is_current,
    usage_cohort,
    frequency_band,
    duration_band,
    feature_mix,
    l28,
    minutes_per_active_day,
    top_family_share,
    usage_rule_version,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from stays
