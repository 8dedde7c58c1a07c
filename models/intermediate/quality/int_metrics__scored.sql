-- One row per figure that leaders look at, with its category (a channel, a state, a destination), as of now and against
-- what was published of it (raw_ops.profiles): does it jump? Of a figure that is gone, figure is empty.
-- kind decides what an ordinary step is: level (grows or falls a little every day), share (customers per category),
-- estimate (comes with its interval), burst (actions that are due), contradiction (customers on whom silos disagree).

with

customers as (

    select
        customer_id,
        mrr,
        l7,
        identity_count,
        lifecycle_state,
        first_touch_channel
    from {{ ref('customer_lifecycle') }}

),

channels as (

    select
        channel,
        ltv,
        ltv_low,
        ltv_high,
        cac,
        cac_low,
        cac_high
    from {{ ref('channel_economics') }}

),

months as (

    select
        closing_mrr,
        opening_mrr,
        nrr_12m,
        nrr_12m_low,
        nrr_12m_high,
        is_open_month
    from {{ ref('revenue_metrics') }}

),

decisions as (

    select
        destination,
        customer_id
    from {{ ref('action_decisions') }}
    where decision = 'permitted' and is_open

),

contradictions as (

    select
        contradiction,
        customer_id
    from {{ ref('cross_silo_contradictions') }}

),

remembered as (

    select
        question,
        table_name as metric,
        column_name as category,
        measure,
        reading as figure,
        as_of,
        is_latest
    from {{ ref('stg_ops__profiles') }}
    where source_name = 'metrics'

),

measured as (

    select
        'customers' as metric,
        '' as category,
        'level' as kind,
        cast(count(*) as double) as figure,
        cast(null as double) as figure_low,
        cast(null as double) as figure_high
    from customers
    union all
    select
        'paying_customers' as metric,
        '' as category,
        'level' as kind,
        cast(count(*) as double) as figure,
        null as figure_low,
        null as figure_high
    from customers
    where mrr > 0
    union all
    select
        'mrr' as metric,
        '' as category,
        'level' as kind,
        cast(coalesce(sum(mrr), 0) as double) as figure,
        null as figure_low,
        null as figure_high
    from customers
    union all
    select
        'active_customers_7d' as metric,
        '' as category,
        'level' as kind,
        cast(count(*) as double) as figure,
        null as figure_low,
        null as figure_high
    from customers
    where l7 > 0
    union all
    select
        'identities' as metric,
        '' as category,
        'level' as kind,
        cast(coalesce(sum(identity_count), 0) as double) as figure,
        null as figure_low,
        null as figure_high
    from customers
    union all
    select
        'customers_in_state' as metric,
        coalesce(lifecycle_state, '(none)') as category,
        'share' as kind,
        cast(count(*) as double) as figure,
        null as figure_low,
        null as figure_high
    from customers
    group by coalesce(lifecycle_state, '(none)')
    union all
    select
        'customers_of_channel' as metric,
        coalesce(first_touch_channel, '(none)') as category,
        'share' as kind,
        cast(count(*) as double) as figure,
        null as figure_low,
        null as figure_high
    from customers
    group by coalesce(first_touch_channel, '(none)')
    union all
    select
        'ltv' as metric,
        channel as category,
        'estimate' as kind,
        cast(ltv as double) as figure,
        cast(ltv_low as double) as figure_low,
        cast(ltv_high as double) as figure_high
    from channels
    where ltv is not null
    union all
    select
        'cac' as metric,
        channel as category,
        'estimate' as kind,
        cast(cac as double) as figure,
        cast(cac_low as double) as figure_low,
        cast(cac_high as double) as figure_high
    from channels
    where cac is not null
    union all
    select
        'opening_mrr' as metric,
        '' as category,
        'level' as kind,
        cast(opening_mrr as double) as figure,
        null as figure_low,
        null as figure_high
    from months
    where is_open_month
    union all
    select
        'due_actions' as metric,
        destination as category,
        'burst' as kind,
        cast(count(*) as double) as figure,
        null as figure_low,
        null as figure_high
    from decisions
    group by destination
    union all
    select
        'contradictions' as metric,
        contradiction as category,
        'contradiction' as kind,
        cast(count(*) as double) as figure,
        null as figure_low,
        null as figure_high
    from contradictions
    group by contradiction

),

---------- does a figure jump?

-- how far does a figure usually go from one publication to the next? learnt when there were eight of them
steps as (

    select
        question,
        6 * 1.4826 * median(abs(step)) as usual_step
    from (
        select
            question,
            figure - lag(figure) over (partition by question order by as_of) as step
        from remembered
        where measure = 'figure'
    ) as stepped
    where step is not null
    group by question
    having count(*) >= 7

),

last_published as (

    select
        metric,
        category,
        max(case when measure = 'figure' then question end) as question,
        max(case when measure = 'figure' then figure end) as figure,
        max(case when measure = 'low' then figure end) as figure_low,
        max(case when measure = 'high' then figure end) as figure_high,
        max(case when measure = 'figure' then as_of end) as as_of
    from remembered
    where is_latest
    group by metric, category

),

publication as (

    select
        greatest(coalesce({{ dbt.datediff('max(as_of)', as_of(), 'day') }}, 1), 1) as days_since,
        count(*) > 0 as has_published
    from last_published

),

kinds as (

    select
        metric,
        max(kind) as kind,
        sum(figure) as total
    from measured
    group by metric

),

compared as (

    select
        coalesce(measured.metric, last_published.metric) as metric,
        coalesce(measured.category, last_published.category) as category,
        measured.figure,
        measured.figure_low,
        measured.figure_high,
        coalesce(measured.figure, 0) as observed,
        coalesce(last_published.figure, 0) as expected,
        last_published.figure is not null as was_published,
        last_published.figure_high - last_published.figure_low as published_interval,
        steps.usual_step
    from measured
    full outer join last_published
        on measured.metric = last_published.metric and measured.category = last_published.category
    left join steps on last_published.question = steps.question

),

judged as (

    select
        compared.*,
        case kinds.kind
            when 'level' then 'figures_move_slowly'
            when 'share' then 'shares_move_slowly'
            when 'estimate' then 'estimates_stay_within'
            when 'burst' then 'actions_due'
            when 'contradiction' then 'silos_agree'
        end as check_id,
        -- nothing was published yet, or not this: there is nothing to compare with, unless none is a comparison
        publication.has_published
        and (compared.was_published or kinds.kind in ('share', 'burst', 'contradiction')) as is_comparable,
        greatest(
            coalesce(compared.usual_step, 0),
            case kinds.kind
                when 'level' then (2 + 0.04 * abs(compared.expected)) * sqrt(publication.days_since)
                when 'share' then (5 + 0.04 * kinds.total) * sqrt(publication.days_since)
                when 'estimate'
                    then greatest(
                        compared.published_interval / 2,
                        0.02 * abs(compared.expected)
                    )
                when 'burst' then 20 + 1.5 * compared.expected
                when 'contradiction' then 3 + 0.25 * compared.expected
            end
        ) as width
    from compared
    inner join kinds on compared.metric = kinds.metric
    cross join publication

)

select
    metric,
    category,
    figure,
    figure_low,
    figure_high,
    check_id,
    observed,
    expected,
    width,
    case when is_comparable and width > 0 then abs(observed - expected) / width end as score
from judged
