-- One row per customer known to the product: the rows of int_product_usage__current side by side. Columns without a
-- product in their name are the total over all products, which is not the sum of the products.

{# those that the contract of customer_lifecycle has columns for, whichever else events may name (var products) #}
{% set products = ['editor', 'esign', 'api', 'mobile'] %}
{% set measures = [
    'last_active_on', 'l7', 'l28', 'sessions_28d', 'active_minutes_28d', 'feature_families_28d', 'events_per_active_day',
    'top_feature_family', 'usage_cohort',
] %}

with

usage as (

    select * from {{ ref('int_product_usage__current') }}

),

-- when did the product first hear of the account?
sign_ups as (

    select
        customer_id,
        min(first_seen_at) as signed_up_at
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product' and source_record_type = 'account'
    group by customer_id

),

total as (

    select * from usage
    where product = 'all'

),

{%- for product in products %}

{{ product }} as (

    select * from usage
    where product = '{{ product }}'

),
{%- endfor %}

joined as (

    select
        total.customer_id,
        cast(sign_ups.signed_up_at as date) as signed_up_on,
        total.first_active_on,
        total.first_value_on,
        -- null until the first value is there: a customer who has not got it is not a customer who got it in zero days
        cast(
            case
                when total.first_value_on >= cast(sign_ups.signed_up_at as date)
                    then {{ dbt.datediff('cast(sign_ups.signed_up_at as date)', 'total.first_value_on', 'day') }}
            end as bigint
        ) as ttfv_days,
        total.last_active_on,
        total.l7,
        total.l28,
        total.l28_before,
        total.qualifying_events_28d,
        total.sessions_28d,
        total.active_minutes_28d,
        total.active_users_28d,
        total.minutes_per_active_day,
        total.events_per_active_day,
        total.failed_exports_28d,
        total.api_calls_28d,
        total.feature_families_28d,
        total.top_feature_family,
        total.top_family_share,
        total.frequency_band,
        total.duration_band,
        total.feature_mix,
        total.usage_cohort,
        total.usage_cohort_entered_at,
        total.usage_rule_version,
        {%- for product in products %}
        {%- for measure in measures %}
        {{ product }}.{{ measure }} as {{ product }}_{{ measure }},
        {%- endfor %}
        {%- endfor %}
        case when editor.l28 > 0 then 1 else 0 end
        + case when esign.l28 > 0 then 1 else 0 end
        + case when api.l28 > 0 then 1 else 0 end
        + case when mobile.l28 > 0 then 1 else 0 end as products_used_28d
    from total
    left join editor on total.customer_id = editor.customer_id
    left join esign on total.customer_id = esign.customer_id
    left join api on total.customer_id = api.customer_id
    left join mobile on total.customer_id = mobile.customer_id
    left join sign_ups on total.customer_id = sign_ups.customer_id

)

select * from joined
