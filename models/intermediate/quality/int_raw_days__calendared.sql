-- One row per raw table and day, also days without a row, from the first that the table knows and at most 56 before the
-- first new one: how many rows it has, and how many are usual on that weekday.
-- Rows that we delivered ourselves are counted apart: they come when we send, and say nothing of the silo's weekdays.
-- Why it exists: which days are new, which are over, and how many rows each has is what every other comparison of days
-- starts from (int_drift__scored).
-- Hazard: a table with a row or two a day has ranges that reach zero, and no half day can be seen in it.

-- what comes in bursts rightly: newsletters, imports of leads, an outage that everybody asks about
{% set bursty_tables = ['bitrix24.leads', 'customerio.messages', 'zendesk.tickets'] %}
-- by how much the last two weeks may move what is usual: more is no growth
{% set least_growth, most_growth = 0.67, 1.5 %}

with

day_rows as (

    select
        source_name,
        table_name,
        profile_date,
        sum(case measure when 'rows' then reading else -reading end) as row_count,
        sum(case measure when 'own' then reading else 0 end) as own_count
    from {{ ref('int_raw_days__profiled') }}
    where measure in ('rows', 'own')
    group by source_name, table_name, profile_date

),

publications as (

    select max(as_of) as published_as_of
    from {{ ref('stg_ops__publications') }}
    where outcome = 'published' and as_of < {{ as_of() }}

),

extracts as (

    select
        source,
        as_of,
        data_through_at
    from {{ ref('stg_ops__extracts') }}
    where status = 'succeeded' and as_of <= {{ as_of() }}

),

-- up to when did each silo speak, and up to when had it at the last publication?
spoken as (

    select
        extracts.source,
        max(extracts.data_through_at) as through_at,
        max(
            case when extracts.as_of <= publications.published_as_of then extracts.data_through_at end
        ) as published_through_at
    from extracts
    cross join publications
    group by extracts.source

),

-- which days are new? those that the silo had not spoken of to the end when it was last published, at most a fortnight;
-- before the first publication, a week. A day is over when the silo has spoken beyond it: of one that did not answer,
-- nothing is missed here, and freshness says how old it may get
bounds as (

    select
        silos.source_name,
        cast(coalesce(spoken.through_at, {{ as_of() }}) as date) as first_open_day,
        greatest(
            coalesce(
                least(
                    cast(publications.published_as_of as date),
                    cast(coalesce(spoken.published_through_at, publications.published_as_of) as date)
                ),
                cast({{ dbt.dateadd('day', -7, as_of()) }} as date)
            ),
            cast({{ dbt.dateadd('day', -14, as_of()) }} as date)
        ) as first_new_day
    from (select distinct source_name from day_rows) as silos
    left join spoken on silos.source_name = spoken.source
    cross join publications

),

tables as (

    select
        source_name,
        table_name,
        min(profile_date) as first_day
    from day_rows
    where profile_date > cast('1970-01-01' as date)
    group by source_name, table_name

),

days as (

    select {{ series(dbt.dateadd('day', -56, 'min(first_new_day)'), 'cast(' ~ as_of() ~ ' as date)') }} as day_at
    from bounds

),

-- every day of every table, also those without a row, from the first the table knows
calendar as (

    select
        tables.source_name,
        tables.table_name,
        cast(days.day_at as date) as profile_date,
        cast({{ dbt.datediff("cast('2024-01-01' as date)", 'days.day_at', 'day') }} as bigint) % 7 as day_of_week,
        cast({{ dbt.datediff("cast('2024-01-01' as date)", 'days.day_at', 'day') }} as bigint) % 7 >= 5 as is_weekend,
        days.day_at >= bounds.first_new_day as is_new,
        days.day_at < bounds.first_open_day as is_complete,
        coalesce(day_rows.row_count, 0) as row_count,
        coalesce(day_rows.own_count, 0) as own_count
    from tables
    inner join bounds
        on tables.source_name = bounds.source_name
    inner join days
        on
            tables.first_day <= days.day_at
            and days.day_at >= {{ dbt.dateadd('day', -56, 'bounds.first_new_day') }}
    left join day_rows
        on
            tables.source_name = day_rows.source_name
            and tables.table_name = day_rows.table_name
            and days.day_at = day_rows.profile_date

),

