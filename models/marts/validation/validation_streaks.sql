-- One row per metric and grain that has to agree before anything is sent for real: what was fixed beforehand, and how
-- far it has got.
-- Why it exists: going live asks this table and no file of the project, so that the criteria that count are those the
-- published verdicts were given by. A metric that nobody reports has its row, too, and stands in the way.
-- Hazard: streak is that of the last period that was judged; a period after it that nobody judged in time (gap_period)
-- ends the row as well.

with

metrics as (

    select * from {{ ref('validation_metrics') }}

),

verdicts as (

    select * from {{ ref('validation_verdicts') }}

),

reconciled as (

    select * from {{ ref('reconciliation') }}

),

last_judged as (

    select
        metric,
        grain,
        period,
        streak
    from verdicts
    qualify row_number() over (
        partition by metric, grain
        order by period desc
    ) = 1

),

-- what broke the row last?
last_broken as (

    select
        metric,
        grain,
        period,
        status,
        unexplained,
        tolerance,
        judged_at
    from verdicts
    where not is_within
    qualify row_number() over (
        partition by metric, grain
        order by period desc
    ) = 1

),

-- the first period after the last judged one whose time to be judged has run out
gaps as (

    select
        reconciled.metric,
        reconciled.grain,
        min(reconciled.period) as period
    from reconciled
    inner join last_judged
        on
            reconciled.metric = last_judged.metric
            and reconciled.grain = last_judged.grain
            and reconciled.period > last_judged.period
    where reconciled.judged_until < cast({{ as_of() }} as date)
    group by reconciled.metric, reconciled.grain

),

-- which periods of the row that counts would not be confirmed by the figures of now?
restated as (

    select
        verdicts.metric,
        verdicts.grain,
        count(*) as periods,
        min(verdicts.period) as first_period
    from verdicts
    left join last_broken
        on
            verdicts.metric = last_broken.metric
            and verdicts.grain = last_broken.grain
    where verdicts.is_restated and (last_broken.period is null or verdicts.period > last_broken.period)
    group by verdicts.metric, verdicts.grain

)

select
    metrics.metric,
    metrics.grain,
    metrics.name,
    metrics.definition,
    metrics.report,
    metrics.unit,
    metrics.owner,
    metrics.tolerance_share,
    metrics.tolerance_absolute,
    cast(metrics.judged_after_days as bigint) as judged_after_days,
    cast(metrics.judged_within_days as bigint) as judged_within_days,
    metrics.fixed_on,
    metrics.fixed_by,
    cast(coalesce(last_judged.streak, 0) as bigint) as streak,
    cast(metrics.required_periods as bigint) as required_periods,
    last_judged.period as last_period,
    gaps.period as gap_period,
    cast(coalesce(restated.periods, 0) as bigint) as restated_periods,
    restated.first_period as restated_period,
    last_broken.period as broken_period,
    last_broken.status as broken_status,
    last_broken.unexplained as broken_unexplained,
    last_broken.tolerance as broken_tolerance,
    last_broken.judged_at as broken_judged_at,
    coalesce(last_judged.streak, 0) >= metrics.required_periods
    and gaps.period is null
    and restated.periods is null as is_ready,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from metrics
left join last_judged
    on
        metrics.metric = last_judged.metric
        and metrics.grain = last_judged.grain
left join last_broken
    on
        metrics.metric = last_broken.metric
        and metrics.grain = last_broken.grain
left join gaps
    on
        metrics.metric = gaps.metric
        and metrics.grain = gaps.grain
left join restated
    on
        metrics.metric = restated.metric
        and metrics.grain = restated.grain
