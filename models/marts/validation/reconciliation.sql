-- One row per metric, grain and period since the first report about it: ours, theirs, the difference, the part of it
-- that is explained (by type) and the part that is not.
-- Why it exists: nothing is sent for real until the numbers agreed with what the company's own people report.
-- What waiting can settle (a late event, a forgotten payment) is waited for: it is missing on one of the sides. Where
-- both lists name the same customers and most amounts differ, nothing is late, something else is counted: that is
-- outside from the first morning on.
-- Hazard: theirs can be wrong as well as ours; which errors were found in the reports is in reconciliation_items. What
-- is shown here moves with late data and corrections; what was decided about a period stays in validation_verdicts.
{% set near_days = 3 %}
{% set many_slips = 5 %}
{% set types = ['timing', 'definition', 'currency', 'manual_error', 'system_error'] %}
{% set on_both_lists = 'customer_id is not null and ours != 0 and theirs != 0' %}
{% set differs = on_both_lists ~ ' and difference != explained_amount' %}

with

metrics as (

    select * from {{ ref('validation_metrics') }}

),

compared as (

    select * from {{ ref('int_figures__compared') }}

),

figures as (

    select * from {{ ref('stg_reports__figures') }}
    where is_total

),

accepted as (

    select
        metric,
        grain,
        period,
        item_type,
        amount
    from {{ ref('reconciling_items') }}
    where disposition = 'accepted' and reviewed_on <= cast({{ as_of() }} as date)

),

-- every period that is over, from the first that was reported on
first_reported as (

    select
        metric,
        grain,
        min(period) as first_period
    from figures
    group by metric, grain

),

days as (

    select
        cast({{ series(
            "(select min(first_reported.first_period) from first_reported)",
            dbt.dateadd('day', -1, "date_trunc('day', " ~ as_of() ~ ")"),
            'day'
        ) }} as date) as calendar_date

),

-- a month is there from its last day on
calendar as (

    select
        'day' as grain,
        calendar_date as period,
        calendar_date as last_day
    from days

    union all

    select
        'month' as grain,
        cast(date_trunc('month', calendar_date) as date) as period,
        calendar_date as last_day
    from days
    where extract(day from {{ dbt.dateadd('day', 1, 'calendar_date') }}) = 1

),

expected as (

    select
        metrics.*,
        calendar.period,
        calendar.last_day,
        cast({{ dbt.dateadd('day', 'metrics.judged_after_days + 1', 'calendar.last_day') }} as date) as judged_from,
        cast({{ dbt.dateadd('day', 'metrics.judged_within_days + 1', 'calendar.last_day') }} as date) as judged_until
    from metrics
    inner join first_reported
        on
            metrics.metric = first_reported.metric
            and metrics.grain = first_reported.grain
    inner join calendar
        on
            metrics.grain = calendar.grain
            and first_reported.first_period <= calendar.period

),

filed as (

    select
        metric,
        grain,
        period,
        min(filed_on) as first_filed_on,
        max(filed_on) as filed_on,
        count(distinct file_name) as filings,
        max(prepared_by) filter (where is_current) as prepared_by
    from figures
    group by metric, grain, period

),

-- people's reasons beside the rules'
explanations as (

    select
        metric,
        grain,
        period,
        item_type,
        explained_amount as amount
    from compared
    where item_type is not null

    union all

    select
        metric,
        grain,
        period,
        item_type,
        amount
    from accepted

),

explained as (

    select
        metric,
        grain,
        {%- for type in types %}
        coalesce(sum(amount) filter (where item_type = '{{ type }}'), 0) as explained_{{ type }},
        {%- endfor %}
        period
    from explanations
    group by metric, grain, period

),

sums as (

    select
        metric,
        grain,
        period,
        sum(ours) as ours,
        sum(theirs) as theirs,
        count(*) filter (where customer_id is not null and difference != 0) as customers_differing,
        count(*) filter (where {{ on_both_lists }}) as customers_compared,
        count(*) filter (where {{ differs }}) as customers_contested,
        min(theirs / ours) filter (where {{ differs }}) as lowest_ratio,
        max(theirs / ours) filter (where {{ differs }}) as highest_ratio
    from compared
    group by metric, grain, period

),

