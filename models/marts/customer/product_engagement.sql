-- One row per product (or 'all'), unit (person or customer), window of 28 dates and number of active days in it: how
-- many were active on exactly so many days. The power-user curve, and what follows from it.
-- Why it exists: a mean hides that few use a product daily and many once; the curve shows both, and stickiness (mean
-- daily active / active in the window) is the curve's mean over 28 days.
-- Windows end with the last date of each month, and with the last one before as_of for the open month.
-- Hazard: a person is a signed-in user; integrations and visitors are customers' use and nobody's habit. The columns
-- about the whole window are the same on each of its rows.

with

actor_usage as (

    select
        actor_id,
        product,
        usage_date
    from {{ ref('int_actor_usage__daily') }}
    where actor_type = 'user' and qualifying_events > 0 and usage_date < {{ as_of() }}

),

usage as (

    select
        customer_id,
        product,
        usage_date
    from {{ ref('int_usage__daily') }}
    where qualifying_events > 0

),

founded as (

    select date_trunc('month', min(usage_date)) as first_month from usage

),

month_starts as (

    select cast({{ series('(select first_month from founded)', as_of(), 'month') }} as date) as month

),

windows as (

    select
        month,
        least(
            cast({{ dbt.dateadd('day', -1, dbt.dateadd('month', 1, 'month')) }} as date),
            cast({{ dbt.dateadd('second', -1, as_of()) }} as date)
        ) as window_ends_on
    from month_starts

),

-- several families of one product on a day are one active day, several products are one active day of 'all'
active as (

    select
        'person' as unit,
        product,
        actor_id as unit_id,
        usage_date
    from actor_usage
    group by product, actor_id, usage_date
    union all
    select
        'person' as unit,
        'all' as product,
        actor_id as unit_id,
        usage_date
    from actor_usage
    group by actor_id, usage_date
    union all
    select
        'customer' as unit,
        product,
        customer_id as unit_id,
        usage_date
    from usage

),

counted as (

    select
        active.unit,
        active.product,
        windows.month,
        windows.window_ends_on,
        active.unit_id,
        count(*) as active_days
    from active
    inner join windows
        on
            active.usage_date <= windows.window_ends_on
            and active.usage_date > {{ dbt.dateadd('day', -28, 'windows.window_ends_on') }}
    group by active.unit, active.product, windows.month, windows.window_ends_on, active.unit_id

),

curve as (

    select
        unit,
        product,
        month,
        window_ends_on,
        active_days,
        count(*) as units
    from counted
    group by unit, product, month, window_ends_on, active_days

),

totalled as (

    select
        *,
        sum(units) over whole_window as active_units,
        sum(units * active_days) over whole_window / 28.0 as mean_daily_active_units,
        sum(case when active_days >= 20 then units else 0 end) over whole_window as power_units
    from curve
    window whole_window as (partition by unit, product, window_ends_on)

)

select
    product,
    unit,
    month,
    cast(active_days as bigint) as active_days,
    window_ends_on,
    cast(units as bigint) as units,
    cast(units / cast(active_units as double) as decimal(9, 4)) as unit_share,
    cast(active_units as bigint) as active_units,
    cast(mean_daily_active_units as decimal(18, 4)) as mean_daily_active_units,
    cast(mean_daily_active_units / active_units as decimal(9, 4)) as stickiness,
    cast(power_units / cast(active_units as double) as decimal(9, 4)) as power_unit_share,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from totalled
