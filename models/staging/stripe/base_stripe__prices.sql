-- One row per raw price, with a verdict.
-- Hazard: a price's amount never changes at the vendor, so history is read from price ids; a price that cannot be
-- priced (unknown product or currency) takes its subscriptions with it into quarantine rather than to zero.

with

source as (

    select * from {{ source('stripe', 'prices') }}

),

accepted as (

    select currency
    from {{ ref('currencies') }}
    where is_accepted

),

products as (

    select product_id
    from {{ ref('stg_stripe__products') }}

),

renamed as (

    select
        ---------- ids
        id as price_id,
        product as product_id,

        ---------- strings
        lower(currency) as currency,
        nickname as price_name,
        type as price_type,
        {{ json_text('recurring', '$.interval') }} as billing_interval,
        coalesce({{ json_text('recurring', '$.usage_type') }}, 'licensed') as usage_type,
        tiers_mode,
        {{ json_text('transform_quantity', '$.round') }} as quantity_rounding,

        ---------- numerics
        try_cast({{ json_text('transform_quantity', '$.divide_by') }} as bigint) as quantity_divisor,
        try_cast({{ json_text('recurring', '$.interval_count') }} as integer) as interval_count,
        try_cast(
            coalesce(unit_amount_decimal, cast(unit_amount as {{ dbt.type_string() }})) as decimal(18, 4)
        ) as unit_amount_minor,

        ---------- booleans
        coalesce(active, false) as is_active,
        coalesce(billing_scheme, 'per_unit') = 'tiered' as is_tiered,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,

        ---------- parts kept as JSON
        case when billing_scheme = 'tiered' then tiers end as tiers,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; a load holds one copy of an id, it merges by primary key
ranked as (

    select
        *,
        row_number() over (
            partition by price_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        ranked.*,
        case
            when ranked.price_id is null then 'no price id'
            when
                coalesce(ranked.product_id, '') not in (select products.product_id from products)
                then 'unknown product'
            when coalesce(ranked.currency, '') not in (select accepted.currency from accepted) then 'unknown currency'
            when ranked.unit_amount_minor < 0 then 'negative amount'
            when ranked.unit_amount_minor > {{ largest_believable_minor_amount() }} then 'amount too large to be money'
            when ranked.is_tiered and ranked.usage_type = 'licensed' and ranked.tiers is null
                then 'tiered without its tiers'
            when
                ranked.is_tiered
                and ranked.usage_type = 'licensed'
                and coalesce(ranked.tiers_mode, '') not in ('graduated', 'volume')
                then 'unknown way of counting tiers'
            when ranked.quantity_divisor < 1 then 'divides quantities by less than one'
            when ranked.unit_amount_minor is null and not ranked.is_tiered and ranked.usage_type = 'licensed'
                then 'no amount'
            when
                ranked.price_type = 'recurring'
                and coalesce(ranked.billing_interval, '') not in ('day', 'week', 'month', 'year')
                then 'unknown billing interval'
            when
                ranked.price_type = 'recurring' and (ranked.interval_count is null or ranked.interval_count < 1)
                then 'no interval count'
            when ranked.created_at > {{ latest_believable_at() }} then 'created in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('price_id') }} as row_verdict
from judged
