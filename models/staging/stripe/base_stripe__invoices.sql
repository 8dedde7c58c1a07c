-- One row per raw invoice, with a verdict.
-- Hazard: an invoice is what was asked for, not what is earned: an annual invoice is twelve months of revenue, and a
-- mid-cycle change is a credit and a debit. Totals may be below zero (more credit than charge); payments may not.
-- A table, because each of its many readers would look through the JSON of all lines again.
{{ config(materialized='table') }}

with

source as (

    select * from {{ source('stripe', 'invoices') }}

),

accepted as (

    select currency
    from {{ ref('currencies') }}
    where is_accepted

),

renamed as (

    select
        ---------- ids
        id as invoice_id,
        customer as stripe_customer_id,
        {{ json_text('parent', '$.subscription_details.subscription') }} as stripe_subscription_id,

        ---------- strings
        number as invoice_number,
        status as invoice_status,
        lower(currency) as currency,
        billing_reason,

        ---------- numerics, in minor units of the currency
        subtotal as subtotal_minor,
        total as total_minor,
        coalesce(total_excluding_tax, total) as total_excluding_tax_minor,
        amount_due as amount_due_minor,
        amount_paid as amount_paid_minor,
        amount_remaining as amount_remaining_minor,
        coalesce(attempt_count, 0) as attempt_count,

        ---------- booleans
        coalesce(attempted, false) as is_attempted,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,
        {{ unix_to_timestamp('period_start') }} as period_starts_at,
        {{ unix_to_timestamp('period_end') }} as period_ends_at,
        {{ unix_to_timestamp('due_date') }} as due_at,
        {{ unix_to_timestamp('next_payment_attempt') }} as next_payment_attempt_at,
        {{ json_unix_time('status_transitions', '$.finalized_at') }} as finalized_at,
        {{ json_unix_time('status_transitions', '$.paid_at') }} as paid_at,
        {{ json_unix_time('status_transitions', '$.voided_at') }} as voided_at,
        {{ json_unix_time('status_transitions', '$.marked_uncollectible_at') }} as marked_uncollectible_at,

        ---------- parts kept as JSON
        lines,
        discounts,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; a load holds one copy of an id, it merges by primary key
ranked as (

    select
        *,
        row_number() over (
            partition by invoice_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

lines as (

    select
        invoice_id,
        copy_rank,
        {{ json_elements('lines', '$.data') }} as line
    from ranked

),

-- can every line be told from every other? what was sold when is read from lines, and each may count once only
line_problems as (

    select
        invoice_id,
        copy_rank,
        count(*) filter (where {{ json_text('line', '$.id') }} is null) as nameless_lines
    from lines
    group by invoice_id, copy_rank

),

judged as (

    select
        ranked.*,
        case
            when ranked.invoice_id is null then 'no invoice id'
            when ranked.stripe_customer_id is null then 'no customer id'
            when ranked.created_at is null then 'no creation time'
            when {{ is_unbelievable_time('ranked.created_at') }}
                then 'created before the company existed or in the future'
            when coalesce(ranked.currency, '') not in (select accepted.currency from accepted) then 'unknown currency'
            when ranked.amount_paid_minor < 0 or ranked.amount_due_minor < 0 then 'negative payment'
            when
                greatest(abs(ranked.total_minor), ranked.amount_paid_minor) > {{ largest_believable_minor_amount() }}
                then 'amount too large to be money'
            when
                coalesce(ranked.invoice_status, '') not in ('draft', 'open', 'paid', 'uncollectible', 'void')
                then 'unknown status'
            when {{ json_text('ranked.lines', '$.data') }} is null then 'no list of lines'
            when line_problems.nameless_lines > 0 then 'a line without an id'
        end as reject_reason
    from ranked
    left join line_problems
        on
            ranked.invoice_id = line_problems.invoice_id
            and ranked.copy_rank = line_problems.copy_rank

)

select
    *,
    {{ row_verdict('invoice_id') }} as row_verdict
from judged