weekday_medians as (

    select
        source_name,
        table_name,
        day_of_week,
        median(row_count) as usual
    from calendar
    where not is_new
    group by source_name, table_name, day_of_week
    having count(*) >= 4

),

-- how far do days of a table stray from their weekday, in roots of the count, and how have the last two weeks been?
-- eight Tuesdays may agree by chance, fifty-six days hardly; and what grew over eight weeks is not what it was at their
-- middle
table_habits as (

    select
        calendar.source_name,
        calendar.table_name,
        4 * 1.4826 * median(
            abs(calendar.row_count - weekday_medians.usual) / sqrt(weekday_medians.usual + 1)
        ) as usual_stray,
        least(
            greatest(
                coalesce(
                    median(calendar.row_count / weekday_medians.usual) filter (
                        where
                        weekday_medians.usual > 0
                        and calendar.profile_date >= {{ dbt.dateadd('day', -14, 'bounds.first_new_day') }}
                    ),
                    1
                ),
                {{ least_growth }}
            ),
            {{ most_growth }}
        ) as growth
    from calendar
    inner join bounds on calendar.source_name = bounds.source_name
    inner join weekday_medians
        on
            calendar.source_name = weekday_medians.source_name
            and calendar.table_name = weekday_medians.table_name
            and calendar.day_of_week = weekday_medians.day_of_week
    where not calendar.is_new
    group by calendar.source_name, calendar.table_name

),

-- a count that never varied needs no room for chance, every other one at least what chance alone would do
weekday_ranges as (

    select
        calendar.source_name,
        calendar.table_name,
        calendar.day_of_week,
        weekday_medians.usual * table_habits.growth as usual,
        min(calendar.row_count) as emptiest,
        max(calendar.row_count) as fullest,
        greatest(
            table_habits.usual_stray * sqrt(weekday_medians.usual + 1),
            case
                when min(calendar.row_count) < max(calendar.row_count) then 4 * sqrt(weekday_medians.usual + 1)
            end,
            0.25 * weekday_medians.usual + 2
        ) as width
    from calendar
    inner join weekday_medians
        on
            calendar.source_name = weekday_medians.source_name
            and calendar.table_name = weekday_medians.table_name
            and calendar.day_of_week = weekday_medians.day_of_week
    inner join table_habits
        on calendar.source_name = table_habits.source_name and calendar.table_name = table_habits.table_name
    where not calendar.is_new
    group by
        calendar.source_name, calendar.table_name, calendar.day_of_week, weekday_medians.usual, table_habits.growth,
        table_habits.usual_stray

),

-- how many rows had the emptiest day, and how many the fullest?
table_extremes as (

    select
        source_name,
        table_name,
        min(emptiest) as emptiest,
        max(fullest) as fullest
    from weekday_ranges
    group by source_name, table_name

)

select
    calendar.source_name,
    calendar.table_name,
    calendar.profile_date,
    calendar.row_count,
    calendar.own_count,
    weekday_ranges.usual as usual_count,
    weekday_ranges.width as usual_width,
    table_extremes.emptiest as least_count,
    table_extremes.fullest as most_count,
    calendar.is_weekend,
    calendar.is_new,
    calendar.is_complete,
    coalesce(
        concat_ws('.', calendar.source_name, calendar.table_name)
        in ('{{ bursty_tables | join("', '") }}')
        and calendar.row_count > weekday_ranges.usual + weekday_ranges.width,
        false
    ) as is_burst
from calendar
left join weekday_ranges
    on
        calendar.source_name = weekday_ranges.source_name
        and calendar.table_name = weekday_ranges.table_name
        and calendar.day_of_week = weekday_ranges.day_of_week
left join table_extremes
    on calendar.source_name = table_extremes.source_name and calendar.table_name = table_extremes.table_name
