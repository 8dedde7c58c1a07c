-- Guards the grain of int_events__deduplicated: per received date, staged messages = kept messages + repeats, where a
-- message is a repeat when an earlier copy lies within the look-back. Repeats are found here by comparing each copy
-- with all others, not with the one before, so an error in the model's window cannot hide in the test. If an increment
-- missed a partition, its date shows up here with too few kept messages.

{% set lookback_days = var('event_lookback_days', 7) | int %}

with

staged as (

    select
        event_id,
        received_date,
        received_at,
        row_number() over (
            partition by event_id
            order by received_date, received_at, occurred_at
        ) as copy_number
    from {{ ref('stg_product__events') }}

),

copies as (

    select staged.*
    from staged
    inner join staged as second_copies
        on
            staged.event_id = second_copies.event_id
            and second_copies.copy_number = 2

),

repeats as (

    select distinct
        later.event_id,
        later.copy_number,
        later.received_date
    from copies as later
    inner join copies as earlier
        on
            later.event_id = earlier.event_id
            and later.copy_number > earlier.copy_number
            and later.received_date <= {{ dbt.dateadd('day', lookback_days, 'earlier.received_date') }}

),

per_date as (

    select
        received_date,
        1 as staged_messages,
        0 as repeated_messages,
        0 as kept_messages
    from staged
    union all
    select
        received_date,
        0 as staged_messages,
        1 as repeated_messages,
        0 as kept_messages
    from repeats
    union all
    select
        received_date,
        0 as staged_messages,
        0 as repeated_messages,
        1 as kept_messages
    from {{ ref('int_events__deduplicated') }}

)

select
    received_date,
    sum(staged_messages) as staged_messages,
    sum(repeated_messages) as repeated_messages,
    sum(kept_messages) as kept_messages
from per_date
group by received_date
having sum(staged_messages) != sum(repeated_messages) + sum(kept_messages)
