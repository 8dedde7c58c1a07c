-- One row per subscription and reporting month at whose close it was in force, with the state it was in an instant
-- before: before the next month began, or before as_of in the month that is still open.
-- Why it exists: balances, movements by cause and other tools' rules all ask what stood at the close; it is looked up
-- once, from each state to the months it closes, so that the cost grows with the states and not with their square.
-- Hazard: a subscription that starts on the 1st at 00:00 belongs to the month it starts; one that ends then still
-- closes the month before.

with

states as (

    select * from {{ ref('int_subscription_states__historized') }}

),

candidates as (

    select
        states.*,
        cast({{ series(
            reporting_month('states.valid_from'),
            reporting_month("coalesce(states.valid_to, " ~ as_of() ~ ") - interval '1' second"),
            'month'
        ) }} as date) as month
    from states

),

closing as (

    select
        candidates.*,
        least({{ month_starts_at(dbt.dateadd('month', 1, 'candidates.month')) }}, {{ as_of() }}) as closes_at,
        {{ month_starts_at(dbt.dateadd('month', 1, 'candidates.month')) }} > {{ as_of() }} as is_open
    from candidates

)

select * from closing
where
    closes_at > valid_from
    and (valid_to is null or closes_at <= valid_to)
