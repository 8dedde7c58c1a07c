-- One row per currency and reporting month: the rate that closes the month and the rate that opened it (the close of
-- the month before), in US dollars per unit.
-- Hazard: a month without a row in the rate table would drop its customers; the last known rate is carried forward
-- and is_carried_forward says so (assert_exchange_rates_reach_as_of warns).

with

rates as (

    select
        currency,
        cast(month as date) as month,
        cast(usd_per_unit as decimal(18, 8)) as usd_per_unit
    from {{ ref('fx_rates') }}
    where cast(fx_version as {{ dbt.type_string() }}) = '{{ economics_setting("fx_version") }}'

),

-- from the month before the company was founded (it opens the first one) to the month of as_of
months as (

    select
        cast({{ series(
            "date_trunc('month', cast('" ~ var('company_founded_on') ~ "' as timestamp)) - interval '1' month",
            "date_trunc('month', " ~ as_of() ~ ")",
            'month'
        ) }} as date) as month

),

spined as (

    select
        currencies.currency,
        months.month
    from (select distinct rates.currency from rates) as currencies
    cross join months

),

-- the rate of the month, else of the latest month before it, else (before the table begins) its first
applied as (

    select
        spined.currency,
        spined.month,
        coalesce(
            max_by(rates.usd_per_unit, rates.month) filter (where rates.month <= spined.month),
            min_by(rates.usd_per_unit, rates.month)
        ) as closing_rate,
        coalesce(max(case when rates.month = spined.month then 1 else 0 end), 0) = 0 as is_carried_forward
    from spined
    inner join rates on spined.currency = rates.currency
    group by spined.currency, spined.month

),

opened as (

    select
        currency,
        month,
        closing_rate,
        lag(closing_rate) over (partition by currency order by month) as opening_rate,
        is_carried_forward
    from applied

)

select * from opened
where opening_rate is not null
