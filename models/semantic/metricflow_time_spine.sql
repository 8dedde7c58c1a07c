-- One row per calendar day from the company's first to the one that as_of lies in: the days that MetricFlow joins
-- metrics to, so that a month in which nothing happened is a zero and not a gap.
{{ config(schema='intermediate', materialized='table', group='economics') }}

select
    cast({{ series("cast('" ~ var('company_founded_on', '2000-01-01') ~ "' as timestamp)", as_of(), 'day') }} as date)
        as date_day
