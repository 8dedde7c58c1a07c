-- One row per question asked of the new days of a raw table: how many rows a day has, which share of a column is
-- missing, how long its texts and how large its numbers are, and of a silo as a whole whether it is silent; with what
-- was expected and how much more or less is ordinary. Beyond that ordinary width the score is above 1.
-- New are the days since the last publication (a week of them before the first). They stand against the 56 days before:
-- volume against the same weekday, shares and means against weekdays or weekends. What was published already is judged
-- by int_restatements__scored. A mean is of the rows that have something to measure, and what rows that we delivered
-- ourselves hold is left out: their receipts say how many there are, and they are not like the silo's own.
-- Everything is learnt by medians and quantiles from the company's own days, so that one bad day does not teach
-- that bad is ordinary. Hazard: what is new to a column (a label that nobody sent before) is measured against the rows
-- of the day, so on a day of few rows it takes more of them to be seen.

{% set columns = 'source_name, table_name, profile_date, column_name, measure, category, reading' %}
{% set enough_rows = 30 %}
-- of a silo with fewer rows a day than so many, a day without any comes by chance now and then
{% set hardly_none = 5 %}
-- thousandths of the logarithm of thirty
{% set one_row = 1500 %}

with

raw_days as (

    select {{ columns }}
    from {{ ref('int_raw_days__profiled') }}

),

event_days as (

    select {{ columns }}
    from {{ ref('int_event_days__profiled') }}

),

days as (

    select
        source_name,
        table_name,
        profile_date,
        row_count,
        own_count,
        usual_count,
        usual_width,
        is_weekend,
        least_count,
        most_count,
        is_new,
        is_complete,
        is_burst
    from {{ ref('int_raw_days__calendared') }}

),

counted_events as (

    select
        received_date,
        cast(count(*) as double) as reading
    from {{ ref('int_events__deduplicated') }}
    where received_date >= cast({{ dbt.dateadd('day', -90, as_of()) }} as date)
    group by received_date

),

profiled as (

    select
        *,
        concat_ws('/', source_name, table_name, column_name, measure, coalesce(category, '')) as question
    from (
        select * from raw_days
        union all
        select * from event_days
        union all
        -- messages that are in no count, because they are copies or cannot be used; why, quarantine__product says
        select
            raw_days.source_name,
            raw_days.table_name,
            raw_days.profile_date,
            '' as column_name,
            'uncounted' as measure,
            cast(null as {{ dbt.type_string() }}) as category,
            raw_days.reading - coalesce(counted_events.reading, 0) as reading
        from raw_days
        left join counted_events on raw_days.profile_date = counted_events.received_date
        where
            raw_days.source_name = 'product'
            and raw_days.measure = 'rows'
            and raw_days.profile_date >= cast({{ dbt.dateadd('day', -90, as_of()) }} as date)
    ) as all_days

),

---------- which share of the rows, and how long or large on average?

-- what there is to ask, with the check that asks it; what only the last days know is asked too
questions as (

    select
        profiled.question,
        profiled.source_name,
        profiled.table_name,
        profiled.column_name,
        profiled.category,
        profiled.measure in ('length', 'size') as is_mean,
        profiled.measure in ('missing', 'kind', 'length', 'size', 'zero', 'negative') as is_of_others,
        case profiled.measure
            when 'missing' then 'missing_values'
            when 'kind' then 'labels'
            when 'length' then 'length_of_texts'
            when 'size' then 'size_of_numbers'
            when 'zero' then 'signs_of_numbers'
            when 'negative' then 'signs_of_numbers'
            when 'orphan' then 'parents_exist'
            when 'garbled' then 'readable_letters'
            when 'repeated' then 'repeated_rows'
            when 'twin' then 'twin_rows'
            when 'flag' then 'odd_rows'
            when 'uncounted' then 'messages_counted'
            when 'crowd' then 'crowds'
        end as check_id
    from profiled
    inner join days
        on
            profiled.source_name = days.source_name
            and profiled.table_name = days.table_name
            and profiled.profile_date = days.profile_date
    where profiled.measure not in ('rows', 'own', 'fingerprint', 'steady', 'future', 'state', 'absent', 'extent')
    group by all

),

