-- One row per customer: the channel and campaign of the first touch that a rule recognises, up to the day of the first
-- payment. What came later cannot have acquired the customer.
-- A customer without such a touch is in channel 'unknown' with null times: everybody is in exactly one channel, so that
-- customers and spend add up over channels.

with

customers as (

    select customer_id
    from {{ ref('int_customers__resolved') }}

),

billing as (

    select
        customer_id,
        first_paid_on
    from {{ ref('int_customer_billing__current') }}

),

touchpoints as (

    select
        touchpoint_id,
        customer_id,
        touch_type,
        channel,
        campaign,
        recognised_by,
        touched_at
    from {{ ref('int_touchpoints__unioned') }}
    where customer_id is not null

),

-- a campaign may be named where the channel is not: outbound mails tag their links with the campaign alone
campaigns as (

    select
        customer_id,
        campaign
    from touchpoints
    where channel is null and campaign is not null
    qualify row_number() over (partition by customer_id order by touched_at, touchpoint_id) = 1

),

-- 'direct' says only that nothing else is known, so any other touch comes first; campaign parameters beat a CRM source
-- chosen at the same instant; the id settles ties
ranked as (

    select
        touchpoints.*,
        row_number() over (
            partition by touchpoints.customer_id
            order by
                case touchpoints.channel when 'direct' then 2 else 1 end,
                touchpoints.touched_at,
                case touchpoints.recognised_by when 'campaign_parameters' then 1 else 2 end,
                touchpoints.touchpoint_id
        ) as touch_rank
    from touchpoints
    left join billing on touchpoints.customer_id = billing.customer_id
    where
        touchpoints.channel is not null
        and (billing.first_paid_on is null or cast(touchpoints.touched_at as date) <= billing.first_paid_on)

)

select
    customers.customer_id,
    coalesce(ranked.channel, 'unknown') as channel,
    case when ranked.channel is not null then coalesce(ranked.campaign, campaigns.campaign) end as campaign,
    ranked.touched_at,
    ranked.touchpoint_id,
    case
        when ranked.channel is null then 'none'
        else ranked.touch_type || '_' || ranked.recognised_by
    end as method -- noqa: RF04
from customers
left join ranked
    on
        customers.customer_id = ranked.customer_id
        and ranked.touch_rank = 1
left join campaigns on customers.customer_id = campaigns.customer_id
