-- One row per subscription item and interval of int_subscription_segments__cut in which it was sold: what it is worth a
-- month, exactly (columns *_units, see macros/economics/exact_money.sql), before discounts and after those that lower
-- this item and not the whole subscription: its own, and those limited to its product.
-- Why it exists: quantities are priced here and nowhere else, whether each costs the same, in packs, or by tiers.
-- Hazard: a tiered price has no amount per seat. Graduated tiers charge each unit by the tier it falls in, volume tiers
-- charge all units by the tier that the quantity reaches; both may add a flat amount.
{% set views = ['recurring', 'forever', 'every', 'unless_repeating'] %}

with

segments as (

    select * from {{ ref('int_subscription_segments__cut') }}

),

items as (

    select * from {{ ref('int_subscription_items__historized') }}

),

prices as (

    select * from {{ ref('int_prices__normalized') }}

),

discounts as (

    select * from {{ ref('int_discounts__dated') }}

),

sold as (

    select distinct
        items.price_id,
        items.quantity
    from items

),

tier_elements as (

    select
        price_id,
        {{ json_elements('tiers') }} as tier
    from prices
    where is_tiered

),

-- from the vendor's tiers, what does a unit cost up to which quantity, and what is added flat?
tier_bounds as (

    select
        price_id,
        try_cast({{ json_text('tier', '$.up_to') }} as bigint) as up_to,
        coalesce(
            try_cast({{ json_text('tier', '$.unit_amount_decimal') }} as decimal(18, 4)),
            try_cast({{ json_text('tier', '$.unit_amount') }} as decimal(18, 4)),
            0
        ) as unit_amount_minor,
        coalesce(
            try_cast({{ json_text('tier', '$.flat_amount_decimal') }} as decimal(18, 4)),
            try_cast({{ json_text('tier', '$.flat_amount') }} as decimal(18, 4)),
            0
        ) as flat_amount_minor
    from tier_elements

),

-- the last tier has no upper end
tiers as (

    select
        *,
        coalesce(lag(up_to) over (partition by price_id order by up_to nulls last), 0) as starts_after
    from tier_bounds

),

-- what does a quantity cost per billing period under tiers?
tiered as (

    select
        sold.price_id,
        sold.quantity,
        sum(
            tiers.flat_amount_minor
            + tiers.unit_amount_minor * case
                when prices.tiers_mode = 'volume' then sold.quantity
                else least(sold.quantity, coalesce(tiers.up_to, sold.quantity)) - tiers.starts_after
            end
        ) as amount_minor
    from sold
    inner join prices on sold.price_id = prices.price_id
    inner join tiers
        on
            sold.price_id = tiers.price_id
            and sold.quantity > tiers.starts_after
            and (
                prices.tiers_mode = 'graduated'
                or tiers.up_to is null
                or sold.quantity <= tiers.up_to
            )
    group by sold.price_id, sold.quantity

),

-- packs: ten seats by packs of four are three packs, or two where the vendor rounds down
priced as (

    select
        sold.price_id,
        sold.quantity,
        prices.product_id,
        prices.plan,
        prices.billing_interval,
        prices.interval_count,
        case
            when prices.is_tiered
                then {{ monthly_units('tiered.amount_minor', 'prices.billing_interval', 'prices.interval_count') }}
            when prices.quantity_divisor is null then sold.quantity * prices.monthly_units_per_seat
            else
                {{ whole_division(
                    "sold.quantity + case when prices.quantity_rounding = 'up' then prices.quantity_divisor - 1 else 0 end",
                    "prices.quantity_divisor"
                ) }} * prices.monthly_units_per_seat
        end as contract_units
    from sold
    inner join prices on sold.price_id = prices.price_id
    left join tiered
        on
            sold.price_id = tiered.price_id
            and sold.quantity = tiered.quantity

),

-- what was sold in each interval?
contents as (

    select
        segments.stripe_subscription_id,
        segments.valid_from,
        segments.currency,
        items.subscription_item_id,
        priced.product_id,
        priced.plan,
        priced.billing_interval,
        priced.interval_count,
        items.quantity,
        priced.contract_units
    from segments
    inner join items
        on
            segments.stripe_subscription_id = items.stripe_subscription_id
            and segments.valid_from >= items.valid_from
            and (items.valid_to is null or segments.valid_from < items.valid_to)
    inner join priced
        on
            items.price_id = priced.price_id
            and items.quantity = priced.quantity

),

