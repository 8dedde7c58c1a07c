-- One row per turn that a customer took on a journey: an action that had reached it, the outcome that decided, and the
-- action that follows (null where the path ends). A path begins when an action that begins the journey reaches the
-- customer, and is pinned to the version in force at that instant, whatever the playbook says later.
-- Whether the next action really goes out is decided like any other, when it is about to be sent.

with recursive

journeys as (

    select * from {{ ref('journeys') }}

),

deliveries as (

    select
        action_id,
        customer_id,
        action,
        occurrence_id,
        sent_at
    from {{ ref('int_deliveries__committed') }}

),

outcomes as (

    select
        occurrence_id,
        signal_id,
        subject_id,
        occurred_at
    from {{ ref('int_outcomes__observed') }}

),

-- where a version begins
beginnings as (

    select distinct
        entries.journey,
        entries.version,
        entries.after_action as first_action
    from journeys as entries
    left join journeys as leading_here
        on
            entries.journey = leading_here.journey
            and entries.version = leading_here.version
            and entries.after_action = leading_here.next_action
    where leading_here.journey is null

),

versions as (

    select distinct
        journey,
        version,
        in_force_from
    from journeys

),

-- which version was in force when the action arrived?
pinned as (

    select
        deliveries.action_id as path_id,
        deliveries.customer_id,
        deliveries.action,
        deliveries.sent_at as began_at,
        versions.journey,
        versions.version
    from deliveries
    inner join versions
        on deliveries.sent_at >= versions.in_force_from
    qualify row_number() over (
        partition by deliveries.action_id, versions.journey
        order by versions.in_force_from desc, versions.version desc
    ) = 1

),

begun as (

    select
        pinned.path_id,
        pinned.customer_id,
        pinned.began_at,
        pinned.journey,
        pinned.version
    from pinned
    inner join beginnings
        on
            pinned.journey = beginnings.journey
            and pinned.version = beginnings.version
            and pinned.action = beginnings.first_action

),

-- of the outcomes that a version waits for, the first decides; at one instant the order of their names does
decided as (

    select
        journeys.journey,
        journeys.version,
        deliveries.action_id,
        outcomes.occurrence_id,
        outcomes.signal_id,
        outcomes.occurred_at,
        journeys.next_action
    from deliveries
    inner join outcomes
        on deliveries.action_id = outcomes.subject_id
    inner join journeys
        on
            deliveries.action = journeys.after_action
            and outcomes.signal_id = journeys.signal_id
    qualify row_number() over (
        partition by journeys.journey, journeys.version, deliveries.action_id
        order by outcomes.occurred_at, outcomes.signal_id
    ) = 1

),

-- from each beginning, which action followed which outcome?
walked as (

    select
        begun.path_id,
        begun.customer_id,
        begun.began_at,
        begun.journey,
        begun.version,
        1 as turn_number,
        decided.action_id as after_action_id,
        decided.occurrence_id,
        decided.signal_id,
        decided.occurred_at,
        decided.next_action
    from begun
    inner join decided
        on
            begun.path_id = decided.action_id
            and begun.journey = decided.journey
            and begun.version = decided.version
    union all
    select
        walked.path_id,
        walked.customer_id,
        walked.began_at,
        walked.journey,
        walked.version,
        walked.turn_number + 1 as turn_number,
        decided.action_id as after_action_id,
        decided.occurrence_id,
        decided.signal_id,
        decided.occurred_at,
        decided.next_action
    from walked
    inner join deliveries
        on
            walked.occurrence_id = deliveries.occurrence_id
            and walked.next_action = deliveries.action
    inner join decided
        on
            deliveries.action_id = decided.action_id
            and walked.journey = decided.journey
            and walked.version = decided.version

)

select
    path_id,
    customer_id,
    began_at,
    journey,
    version as journey_version,
    turn_number,
    after_action_id,
    occurrence_id,
    signal_id,
    occurred_at,
    next_action
from walked
