-- Guards the customers: what was sent within a window plus what is due now never exceeds a cap, transactional actions
-- apart. Only customers for whom something is due are looked at: a cap that was lowered later does not undo what was
-- sent before.

with

actions as (

    select
        action,
        cap_class,
        is_transactional
    from {{ ref('actions') }}

),

due as (

    select
        decisions.customer_id,
        actions.cap_class,
        count(*) as due_now
    from {{ ref('action_decisions') }} as decisions
    inner join actions
        on decisions.action = actions.action
    where
        decisions.decision = 'permitted'
        and decisions.is_open
        and decisions.sent_at is null
        and not actions.is_transactional
    group by decisions.customer_id, actions.cap_class

),

sent as (

    select
        deliveries.customer_id,
        actions.cap_class,
        deliveries.sent_at
    from {{ ref('int_deliveries__committed') }} as deliveries
    inner join actions
        on deliveries.action = actions.action
    where not actions.is_transactional

),

windows as (

    select
        due.customer_id,
        due.cap_class,
        due.due_now,
        caps.max_actions,
        caps.within_hours,
        count(sent.sent_at) as sent_in_window
    from due
    inner join {{ ref('frequency_caps') }} as caps
        on due.cap_class = caps.cap_class
    left join sent
        on
            due.customer_id = sent.customer_id
            and due.cap_class = sent.cap_class
            and sent.sent_at > {{ dbt.dateadd('hour', '-caps.within_hours', as_of()) }}
    group by due.customer_id, due.cap_class, due.due_now, caps.max_actions, caps.within_hours

)

select * from windows
where due_now + sent_in_window > max_actions