-- which discounts were in force? a subscription with one of its own does not inherit the customer's
in_force as (

    select
        segments.stripe_subscription_id,
        segments.valid_from,
        discounts.valid_from as given_at,
        discounts.discount_id,
        discounts.discount_level,
        discounts.subscription_item_id,
        discounts.limited_to_products,
        discounts.coupon_duration,
        discounts.percent_off,
        discounts.amount_off_minor,
        discounts.amount_off_currency
    from segments
    inner join discounts
        on
            segments.stripe_subscription_id = discounts.stripe_subscription_id
            and segments.valid_from >= discounts.valid_from
            and (discounts.valid_to is null or segments.valid_from < discounts.valid_to)
    qualify
        discounts.discount_level != 'customer'
        or max(case when discounts.discount_level = 'subscription' then 1 else 0 end) over (
            partition by segments.stripe_subscription_id, segments.valid_from
        ) = 0

),

-- which of them lower single items, and which?
lowered as (

    select
        contents.*,
        in_force.given_at,
        in_force.discount_id,
        case in_force.discount_level when 'item' then 1 else 2 end as level_rank,
        in_force.coupon_duration,
        in_force.percent_off,
        {{ whole_division('contents.contract_units', units_per_minor()) }} as price_minor,
        case
            when in_force.amount_off_currency = contents.currency
                then
                    {{ monthly_units(
                        'cast(in_force.amount_off_minor as decimal(18, 4))',
                        'contents.billing_interval',
                        'contents.interval_count'
                    ) }}
        end as amount_off_units
    from contents
    inner join in_force
        on
            contents.stripe_subscription_id = in_force.stripe_subscription_id
            and contents.valid_from = in_force.valid_from
            and (in_force.discount_level = 'item' or in_force.limited_to_products is not null)
            and (in_force.discount_level != 'item' or contents.subscription_item_id = in_force.subscription_item_id)
            and (
                in_force.limited_to_products is null
                or contains(in_force.limited_to_products, '"' || contents.product_id || '"')
            )

),

-- an amount off several items is shared by what they cost
shared as (

    select
        *,
        sum(price_minor) over (
            partition by stripe_subscription_id, valid_from, discount_id
        ) as price_minor_together
    from lowered

),

-- in which order are an item's discounts taken off? an amount for several items is shared by what they cost
discount_steps as (

    select
        stripe_subscription_id,
        valid_from,
        subscription_item_id,
        contract_units,
        coupon_duration,
        percent_off,
        {{ whole_division('amount_off_units * price_minor', 'nullif(price_minor_together, 0)') }} as amount_off_units,
        {{ discount_step_numbers(
            'stripe_subscription_id, valid_from, subscription_item_id', 'level_rank, given_at, discount_id'
        ) }}
    from shared

),

{{ discounts_taken_off(
    'discount_steps', ['stripe_subscription_id', 'valid_from', 'subscription_item_id'], 'contract_units'
) }},

-- what is each item worth after what lowers it alone?
valued as (

    select
        contents.stripe_subscription_id,
        contents.subscription_item_id,
        contents.plan,
        contents.billing_interval,
        contents.interval_count,
        contents.quantity,
        contents.contract_units,
        {%- for view in views %}
        coalesce(taken_off.{{ view }}_units, contents.contract_units) as {{ view }}_units,
        {%- endfor %}
        coalesce(taken_off.discount_count, 0) as discount_count,
        -- the most valuable item speaks for the subscription; its id breaks ties so that the pick is repeatable
        row_number() over (
            partition by contents.stripe_subscription_id, contents.valid_from
            order by contents.contract_units desc, contents.subscription_item_id desc
        ) as value_rank,
        contents.valid_from
    from contents
    left join taken_off
        on
            contents.stripe_subscription_id = taken_off.stripe_subscription_id
            and contents.valid_from = taken_off.valid_from
            and contents.subscription_item_id = taken_off.subscription_item_id

)

select * from valued
