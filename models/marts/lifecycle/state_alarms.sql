-- One row per customer, region and thing that is wrong with the state it is in now: it has lasted longer than it may,
-- or what must stay true in it does not. Why it exists: a state is a claim, and a claim that nobody checks is an
-- opinion. A customer who was never in the product has no days since its last use, and breaks nothing by that.

with

stays as (

    select * from {{ ref('int_lifecycle__dated') }}
    where is_current

),

invariants as (

    select * from {{ ref('state_invariants') }}

),

revenue as (

    select
        customer_id,
        mrr
    from {{ ref('int_customer_billing__current') }}

),

activity as (

    select
        customer_id,
        max(last_at) as last_active_at
    from {{ ref('int_activity__daily_edged') }}
    group by customer_id

),

-- what is the figure that must hold in the state?
measured as (

    select
        stays.customer_id,
        stays.region,
        stays.state,
        stays.owner_team,
        stays.valid_from,
        invariants.measure,
        invariants.at_least,
        invariants.at_most,
        invariants.meaning,
        cast(
            case invariants.measure
                when 'mrr_usd' then coalesce(revenue.mrr, 0)
                else {{ dbt.datediff('activity.last_active_at', as_of(), 'hour') }} / 24.0
            end as decimal(18, 2)
        ) as measured_value
    from stays
    inner join invariants
        on stays.state = invariants.state
    left join revenue
        on stays.customer_id = revenue.customer_id
    left join activity
        on stays.customer_id = activity.customer_id

),

-- where is it out of bounds, and who has been there for too long?
alarms as (

    select
        customer_id,
        region,
        state,
        owner_team,
        valid_from,
        'invariant' as alarm,
        valid_from as wrong_since,
        measure,
        measured_value,
        at_least,
        at_most,
        meaning
    from measured
    where measured_value < at_least or measured_value > at_most
    union all
    select
        customer_id,
        region,
        state,
        owner_team,
        valid_from,
        'time_limit' as alarm,
        time_limit_at as wrong_since,
        cast(null as {{ dbt.type_string() }}) as measure,
        cast(null as decimal(18, 2)) as measured_value,
        cast(null as decimal(18, 2)) as at_least,
        cast(null as decimal(18, 2)) as at_most,
        'It has been in this state for longer than the state may last.' as meaning
    from stays
    where time_limit_at <= {{ as_of() }}

)

select
    {{ surrogate_key(['customer_id', 'region', 'alarm', 'measure']) }} as alarm_id,
    customer_id,
    region,
    state as lifecycle_state,
    owner_team,
    valid_from,
    alarm,
    wrong_since,
    measure,
    measured_value,
    at_least,
    at_most,
    meaning,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from alarms
