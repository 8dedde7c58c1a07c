-- One row per stay of a customer in a state: half-open intervals that partition the time since the customer was first
-- seen. valid_from is when it became true, recorded_at when we could know it: the distance is what "what did we know
-- when we acted" is about. Two signals of one instant leave an empty interval between them, kept because it is a
-- proven move.

with

moves as (

    select * from {{ ref('int_lifecycle__moved') }}

),

states as (

    select * from {{ ref('lifecycle_states') }}

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

dated as (

    select
        moves.*,
        lead(moves.valid_from) over (
            partition by moves.customer_id, moves.region
            order by moves.state_sequence
        ) as valid_to
    from moves

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
