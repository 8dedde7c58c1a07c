-- One row per raw refund, with a verdict.
-- Hazard: a refund names a charge, and only an expanded charge names the customer; a refund whose customer cannot be
-- found stays, with a null customer, so that the money given back is still counted.

with

source as (

    select * from {{ source('stripe', 'refunds') }}

),

accepted as (

    select currency
    from {{ ref('currencies') }}
    where is_accepted

),

renamed as (

    select
        ---------- ids
        id as refund_id,
        coalesce({{ json_text('charge', '$.id') }}, {{ json_scalar('charge') }}) as charge_id,
        payment_intent as payment_intent_id,
        {{ json_text('charge', '$.customer') }} as stripe_customer_id,

        ---------- strings
        status as refund_status,
        lower(currency) as currency,
        reason as refund_reason,

        ---------- numerics, in minor units of the currency
        amount as amount_minor,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; a load holds one copy of an id, it merges by primary key
ranked as (

    select
        *,
        row_number() over (
            partition by refund_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        ranked.*,
        case
            when ranked.refund_id is null then 'no refund id'
            when ranked.created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
            when coalesce(ranked.currency, '') not in (select accepted.currency from accepted) then 'unknown currency'
            when ranked.amount_minor is null or ranked.amount_minor < 0 then 'negative or no amount'
            when ranked.amount_minor > {{ largest_believable_minor_amount() }} then 'amount too large to be money'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('refund_id') }} as row_verdict
from judged
