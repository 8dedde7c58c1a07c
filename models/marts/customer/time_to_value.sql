-- One row per cohort of sign-ups (all, or one month's) and number of days since signing up: which share has got the
-- value the products are bought for by then, with everybody who is still waiting counted as waiting.
-- Why it exists: the mean over those who arrived makes every recent cohort look fast, because its slow ones have not
-- arrived yet. The discrete Kaplan-Meier estimate counts each customer for the days it was watched.
-- Intervals: Greenwood's variance on the log(-log) scale, which stays within 0 and 1; none before anybody arrived or
-- after everybody did.
-- Hazard: median_days is null where half of a cohort has not arrived within the days that were watched; that is not a
-- missing number, it is the answer. Rows end with the last day on which anybody was watched.

with

usage as (

    select
        customer_id,
        signed_up_on,
        first_value_on
    from {{ ref('int_customer_usage__current') }}
    where signed_up_on is not null

),

-- value that came before the account (a visitor signed up later) came on day 0
waits as (

    select
        customer_id,
        cast(date_trunc('month', signed_up_on) as date) as sign_up_month,
        first_value_on is not null as has_arrived,
        greatest(
            0,
            {{ dbt.datediff(
                'signed_up_on',
                'coalesce(first_value_on, cast(' ~ dbt.dateadd('second', -1, as_of()) ~ ' as date))',
                'day'
            ) }}
        ) as waited_days
    from usage

),

cohorts as (

    select
        'all' as sign_up_cohort,
        waited_days,
        has_arrived
    from waits
    union all
    select
        cast(sign_up_month as {{ dbt.type_string() }}) as sign_up_cohort,
        waited_days,
        has_arrived
    from waits

),

daily as (

    select
        sign_up_cohort,
        waited_days,
        count(*) as leaving,
        sum(case when has_arrived then 1 else 0 end) as arrived
    from cohorts
    group by sign_up_cohort, waited_days

),

-- who stops being watched on a day was watched on it
watched as (

    select
        *,
        sum(leaving) over (
            partition by sign_up_cohort
            order by waited_days desc
            rows between unbounded preceding and current row
        ) as at_risk
    from daily

),

-- a product of shares is the exponential of a sum of logarithms; the day on which the last one watched arrives leaves
-- nobody waiting
survived as (

    select
        *,
        sum(arrived) over so_far as arrived_so_far,
        case
            when max(case when arrived = at_risk then 1 else 0 end) over so_far = 1 then 0
            else exp(sum(case when arrived < at_risk then ln(1 - arrived / cast(at_risk as double)) end) over so_far)
        end as waiting_share,
        sum(case when arrived < at_risk then arrived / (cast(at_risk as double) * (at_risk - arrived)) end) over so_far
            as greenwood,
        sum(leaving) over (partition by sign_up_cohort) as customers
    from watched
    window so_far as (
        partition by sign_up_cohort
        order by waited_days
        rows between unbounded preceding and current row
    )

),

-- Greenwood's error on the log-log scale, which keeps limits between 0 and 1
bounded as (

    select
        *,
        1 - waiting_share as reached_share,
        case
            when waiting_share > 0 and waiting_share < 1
                then 1 - power(waiting_share, exp(-1.959964 * sqrt(greenwood) / abs(ln(waiting_share))))
        end as reached_low,
        case
            when waiting_share > 0 and waiting_share < 1
                then 1 - power(waiting_share, exp(1.959964 * sqrt(greenwood) / abs(ln(waiting_share))))
        end as reached_high
    from survived

)

select
    sign_up_cohort,
    cast(waited_days as bigint) as days_since_sign_up,
    cast(customers as bigint) as customers,
    cast(at_risk as bigint) as at_risk,
    cast(arrived as bigint) as arrived,
    cast(reached_share as decimal(9, 4)) as reached_share,
    cast(reached_low as decimal(9, 4)) as reached_share_low,
    cast(reached_high as decimal(9, 4)) as reached_share_high,
    cast(customers as bigint) as reached_share_n,
    cast(min(case when reached_share >= 0.5 then waited_days end) over whole_cohort as bigint) as median_days,
    cast(min(case when reached_share >= 0.75 then waited_days end) over whole_cohort as bigint) as p75_days,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from bounded
window whole_cohort as (partition by sign_up_cohort)
