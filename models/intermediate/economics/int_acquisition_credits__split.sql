-- One row per attribution rule, customer who ever paid and channel that is credited with a share of them. Shares of a
-- customer add up to one under every rule, to the millionth (assert_economics_add_up).
-- Four rules, because the argument about them never ends and the answer is to see all: `first` (the one that
-- customer_lifecycle and channel_economics use), `last`, `linear` (every touch the same) and `position` (0.4 first, 0.4
-- last, 0.2 among those between; of two, half each).
-- The week is that of the first touch under every rule: a customer is resampled as one, with all touches.
-- Hazard: a touch is a channel on a day. A visitor who opens five tagged pages of one campaign in an afternoon was
-- touched once, else the channel with the most tagged pages would win.

with

acquired as (

    select * from {{ ref('int_customers__acquired') }}

),

touchpoints as (

    select
        customer_id,
        channel,
        recognised_by,
        touched_at,
        touchpoint_id
    from {{ ref('int_touchpoints__unioned') }}
    where customer_id is not null and channel is not null

),

-- what led to the first payment; 'direct' says only that nothing else is known, and gives way to anything else
relevant as (

    select
        touchpoints.*,
        min(case touchpoints.channel when 'direct' then 2 else 1 end) over (
            partition by touchpoints.customer_id
        ) as best_kind
    from touchpoints
    inner join acquired on touchpoints.customer_id = acquired.customer_id
    where cast(touchpoints.touched_at as date) <= cast(acquired.first_paid_at as date)

),

-- one touch per channel and day, placed by its first trace; the same order as the first touch is chosen by
touches as (

    select
        customer_id,
        channel,
        touched_at,
        row_number() over (
            partition by customer_id
            order by touched_at, case recognised_by when 'campaign_parameters' then 1 else 2 end, touchpoint_id
        ) as touch_number,
        count(*) over (partition by customer_id) as touch_count
    from (
        select *
        from relevant
        where case channel when 'direct' then 2 else 1 end = best_kind
        qualify row_number() over (
            partition by customer_id, channel, cast(touched_at as date)
            order by touched_at, case recognised_by when 'campaign_parameters' then 1 else 2 end, touchpoint_id
        ) = 1
    ) as daily

),

-- millionths, so that shares can be whole numbers; what rounding leaves over goes to the first touch
shared as (

    select
        customer_id,
        channel,
        touch_number,
        case when touch_number = touch_count then 1000000 else 0 end as last_share,
        1000000 / touch_count as linear_share,
        case
            when touch_count = 1 then 1000000
            when touch_count = 2 then 500000
            when touch_number in (1, touch_count) then 400000
            else 200000.0 / (touch_count - 2)
        end as position_share
    from touches

),

ruled as (

    {%- for rule in ['last', 'linear', 'position'] %}
    select
        '{{ rule }}' as attribution,
        customer_id,
        channel,
        touch_number,
        cast(floor({{ rule }}_share) as bigint) as share_millionths
    from shared
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

completed as (

    select
        attribution,
        customer_id,
        channel,
        share_millionths
        + case
            when touch_number = 1 then 1000000 - sum(share_millionths) over (partition by attribution, customer_id)
            else 0
        end as share_millionths
    from ruled

),

rules as (

    select distinct attribution from ruled

),

-- whom no touch explains is in channel 'unknown' under every rule
unexplained as (

    select
        rules.attribution,
        acquired.customer_id,
        acquired.channel,
        1000000 as share_millionths
    from acquired
    cross join rules
    left join touches
        on
            acquired.customer_id = touches.customer_id
            and touches.touch_number = 1
    where touches.customer_id is null

),

credited as (

    select
        'first' as attribution,
        customer_id,
        channel,
        1000000 as share_millionths
    from acquired
    union all
    select
        attribution,
        customer_id,
        channel,
        share_millionths
    from completed
    union all
    select * from unexplained

)

select
    credited.attribution,
    credited.customer_id,
    credited.channel,
    max(acquired.week) as week,
    max(acquired.bucket) as bucket,
    bool_or(acquired.is_mature) as is_mature,
    cast(sum(credited.share_millionths) as bigint) as share_millionths,
    cast(sum(credited.share_millionths) / 1000000.0 as decimal(9, 6)) as share_of_customer
from credited
inner join acquired on credited.customer_id = acquired.customer_id
where credited.share_millionths > 0
group by credited.attribution, credited.customer_id, credited.channel
