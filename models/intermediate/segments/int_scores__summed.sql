-- One row per scorable customer-month, score and model: the points of what was known, added up, the probability they
-- stand for, the band they fall into, and the three strongest reasons in words.
-- Why it exists: a score is a sum that anybody can redo on paper. Bins, words and bands are seeds; the points were
-- learned on past months (python -m lifecycle.scores learn) and are frozen per version. 20 points double the odds, and
-- the points of a feature average zero over the months they were learned on, so the intercept is an average customer
-- and a reason is what sets this one apart.
-- Model 'points' is the score; model 'recency' knows nothing but the days since the last use, and is what the score
-- has to beat (score_performance).
-- Hazard: a category that the seed does not list (a new channel) is worth nothing, like an average customer.

{% set score_version = var('score_version', '1') %}
{% set numeric_features = [
    'days_since_use', 'l28', 'l28_trend', 'minutes_per_active_day', 'feature_families_28d', 'active_seat_share',
    'failed_exports_28d', 'api_calls_28d', 'is_integrated', 'tickets_56d', 'bad_ratings_56d', 'is_past_due',
    'days_paying', 'days_to_anniversary', 'seats', 'plan_rank', 'prices_viewed_56d', 'limits_reached_56d',
    'users_invited_56d',
] %}

with

months as (

    select * from {{ ref('int_customer_months__featured') }}
    where not_scored_because is null

),

points as (

    select
        score,
        model,
        feature,
        bin,
        kind,
        cast(lower_bound as double) as lower_bound,
        cast(upper_bound as double) as upper_bound,
        category,
        points,
        reason
    from {{ ref('score_points') }}
    where score_version = '{{ score_version }}'

),

bands as (

    select
        score,
        band,
        lower_points,
        upper_points
    from {{ ref('score_bands') }}
    where score_version = '{{ score_version }}'

),

features as (

    select distinct feature from points
    where feature != 'intercept'

),

-- a month's features one below the other, as the seed has them
valued as (

    select
        months.customer_id,
        months.month,
        features.feature,
        case features.feature
            {% for feature in numeric_features %}
            when '{{ feature }}' then cast(months.{{ feature }} as double)
            {% endfor %}
        end as feature_value,
        case when features.feature = 'channel' then months.channel end as category
    from months
    cross join features

),

-- which bin does each feature fall into, and what does that count?
counted as (

    select
        valued.customer_id,
        valued.month,
        points.score,
        points.model,
        points.feature,
        points.points,
        points.reason
    from valued
    inner join points
        on
            valued.feature = points.feature
            and case points.kind
                when 'text' then valued.category = points.category
                when 'missing' then valued.feature_value is null
                else
                    (points.lower_bound is null or valued.feature_value >= points.lower_bound)
                    and (points.upper_bound is null or valued.feature_value < points.upper_bound)
                    and valued.feature_value is not null
            end

),

intercepts as (

    select
        score,
        model,
        points
    from points
    where feature = 'intercept'

),

summed as (

    select
        counted.customer_id,
        counted.month,
        counted.score,
        counted.model,
        intercepts.points + cast(sum(counted.points) as integer) as points
    from counted
    inner join intercepts
        on
            counted.score = intercepts.score
            and counted.model = intercepts.model
    group by counted.customer_id, counted.month, counted.score, counted.model, intercepts.points

),

-- a reason is worth naming from 4 points on, where the odds are 15 % above the average customer's
ranked_reasons as (

    select
        customer_id,
        month,
        score,
        reason,
        points,
        row_number() over (partition by customer_id, month, score order by points desc, feature asc) as reason_rank
    from counted
    where model = 'points' and points >= 4
    qualify reason_rank <= 3

),

-- the three features that count most, in words
reasoned as (

    select
        customer_id,
        month,
        score,
        concat_ws(
            '; ',
            {% for rank in [1, 2, 3] %}
            max(case when reason_rank = {{ rank }} then reason end){{ ',' if not loop.last }}
            {% endfor %}
        ) as reasons
    from ranked_reasons
    group by customer_id, month, score

)

select
    summed.customer_id,
    summed.month,
    summed.score,
    summed.model,
    '{{ score_version }}' as score_version,
    summed.points,
    1 / (1 + exp(-summed.points * ln(2) / 20)) as probability,
    bands.band,
    -- nothing sets an average customer apart
    case when summed.model = 'points' then coalesce(reasoned.reasons, 'nothing out of the ordinary') end as reasons
from summed
left join bands
    on
        summed.model = 'points'
        and summed.score = bands.score
        and (bands.lower_points is null or summed.points >= bands.lower_points)
        and (bands.upper_points is null or summed.points < bands.upper_points)
left join reasoned
    on
        summed.model = 'points'
        and summed.customer_id = reasoned.customer_id
        and summed.month = reasoned.month
        and summed.score = reasoned.score
