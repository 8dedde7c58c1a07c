-- One row per raw ledger delivery, with a verdict: staged, deduplicated (a newer copy was loaded) or quarantined.
-- Hazard: the ledger changes a row in place on every attempt; an old copy would show as undelivered what was
-- delivered.

with

source as (

    select * from {{ source('receipts', 'deliveries') }}

),

renamed as (

    select
        ---------- ids
        nullif(trim(action_id), '') as action_id,
        nullif(trim(customer_id), '') as customer_id,
        nullif(trim(occurrence_id), '') as occurrence_id,
        vendor_reference,
        payload_hash,

        ---------- strings
        action,
        destination,
        object,
        lower(trim(state)) as delivery_state,

        ---------- numerics
        attempt_count,

        ---------- timestamps
        first_planned_at,
        acknowledged_at,
        updated_at,

        _dlt_load_id
    from source

),

-- which copy of a delivery is the one to believe? the last updated; the load and the content make the pick repeatable
ranked as (

    select
        *,
        row_number() over (
            partition by action_id
            order by updated_at desc nulls last, _dlt_load_id desc, payload_hash asc, attempt_count desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when action_id is null then 'no action id'
            when action is null then 'no action'
            when customer_id is null then 'no customer'
            when occurrence_id is null then 'no occurrence'
            when delivery_state is null then 'no state'
            when first_planned_at is null then 'no time of planning'
            when {{ is_unbelievable_time('first_planned_at') }}
                then 'planned before the company existed or in the future'
            when acknowledged_at < first_planned_at then 'acknowledged before it was planned'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('action_id') }} as row_verdict
from judged
