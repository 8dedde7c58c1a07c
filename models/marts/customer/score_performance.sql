-- One row per score and span of months (those it was learned on, those after): how well it tells customers apart, and
-- whether it does so better than the days since the last use.
-- Why it exists: a score that does not beat the one number that everybody has anyway should say so itself. The verdict
-- is computed from the interval of the difference and from nothing else.
-- How: the area under the ROC curve is the mean placement of those it happened to among those it did not, ties in the
-- middle; a placement's distance from that mean is its influence, and influences added up per customer give the
-- standard error (a customer's months are not independent), also of the difference of two scores on the same months.
-- Hazard: the months a score was learned on flatter it; read the other row.

with

scores as (

    select
        customer_id,
        month,
        score,
        model,
        points,
        probability,
        band
    from {{ ref('int_scores__summed') }}

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

    select
        score,
        score_version,
        band,
        learned_n,
        learned_events,
        learned_through
    from {{ ref('score_bands') }}
    where score_version = '{{ var("score_version", "1") }}'

),

learned as (

    select
        score,
        score_version,
        max(learned_through) as learned_through,
        sum(learned_n) as learned_n,
        sum(learned_events) / cast(sum(learned_n) as double) as learned_rate
    from bands
    group by score, score_version

),

-- each customer-month with the points of both models and what happened
judged as (

    select
        scores.customer_id,
        scores.month,
        scores.score,
        learned.learned_rate,
        case when scores.month <= learned.learned_through then 'learned on' else 'after' end as span,
        case
            when scores.score = 'churn_risk' then months.has_left
            else months.has_upgraded
        end as happened,
        max(case when scores.model = 'points' then scores.points end) as points,
        max(case when scores.model = 'points' then scores.probability end) as probability,
        max(case when scores.model = 'recency' then scores.points end) as recency_points,
        max(case when scores.model = 'recency' then scores.probability end) as recency_probability
    from scores
    inner join learned on scores.score = learned.score
    inner join months
        on
            scores.customer_id = months.customer_id
            and scores.month = months.month
    group by
        scores.customer_id,
        scores.month,
        scores.score,
        learned.learned_rate,
        learned.learned_through,
        months.has_left,
        months.has_upgraded

),

-- how many of the other kind stand below? equal points count half
placed as (

    select
        *,
        {% for column in ['points', 'recency_points'] %}
        rank() over (partition by score, span order by {{ column }})
        - rank() over (partition by score, span, happened order by {{ column }})
        + (count(*) over (partition by score, span, {{ column }}) - 1) / 2.0
        - (count(*) over (partition by score, span, happened, {{ column }}) - 1) / 2.0 as {{ column }}_below,
        {% endfor %}
        count(*) over everybody as everybody_n,
        count(*) over own_kind as own_kind_n
    from judged
    window
        everybody as (partition by score, span),
        own_kind as (partition by score, span, happened)

),

placements as (

    select
        *,
        case when happened then 1 else -1 end
        * (points_below / nullif(everybody_n - own_kind_n, 0) - case when happened then 0 else 1 end)
            as placement,
        case when happened then 1 else -1 end
        * (recency_points_below / nullif(everybody_n - own_kind_n, 0) - case when happened then 0 else 1 end)
            as recency_placement
    from placed

),

areas as (

    select
        score,
        span,
        avg(case when happened then placement end) as auc,
        avg(case when happened then recency_placement end) as recency_auc
    from placements
    group by score, span

),

-- what one customer does to each area: months of one customer are not independent
customers as (

    select
        placements.score,
        placements.span,
        placements.customer_id,
        sum((placements.placement - areas.auc) / placements.own_kind_n) as influence,
        sum((placements.recency_placement - areas.recency_auc) / placements.own_kind_n) as recency_influence
    from placements
    inner join areas
        on
            placements.score = areas.score
            and placements.span = areas.span
    group by placements.score, placements.span, placements.customer_id

),

spread as (

    select
        score,
        span,
        count(*) as customers,
        sqrt(sum(influence * influence)) as auc_se,
        sqrt(sum((influence - recency_influence) * (influence - recency_influence))) as gain_se
    from customers
    group by score, span

),

summed as (

    select
        score,
        span,
        count(*) as customer_months,
        sum(case when happened then 1 else 0 end) as events,
        avg(case when happened then 1.0 else 0.0 end) as base_rate,
        avg(probability) as predicted_rate,
        avg(power(probability - case when happened then 1 else 0 end, 2)) as brier,
        avg(power(recency_probability - case when happened then 1 else 0 end, 2)) as recency_brier,
        avg(power(learned_rate - case when happened then 1 else 0 end, 2)) as constant_brier
    from judged
    group by score, span

),

-- has the mix of customers moved since the score was learned? (population stability index over the bands)
mixes as (

    select
        judged.score,
        judged.span,
        scores.band,
        count(*) / cast(max(summed.customer_months) as double) as band_share,
        avg(case when judged.happened then 1.0 else 0.0 end) as band_rate
    from judged
    inner join scores
        on
            judged.score = scores.score
            and judged.customer_id = scores.customer_id
            and judged.month = scores.month
            and scores.model = 'points'
    inner join summed
        on
            judged.score = summed.score
            and judged.span = summed.span
    group by judged.score, judged.span, scores.band

),

-- how far has the mix of bands moved from the one that was learned, and how much more happens in the top band?
drifts as (

    select
        mixes.score,
        mixes.span,
        sum(
            (mixes.band_share - bands.learned_n / cast(learned.learned_n as double))
            * ln(mixes.band_share / (bands.learned_n / cast(learned.learned_n as double)))
        ) as population_stability,
        max_by(mixes.band_rate, mixes.band) / nullif(max(summed.base_rate), 0) as top_band_lift
    from mixes
    inner join bands
        on
            mixes.score = bands.score
            and mixes.band = bands.band
    inner join learned on mixes.score = learned.score
    inner join summed
        on
            mixes.score = summed.score
            and mixes.span = summed.span
    group by mixes.score, mixes.span

),

joined as (

    select
        summed.*,
        learned.score_version,
        learned.learned_through,
        spread.customers,
        areas.auc,
        areas.recency_auc,
        areas.auc - areas.recency_auc as auc_gain,
        spread.auc_se,
        spread.gain_se,
        1 - summed.brier / nullif(summed.constant_brier, 0) as brier_skill,
        1 - summed.recency_brier / nullif(summed.constant_brier, 0) as recency_brier_skill,
        drifts.population_stability,
        drifts.top_band_lift
    from summed
    inner join areas
        on
            summed.score = areas.score
            and summed.span = areas.span
    inner join spread
        on
            summed.score = spread.score
            and summed.span = spread.span
    inner join drifts
        on
            summed.score = drifts.score
            and summed.span = drifts.span
    inner join learned on summed.score = learned.score

)

select
    score,
    span,
    score_version,
    learned_through,
    cast(customer_months as bigint) as customer_months,
    cast(customers as bigint) as customers,
    cast(events as bigint) as events,
    cast(base_rate as decimal(9, 4)) as base_rate,
    cast(predicted_rate as decimal(9, 4)) as predicted_rate,
    cast(auc as decimal(9, 4)) as auc,
    cast(greatest(0, auc - 1.959964 * auc_se) as decimal(9, 4)) as auc_low,
    cast(least(1, auc + 1.959964 * auc_se) as decimal(9, 4)) as auc_high,
    cast(events as bigint) as auc_n,
    cast(recency_auc as decimal(9, 4)) as recency_auc,
    cast(auc_gain as decimal(9, 4)) as auc_gain,
    cast(auc_gain - 1.959964 * gain_se as decimal(9, 4)) as auc_gain_low,
    cast(auc_gain + 1.959964 * gain_se as decimal(9, 4)) as auc_gain_high,
    cast(events as bigint) as auc_gain_n,
    cast(brier_skill as decimal(9, 4)) as brier_skill,
    cast(recency_brier_skill as decimal(9, 4)) as recency_brier_skill,
    cast(top_band_lift as decimal(9, 4)) as top_band_lift,
    cast(population_stability as decimal(9, 4)) as population_stability,
    case
        when events < 20 or customer_months - events < 20 then 'too few cases to say'
        when auc_gain - 1.959964 * gain_se > 0 and brier_skill > recency_brier_skill
            then 'better than days since last use'
        when auc_gain + 1.959964 * gain_se < 0 then 'worse than days since last use'
        else 'not shown to be better than days since last use'
    end as verdict,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from joined
