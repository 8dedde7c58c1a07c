-- One row per question asked again of what was published: do the days of a raw table that a publication showed still
-- have their rows, do columns that never change still read the same, and are those that may change about as they were?
-- Why it exists: what arrives wrong on a new day shows against the days before it (int_drift__scored); what is altered
-- in closed days changes published numbers, and shows only against what was remembered of them (raw_ops.profiles).
-- Rows without a time (a list of opt-outs, names of stages) stand on one day that never closes: there only what is lost
-- was altered, unless the list grew by more than a fifth and twenty.
-- Hazard: of messages of the product the last 90 days are profiled; of older days only the rows are compared.

{% set first_event_day = "cast(" ~ dbt.dateadd('day', -90, as_of()) ~ " as date)" %}

with

raw_days as (

    select
        source_name,
        table_name,
        profile_date,
        column_name,
        measure,
        category,
        reading
    from {{ ref('int_raw_days__profiled') }}

),

event_days as (

    select
        source_name,
        table_name,
        profile_date,
        column_name,
        measure,
        category,
        reading
    from {{ ref('int_event_days__profiled') }}
    where profile_date >= {{ first_event_day }}

),

published as (

    select
        question,
        source_name,
        table_name,
        profile_date,
        column_name,
        measure,
        category,
        reading
    from {{ ref('stg_ops__profiles') }}
    where
        is_latest
        and source_name not in ('metrics', 'columns')
        and (source_name <> 'product' or measure = 'rows' or profile_date >= {{ first_event_day }})

),

extracts as (

    select
        source,
        as_of,
        data_through_at
    from {{ ref('stg_ops__extracts') }}
    where status = 'succeeded'

),

profiled as (

    select
        *,
        concat_ws('/', source_name, table_name, column_name, measure, coalesce(category, '')) as question
    from (
        select * from raw_days
        union all
        select * from event_days
    ) as all_days

),

-- closed are the days that the silo had spoken of to the end when the newest of it was remembered. A run that was
-- killed between showing and remembering leaves a day unremembered, not one that looks altered
remembered as (

    select max(as_of) as remembered_as_of
    from {{ ref('stg_ops__profiles') }}

),

bounds as (

    select
        silos.source_name,
        cast(
            coalesce(
                least(max(extracts.data_through_at), remembered.remembered_as_of),
                remembered.remembered_as_of,
                cast('1970-01-01' as timestamp)
            ) as date
        ) as first_new_day
    from (select distinct source_name from raw_days) as silos
    cross join remembered
    left join extracts
        on silos.source_name = extracts.source and remembered.remembered_as_of >= extracts.as_of
    group by silos.source_name, remembered.remembered_as_of

),

-- what was asked then and is asked now: a profile that learns new questions alters nothing. That a table was there is
-- always known
asked as (

    select
        source_name,
        table_name,
        column_name,
        measure
    from profiled
    group by source_name, table_name, column_name, measure
    intersect
    select
        source_name,
        table_name,
        column_name,
        measure
    from published
    group by source_name, table_name, column_name, measure
    union
    select
        source_name,
        table_name,
        column_name,
        measure
    from published
    where measure = 'rows'

),

known_days as (

    select
        coalesce(profiled.question, published.question) as question,
        coalesce(profiled.source_name, published.source_name) as source_name,
        coalesce(profiled.table_name, published.table_name) as table_name,
        coalesce(profiled.column_name, published.column_name) as column_name,
        coalesce(profiled.measure, published.measure) as measure,
        coalesce(profiled.category, published.category) as category,
        coalesce(profiled.reading, 0) as reading,
        coalesce(published.reading, 0) as published_reading,
        published.question is not null as is_published,
        coalesce(profiled.profile_date, published.profile_date) = cast('1970-01-01' as date) as is_undated
    from profiled
    full outer join published
        on profiled.question = published.question and profiled.profile_date = published.profile_date
    inner join bounds
        on coalesce(profiled.source_name, published.source_name) = bounds.source_name
    inner join asked
        on
            coalesce(profiled.source_name, published.source_name) = asked.source_name
            and coalesce(profiled.table_name, published.table_name) = asked.table_name
            and coalesce(profiled.column_name, published.column_name) = asked.column_name
            and coalesce(profiled.measure, published.measure) = asked.measure
    where coalesce(profiled.profile_date, published.profile_date) < bounds.first_new_day

),

