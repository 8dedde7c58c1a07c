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

zones as (

    select
        customer_id,
        time_zone
    from {{ ref('time_zones') }}

),

elsewhere as (

    select time_zone
    from zones
    where customer_id = '*'

),

placed as (

    select
        due.*,
        coalesce(zones.time_zone, elsewhere.time_zone) as time_zone
    from due
    cross join elsewhere
    left join zones
        on due.customer_id = zones.customer_id

),

windows as (

    select
        placed.customer_id,
        placed.cap_class,
        placed.due_now,
        caps.max_actions,
        caps.per,
        caps.within_seconds,
        count(sent.sent_at) as sent_in_window
    from placed
    inner join {{ ref('frequency_caps') }} as caps
        on placed.cap_class = caps.cap_class
    left join sent
        on
            placed.customer_id = sent.customer_id
            and placed.cap_class = sent.cap_class
            and case caps.per
                when 'rolling' then sent.sent_at > {{ dbt.dateadd('second', '-caps.within_seconds', as_of()) }}
                else
                    cast({{ local_time('sent.sent_at', 'placed.time_zone') }} as date)
                    = cast({{ local_time(as_of(), 'placed.time_zone') }} as date)
            end
    group by placed.customer_id, placed.cap_class, placed.due_now, caps.max_actions, caps.per, caps.within_seconds

)

select * from windows
where due_now + sent_in_window > max_actions
