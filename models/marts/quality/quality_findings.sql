-- One row per check and raw table or figure, as of now: what was seen, what is ordinary, and what that leads to.
-- Why it exists: the gate reads its verdict from here. Of several columns, categories or days that one check looks at
-- in one table, the worst stands for all; failing says how many fail.
-- Hazard: an accepted exception takes its subject out before the worst is picked, so that it hides nothing else; it
-- ends by itself on its day.

{% set set_aside_silos = ['bitrix24', 'customerio', 'receipts', 'spend', 'stripe', 'zendesk'] %}

with

checks as (

    select
        check_id,
        family,
        owner,
        severity,
        blocks_at,
        unit
    from {{ ref('quality_checks') }}

),

exceptions as (

    select
        check_id,
        subject,
        expires_on
    from {{ ref('accepted_exceptions') }}
    where expires_on >= cast({{ as_of() }} as date)

),

drifts as (

    select
        check_id,
        silo,
        table_name,
        column_name,
        category,
        profile_date,
        observed,
        expected,
        width,
        score
    from {{ ref('int_drift__scored') }}

),

restatements as (

    select
        check_id,
        silo,
        table_name,
        column_name,
        category,
        profile_date,
        observed,
        expected,
        width,
        score
    from {{ ref('int_restatements__scored') }}

),

metrics as (

    select
        metric,
        category,
        check_id,
        observed,
        expected,
        width,
        score
    from {{ ref('int_metrics__scored') }}
    where score is not null

),

loads as (

    select
        source,
        table_name,
        rows_extracted,
        rows_loaded,
        rows_quarantined,
        rows_deduplicated,
        vendor_total,
        extract_id
    from {{ source('ops', 'extract_tables') }}

),

extracts as (

    select
        extract_id,
        as_of
    from {{ ref('stg_ops__extracts') }}
    where status = 'succeeded' and as_of <= {{ as_of() }}

),

raw_days as (

    select
        source_name,
        table_name,
        reading
    from {{ ref('int_raw_days__profiled') }}
    where measure = 'rows'

),

