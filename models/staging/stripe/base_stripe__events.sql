-- One row per raw event of the billing system, with a verdict.
-- Hazard: the vendor keeps events for 30 days and we keep them for ever, so history before the first extract has none;
-- nothing may rely on an event being there, events only make the dates of changes exact.

with

source as (

    select * from {{ source('stripe', 'events') }}

),

renamed as (

    select
        ---------- ids
        id as stripe_event_id,
        {{ json_text('data', '$.object.id') }} as object_id,

        ---------- strings
        type as event_type,
        {{ json_text('data', '$.object.object') }} as object_type,
        api_version,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as occurred_at,

        ---------- parts kept as JSON
        {{ json_text('data', '$.object') }} as object_after,
        {{ json_text('data', '$.previous_attributes') }} as previous_attributes,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; a load holds one copy of an id, it merges by primary key
ranked as (

    select
        *,
        row_number() over (
            partition by stripe_event_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        ranked.*,
        case
            when ranked.stripe_event_id is null then 'no event id'
            when ranked.event_type is null then 'no event type'
            when ranked.occurred_at is null then 'no time'
            when {{ is_unbelievable_time('occurred_at') }} then 'happened before the company existed or in the future'
            when ranked.object_id is null then 'names no object'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('stripe_event_id') }} as row_verdict
from judged
