-- One row per metric, grain, period that was reported and customer whose figure one of the two sides has, and one row
-- without a customer for what is in a total and in no list: our figure, theirs, and the rule that explains the
-- difference.
-- Why it exists: a total that differs cannot be argued about, a customer can. Sums over the rows of a period are the
-- totals of both sides.
-- Hazard: a rule is applied only where validation_explanations has it approved; the first that fits explains a
-- customer.
{% set near_days = 2 %}
{% set smallest = 0.005 %}

with

metrics as (

    select * from {{ ref('validation_metrics') }}

),

rules as (

    select
        rule,
        metric,
        grain,
        item_type
    from {{ ref('validation_explanations') }}
    where approved_on <= cast({{ as_of() }} as date)

),

reported as (

    select * from {{ ref('stg_reports__figures') }}
    where is_current

),

identities as (

    select
        source_system,
        source_record_type,
        source_record_id,
        customer_id,
        first_seen_at
    from {{ ref('int_identities__resolved') }}

),

invoices as (

    select * from {{ ref('stg_stripe__invoices') }}

),

currencies as (

    select * from {{ ref('currencies') }}

),

rates as (

    select * from {{ ref('int_fx_rates__applied') }}

),

usage as (

    select
        customer_id,
        usage_date
    from {{ ref('int_usage__daily') }}
    where product = 'all'

),

bridged as (

    select
        customer_id,
        month,
        closing_mrr,
        closing_mrr_contract
    from {{ ref('int_mrr__bridged') }}
    where not is_open_month

),

-- what was reported, and since when is there anything to compare?
periods as (

    select
        metric,
        grain,
        period
    from reported
    group by metric, grain, period

),

since as (

    select cast(date_trunc('month', min(period)) as date) as first_day
    from periods

),

-- every payment there was, rounded to the cent by itself, as finance does; own_amount is in the currency it was paid in
paid as (

    select
        coalesce(identities.customer_id, invoices.stripe_customer_id) as customer_id,
        cast(invoices.paid_at as date) as paid_on,
        cast(
            invoices.amount_paid_minor / power(10, currencies.minor_unit_digits) * rates.closing_rate as decimal(18, 2)
        ) as amount,
        cast(invoices.amount_paid_minor / power(10, currencies.minor_unit_digits) as decimal(18, 2)) as own_amount
    from invoices
    inner join currencies on invoices.currency = currencies.currency
    inner join rates
        on
            invoices.currency = rates.currency
            and cast(date_trunc('month', invoices.paid_at) as date) = rates.month
    left join identities
        on
            invoices.stripe_customer_id = identities.source_record_id
            and identities.source_system = 'stripe'
            and identities.source_record_type = 'customer'
    where invoices.invoice_status = 'paid' and invoices.amount_paid_minor > 0

),

-- the day of the first payment, which can be later than the day on which the paid service began
first_paid as (

    select
        customer_id,
        min(paid_on) as first_paid_on
    from paid
    group by customer_id

),

-- what do we say happened, by day and customer?
daily as (

    select
        'signups' as metric,
        customer_id,
        cast(first_seen_at as date) as happened_on,
        cast(count(*) as decimal(18, 2)) as amount,
        cast(null as decimal(18, 2)) as own_amount
    from identities
    where source_system = 'product' and source_record_type = 'account'
    group by customer_id, cast(first_seen_at as date)

    union all

    select
        'new_customers' as metric,
        customer_id,
        first_paid_on as happened_on,
        1 as amount,
        null as own_amount
    from first_paid

    union all

    select
        'payments' as metric,
        customer_id,
        paid_on as happened_on,
        sum(amount) as amount,
        sum(own_amount) as own_amount
    from paid
    group by customer_id, paid_on

    union all

    select
        'active_customers' as metric,
        customer_id,
        usage_date as happened_on,
        1 as amount,
        null as own_amount
    from usage

),

recent as (

    select * from daily
    where happened_on >= (select since.first_day from since) and happened_on < cast({{ as_of() }} as date)

),

-- the same by day and by month; a customer is active once in a month, recurring revenue is what a month closes with
ours as (

    select
        metric,
        'day' as grain,
        happened_on as period,
        customer_id,
        amount,
        own_amount,
        cast(null as decimal(18, 2)) as gross_amount
    from recent

    union all

    select
        metric,
        'month' as grain,
        cast(date_trunc('month', happened_on) as date) as period,
        customer_id,
        cast(case when metric = 'active_customers' then 1 else sum(amount) end as decimal(18, 2)) as amount,
        null as own_amount,
        null as gross_amount
    from recent
    group by metric, cast(date_trunc('month', happened_on) as date), customer_id

    union all

    select
        'closing_mrr' as metric,
        'month' as grain,
        month as period,
        customer_id,
        closing_mrr as amount,
        null as own_amount,
        closing_mrr_contract as gross_amount
    from bridged
    where month >= (select since.first_day from since) and (closing_mrr != 0 or closing_mrr_contract != 0)

),

-- whom do the lists name? billing by the vendor's customer, growth by the product's account
listed as (

    select
        reported.metric,
        reported.grain,
        reported.period,
        coalesce(identities.customer_id, reported.reference) as customer_id,
        sum(reported.amount) as amount,
        string_agg(distinct reported.reference, ', ' order by reported.reference) as their_references
    from reported
    left join identities
        on
            reported.reference = identities.source_record_id
            and (
                (identities.source_system = 'stripe' and identities.source_record_type = 'customer')
                or (identities.source_system = 'product' and identities.source_record_type = 'account')
            )
    where not reported.is_total
    group by
        reported.metric, reported.grain, reported.period, coalesce(identities.customer_id, reported.reference)

),

