-- One row per stay of a customer in a state, per region: half-open intervals that partition the time since the customer
-- was first seen. Engagement, revenue and risk move by themselves; region `customer` is the one state that is shown,
-- owned and permitted in, derived from them by the first rule of lifecycle_display that applies. valid_from is when it
-- became true, recorded_at when we could know it: what we did in between was right by what we knew. Two signals of one
-- instant leave an empty interval between them, kept because it is a proven move.

with

moves as (

    select * from {{ ref('int_lifecycle__moved') }}

),

states as (

    select * from {{ ref('lifecycle_states') }}

),

rules as (

    select * from {{ ref('lifecycle_display') }}

),

extracts as (

    select min(as_of) as first_run_at
    from {{ ref('stg_ops__extracts') }}
    where
        status = 'succeeded'
        and as_of <= {{ as_of() }}

),

-- one value over the whole machine, so that a stay says under which rules it came about
machine as (

    select
        md5({{ dbt.listagg(
            "from_state || '|' || signal_id || '|' || to_state || '|' || cast(priority as " ~ dbt.type_string() ~ ")",
            "';'",
            'order by from_state, signal_id',
        ) }}) as machine_version
    from {{ ref('lifecycle_transitions') }}

),

-- one row per occurrence that moved anything: two regions that it moved have moved together
points as (

    select
        customer_id,
        valid_from,
        priority,
        signal_id,
        occurrence_id,
        max(case when region = 'engagement' then state end) as engagement,
        max(case when region = 'revenue' then state end) as revenue,
        max(case when region = 'risk' then state end) as risk,
        -- money says most about why, then risk
        coalesce(
            max(case when region = 'revenue' then reason end),
            max(case when region = 'risk' then reason end),
            max(reason)
        ) as reason,
        max(proving_event_ids) as proving_event_ids,
        max(detected_at) as detected_at,
        row_number() over (
            partition by customer_id
            order by valid_from, priority, signal_id, occurrence_id
        ) as point_number
    from moves
    group by customer_id, valid_from, priority, signal_id, occurrence_id

),

-- where every region stands at each point: the newest move of each, found by the largest number in front of it
standing as (

    select
        *,
        substr(max(lpad(cast(point_number as {{ dbt.type_string() }}), 9, '0') || engagement) over so_far, 10)
            as engagement_now,
        substr(max(lpad(cast(point_number as {{ dbt.type_string() }}), 9, '0') || revenue) over so_far, 10)
            as revenue_now,
        substr(max(lpad(cast(point_number as {{ dbt.type_string() }}), 9, '0') || risk) over so_far, 10) as risk_now
    from points
    window so_far as (
        partition by customer_id
        order by point_number
        rows between unbounded preceding and current row
    )

),

-- what is shown for every combination of the regions' states
shown as (

    select
        engagement.state as engagement,
        revenue.state as revenue,
        risk.state as risk,
        rules.state
    from states as engagement
    inner join states as revenue
        on revenue.region = 'revenue'
    inner join states as risk
        on risk.region = 'risk'
    inner join rules
        on
            (rules.engagement is null or strpos(' ' || rules.engagement || ' ', ' ' || engagement.state || ' ') > 0)
            and (rules.revenue is null or strpos(' ' || rules.revenue || ' ', ' ' || revenue.state || ' ') > 0)
            and (rules.risk is null or strpos(' ' || rules.risk || ' ', ' ' || risk.state || ' ') > 0)
    where engagement.region = 'engagement'
    qualify row_number() over (
        partition by engagement.state, revenue.state, risk.state
        order by rules.position
    ) = 1

),

derived as (

    select
        standing.*,
        shown.state,
        lag(shown.state) over (partition by standing.customer_id order by standing.point_number) as state_before
    from standing
    inner join shown
        on
            standing.engagement_now = shown.engagement
            and standing.revenue_now = shown.revenue
            and standing.risk_now = shown.risk

),

all_moves as (

    select
        customer_id,
        region,
        state_sequence,
        state,
        state_before,
        signal_id,
        reason,
        occurrence_id,
        proving_event_ids,
        valid_from,
        detected_at
    from moves
    union all
    select
        customer_id,
        'customer' as region,
        row_number() over (partition by customer_id order by point_number) as state_sequence,
        state,
        state_before,
        signal_id,
        reason,
        occurrence_id,
        proving_event_ids,
        valid_from,
        detected_at
    from derived
    where state_before is null or state != state_before

),

dated as (

    select
        all_moves.*,
        lead(all_moves.valid_from) over (
            partition by all_moves.customer_id, all_moves.region
            order by all_moves.state_sequence
        ) as valid_to
    from all_moves

)

select
    dated.customer_id,
    dated.region,
    dated.state_sequence,
    dated.state,
    states.owner_team,
    dated.valid_from,
    dated.valid_to,
    dated.valid_to is null as is_current,
    dated.state_before,
    dated.signal_id,
    dated.reason,
    dated.occurrence_id,
    dated.proving_event_ids,
    dated.valid_from as effective_at,
    greatest(dated.valid_from, coalesce(dated.detected_at, extracts.first_run_at, {{ as_of() }})) as recorded_at,
    {{ dbt.dateadd('day', 'states.time_limit_days', 'dated.valid_from') }} as time_limit_at,
    machine.machine_version
from dated
inner join states
    on dated.state = states.state
cross join machine
cross join extracts
