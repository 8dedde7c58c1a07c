-- One row per thing that happened to a customer in our own figures: a usage cohort entered or left, a metric that took
-- another value, a renewal that was promised. The same shape as the silos' behaviours, so that signals are defined on
-- figures as on events. Only what a row of the seed behaviours asks for is computed into the table.
-- Hazard: figures belong to customers as they are resolved today, so the ids of these facts name the customer; when two
-- customers turn out to be one, their figures really are new ones. A month's score counts when the month is over, a
-- day's use when the day is over, so that a value, once here, does not move with the hour of the build.

{% set least_days_before = 4 %}

with

behaviours as (

    select distinct
        event_name,
        source
    from {{ ref('behaviours') }}
    where grain = 'measured'

),

stays as (

    select
        customer_id,
        product,
        usage_cohort,
        frequency_band,
        duration_band,
        feature_mix,
        entered_at,
        left_at,
        lag(frequency_band) over (partition by customer_id, product order by entered_at) as band_before
    from {{ ref('int_usage_cohorts__held') }}

),

movements as (

    select
        customer_id,
        occurred_at,
        mrr_after
    from {{ ref('int_mrr_movements__dated') }}

),

usage as (

    select
        customer_id,
        usage_date
    from {{ ref('int_usage__daily') }}
    where product = 'all' and qualifying_events > 0

),

actor_usage as (

    select
        source_record_type,
        source_record_id,
        actor_id,
        usage_date
    from {{ ref('int_actor_usage__daily') }}
    where
        actor_type = 'user'
        and qualifying_events > 0
        and usage_date < {{ as_of() }}

),

subscriptions as (

    select
        customer_id,
        seats,
        valid_from,
        valid_to
    from {{ ref('int_subscription_states__historized') }}
    where mrr_units > 0 and customer_id is not null

),

scores as (

    select
        customer_id,
        score,
        probability,
        cast({{ dbt.dateadd('month', 1, 'month') }} as timestamp) as occurred_at
    from {{ ref('int_scores__summed') }}
    where model = 'points'

),

invoice_lines as (

    select * from {{ ref('int_invoice_lines__unnested') }}
    where
        stripe_subscription_id is not null
        and not is_proration
        and amount_minor > 0
        and invoice_status in ('paid', 'open')

),

