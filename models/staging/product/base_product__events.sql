-- One row per raw message, with a verdict: staged or quarantined.
-- Copies of a message are left in on purpose: telling them apart needs a window over message ids, and a window in a
-- view would read the whole history on every build. int_events__deduplicated does it within the look-back instead.

with

source as (

    select * from {{ source('product', 'events') }}

),

renamed as (

    select
        ---------- ids
        nullif(trim(message_id), '') as event_id,
        nullif(trim(user_id), '') as user_id,
        nullif(trim(anonymous_id), '') as anonymous_id,
        nullif(trim(group_id), '') as account_id,

        ---------- strings
        lower(trim(type)) as event_type,
        nullif(lower(trim(event)), '') as event_name,
        nullif(lower(trim(product)), '') as product,
        properties,
        context,

        ---------- dates
        received_date,

        ---------- timestamps
        timestamp as occurred_at,
        sent_at,
        received_at,

        _dlt_load_id
    from source

),

judged as (

    select
        *,
        case
            when event_id is null then 'no message id'
            when event_type is null then 'no message type'
            -- a pattern: DuckDB turns a longer list into a join, and would then judge the history to read one day
            when not {{ matches('event_type', '^(track|page|screen|identify|group|alias)$') }}
                then 'unknown message type'
            when event_type = 'track' and event_name is null then 'a track message without an event name'
            when coalesce(user_id, anonymous_id, account_id) is null then 'nobody it could belong to'
            when product not in ({{ quoted_list(var('products')) }}) then 'unknown product'
            when event_type = 'track' and product is null then 'a track message without a product'
            when received_date is null or received_at is null then 'no time of receipt'
            when {{ is_unbelievable_time('received_at') }} then 'received before the company existed or in the future'
            when occurred_at is null then 'no time'
            when {{ is_unbelievable_time('occurred_at') }} then 'happened before the company existed or in the future'
            -- a client clock may run ahead of ours, but not by more than a day
            when occurred_at > {{ dbt.dateadd('day', 1, 'received_at') }} then 'happened after it was received'
            when not {{ is_json('properties') }} then 'properties are not JSON'
            when not {{ is_json('context') }} then 'context is not JSON'
        end as reject_reason
    from renamed

)

select
    event_id,
    user_id,
    anonymous_id,
    account_id,
    event_type,
    event_name,
    product,
    properties,
    context,
    received_date,
    occurred_at,
    sent_at,
    received_at,
    _dlt_load_id,
    reject_reason,
    case when reject_reason is null then 'staged' else 'quarantined' end as row_verdict
from judged
