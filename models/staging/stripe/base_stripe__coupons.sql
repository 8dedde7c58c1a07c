-- One row per raw coupon, with a verdict.
-- Hazard: deleting a coupon at the vendor does not end the discounts given with it; deleted coupons stay.

with

source as (

    select * from {{ source('stripe', 'coupons') }}

),

accepted as (

    select currency
    from {{ ref('currencies') }}
    where is_accepted

),

renamed as (

    select
        ---------- ids
        id as coupon_id,

        ---------- strings
        name as coupon_name,
        lower(currency) as currency,
        duration as coupon_duration,
        -- the products it is limited to, as a JSON list; null where it lowers everything
        nullif({{ json_text('applies_to', '$.products') }}, '[]') as limited_to_products,

        ---------- numerics
        try_cast(percent_off as decimal(9, 4)) as percent_off,
        amount_off as amount_off_minor,
        duration_in_months,

        ---------- booleans
        coalesce(valid, false) as is_valid,
        coalesce(deleted, false) as is_deleted,

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
            partition by coupon_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        ranked.*,
        case
            when ranked.coupon_id is null then 'no coupon id'
            when ranked.percent_off is null and ranked.amount_off_minor is null then 'takes nothing off'
            when ranked.percent_off < 0 or ranked.percent_off > 100 then 'percentage outside 0 to 100'
            when ranked.amount_off_minor < 0 then 'negative amount'
            when ranked.amount_off_minor > {{ largest_believable_minor_amount() }} then 'amount too large to be money'
            when
                ranked.amount_off_minor is not null
                and coalesce(ranked.currency, '') not in (select accepted.currency from accepted)
                then 'unknown currency'
            when coalesce(ranked.coupon_duration, '') not in ('forever', 'once', 'repeating') then 'unknown duration'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('coupon_id') }} as row_verdict
from judged
