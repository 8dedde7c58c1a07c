-- One row per raw delivery attempt, with a verdict: staged, deduplicated (loaded again) or quarantined.

with

source as (

    select * from {{ source('receipts', 'attempts') }}

),

renamed as (

    select
        ---------- ids
        nullif(trim(attempt_id), '') as attempt_id,
        nullif(trim(action_id), '') as action_id,

        ---------- strings
        destination,
        lower(trim(outcome)) as outcome,
        reason,

        ---------- numerics
        attempt_number,
        status_code,

        ---------- timestamps
        started_at,
        finished_at,

        _dlt_load_id
    from source

),

-- which copy of an attempt is the one to believe? the one that has ended; the load and the content make the pick
-- repeatable
ranked as (

    select
        *,
        row_number() over (
            partition by attempt_id
            order by finished_at desc nulls last, _dlt_load_id desc, outcome asc, reason asc
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when attempt_id is null then 'no attempt id'
            when action_id is null then 'no action id'
            when started_at is null then 'no start'
            when {{ is_unbelievable_time('started_at') }} then 'started before the company existed or in the future'
            when finished_at < started_at then 'ended before it started'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('attempt_id') }} as row_verdict
from judged
