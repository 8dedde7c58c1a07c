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

-- what is shown of the three, and why?
derived as (

    select
        moves.*,
        shown.state,
        lag(shown.state) over (partition by moves.customer_number order by moves.point_number) as state_before,
        -- money says most about why, then risk
        coalesce(moves.revenue_reason, moves.risk_reason, moves.engagement_reason) as reason
    from moves
    inner join shown
        on
            moves.engagement = shown.engagement
            and moves.revenue = shown.revenue
            and moves.risk = shown.risk

),

-- where a state differs from the one before, region by region and as it is shown
all_moves as (

    {% for region in ['engagement', 'revenue', 'risk'] %}
    select
        customer_id,
        customer_number,
        '{{ region }}' as region,
        point_number,
        {{ region }} as state,
        {{ region }}_before as state_before,
        {{ region }}_reason as reason,
        signal_id,
        occurrence_id,
        proving_event_ids,
        valid_from,
        detected_at
    from derived
    where {{ region }}_before is null or {{ region }} != {{ region }}_before
    union all
    {% endfor %}
    select
        customer_id,
        customer_number,
        'customer' as region,
        point_number,
        state,
        state_before,
        reason,
        signal_id,
        occurrence_id,
        proving_event_ids,
        valid_from,
        detected_at
    from derived
    where state_before is null or state != state_before

),

dated as (

    select
        *,
        row_number() over (partition by customer_number, region order by point_number) as state_sequence,
        lead(valid_from) over (partition by customer_number, region order by point_number) as valid_to
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
