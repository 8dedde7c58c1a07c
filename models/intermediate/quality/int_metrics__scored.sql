-- One row per figure that leaders look at, with its category (a channel, a state, a destination), as of now and against
-- what was published of it (raw_ops.profiles): does it jump? Of a figure that is gone, figure is empty.
-- kind decides what an ordinary step is: level (grows or falls a little every day), closed (of a month that is over or
-- begun, by month: another month is another figure), share (customers per category), estimate (comes with its interval,
-- if one may rely on that), burst (actions that are due), contradiction (customers on whom silos disagree).

{% set state, channel = "coalesce(lifecycle_state, '(none)')", "coalesce(first_touch_channel, '(none)')" %}
{% set month = "substr(cast(month as " ~ dbt.type_string() ~ "), 1, 7)" %}
{% set a_year_ago = dbt.dateadd('month', -12, "date_trunc('month', " ~ as_of() ~ ")") %}
{% set figures = [
    {'metric': 'customers', 'kind': 'level', 'of': 'customers', 'figure': 'count(*)'},
    {'metric': 'paying_customers', 'kind': 'level', 'of': 'customers', 'figure': 'count(*)', 'where': 'mrr > 0'},
    {'metric': 'mrr', 'kind': 'level', 'of': 'customers', 'figure': 'coalesce(sum(mrr), 0)', 'largest': 'max(mrr)'},
    {'metric': 'active_customers_7d', 'kind': 'level', 'of': 'customers', 'figure': 'count(*)', 'where': 'l7 > 0'},
    {'metric': 'identities', 'kind': 'level', 'of': 'customers', 'figure': 'coalesce(sum(identity_count), 0)'},
    {'metric': 'customers_in_state', 'category': state, 'kind': 'share', 'of': 'customers', 'figure': 'count(*)'},
    {'metric': 'customers_of_channel', 'category': channel, 'kind': 'share', 'of': 'customers', 'figure': 'count(*)'},
    {'metric': 'ltv', 'category': 'channel', 'kind': 'estimate', 'of': 'channels', 'figure': 'ltv',
     'low': 'case when is_reliable then ltv_low end', 'high': 'case when is_reliable then ltv_high end',
     'where': 'ltv is not null'},
    {'metric': 'cac', 'category': 'channel', 'kind': 'estimate', 'of': 'channels', 'figure': 'cac',
     'low': 'case when is_reliable then cac_low end', 'high': 'case when is_reliable then cac_high end',
     'where': 'cac is not null'},
    {'metric': 'opening_mrr', 'category': month, 'kind': 'closed', 'of': 'months', 'figure': 'opening_mrr',
     'largest': "(select max(customers.mrr) from customers)", 'where': "month >= " ~ a_year_ago},
    {'metric': 'due_actions', 'category': 'destination', 'kind': 'burst', 'of': 'decisions', 'figure': 'count(*)'},
    {'metric': 'contradictions', 'category': 'contradiction', 'kind': 'contradiction', 'of': 'contradictions',
     'figure': 'count(*)'},
] %}

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
        cac_high,
        is_reliable
    from {{ ref('channel_economics') }}

),

months as (

    select
        month,
        opening_mrr
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
    {% for each in figures %}
    select
        '{{ each.metric }}' as metric,
        {{ each.category | default("''") }} as category,
        '{{ each.kind }}' as kind,
        cast({{ each.figure }} as double) as figure,
        cast({{ each.low | default('null') }} as double) as figure_low,
        cast({{ each.high | default('null') }} as double) as figure_high,
        cast({{ each.largest | default('2') }} as double) as largest
    from {{ each.of }}
    {%- if each.where %}
    where {{ each.where }}
    {%- endif %}
    {%- if each.category and 'count' in each.figure %}
    group by {{ each.category }}
    {%- endif %}
    {%- if not loop.last %}
    union all
    {%- endif %}
    {%- endfor %}

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
        measured.largest,
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
            when 'closed' then 'figures_move_slowly'
            when 'share' then 'shares_move_slowly'
            when 'estimate' then 'estimates_stay_within'
            when 'burst' then 'actions_due'
            when 'contradiction' then 'silos_agree'
        end as check_id,
        -- nothing was published yet, or not this: there is nothing to compare with, unless none is a comparison. A
        -- month that is a year ago has not moved, and what was published with a warning may move as it likes
        publication.has_published
        and case
            when kinds.kind in ('share', 'burst', 'contradiction') then true
            when kinds.kind = 'closed' then compared.figure is not null and compared.expected <> 0
            when kinds.kind = 'estimate' then compared.published_interval > 0
            else compared.was_published
        end as is_comparable,
        greatest(
            coalesce(compared.usual_step, 0),
            case kinds.kind
                -- the largest customer may come or go, and the fewer there are the more chance moves them
                when 'level'
                    then
                        greatest(
                            coalesce(compared.largest, 2) + 0.04 * abs(compared.expected),
                            1.5 * sqrt(abs(compared.expected))
                        ) * sqrt(publication.days_since)
                -- nothing comes or goes any more, but customers are merged and invoices corrected
                when 'closed' then coalesce(compared.largest, 2) + 0.04 * abs(compared.expected)
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
