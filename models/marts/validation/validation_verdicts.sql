-- One row per metric, grain and period on which a run has decided whether ours and theirs agree, with the number of
-- periods in a row that did, up to this one.
-- Why it exists: it is the record that going live rests on. What was decided when the period was due stays: a number
-- that is mended afterwards does not mend the days on which it was wrong.
-- Hazard: a period that was within tolerance and later falls out of it gets a second verdict, and that one counts.

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

known as (

    select
        metric,
        grain,
        period,
        max(revision) as revision,
        bool_and(is_within) as is_within
    from remembered
    group by metric, grain, period

),

-- what does this run decide? what nobody has, as long as it is in time; and what no longer holds
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
        case
            when known.metric is null then cast({{ as_of() }} as date) <= reconciled.judged_until
            else known.is_within and reconciled.status != 'within'
        end

),

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
    from remembered

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
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from counted
