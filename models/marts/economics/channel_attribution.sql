-- One row per attribution rule and channel: customers, cost and worth when a customer is shared between the channels
-- that touched them by that rule.
-- Why it exists: a budget that depends on whether the first or the last touch is credited should be seen to. Customers
-- add up to all new customers, and spend to the ledger, under every rule (economics_add_up).
-- Hazard: rules are alternatives. Sums over rules mean nothing; read one at a time.

with

channels as (

    select channel
    from {{ ref('acquisition_channels') }}

),

rules as (

    select distinct attribution
    from {{ ref('int_acquisition_credits__split') }}

),

credits as (

    select
        attribution,
        channel,
        sum(share_of_customer) as credited_customers,
        count(*) as touched_customers
    from {{ ref('int_acquisition_credits__split') }}
    group by attribution, channel

),

spend as (

    select
        channel,
        sum(spend_cents) as spend_cents
    from {{ ref('int_spend__weekly') }}
    group by channel

),

intervals as (

    select * from {{ ref('int_channel_intervals__studentised') }}

),

averages as (

    select * from {{ ref('int_attributed_values__averaged') }}

)

select
    rules.attribution,
    channels.channel,
    {{ economics_reliability('coalesce(credits.credited_customers, 0)', 'intervals', 'false') }} = 'ok' as is_reliable,
    {{ economics_reliability('coalesce(credits.credited_customers, 0)', 'intervals', 'false') }} as reliability,

    cast(coalesce(credits.credited_customers, 0) as decimal(18, 6)) as credited_customers,
    cast(coalesce(credits.touched_customers, 0) as bigint) as touched_customers,
    cast(coalesce(averages.effective_customers, 0) as decimal(18, 2)) as effective_customers,
    cast(coalesce(spend.spend_cents, 0) / 100.0 as decimal(18, 2)) as spend,

    cast(intervals.ltv as decimal(18, 2)) as ltv,
    cast(intervals.ltv_low as decimal(18, 2)) as ltv_low,
    cast(intervals.ltv_high as decimal(18, 2)) as ltv_high,
    cast(coalesce(credits.touched_customers, 0) as bigint) as ltv_n,

    {%- for part in ['cac', 'cac_paid'] %}
    cast(intervals.{{ part }} as decimal(18, 2)) as {{ part }},
    cast(intervals.{{ part }}_low as decimal(18, 2)) as {{ part }}_low,
    cast(intervals.{{ part }}_high as decimal(18, 2)) as {{ part }}_high,
    cast(coalesce(intervals.cohort_customers, 0) as decimal(18, 2)) as {{ part }}_n,
    {%- endfor %}

    cast(intervals.ltv_cac as decimal(18, 4)) as ltv_cac,
    cast(intervals.ltv_cac_low as decimal(18, 4)) as ltv_cac_low,
    cast(intervals.ltv_cac_high as decimal(18, 4)) as ltv_cac_high,
    cast(coalesce(intervals.cohort_customers, 0) as decimal(18, 2)) as ltv_cac_n,

    'process' as estimand,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from rules
cross join channels
left join credits
    on
        rules.attribution = credits.attribution
        and channels.channel = credits.channel
left join spend on channels.channel = spend.channel
left join intervals
    on
        rules.attribution = intervals.attribution
        and channels.channel = intervals.channel
left join averages
    on
        rules.attribution = averages.attribution
        and channels.channel = averages.channel