-- messages of the product that were set aside are in drifts: to judge a million again would cost every run a second
set_aside as (

    {% for silo in set_aside_silos %}
    select
        source,
        table_name,
        count(*) as row_count
    from {{ ref('quarantine__' ~ silo) }}
    group by source, table_name
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

table_rows as (

    select
        source_name,
        table_name,
        sum(reading) as row_count
    from raw_days
    group by source_name, table_name

),

---------- did the load bring what the vendor has? told as what is missing: loads of one day differ in length

last_loads as (

    select
        loads.*,
        max(loads.vendor_total) over (
            partition by loads.source, loads.table_name
            order by extracts.as_of
            range between unbounded preceding and interval '1' minute preceding
        ) as counted_before
    from loads
    inner join extracts on loads.extract_id = extracts.extract_id
    qualify row_number() over (
        partition by loads.source, loads.table_name
        order by extracts.as_of desc, loads.extract_id desc
    ) = 1

),

load_checks as (

    select
        'load_adds_up' as check_id,
        source as silo,
        table_name,
        cast(rows_extracted - rows_loaded - rows_quarantined - rows_deduplicated as double) as observed,
        0.0 as expected,
        0.5 as width
    from last_loads
    union all
    -- what was counted a minute ago or earlier has been listed by now; what is counted now need not be yet (Zendesk
    -- exports nothing of its last minute), however often one instant is loaded; the first load is judged by the extract
    select
        'vendor_count' as check_id,
        last_loads.source as silo,
        last_loads.table_name,
        greatest(
            case
                when last_loads.counted_before is not null
                    then least(last_loads.vendor_total, last_loads.counted_before)
                else 0
            end
            - table_rows.row_count
            - coalesce(set_aside.row_count, 0),
            0
        ) as observed,
        0.0 as expected,
        2 + 0.002 * table_rows.row_count as width
    from last_loads
    inner join table_rows
        on last_loads.source = table_rows.source_name and last_loads.table_name = table_rows.table_name
    left join set_aside
        on last_loads.source = set_aside.source and last_loads.table_name = set_aside.table_name
    union all
    -- a few rows that cannot be used are ordinary, but never silent: any of them is above the width
    select
        'rows_set_aside' as check_id,
        set_aside.source as silo,
        set_aside.table_name,
        cast(set_aside.row_count as double) as observed,
        0.0 as expected,
        least(0.999 * set_aside.row_count, 1 + 0.02 * table_rows.row_count) as width
    from set_aside
    inner join table_rows
        on set_aside.source = table_rows.source_name and set_aside.table_name = table_rows.table_name

),

scored as (

    select * from drifts
    union all
    select * from restatements
    union all
    select
        check_id,
        silo,
        table_name,
        '' as column_name,
        cast(null as {{ dbt.type_string() }}) as category,
        cast(null as date) as profile_date,
        observed,
        expected,
        width,
        abs(observed - expected) / width as score
    from load_checks
    union all
    select
        check_id,
        'marts' as silo,
        metric as table_name,
        '' as column_name,
        nullif(category, '') as category,
        cast(null as date) as profile_date,
        observed,
        expected,
        width,
        score
    from metrics

),

judged as (

    select
        scored.*,
        checks.family,
        checks.owner,
        checks.severity,
        checks.blocks_at,
        checks.unit,
        scored.silo || '.' || scored.table_name
        || case when scored.column_name = '' then '' else '.' || scored.column_name end as subject,
        exceptions.expires_on as accepted_until
    from scored
    inner join checks on scored.check_id = checks.check_id
    left join exceptions
        on
            scored.check_id = exceptions.check_id
            and exceptions.subject in (
                scored.silo,
                scored.silo || '.' || scored.table_name,
                scored.silo || '.' || scored.table_name || '.' || scored.column_name
            )

),

decided as (

    select
        *,
        case
            when score <= 1 then 'pass'
            when accepted_until is not null then 'accepted'
            when severity in ('block', 'quarantine') and score >= blocks_at then 'block'
            when severity = 'quarantine' then 'quarantine'
            else 'warn'
        end as outcome
    from judged

),

-- which one speaks for its check and table? the worst; column, category and day break ties
worst as (

    select
        *,
        count(*) filter (where outcome not in ('pass', 'accepted')) over (
            partition by check_id, silo, table_name
        ) as failing,
        row_number() over (
            partition by check_id, silo, table_name
            order by
                case when outcome in ('pass', 'accepted') then 0 else 1 end desc,
                score desc,
                column_name asc,
                category asc,
                profile_date asc
        ) as place
    from decided

),

-- shares are told in percent, means of logarithms as the number they stand for
told as (

    select
        *,
        case unit
            when 'percent' then 100 * observed
            when 'mean' then power(10, least(observed / 1000.0, 12)) - 1
            else observed
        end as told_observed,
        case unit
            when 'percent' then 100 * expected
            when 'mean' then power(10, least(expected / 1000.0, 12)) - 1
            else expected
        end as told_expected,
        case unit
            when 'percent' then 100 * (expected - width)
            when 'mean' then power(10, least((expected - width) / 1000.0, 12)) - 1
            else expected - width
        end as told_low,
        case unit
            when 'percent' then 100 * (expected + width)
            when 'mean' then power(10, least((expected + width) / 1000.0, 12)) - 1
            else expected + width
        end as told_high
    from worst
    where place = 1

)

select
    {{ surrogate_key(['check_id', 'silo', 'table_name']) }} as finding_id,
    check_id,
    family,
    silo,
    table_name,
    subject,
    category,
    profile_date,
    owner,
    severity,
    outcome,
    cast(least(score, 1000000) as decimal(18, 4)) as score,
    cast(told_observed as decimal(18, 4)) as observed,
    cast(told_expected as decimal(18, 4)) as expected,
    cast(greatest(told_low, 0) as decimal(18, 4)) as expected_low,
    -- a share of rows ends where all of them are meant
    cast(case when unit = 'percent' then least(told_high, 100) else told_high end as decimal(18, 4)) as expected_high,
    unit,
    cast(failing as bigint) as failing,
    accepted_until,
    {{ as_of() }} as as_of,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from told
