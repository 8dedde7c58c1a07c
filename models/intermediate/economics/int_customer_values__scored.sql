-- One row per paying customer: how much the customer pulls the lifetime value of the channel, and of all channels, and
-- what the customer therefore counts for.
-- Why it exists: a customer who is still there has no lifetime value yet, but adds to the estimate: the influence is
-- the value of the influence function times the number of customers, relative to the estimate, in ten-thousandths. The
-- sum of squares is the standard error without any resampling. Estimate and influence together (value_cents, a
-- pseudo-observation; Andersen, Klein and Rosthoej 2003) stand for the customer wherever customers are added up or
-- shared between channels, and add up to the channels' estimates.
-- Hazard: influences sum to zero over a channel, but for rounding (assert_influences_sum_to_zero); no wrong term would
-- survive that.
-- Whole numbers on purpose: sums of them are the same in every order, so one thread and two give the same interval.
-- value_cents is not a prediction: that of a customer who left early may be negative.

with

tenures as (

    select * from {{ ref('int_customer_tenures__observed') }}

),

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

),

ltv as (

    select * from {{ ref('int_channel_ltv__valued') }}

),

-- sums of whole numbers, held as doubles, of what a customer's months do to the channel's estimate and to that of all
-- channels; a channel whose customers are all in their first month has no estimate yet, but they count among all
influences as (

    select
        {%- for scope in ['own', 'overall'] %}
        sum(
            round(
                {{ scope }}.per_cent * cast(tenures.margin_cents as double)
                + {{ scope }}.per_there
                + case when tenures.is_at_risk then {{ scope }}.per_at_risk else 0 end
                + case when tenures.is_lost then {{ scope }}.per_lost else 0 end
            )
        ) as {{ scope }}_hundredths,
        {%- endfor %}
        tenures.customer_id,
        any_value(tenures.channel) as channel,
        any_value(tenures.bucket) as bucket
    from tenures
    inner join survival as overall
        on
            tenures.month_of_tenure = overall.month_of_tenure
            and overall.channel = 'all'
    left join survival as own
        on
            tenures.channel = own.channel
            and tenures.month_of_tenure = own.month_of_tenure
    group by tenures.customer_id

),

scored as (

    select
        customer_id,
        channel,
        bucket,
        cast(round(own_hundredths / 100) as bigint) as influence,
        cast(round(overall_hundredths / 100) as bigint) as influence_on_all
    from influences

)

select
    scored.*,
    cast(round(ltv.ltv_cents * (1 + scored.influence / 10000.0)) as bigint) as value_cents
from scored
left join ltv on scored.channel = ltv.channel
