-- One row per subscription and half-open interval [valid_from, valid_to) in which nothing that matters for its monthly
-- revenue changed, with the conditions it was in. valid_to is null for the one that holds at as_of.
-- Why it exists: what was sold and what was taken off are put onto the same intervals, so they are cut once, at every
-- instant at which anything changed.
-- Hazard: the vendor's `status` column is the present status; reading it here would rewrite the past.

with

spells as (

    select * from {{ ref('int_subscription_spells__dated') }}

),

items as (

    select * from {{ ref('int_subscription_items__historized') }}

),

discounts as (

    select * from {{ ref('int_discounts__dated') }}

),

lifetimes as (

    select
        stripe_subscription_id,
        stripe_customer_id,
        currency,
        valid_from,
        valid_to
    from spells
    where spell = 'lifetime'

),

-- every instant at which something may have changed
breakpoints as (

    select
        stripe_subscription_id,
        valid_from as changed_at
    from spells
    union
    select
        stripe_subscription_id,
        valid_to as changed_at
    from spells
    union
    select
        stripe_subscription_id,
        valid_from as changed_at
    from items
    union
    select
        stripe_subscription_id,
        valid_to as changed_at
    from items
    union
    select
        stripe_subscription_id,
        valid_from as changed_at
    from discounts
    union
    select
        stripe_subscription_id,
        valid_to as changed_at
    from discounts
    union
    -- the end of patience with an unpaid invoice
    select
        stripe_subscription_id,
        {{ dbt.dateadd('day', economics_setting('past_due_grace_days'), 'valid_from') }} as changed_at
    from spells
    where spell = 'past_due'

),

-- half-open intervals between neighbouring changes, within the lifetime
segments as (

    select
        lifetimes.stripe_subscription_id,
        lifetimes.stripe_customer_id,
        lifetimes.currency,
        breakpoints.changed_at as valid_from,
        lead(breakpoints.changed_at) over (
            partition by lifetimes.stripe_subscription_id
            order by breakpoints.changed_at
        ) as next_changed_at,
        lifetimes.valid_to as ended_at
    from lifetimes
    inner join breakpoints
        on
            lifetimes.stripe_subscription_id = breakpoints.stripe_subscription_id
            and lifetimes.valid_from <= breakpoints.changed_at
            and (lifetimes.valid_to is null or lifetimes.valid_to > breakpoints.changed_at)
            and breakpoints.changed_at < {{ as_of() }}

),

bounded as (

    select
        stripe_subscription_id,
        stripe_customer_id,
        currency,
        valid_from,
        case
            when coalesce(next_changed_at, ended_at) < {{ as_of() }} then coalesce(next_changed_at, ended_at)
        end as valid_to
    from segments

),

-- in which conditions was it?
conditions as (

    select
        bounded.stripe_subscription_id,
        bounded.valid_from,
        {%- for spell in ['trial', 'free_time', 'paused', 'unpaid', 'cancellation_scheduled'] %}
        max(case when spells.spell = '{{ spell }}' then 1 else 0 end) = 1 as is_{{ spell }},
        {%- endfor %}
        min(case when spells.spell = 'past_due' then spells.valid_from end) as past_due_since
    from bounded
    inner join spells
        on
            bounded.stripe_subscription_id = spells.stripe_subscription_id
            and bounded.valid_from >= spells.valid_from
            and (spells.valid_to is null or bounded.valid_from < spells.valid_to)
    group by bounded.stripe_subscription_id, bounded.valid_from

),

-- what does it count as? free trials, pauses and lost patience count nothing; past due counts until then
judged as (

    select
        bounded.stripe_subscription_id,
        bounded.stripe_customer_id,
        bounded.currency,
        case
            when conditions.is_trial then 'trialing'
            when conditions.is_paused then 'paused'
            when
                conditions.is_unpaid
                or {{ dbt.dateadd('day', economics_setting('past_due_grace_days'), 'conditions.past_due_since') }}
                <= bounded.valid_from
                then 'unpaid'
            when conditions.past_due_since is not null then 'past_due'
            else 'active'
        end as state,
        conditions.is_trial,
        conditions.is_free_time,
        conditions.is_paused,
        conditions.is_unpaid,
        conditions.is_cancellation_scheduled,
        conditions.past_due_since,
        bounded.valid_from,
        bounded.valid_to
    from bounded
    inner join conditions
        on
            bounded.stripe_subscription_id = conditions.stripe_subscription_id
            and bounded.valid_from = conditions.valid_from

)

select * from judged
