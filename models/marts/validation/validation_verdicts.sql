-- One row per metric, grain and period on which a run has decided whether ours and theirs agree, with the number of
-- periods in a row that did, up to this one.
-- Why it exists: it is the record that going live rests on. What was decided when the period was due stays: a number
-- that is mended afterwards does not mend the days on which it was wrong.
-- Until judged_until a period that had agreed and no longer does gets a second verdict, and that one counts. Then the
-- period is closed, as books are: what moves it later is a restatement, which is noted and told, and breaks no row.
-- Hazard: figures are those of the decision; those of now are in reconciliation.

with

remembered as (

    select * from {{ ref('stg_ops__validation_verdicts') }}

),

metrics as (

    select
        metric,
        grain,
        required_periods,
        fixed_on
    from {{ ref('validation_metrics') }}

),

reconciled as (

    select * from {{ ref('reconciliation') }}
    where status != 'settling'

),

-- the first run of this instant, so that another one shows the same
runs as (

    select run_id
    from {{ source('ops', 'runs') }}
    where as_of = {{ as_of() }}
    order by started_at, run_id
    limit 1

),

decided as (

    select * from remembered
    where status != 'restated'

),

noted as (

    select
        metric,
        grain,
        period,
        min(known_at) as restated_at
    from remembered
    where status = 'restated'
    group by metric, grain, period

),

known as (

    select
        metric,
        grain,
        period,
        max(revision) as revision,
        bool_and(is_within) as is_within
    from decided
    group by metric, grain, period

),

-- what does this run decide, as long as the period is open? what nobody has decided, and what no longer holds
fresh as (

    select
        reconciled.metric,
        reconciled.grain,
        reconciled.period,
        coalesce(known.revision, 0) + 1 as revision,
        reconciled.status,
        reconciled.ours,
        reconciled.theirs,
        cast(reconciled.difference - reconciled.unexplained as decimal(18, 2)) as explained,
        reconciled.unexplained,
        reconciled.tolerance,
        reconciled.status = 'within' as is_within,
        {{ as_of() }} as known_at
    from reconciled
    left join known
        on
            reconciled.metric = known.metric
            and reconciled.grain = known.grain
            and reconciled.period = known.period
    where
        cast({{ as_of() }} as date) <= reconciled.judged_until
        and (known.metric is null or (known.is_within and reconciled.status != 'within'))

),

-- what was decided before stays, and this run adds what is new
all_verdicts as (

    select
        metric,
        grain,
        period,
        revision,
        status,
        ours,
        theirs,
        explained,
        unexplained,
        tolerance,
        is_within,
        fingerprint,
        known_at,
        run_id
    from decided

    union all

    select
        fresh.metric,
        fresh.grain,
        fresh.period,
        fresh.revision,
        fresh.status,
        fresh.ours,
        fresh.theirs,
        fresh.explained,
        fresh.unexplained,
        fresh.tolerance,
        fresh.is_within,
        {{ surrogate_key([
            'fresh.metric', 'fresh.grain', 'fresh.period', 'fresh.status', 'fresh.ours', 'fresh.theirs',
            'fresh.explained', 'fresh.unexplained', 'fresh.tolerance',
        ]) }} as fingerprint,
        fresh.known_at,
        runs.run_id
    from fresh
    left join runs on true

),

-- the last verdict on a period counts, and its first says when it was judged
latest as (

    select
        *,
        min(known_at) over (partition by metric, grain, period) as first_judged_at
    from all_verdicts
    qualify row_number() over (
        partition by metric, grain, period
        order by revision desc
    ) = 1

),

-- where does a row of agreeing periods begin? after one that did not agree, after a gap, after the criteria were set
numbered as (

    select
        latest.*,
        metrics.required_periods,
        metrics.fixed_on,
        latest.is_within and latest.period > metrics.fixed_on as counts,
        coalesce(
            latest.period = case
                when latest.grain = 'day' then {{ dbt.dateadd('day', 1, 'lag(latest.period) over in_order') }}
                else {{ dbt.dateadd('month', 1, 'lag(latest.period) over in_order') }}
            end,
            false
        ) as follows
    from latest
    inner join metrics
        on
            latest.metric = metrics.metric
            and latest.grain = metrics.grain
    window in_order as (
        partition by latest.metric, latest.grain
        order by latest.period
    )

),

grouped as (

    select
        *,
        sum(case when counts and follows then 0 else 1 end) over (
            partition by metric, grain
            order by period
        ) as attempt
    from numbered

),

-- a period that breaks opens an attempt and is not part of it
counted as (

    select
        *,
        sum(case when counts then 1 else 0 end) over (
            partition by metric, grain, attempt
            order by period
        ) as streak
    from grouped

),

-- which of them would today's figures not confirm? an open period has its second verdict then, so these are closed
restated as (

    select
        counted.*,
        reconciled.judged_until,
        counted.is_within and coalesce(reconciled.status, 'within') != 'within' as is_restated,
        noted.restated_at as noted_at
    from counted
    left join reconciled
        on
            counted.metric = reconciled.metric
            and counted.grain = reconciled.grain
            and counted.period = reconciled.period
    left join noted
        on
            counted.metric = noted.metric
            and counted.grain = noted.grain
            and counted.period = noted.period

)

select
    metric,
    grain,
    period,
    status,
    is_within,
    ours,
    theirs,
    explained,
    unexplained,
    tolerance,
    cast(case when counts then streak else 0 end as bigint) as streak,
    cast(required_periods as bigint) as required_periods,
    revision,
    first_judged_at,
    known_at as judged_at,
    run_id,
    fingerprint,
    judged_until,
    is_restated,
    case when is_restated then coalesce(noted_at, {{ as_of() }}) end as restated_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from restated
