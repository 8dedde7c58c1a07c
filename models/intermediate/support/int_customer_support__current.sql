-- One row per customer known to support: how much they ask, how fast they were answered, how content they are.
-- Ninety-day figures count tickets created in the 90 days before as_of. Medians and rates without a ticket behind them
-- are null, not zero. Our own escalations are no support load and do not count anywhere here.

with

customers as (

    select customer_id
    from {{ ref('int_customers__resolved') }}
    where has_support

),

tickets as (

    select
        customer_id,
        priority,
        satisfaction_score,
        first_reply_minutes,
        full_resolution_minutes,
        reopens,
        is_open,
        created_at,
        solved_at,
        created_at >= {{ dbt.dateadd('day', -90, as_of()) }} as is_recent
    from {{ ref('int_tickets__attributed') }}
    where customer_id is not null and not is_own_escalation

),

counted as (

    select
        customer_id,
        count(*) as tickets_total,
        count(*) filter (where is_recent) as tickets_90d,
        count(*) filter (where is_open) as open_tickets,
        count(*) filter (where is_recent and priority = 'urgent') as p1_tickets_90d,
        max(created_at) as last_ticket_at,
        median(first_reply_minutes) filter (where is_recent) as first_reply_minutes_median_90d,
        median(full_resolution_minutes) filter (where is_recent) as resolution_minutes_median_90d,
        count(*) filter (where is_recent and satisfaction_score is not null) as csat_n_90d,
        count(*) filter (where is_recent and satisfaction_score = 'good') as csat_good_90d,
        count(*) filter (where is_recent and (solved_at is not null or reopens > 0)) as solved_90d,
        count(*) filter (where is_recent and reopens > 0) as reopened_90d
    from tickets
    group by customer_id

)

select
    customers.customer_id,
    cast(coalesce(counted.tickets_total, 0) as bigint) as tickets_total,
    cast(coalesce(counted.tickets_90d, 0) as bigint) as tickets_90d,
    cast(coalesce(counted.open_tickets, 0) as bigint) as open_tickets,
    cast(coalesce(counted.p1_tickets_90d, 0) as bigint) as p1_tickets_90d,
    counted.last_ticket_at,
    cast(counted.first_reply_minutes_median_90d as decimal(18, 2)) as first_reply_minutes_median_90d,
    cast(counted.resolution_minutes_median_90d as decimal(18, 2)) as resolution_minutes_median_90d,
    cast(counted.csat_good_90d / nullif(cast(counted.csat_n_90d as double), 0) as decimal(18, 4)) as csat_90d,
    cast(coalesce(counted.csat_n_90d, 0) as bigint) as csat_n_90d,
    cast(counted.reopened_90d / nullif(cast(counted.solved_90d as double), 0) as decimal(18, 4)) as reopen_rate_90d
from customers
left join counted on customers.customer_id = counted.customer_id
