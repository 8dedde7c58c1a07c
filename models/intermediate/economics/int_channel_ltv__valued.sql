-- One row per channel (and 'all'): the lifetime value in US cents over the horizon, the part of it that rests on months
-- that were observed, the same pooled with all channels, and what may come after the horizon.
-- Hazard: ltv_tail_cents is a projection by a model (shifted beta-geometric hazards, the margin of the last observed
-- months for ever) and stands apart; it is in no other number.

{% set horizon = economics_setting('ltv_horizon_months') | int %}
{% set lifetime = [economics_setting('ltv_lifetime_months') | int, horizon] | max %}

with

survival as (

    select * from {{ ref('int_channel_survival__estimated') }}

),

renewals as (

    select
        channel,
        month_of_tenure + 1 as renewal,
        customers_at_risk as at_risk,
        customers_lost as lost
    from survival
    where is_observed and customers_at_risk > 0

),

-- a hazard that falls can be told from one that does not only if somebody left, and over several months
fittable as (

    select *
    from renewals
    qualify sum(lost) over (partition by channel) > 0 and count(*) over (partition by channel) >= 3

),

parameters as (
    {{ sbg_fit('fittable', ['channel']) }}
),

projected as (
    {{ sbg_survival('parameters', ['channel'], lifetime - 1) }}
),

-- what is a new customer worth over the horizon, and which part of that was seen?
valued as (

    select
        channel,
        max(last_observed_month) + 1 as observed_months,
        max(case when month_of_tenure = 0 then customers_there end) as customers,
        {{ ordered_sum('value_cents', 'month_of_tenure') }} as ltv_cents,
        coalesce(
            {{ ordered_sum('case when is_observed then value_cents end', 'month_of_tenure') }}, 0
        ) as observed_ltv_cents,
        {{ ordered_sum('pooled_value_cents', 'month_of_tenure') }} as pooled_ltv_cents,
        {{ ordered_sum('survival', 'month_of_tenure') }} as expected_months,
        max(tail_mean_margin_cents) as tail_mean_margin_cents,
        -- the share there when the last month begins; what it leaves for the month after it
        max(case when month_of_tenure = {{ horizon - 1 }} then survival * (1 - hazard) end) as survival_at_horizon,
        -- of how many customers watched to the end would one know as much? customers there / survival are those old
        -- enough to have been seen in a month; months with more value weigh more
        {{ ordered_sum('value_cents', 'month_of_tenure') }}
        / nullif(
            {{ ordered_sum(
                'value_cents * survival '
                ~ '/ nullif(case when is_observed then customers_there else tail_there / tail_months end, 0)',
                'month_of_tenure'
            ) }},
            0
        ) as customers_known_as_well
    from survival
    group by channel

),

-- from the horizon on: who is there then, as the model says they go on, with the last margin known
tails as (

    select
        projected.channel,
        {{ ordered_sum(
            'projected.survival '
            ~ '* power(1 + ' ~ economics_setting('ltv_annual_discount_rate') ~ ', -projected.renewals / 12.0)',
            'projected.renewals'
        ) }} / max(case when projected.renewals = {{ horizon }} then projected.survival end) as discounted_months
    from projected
    where projected.renewals >= {{ horizon }}
    group by projected.channel

)

select
    valued.*,
    -- the stand-in months of a small channel may claim more customers than there are
    case
        when valued.customers_known_as_well is not null
            then least(valued.customers_known_as_well, valued.customers)
    end as effective_customers,
    parameters.alpha as sbg_alpha,
    parameters.beta as sbg_beta,
    valued.survival_at_horizon * valued.tail_mean_margin_cents * tails.discounted_months as ltv_tail_cents
from valued
left join parameters on valued.channel = parameters.channel
left join tails on valued.channel = tails.channel