-- rows with nothing to measure: how many they are is a question of its own, and a mean over them would stray with it
-- (of twenty invoices, ten over nothing one day and five another hide a hundredfold)
empties as (

    select
        source_name,
        table_name,
        column_name,
        profile_date,
        sum(reading) as empty_count
    from profiled
    where measure in ('missing', 'zero')
    group by source_name, table_name, column_name, profile_date

),

-- row_count is how many rows each question is asked of
asked as (

    select
        questions.*,
        days.profile_date,
        days.is_weekend,
        days.is_new,
        days.is_complete,
        days.row_count
        + case when questions.is_of_others then 0 else days.own_count end
        - coalesce(empties.empty_count, 0) as row_count,
        coalesce(profiled.reading, 0) as reading
    from questions
    inner join days
        on questions.source_name = days.source_name and questions.table_name = days.table_name
    left join profiled
        on questions.question = profiled.question and days.profile_date = profiled.profile_date
    left join empties
        on
            questions.is_mean
            and questions.source_name = empties.source_name
            and questions.table_name = empties.table_name
            and questions.column_name = empties.column_name
            and days.profile_date = empties.profile_date

),

-- the part of a day that is over by now has every share but that of the hours, and is looked at when it has rows enough
-- to have shares: what three rows of this morning are like is no news, and tomorrow they are asked with the others
answers as (

    select *
    from asked
    where row_count > 0 and (is_complete or (column_name <> 'hour' and row_count >= {{ enough_rows }}))

),

usual_rates as (

    select
        question,
        is_weekend,
        sum(reading) / sum(row_count) as rate,
        (sum(reading) + 0.5) / (sum(row_count) + 1) as careful_rate,
        -- was there about as much of it on every day?
        max(reading) <= 2 * min(reading) as is_regular
    from answers
    where not is_new
    group by question, is_weekend
    having count(*) >= 7 and sum(row_count) >= 30

),

compared as (

    select
        answers.*,
        usual_rates.rate,
        usual_rates.is_regular,
        answers.reading - answers.row_count * usual_rates.rate as difference,
        case
            when answers.is_mean then 1.0
            else usual_rates.careful_rate * greatest(1 - usual_rates.careful_rate, 0)
        end as variance
    from answers
    inner join usual_rates
        on answers.question = usual_rates.question and answers.is_weekend = usual_rates.is_weekend

),

-- how far does an ordinary day stray, in units of chance (a mean: per root of its rows)? the ninth decile of them
usual_spreads as (

    select
        question,
        is_weekend,
        {{ decile_of('abs(difference) / sqrt(row_count * variance + case when is_mean then 0 else 0.25 end)', 9) }}
        / 1.645 as spread
    from compared
    where not is_new
    group by question, is_weekend

),

-- shares also stray by 2.5 rows and one row in a hundred, means by two hundredths and by one row that is thirty times
-- as large or as small as the others
drifts as (

    select
        compared.check_id,
        compared.source_name,
        compared.table_name,
        compared.column_name,
        compared.category,
        compared.profile_date,
        compared.question,
        compared.is_new,
        compared.reading / compared.row_count as observed,
        compared.rate as expected,
        case
            when compared.is_mean
                then
                    4.5 * usual_spreads.spread / sqrt(compared.row_count)
                    + {{ one_row }} / compared.row_count + 0.02 * abs(compared.rate) + 10
            -- where rows are merged by their key none is there twice; the product sends a message again now and then
            when compared.check_id = 'repeated_rows' and compared.rate = 0 and compared.source_name <> 'product'
                then 0.5 / compared.row_count
            -- one that was there every day, on few rows or many, and is not there at all
            when compared.check_id = 'labels' and compared.is_regular and compared.rate > 0 and compared.reading = 0
                then least(0.5 * compared.rate, 5 / compared.row_count)
            else
                (
                    5 * greatest(usual_spreads.spread, 1) * sqrt(compared.row_count * compared.variance)
                    + 2.5 + 0.01 * compared.row_count
                ) / compared.row_count
        end as width
    from compared
    inner join usual_spreads
        on compared.question = usual_spreads.question and compared.is_weekend = usual_spreads.is_weekend

),

-- how many rows do all tables of a silo have together, and how many had the quietest of such days?
silo_sums as (

    select
        source_name,
        profile_date,
        is_weekend,
        is_new,
        is_complete,
        sum(row_count) as row_count
    from days
    group by source_name, profile_date, is_weekend, is_new, is_complete

),

