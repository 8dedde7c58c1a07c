-- Guards the first load: of 18 months of history only what is still actionable may become an action. Judged here from
-- the seeds and the signals alone, not from the columns of the decision.

with

due as (

    select
        action_id,
        action,
        occurrence_id,
        expires_at
    from {{ ref('action_decisions') }}
    where
        decision = 'permitted'
        and is_open
        and sent_at is null

)

select
    due.action_id,
    due.action,
    signals.occurred_at,
    signals.is_historical,
    actions.stale_after_hours
from due
inner join {{ ref('signals') }} as signals
    on due.occurrence_id = signals.occurrence_id
inner join {{ ref('actions') }} as actions
    on due.action = actions.action
where
    signals.is_historical
    or signals.occurred_at < actions.enabled_at
    or signals.occurred_at <= {{ dbt.dateadd('hour', '-actions.stale_after_hours', as_of()) }}
    or signals.occurred_at >= {{ as_of() }}
