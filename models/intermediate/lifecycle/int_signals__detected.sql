-- One row per occurrence with the instant at which we could first know it, and whether that was too late to act on.
-- detected_at is the as_of of the first successful extract of the proving silo that reached the occurrence; it
-- depends on the recorded runs and not on this build, so building again never makes old news new. A history load is
-- detected at the load, long after the fact: is_historical, never actionable. So is what happened before its signal was
-- enabled.

with

-- what occurred, with what its definition says about lateness
occurrences as (

    select
        occurred.occurrence_id,
        occurred.signal_id,
        occurred.definition_hash,
        occurred.kind,
        occurred.unit,
        occurred.source,
        occurred.proving_source,
        occurred.rearm,
        occurred.customer_id,
        occurred.user_id,
        occurred.outcome,
        occurred.occurred_at,
        occurred.knowable_at,
        occurred.proof_count,
        occurred.proof_from,
        occurred.proof_to,
        occurred.proving_event_ids,
        definitions.max_lateness_hours,
        definitions.stale_after_hours,
        definitions.enabled_at
    from {{ ref('int_signals__occurred') }} as occurred
    inner join {{ ref('int_signals__defined') }} as definitions
        on occurred.signal_id = definitions.signal_id
    -- a message that names another account when it is sent again would prove the same twice: the first one counts
    qualify row_number() over (
        partition by occurred.occurrence_id
        order by occurred.occurred_at, occurred.customer_id
    ) = 1

),

extracts as (

    select
        source,
        data_through_at,
        as_of
    from {{ ref('stg_ops__extracts') }}
    where
        status = 'succeeded'
        and as_of <= {{ as_of() }}

),

-- occurrences and extracts on one line, silo by silo
timeline as (

    select
        proving_source as source,
        knowable_at as reached_at,
        0 as part,
        occurrence_id,
        cast(null as timestamp) as extract_as_of
    from occurrences
    union all
    select
        source,
        data_through_at as reached_at,
        1 as part,
        cast(null as {{ dbt.type_string() }}) as occurrence_id,
        as_of as extract_as_of
    from extracts

),

-- the first extract whose data go beyond the occurrence; an extract up to the very instant does not include it
located as (

    select
        occurrence_id,
        part,
        min(extract_as_of) over (
            partition by source
            order by reached_at asc, part desc, occurrence_id asc
            rows between current row and unbounded following
        ) as detected_at
    from timeline

),

dated as (

    select
        occurrences.*,
        -- without a recorded extract (rows loaded by hand) the build itself is the first to know
        greatest(occurrences.knowable_at, coalesce(located.detected_at, {{ as_of() }})) as detected_at
    from occurrences
    inner join located
        on occurrences.occurrence_id = located.occurrence_id
    where located.part = 0

)

select
    *,
    {{ is_history('detected_at') }} as is_historical,
    {{ dbt.dateadd('hour', 'stale_after_hours', 'occurred_at') }} as stale_at
from dated
