-- Guards action_decisions: one row for every pair of a fired occurrence and an action that listens to its signal; an
-- action that is a turn of a journey only where a customer took that turn. A missing row is an action that vanished
-- without a reason; a doubled one would be sent twice.

with

wanted as (

    select
        signals.occurrence_id,
        actions.action
    from {{ ref('signals') }} as signals
    inner join {{ ref('actions') }} as actions
        on signals.signal_id = actions.signal_id
    left join {{ ref('int_journeys__walked') }} as walked
        on
            signals.occurrence_id = walked.occurrence_id
            and actions.action = walked.next_action
    where
        signals.outcome = 'fired'
        and (
            walked.path_id is not null
            or not exists (
                select 1 from {{ ref('journeys') }} as journeys
                where journeys.next_action = actions.action
            )
        )

),

decided as (

    select
        occurrence_id,
        action,
        count(*) as decisions
    from {{ ref('action_decisions') }}
    group by occurrence_id, action

)

select
    wanted.occurrence_id,
    wanted.action,
    decided.occurrence_id as decided_occurrence_id,
    decided.action as decided_action,
    decided.decisions
from wanted
full outer join decided
    on
        wanted.occurrence_id = decided.occurrence_id
        and wanted.action = decided.action
where
    wanted.occurrence_id is null
    or decided.decisions is distinct from 1