-- in which periods do most amounts differ that both sides list, and how about those within a few days of them?
disputed as (

    select
        metric,
        grain,
        period,
        customers_compared,
        customers_contested,
        lowest_ratio,
        highest_ratio,
        cast(cast(lowest_ratio as decimal(18, 3)) as {{ dbt.type_string() }}) as told_lowest,
        cast(cast(highest_ratio as decimal(18, 3)) as {{ dbt.type_string() }}) as told_highest,
        sum(customers_contested) over nearby as near_contested,
        min(lowest_ratio) over nearby as near_lowest,
        max(highest_ratio) over nearby as near_highest
    from sums
    where 2 * customers_contested > customers_compared
    window nearby as (
        partition by metric, grain
        order by period
        range between interval {{ near_days }} day preceding and interval {{ near_days }} day following
    )

),

-- by one factor, or in numbers: one or two that differ anyhow are slips
patterns as (

    select
        metric,
        grain,
        period,
        'of ' || cast(customers_compared as {{ dbt.type_string() }}) || ' amounts that both sides list '
        || cast(customers_contested as {{ dbt.type_string() }}) || ' differ, theirs being '
        || told_lowest || case when told_lowest != told_highest then ' to ' || told_highest else '' end
        || ' of ours: another definition rather than a slip' as pattern
    from disputed
    where
        (customers_contested > 1 and highest_ratio - lowest_ratio <= 0.01 * highest_ratio)
        or (near_contested > 1 and near_highest - near_lowest <= 0.01 * near_highest)
        or near_contested >= {{ many_slips }}

),

-- ours, theirs, what is explained of the difference, and what may be left
weighed as (

    select
        expected.*,
        filed.first_filed_on,
        filed.filed_on,
        coalesce(filed.filings, 0) as filings,
        filed.prepared_by,
        case when filed.filed_on is not null then sums.ours end as ours,
        case when filed.filed_on is not null then sums.theirs end as theirs,
        case when filed.filed_on is not null then sums.ours - sums.theirs end as difference,
        coalesce(sums.customers_differing, 0) as customers_differing,
        patterns.pattern,
        {%- for type in types %}
        coalesce(explained.explained_{{ type }}, 0) as explained_{{ type }},
        {%- endfor %}
        greatest(expected.tolerance_absolute, expected.tolerance_share * coalesce(sums.theirs, 0)) as tolerance
    from expected
    left join filed
        on
            expected.metric = filed.metric
            and expected.grain = filed.grain
            and expected.period = filed.period
    left join sums
        on
            expected.metric = sums.metric
            and expected.grain = sums.grain
            and expected.period = sums.period
    left join patterns
        on
            expected.metric = patterns.metric
            and expected.grain = patterns.grain
            and expected.period = patterns.period
    left join explained
        on
            expected.metric = explained.metric
            and expected.grain = explained.grain
            and expected.period = explained.period

),

settled as (

    select
        *,
        difference - explained_timing - explained_definition - explained_currency - explained_manual_error
        - explained_system_error as unexplained
    from weighed

)

select
    metric,
    grain,
    period,
    last_day,
    report,
    name,
    unit,
    owner,
    cast(ours as decimal(18, 2)) as ours,
    cast(theirs as decimal(18, 2)) as theirs,
    cast(difference as decimal(18, 2)) as difference,
    {%- for type in types %}
    cast(explained_{{ type }} as decimal(18, 2)) as explained_{{ type }},
    {%- endfor %}
    cast(unexplained as decimal(18, 2)) as unexplained,
    cast(tolerance as decimal(18, 2)) as tolerance,
    case
        when pattern is not null and abs(unexplained) > tolerance then 'outside'
        when judged_from > cast({{ as_of() }} as date) then 'settling'
        when filed_on is null then 'not filed'
        when abs(unexplained) <= tolerance then 'within'
        else 'outside'
    end as status,
    customers_differing,
    case when abs(unexplained) > tolerance then pattern end as pattern,
    filings,
    first_filed_on,
    filed_on,
    prepared_by,
    judged_from,
    judged_until,
    {{ as_of() }} as as_of,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from settled
