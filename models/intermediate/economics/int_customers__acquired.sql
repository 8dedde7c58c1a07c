-- One row per customer who ever paid: the channel that brought them, the week they were first touched, and the units
-- by which they are resampled.
-- Why it exists: a customer is counted once, in one channel, at the first payment; trials, leads and people who came
-- back are not here. Sums over channels are all new customers (assert_channel_economics_credits_every_new_customer).
-- Hazard: cost belongs to the week in which somebody was found, not to the week in which they paid. Weeks so recent
-- that their leads have not had time to decide are not mature: their spend is known and their customers are not.

with

billing as (

    select * from {{ ref('int_customer_billing__current') }}

),

touches as (

    select * from {{ ref('int_acquisition__first_touched') }}

),

acquired as (

    select
        billing.customer_id,
        coalesce(touches.channel, 'unknown') as channel,
        billing.first_paid_at,
        -- nobody knows when an unknown touch was; the first payment is the latest it can have been
        cast(date_trunc('week', coalesce(touches.touched_at, billing.first_paid_at)) as date) as week,
        {{ resampling_bucket('billing.customer_id') }} as bucket
    from billing
    left join touches on billing.customer_id = touches.customer_id
    where billing.first_paid_at is not null and billing.first_paid_at < {{ as_of() }}

)

select
    *,
    {{ is_mature_week('week') }} as is_mature
from acquired
