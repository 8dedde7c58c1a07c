-- One row per score and band of points: how often what the score speaks of happened to customers in the band in the
-- months after those it was learned on, and the probability that customers in the band are given for it.
-- Why it exists: a probability is only worth its name if it comes true as often as it says. What was learned counts for
-- as many customer-months as its version says (score_bands.prior_months); everything else is what happened since, so a
-- band corrects itself as months close.
-- Hazard: customer-months on which an action of ours had a hand are left out; the rest is what happens when nothing is
-- done.

with

scores as (

    select
        customer_id,
        month,
        score,
        score_version,
        probability,
        band
    from {{ ref('int_scores__summed') }}
    where model = 'points'

),

months as (

    select
        customer_id,
        month,
        has_left,
        has_upgraded
    from {{ ref('int_customer_months__featured') }}
    where has_left is not null and not was_treated

),

bands as (

    select *
    from {{ ref('score_bands') }}
    where score_version = '{{ var("score_version", "1") }}'

),

-- what happened in each band after what was learned from?
observed as (

    select
        scores.score,
        scores.band,
        count(*) as observed_n,
        sum(
            case scores.score
                when 'churn_risk' then case when months.has_left then 1 else 0 end
                else case when months.has_upgraded then 1 else 0 end
            end
        ) as observed_events,
        avg(scores.probability) as predicted_rate
    from scores
    inner join months
        on
            scores.customer_id = months.customer_id
            and scores.month = months.month
    inner join bands
        on
            scores.score = bands.score
            and scores.band = bands.band
    where scores.month > bands.learned_through
    group by scores.score, scores.band

),

combined as (

    select
        bands.*,
        coalesce(observed.observed_n, 0) as observed_n,
        coalesce(observed.observed_events, 0) as observed_events,
        observed.observed_events / cast(observed.observed_n as double) as observed_rate,
        coalesce(observed.predicted_rate, bands.expected_rate) as predicted_rate,
        coalesce(observed.observed_n, 0) + bands.prior_months as worth_n,
        (coalesce(observed.observed_events, 0) + bands.prior_months * cast(bands.expected_rate as double))
        / (coalesce(observed.observed_n, 0) + bands.prior_months) as probability
    from bands
    left join observed
        on
            bands.score = observed.score
            and bands.band = observed.band

),

bounded as (

    select
        *,
        {{ wilson_low('observed_rate', 'observed_n') }} as observed_rate_low,
        {{ wilson_high('observed_rate', 'observed_n') }} as observed_rate_high,
        {{ wilson_low('probability', 'worth_n') }} as probability_low,
        {{ wilson_high('probability', 'worth_n') }} as probability_high
    from combined

)

select
    score,
    score_version,
    cast(band as bigint) as band,
    cast(lower_points as bigint) as lower_points,
    cast(upper_points as bigint) as upper_points,
    cast(learned_n as bigint) as learned_n,
    cast(learned_events as bigint) as learned_events,
    learned_through,
    cast(predicted_rate as decimal(9, 4)) as predicted_rate,
    cast(observed_rate as decimal(9, 4)) as observed_rate,
    cast(observed_rate_low as decimal(9, 4)) as observed_rate_low,
    cast(observed_rate_high as decimal(9, 4)) as observed_rate_high,
    cast(observed_n as bigint) as observed_rate_n,
    cast(observed_events as bigint) as observed_events,
    -- null until something has been observed
    predicted_rate between observed_rate_low and observed_rate_high as is_predicted_within,
    cast(probability as decimal(9, 4)) as probability,
    cast(probability_low as decimal(9, 4)) as probability_low,
    cast(probability_high as decimal(9, 4)) as probability_high,
    cast(observed_n as bigint) as probability_n,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from bounded
