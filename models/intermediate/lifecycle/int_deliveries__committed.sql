-- One row per action that has left, or may have: acknowledged before as_of, or sent before as_of with an outcome that
-- nobody knows. Both count against cooldowns and caps; taking the second for unsent would risk a second message.
-- The ledger knows customers by the id they had when it was planned. Here they have the one they have now, or what two
-- customers got before they turned out to be one would be forgotten by cooldowns, caps and journeys.

with

deliveries as (

    select * from {{ ref('stg_receipts__deliveries') }}

),

-- an id is made of a record, and goes wherever that record went
identities as (

    select
        given_customer_id as named_customer_id,
        customer_id
    from {{ ref('int_identities__resolved') }}

),

-- what arrived counts from then on, what may have arrived from when it was planned
dated as (

    select
        deliveries.action_id,
        coalesce(identities.customer_id, deliveries.customer_id) as customer_id,
        deliveries.action,
        deliveries.occurrence_id,
        deliveries.destination,
        deliveries.delivery_state,
        coalesce(
            deliveries.acknowledged_at,
            case when deliveries.delivery_state in ('sending', 'unknown') then deliveries.first_planned_at end
        ) as sent_at
    from deliveries
    left join identities
        on deliveries.customer_id = identities.named_customer_id

)

select * from dated
where sent_at < {{ as_of() }}
