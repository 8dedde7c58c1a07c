-- One row per number of weeks since the week of the first touch: the share of those who will ever buy who have bought
-- by then, all channels together.
-- Why it exists: the spend of a week is known at once, its customers come later. A cohort's spend divided by its
-- customers so far is too dear by those who are still to come.
-- The share is estimated backwards (the product-limit estimate under right truncation, which actuaries call chain
-- ladder): of those known to have taken at most k weeks, found at least k weeks ago, how many took exactly k?
-- Hazard: nobody sees lags longer than the company has been watching; from the last week on the share counts as one.

{% set last_week = 26 %}

with

acquired as (

    select * from {{ ref('int_customers__acquired') }}

),

-- in whole weeks: from the first touch to the first payment, and to now
lagged as (

    select
        least(
            floor({{ dbt.datediff('week', 'cast(first_paid_at as date)', 'day') }} / 7.0), {{ last_week }}
        ) as lag_weeks,
        floor({{ dbt.datediff('week', 'cast(' ~ as_of() ~ ' as date)', 'day') }} / 7.0) as age_weeks
    from acquired
    where channel != 'unknown'

),

weeks_since as (

    select cast(weeks_since_touch as integer) as weeks_since_touch
    from (select {{ numbers(0, last_week) }} as weeks_since_touch) as counted

),

counted as (

    select
        weeks_since.weeks_since_touch,
        sum(case when lagged.lag_weeks = weeks_since.weeks_since_touch then 1 else 0 end) as bought_then,
        count(lagged.lag_weeks) as bought_by_then
    from weeks_since
    left join lagged
        on
            weeks_since.weeks_since_touch >= lagged.lag_weeks
            and weeks_since.weeks_since_touch <= lagged.age_weeks
    group by weeks_since.weeks_since_touch

)

select
    weeks_since_touch,
    bought_then,
    bought_by_then,
    -- somebody has bought within the first week, or nothing can be said before it
    coalesce(
        exp(
            sum(
                case
                    when bought_then > 0 then ln(greatest(1 - bought_then * 1.0 / bought_by_then, 0.000001))
                end
            ) over (
                order by weeks_since_touch
                rows between 1 following and unbounded following
            )
        ),
        1
    ) as share_bought
from counted
