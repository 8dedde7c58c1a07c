-- One row per paying customer and month, the open one included: what was known at its end, how likely the customer is
-- to leave and to buy more within the month after, why, how sure that is, and what came of it.
-- Why it exists: who is about to leave and who is ready to upgrade is read here (is_current), and whether such rows
-- deserve belief is read in the months that are over. It is also the table that points are learned from.
-- Hazard: probabilities of past months are those that today's calibration gives, not those shown at the time.

with

months as (

    select * from {{ ref('int_customer_months__featured') }}

),

scores as (

    select
        customer_id,
        month,
        score,
        score_version,
        points,
        band,
        reasons
    from {{ ref('int_scores__summed') }}
    where model = 'points'

),

calibration as (

    select
        score,
        band,
        probability,
        probability_low,
        probability_high,
        probability_n
    from {{ ref('score_calibration') }}

),

-- how likely is it, by what happened in the customer's band?
calibrated as (

    select
        scores.customer_id,
        scores.month,
        {% for score in ['churn_risk', 'upgrade_readiness'] %}
        max(case when scores.score = '{{ score }}' then calibration.probability end) as {{ score }},
        max(case when scores.score = '{{ score }}' then calibration.probability_low end) as {{ score }}_low,
        max(case when scores.score = '{{ score }}' then calibration.probability_high end) as {{ score }}_high,
        max(case when scores.score = '{{ score }}' then calibration.probability_n end) as {{ score }}_n,
        max(case when scores.score = '{{ score }}' then scores.band end) as {{ score }}_band,
        max(case when scores.score = '{{ score }}' then scores.points end) as {{ score }}_points,
        max(case when scores.score = '{{ score }}' then scores.reasons end) as {{ score }}_reasons,
        {% endfor %}
        max(scores.score_version) as score_version
    from scores
    inner join calibration
        on
            scores.score = calibration.score
            and scores.band = calibration.band
    group by scores.customer_id, scores.month

)

select
    months.customer_id,
    months.month,
    months.is_current,
    months.observed_until,
    months.mrr,
    months.not_scored_because,
    calibrated.churn_risk,
    calibrated.churn_risk_low,
    calibrated.churn_risk_high,
    calibrated.churn_risk_n,
    cast(calibrated.churn_risk_band as bigint) as churn_risk_band,
    cast(calibrated.churn_risk_points as bigint) as churn_risk_points,
    calibrated.churn_risk_reasons,
    calibrated.upgrade_readiness,
    calibrated.upgrade_readiness_low,
    calibrated.upgrade_readiness_high,
    calibrated.upgrade_readiness_n,
    cast(calibrated.upgrade_readiness_band as bigint) as upgrade_readiness_band,
    cast(calibrated.upgrade_readiness_points as bigint) as upgrade_readiness_points,
    calibrated.upgrade_readiness_reasons,
    calibrated.score_version,
    months.has_left,
    months.has_upgraded,
    months.was_treated,
    months.channel,
    months.days_paying,
    months.seats,
    months.plan_rank,
    months.days_to_anniversary,
    months.is_past_due,
    months.days_since_use,
    months.l7,
    months.l28,
    months.l28_before,
    months.l28_trend,
    months.minutes_per_active_day,
    months.feature_families_28d,
    months.active_seat_share,
    months.failed_exports_28d,
    months.api_calls_28d,
    months.limits_reached_56d,
    months.prices_viewed_56d,
    months.users_invited_56d,
    months.is_integrated,
    months.tickets_56d,
    months.bad_ratings_56d,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from months
left join calibrated
    on
        months.customer_id = calibrated.customer_id
        and months.month = calibrated.month