spells as (

    select * from {{ ref('int_subscription_spells__dated') }}
    where spell in ('cancellation_scheduled', 'lifetime')

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

payers as (

    select
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'stripe' and source_record_type = 'customer'

),

-- which cohorts and bands were entered and left?
cohort_moves as (

    select
        customer_id,
        product,
        'usage_cohort_entered' as event_name,
        usage_cohort,
        frequency_band,
        duration_band,
        feature_mix,
        entered_at as occurred_at
    from stays
    union all
    select
        customer_id,
        product,
        'usage_cohort_left' as event_name,
        usage_cohort,
        frequency_band,
        duration_band,
        feature_mix,
        left_at as occurred_at
    from stays
    where left_at is not null
    union all
    select
        customer_id,
        product,
        'frequency_band_entered' as event_name,
        usage_cohort,
        frequency_band,
        duration_band,
        feature_mix,
        entered_at as occurred_at
    from stays
    where band_before is distinct from frequency_band
    union all
    select
        customer_id,
        product,
        'frequency_band_left' as event_name,
        usage_cohort,
        band_before as frequency_band,
        duration_band,
        feature_mix,
        entered_at as occurred_at
    from stays
    where band_before is not null and band_before != frequency_band

),

-- a day of use counts from its end on and for 28 days, and for the 28 days after that among the 28 days before
day_steps as (

    {% for days, recent, before in [(1, 1, 0), (29, -1, 1), (57, 0, -1)] %}
    select
        customer_id,
        {{ dbt.dateadd('day', days, 'usage_date') }} as stepped_at,
        {{ recent }} as recent_step,
        {{ before }} as before_step
    from usage
    {{ 'union all' if not loop.last }}
    {% endfor %}

),

stepped as (

    select
        customer_id,
        cast(stepped_at as timestamp) as occurred_at,
        sum(recent_step) as recent_step,
        sum(before_step) as before_step
    from day_steps
    group by customer_id, stepped_at
    having sum(recent_step) != 0 or sum(before_step) != 0

),

active_days as (

    select
        customer_id,
        occurred_at,
        recent_step,
        sum(recent_step) over (partition by customer_id order by occurred_at) as recent_days,
        sum(before_step) over (partition by customer_id order by occurred_at) as days_before
    from stepped

),

user_days as (

    select distinct
        identities.customer_id,
        actor_usage.actor_id,
        actor_usage.usage_date
    from actor_usage
    inner join identities
        on
            actor_usage.source_record_type = identities.source_record_type
            and actor_usage.source_record_id = identities.source_record_id

),

-- is anything of the 28 days before or after a day of use already, or still, covered by another day of that user?
user_spans as (

    select
        customer_id,
        usage_date,
        lag(usage_date) over (partition by customer_id, actor_id order by usage_date) as used_before_on,
        lead(usage_date) over (partition by customer_id, actor_id order by usage_date) as used_after_on
    from user_days

),

-- when does a person begin and cease to count as active, and when do seats come and go?
seat_steps as (

    select
        customer_id,
        cast({{ dbt.dateadd('day', 1, 'usage_date') }} as timestamp) as occurred_at,
        1 as user_step,
        0 as seat_step
    from user_spans
    where used_before_on is null or used_before_on < {{ dbt.dateadd('day', -28, 'usage_date') }}
    union all
    select
        customer_id,
        cast({{ dbt.dateadd('day', 29, 'usage_date') }} as timestamp) as occurred_at,
        -1 as user_step,
        0 as seat_step
    from user_spans
    where used_after_on is null or used_after_on > {{ dbt.dateadd('day', 28, 'usage_date') }}
    union all
    select
        customer_id,
        valid_from as occurred_at,
        0 as user_step,
        seats as seat_step
    from subscriptions
    union all
    select
        customer_id,
        valid_to as occurred_at,
        0 as user_step,
        -seats as seat_step
    from subscriptions
    where valid_to is not null

),

seat_changes as (

    select
        customer_id,
        occurred_at,
        sum(user_step) as user_step,
        sum(seat_step) as seat_step
    from seat_steps
    group by customer_id, occurred_at
    having sum(user_step) != 0 or sum(seat_step) != 0

),

seats as (

    select
        customer_id,
        occurred_at,
        seat_step,
        sum(user_step) over (partition by customer_id order by occurred_at) as active_users,
        sum(seat_step) over (partition by customer_id order by occurred_at) as paid_seats
    from seat_changes

),

-- what a leaving customer would take along: the risk of a month times what was paid when it was over
risked as (

    select
        scores.customer_id,
        scores.occurred_at,
        scores.probability * cast(movements.mrr_after as double) as revenue_at_risk
    from scores
    inner join movements
        on
            scores.customer_id = movements.customer_id
            and scores.occurred_at > movements.occurred_at
    where scores.score = 'churn_risk'
    qualify row_number() over (
        partition by scores.customer_id, scores.occurred_at
        order by movements.occurred_at desc, movements.mrr_after desc
    ) = 1

),

-- every value that a figure took
metrics as (

    select
        customer_id,
        'mrr' as event_name,
        'stripe' as source,
        occurred_at,
        cast(mrr_after as double) as measured_value,
        cast(null as bigint) as seat_change
    from movements
    union all
    select
        customer_id,
        'active_days_28d' as event_name,
        'product' as source,
        occurred_at,
        cast(recent_days as double) as measured_value,
        null as seat_change
    from active_days
    where recent_step != 0
    union all
    -- of a customer that hardly came there is nothing to lose
    select
        customer_id,
        'active_days_trend' as event_name,
        'product' as source,
        occurred_at,
        recent_days / cast(days_before as double) as measured_value,
        null as seat_change
    from active_days
    where days_before >= {{ least_days_before }}
    union all
    select
        customer_id,
        'seats' as event_name,
        'stripe' as source,
        occurred_at,
        cast(paid_seats as double) as measured_value,
        -- the first seats and the last are a beginning and an end
        case when paid_seats > 0 and paid_seats > seat_step then seat_step end as seat_change
    from seats
    where seat_step != 0
    union all
    select
        customer_id,
        'seats_in_use' as event_name,
        'product' as source,
        occurred_at,
        active_users / cast(paid_seats as double) as measured_value,
        null as seat_change
    from seats
    where paid_seats > 0
    union all
    select
        customer_id,
        score as event_name,
        'product' as source,
        occurred_at,
        probability as measured_value,
        null as seat_change
    from scores
    union all
    select
        customer_id,
        'revenue_at_risk' as event_name,
        'stripe' as source,
        occurred_at,
        revenue_at_risk as measured_value,
        null as seat_change
    from risked

),

-- a paid period promises the next one at its end
promises as (

    select
        stripe_customer_id,
        stripe_subscription_id,
        period_ends_at as due_at,
        min(greatest(invoiced_at, period_starts_at)) as promised_at,
        max({{ dbt.datediff('period_starts_at', 'period_ends_at', 'day') }}) as period_days
    from invoice_lines
    group by stripe_customer_id, stripe_subscription_id, period_ends_at

),

-- since when is it known that the period will not be followed by another? a cancellation that was taken back before the
-- end does not count
kept_or_not as (

    select
        promises.stripe_customer_id,
        promises.stripe_subscription_id,
        promises.due_at,
        promises.promised_at,
        promises.period_days,
        min(
            case spells.spell
                when 'lifetime' then case when spells.valid_to < promises.due_at then spells.valid_to end
                else case when coalesce(spells.valid_to >= promises.due_at, true) then spells.valid_from end
            end
        ) as gone_at
    from promises
    left join spells
        on
            promises.stripe_subscription_id = spells.stripe_subscription_id
            and promises.due_at > spells.valid_from
    group by
        promises.stripe_customer_id,
        promises.stripe_subscription_id,
        promises.due_at,
        promises.promised_at,
        promises.period_days

),

-- moves, values and renewals in the shape of behaviours
measured as (

    select
        customer_id,
        event_name,
        'product' as source,
        product,
        occurred_at,
        event_name || ':' || customer_id || ':' || product || ':' || frequency_band || ':'
        || cast(occurred_at as {{ dbt.type_string() }}) as event_id,
        {{ as_json_text(json_object([
            ['usage_cohort', 'usage_cohort'],
            ['frequency_band', 'frequency_band'],
            ['duration_band', 'duration_band'],
            ['feature_mix', 'feature_mix'],
        ])) }} as properties,
        cast(null as double) as measured_value,
        cast(null as timestamp) as due_at,
        cast(null as timestamp) as gone_at
    from cohort_moves
    union all
    select
        customer_id,
        event_name,
        source,
        null as product,
        occurred_at,
        event_name || ':' || customer_id || ':' || cast(occurred_at as {{ dbt.type_string() }}) as event_id,
        case
            when seat_change is not null then {{ as_json_text(json_object([['change', 'seat_change']])) }}
        end as properties,
        measured_value,
        null as due_at,
        null as gone_at
    from metrics
    union all
    select
        payers.customer_id,
        'renewal_promised' as event_name,
        'stripe' as source,
        null as product,
        kept_or_not.promised_at as occurred_at,
        'subscription:' || kept_or_not.stripe_subscription_id || ':renews:'
        || cast(kept_or_not.due_at as {{ dbt.type_string() }}) as event_id,
        {{ as_json_text(json_object([['period_days', 'kept_or_not.period_days']])) }} as properties,
        null as measured_value,
        kept_or_not.due_at,
        kept_or_not.gone_at
    from kept_or_not
    inner join payers
        on kept_or_not.stripe_customer_id = payers.source_record_id

)

select measured.*
from measured
inner join behaviours
    on
        measured.event_name = behaviours.event_name
        and measured.source = behaviours.source
where measured.occurred_at < {{ as_of() }}
