-- One row per action that has left, or may have: acknowledged before as_of, or sent before as_of with an outcome that
-- nobody knows. Both count against cooldowns and caps; taking the second for unsent would risk a second message.

with

deliveries as (

    select * from {{ ref('stg_receipts__deliveries') }}

),

dated as (

    select
        action_id,
        customer_id,
        action,
        occurrence_id,
        destination,
        delivery_state,
        coalesce(
            acknowledged_at,
            case when delivery_state in ('sending', 'unknown') then first_planned_at end
        ) as sent_at
    from deliveries

)

select * from dated
where sent_at < {{ as_of() }}