---------- does what was published still read the same?

-- row_count is what shares are taken of: what was published, and what undated lists grew to
known_rows as (

    select
        source_name,
        table_name,
        sum(published_reading) as published_count,
        sum(case when published_reading > 0 then 1 else 0 end) as day_count,
        sum(case when is_undated then reading else published_reading end) as row_count,
        sum(
            case
                when not is_undated then abs(reading - published_reading)
                else greatest(published_reading - reading, reading - 1.2 * published_reading - 20, 0)
            end
        ) as changed_rows
    from known_days
    where measure = 'rows'
    group by source_name, table_name

),

known_sums as (

    select
        question,
        source_name,
        table_name,
        column_name,
        measure,
        category,
        sum(reading) as now_reading,
        sum(published_reading) as published_reading,
        -- a digest that was let go (lifecycle/remembered/profiles.py) says nothing of its day
        sum(case when is_published and reading <> published_reading then 1 else 0 end) as changed_days
    from known_days
    where measure not in ('rows', 'future')
    group by question, source_name, table_name, column_name, measure, category

),

-- shares of rows, and means, which are told as a share of the mean that was published
known_shares as (

    select
        known_sums.source_name,
        known_sums.table_name,
        known_sums.column_name,
        known_sums.category,
        known_sums.measure in ('length', 'size', 'extent') as is_mean,
        known_rows.row_count,
        known_sums.now_reading / known_rows.row_count as now_share,
        known_sums.published_reading / known_rows.published_count as published_share
    from known_sums
    inner join known_rows
        on known_sums.source_name = known_rows.source_name and known_sums.table_name = known_rows.table_name
    where
        known_sums.measure not in ('fingerprint', 'steady')
        and known_rows.row_count > 0
        and known_rows.published_count > 0

),

-- states that no row was ever published in
new_states as (

    select
        'labels' as check_id,
        source_name,
        table_name,
        column_name,
        category,
        sum(reading) as observed,
        0.0 as expected,
        2.5 as width
    from known_days
    where measure = 'state'
    group by source_name, table_name, column_name, category
    having sum(published_reading) = 0 and sum(reading) > 0

),

restatements as (

    select * from new_states
    union all
    select
        'rows_are_kept' as check_id,
        source_name,
        table_name,
        '' as column_name,
        cast(null as {{ dbt.type_string() }}) as category,
        changed_rows as observed,
        0.0 as expected,
        2 + 0.0005 * published_count as width
    from known_rows
    union all
    select
        'fixed_columns' as check_id,
        source_name,
        table_name,
        '' as column_name,
        category,
        changed_days as observed,
        0.0 as expected,
        0.5 as width
    from known_sums
    where measure = 'fingerprint'
    union all
    -- whose a row is gets corrected one row at a time: on how many of the days is there such a row?
    select
        'steady_columns' as check_id,
        known_sums.source_name,
        known_sums.table_name,
        '' as column_name,
        known_sums.category,
        known_sums.changed_days as observed,
        0.0 as expected,
        3 + 0.05 * known_rows.day_count as width
    from known_sums
    inner join known_rows
        on known_sums.source_name = known_rows.source_name and known_sums.table_name = known_rows.table_name
    where known_sums.measure = 'steady'
    union all
    select
        'known_rows_stay_alike' as check_id,
        source_name,
        table_name,
        column_name,
        category,
        case when is_mean then now_share / greatest(published_share, 1) else now_share end as observed,
        case when is_mean then published_share / greatest(published_share, 1) else published_share end as expected,
        case
            when is_mean then (0.02 * published_share + 10) / greatest(published_share, 1)
            else 5 / row_count + 0.05
        end as width
    from known_shares

)

select
    check_id,
    source_name as silo,
    table_name,
    column_name,
    category,
    cast(null as date) as profile_date,
    observed,
    expected,
    width,
    abs(observed - expected) / width as score
from restatements
