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

-- what the months beyond the last observed one hang on: the mean margin and the hazard of the tail window
extrapolated as (

    select
        channel,
        coalesce(sum(survival * discount order by month_of_tenure), 0) as margin_weight,
        coalesce(
            sum(later_value_cents / nullif(1 - tail_hazard, 0) order by month_of_tenure), 0
        ) as hazard_weight
    from survival
    where not is_observed
    group by channel

),

-- what one customer there, one cent of margin, one at risk and one lost in a month do to the estimate, each with the
-- part that goes through the tail window; in hundredths of the unit, so that rounding each month stays invisible
coefficients as (

    select
        survival.channel,
        survival.month_of_tenure,
        100 * 10000.0 * ltv.customers / nullif(ltv.ltv_cents, 0) as scale_factor,
        survival.survival * survival.discount / nullif(survival.customers_there, 0) as own_margin,
        coalesce(
            survival.later_value_cents / nullif((1 - survival.hazard) * survival.customers_at_risk, 0), 0
        ) as own_loss,
        case
            when survival.is_in_tail_window
                then coalesce(extrapolated.margin_weight, 0) / nullif(survival.tail_there, 0)
            else 0
        end as tail_margin,
        case
            when survival.is_in_tail_window
                then coalesce(extrapolated.hazard_weight, 0) / nullif(survival.tail_at_risk, 0)
            else 0
        end as tail_loss,
        survival.mean_margin_cents,
        survival.tail_mean_margin_cents,
        coalesce(survival.hazard, 0) as hazard,
        coalesce(survival.tail_hazard, 0) as tail_hazard
    from survival
    inner join ltv on survival.channel = ltv.channel
    left join extrapolated on survival.channel = extrapolated.channel
    where survival.is_observed

),

effects as (

    select
        channel,
        month_of_tenure,
        scale_factor * (own_margin + tail_margin) as per_cent,
        -scale_factor * (own_margin * mean_margin_cents + tail_margin * tail_mean_margin_cents) as per_there,
        scale_factor * (own_loss * hazard + tail_loss * tail_hazard) as per_at_risk,
        -scale_factor * (own_loss + tail_loss) as per_lost
    from coefficients

),

-- on the channel's estimate and on that of all channels side by side; a month beyond those that an estimate observes
-- does not move it
both_effects as (

    select
        {%- for effect in ['per_cent', 'per_there', 'per_at_risk', 'per_lost'] %}
        coalesce(own.{{ effect }}, 0) as own_{{ effect }},
        coalesce(overall.{{ effect }}, 0) as overall_{{ effect }},
        {%- endfor %}
        survival.channel,
        survival.month_of_tenure
    from survival
    left join effects as own
        on
            survival.channel = own.channel
            and survival.month_of_tenure = own.month_of_tenure
    left join effects as overall
        on
            overall.channel = 'all'
            and survival.month_of_tenure = overall.month_of_tenure

),

-- sums of whole numbers, held as doubles
influences as (

    select
        {%- for scope in ['own', 'overall'] %}
        sum(
            round(
                both_effects.{{ scope }}_per_cent * cast(tenures.margin_cents as double)
                + both_effects.{{ scope }}_per_there
                + case when tenures.is_at_risk then both_effects.{{ scope }}_per_at_risk else 0 end
                + case when tenures.is_lost then both_effects.{{ scope }}_per_lost else 0 end
            )
        ) as {{ scope }}_hundredths,
        {%- endfor %}
        tenures.customer_id,
        any_value(tenures.channel) as channel,
        any_value(tenures.bucket) as bucket
    from tenures
    inner join both_effects
        on
            tenures.channel = both_effects.channel
            and tenures.month_of_tenure = both_effects.month_of_tenure
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
inner join ltv on scored.channel = ltv.channel