usual_silos as (

    select
        source_name,
        is_weekend,
        median(row_count) as usual_count,
        min(row_count) as least_count
    from silo_sums
    where not is_new
    group by source_name, is_weekend
    having count(*) >= 14

),

silo_days as (

    select
        silo_sums.source_name,
        silo_sums.profile_date,
        silo_sums.is_new,
        silo_sums.is_complete,
        silo_sums.row_count,
        usual_silos.usual_count,
        usual_silos.least_count
    from silo_sums
    inner join usual_silos
        on silo_sums.source_name = usual_silos.source_name and silo_sums.is_weekend = usual_silos.is_weekend

),

strays as (

    select
        case when is_burst then 'burst_of_a_day' else 'volume_of_a_day' end as check_id,
        source_name,
        table_name,
        '' as column_name,
        cast(null as {{ dbt.type_string() }}) as category,
        profile_date,
        concat_ws('/', source_name, table_name) as question,
        is_new,
        row_count as observed,
        usual_count as expected,
        -- a burst is news when it is half as much again as the largest before it
        case
            when is_burst then greatest(usual_width, {{ enough_rows }}, 1.5 * most_count - usual_count)
            -- where every day of eight weeks had rows, a day with hardly any is unusual, however far the days stray
            when least_count > 0 and usual_count >= {{ hardly_none }} and row_count < usual_count
                then least(usual_width, usual_count - least_count / 2)
            else usual_width
        end as width
    from days
    where is_complete and usual_width > 0
    union all
    -- tables with a few rows a day have ranges that reach zero; that all of a silo's are without a row is unusual when
    -- in eight weeks they never were. The width is such that half a row less than the least of them is within it
    select
        'silent_silo' as check_id,
        source_name,
        'every_table' as table_name,
        '' as column_name,
        cast(null as {{ dbt.type_string() }}) as category,
        profile_date,
        concat_ws('/', source_name, '') as question,
        is_new,
        row_count as observed,
        usual_count as expected,
        usual_count - least_count / 2 as width
    from silo_days
    where is_complete and least_count > 0 and usual_count >= {{ hardly_none }} and row_count <= usual_count
    union all
    -- the rows of a burst are of one kind, rightly
    select drifts.*
    from drifts
    inner join days
        on
            drifts.source_name = days.source_name
            and drifts.table_name = days.table_name
            and drifts.profile_date = days.profile_date
    where
        not days.is_burst
        or drifts.check_id not in (
            'labels', 'length_of_texts', 'missing_values', 'size_of_numbers', 'signs_of_numbers'
        )

),

-- what strays on the same day of every month (salaries on the first) is no news: is it further off than a month ago?
monthly as (

    select
        strays.*,
        case
            -- strayed by today's width: a Sunday's may be a tenth of a Thursday's
            when abs(month_before.observed - month_before.expected) > strays.width
                then
                    least(
                        abs(strays.observed - strays.expected) / strays.width,
                        abs(
                            (strays.observed - strays.expected) - (month_before.observed - month_before.expected)
                        ) / greatest(strays.width, month_before.width)
                    )
            else abs(strays.observed - strays.expected) / strays.width
        end as score
    from strays
    left join strays as month_before
        on
            strays.question = month_before.question
            and month_before.profile_date = cast({{ dbt.dateadd('month', -1, 'strays.profile_date') }} as date)
    where strays.is_new

),

-- nothing has happened yet that happens later than as_of; nor is half a row an ordinary number
futures as (

    select
        'future_times' as check_id,
        source_name,
        table_name,
        '' as column_name,
        cast(null as {{ dbt.type_string() }}) as category,
        max(profile_date) as profile_date,
        sum(reading) as observed,
        0 as expected,
        0.5 as width,
        sum(reading) / 0.5 as score
    from profiled
    where measure = 'future'
    group by source_name, table_name

),

scored as (

    select
        check_id,
        source_name,
        table_name,
        column_name,
        category,
        profile_date,
        observed,
        expected,
        width,
        score
    from monthly
    union all
    select * from futures

)

select
    check_id,
    source_name as silo,
    table_name,
    column_name,
    category,
    profile_date,
    observed,
    expected,
    width,
    score
from scored