comparable as (

    select ours.*
    from ours
    inner join metrics
        on
            ours.metric = metrics.metric
            and ours.grain = metrics.grain
    where metrics.has_lines

),

-- customer by customer, where there is a list to compare with
by_customer as (

    select
        coalesce(comparable.metric, listed.metric) as metric,
        coalesce(comparable.grain, listed.grain) as grain,
        coalesce(comparable.period, listed.period) as period,
        coalesce(comparable.customer_id, listed.customer_id) as customer_id,
        listed.their_references,
        coalesce(comparable.amount, 0) as ours,
        coalesce(listed.amount, 0) as theirs,
        comparable.own_amount,
        comparable.gross_amount
    from comparable
    full outer join listed
        on
            comparable.metric = listed.metric
            and comparable.grain = listed.grain
            and comparable.period = listed.period
            and comparable.customer_id = listed.customer_id

),

-- which differences with a neighbouring day cancel out?
neighboured as (

    select
        by_customer.*,
        by_customer.ours - by_customer.theirs as difference,
        sum(by_customer.ours - by_customer.theirs) over (
            partition by by_customer.metric, by_customer.grain, by_customer.customer_id
            order by by_customer.period
            range between interval {{ near_days }} day preceding and interval {{ near_days }} day following
        ) as difference_nearby
    from by_customer
    inner join periods
        on
            by_customer.metric = periods.metric
            and by_customer.grain = periods.grain
            and by_customer.period = periods.period

),

-- which rule could explain a customer's difference, and how much of it?
suspected as (

    select
        neighboured.metric,
        neighboured.grain,
        neighboured.period,
        neighboured.customer_id,
        neighboured.their_references,
        neighboured.ours,
        neighboured.theirs,
        neighboured.difference,
        case
            when abs(neighboured.difference) < {{ smallest }} then null
            when neighboured.metric = 'closing_mrr' and neighboured.gross_amount != neighboured.ours
                then 'before_discounts'
            when
                neighboured.theirs != 0
                and neighboured.own_amount != neighboured.ours
                and abs(neighboured.theirs - neighboured.own_amount) < {{ smallest }}
                then 'own_currency'
            when
                neighboured.metric = 'new_customers'
                and neighboured.difference < 0
                and first_paid.first_paid_on < neighboured.period
                then 'known_customer'
            -- each of two accounts of one company pays for the first time on the same day
            when neighboured.metric = 'new_customers' and neighboured.difference < 0 and neighboured.ours > 0
                then 'known_customer'
            when neighboured.metric = 'active_customers' and neighboured.difference < 0 and neighboured.ours > 0
                then 'several_accounts'
            when neighboured.grain = 'day' and abs(neighboured.difference_nearby) < {{ smallest }} then 'next_day'
        end as possible_rule,
        case
            when neighboured.metric = 'closing_mrr' then neighboured.ours - neighboured.gross_amount
            else neighboured.difference
        end as explained_amount
    from neighboured
    left join first_paid on neighboured.customer_id = first_paid.customer_id

),

totals as (

    select
        metric,
        grain,
        period,
        sum(amount) as amount
    from ours
    group by metric, grain, period

),

lists as (

    select
        metric,
        grain,
        period,
        sum(amount) as amount
    from listed
    group by metric, grain, period

),

-- what is in a total and in no list: all of it where there is no list, else what the total is off by
in_totals as (

    select
        reported.metric,
        reported.grain,
        reported.period,
        cast(null as {{ dbt.type_string() }}) as customer_id,
        cast(null as {{ dbt.type_string() }}) as their_references,
        cast(case when metrics.has_lines then 0 else coalesce(totals.amount, 0) end as decimal(18, 2)) as ours,
        cast(reported.amount - coalesce(lists.amount, 0) as decimal(18, 2)) as theirs,
        metrics.has_lines
    from reported
    inner join metrics on reported.metric = metrics.metric and reported.grain = metrics.grain
    left join totals
        on
            reported.metric = totals.metric
            and reported.grain = totals.grain
            and reported.period = totals.period
    left join lists
        on
            reported.metric = lists.metric
            and reported.grain = lists.grain
            and reported.period = lists.period
    where reported.is_total

),

-- each difference with the rule that might explain it, customer by customer and for totals
compared as (

    select
        metric,
        grain,
        period,
        customer_id,
        their_references,
        ours,
        theirs,
        difference,
        possible_rule,
        explained_amount
    from suspected

    union all

    select
        metric,
        grain,
        period,
        customer_id,
        their_references,
        ours,
        theirs,
        ours - theirs as difference,
        case when has_lines and theirs != 0 then 'sum_of_lines' end as possible_rule,
        ours - theirs as explained_amount
    from in_totals

)

select
    compared.metric,
    compared.grain,
    compared.period,
    compared.customer_id,
    compared.their_references,
    cast(compared.ours as decimal(18, 2)) as ours,
    cast(compared.theirs as decimal(18, 2)) as theirs,
    cast(compared.difference as decimal(18, 2)) as difference,
    rules.rule,
    rules.item_type,
    cast(case when rules.rule is null then 0 else compared.explained_amount end as decimal(18, 2)) as explained_amount
from compared
left join rules
    on
        compared.possible_rule = rules.rule
        and compared.metric = rules.metric
        and compared.grain = rules.grain
