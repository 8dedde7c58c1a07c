-- One row per resolved customer, leads included, anonymous visitors not.
-- Why it exists: this is the one place where what a customer pays, does, asks for and was sent stands side by side,
-- computed once and read everywhere. Each part comes from its own *__current model; calculated here is only what needs
-- two silos side by side.
-- Hazard: a customer that a silo does not know has nulls there, not zeros. A zero says that the silo knows the
-- customer and that nothing happened; the has_ columns tell the two apart.

with

customers as (

    select * from {{ ref('int_customers__resolved') }}

),

identities as (

    select
        customer_id,
        source_record_type,
        match_confidence
    from {{ ref('int_identities__resolved') }}

),

billing as (

    select * from {{ ref('int_customer_billing__current') }}

),

usage as (

    select * from {{ ref('int_customer_usage__current') }}

),

support as (

    select * from {{ ref('int_customer_support__current') }}

),

marketing as (

    select * from {{ ref('int_customer_marketing__current') }}

),

economics as (

    select
        channel,
        ltv,
        ltv_low,
        ltv_high,
        ltv_n,
        cac,
        cac_low,
        cac_high,
        cac_n
    from {{ ref('channel_economics') }}

),

predictions as (

    select * from {{ ref('int_customer_ltv__predicted') }}

),

scores as (

    select * from {{ ref('customer_scores') }}
    where is_current

),

states as (

    select * from {{ ref('int_customer_state__current') }}

),

observed as (

    select
        source,
        observed_through_at
    from {{ ref('int_silos__observed') }}

),

-- a customer is as sure as its least sure member; a visitor who never said who they are is nobody yet, and stays in
-- customer_identities until they do
known as (

    select
        customer_id,
        min(match_confidence) as match_confidence
    from identities
    group by customer_id
    having count(*) > count(case when source_record_type = 'anonymous' then 1 end)

),

-- up to when had each silo been read? one row, the same for everybody
silos as (

    select
        max(case when source = 'product' then observed_through_at end) as product_through_at,
        max(case when source = 'stripe' then observed_through_at end) as billing_through_at,
        max(case when source = 'zendesk' then observed_through_at end) as support_through_at,
        max(case when source = 'bitrix24' then observed_through_at end) as crm_through_at,
        max(case when source = 'customerio' then observed_through_at end) as marketing_through_at,
        max(case when source = 'spend' then observed_through_at end) as spend_through_at
    from observed

)

select
    ---------- identity
    customers.customer_id,
    customers.customer_name,
    customers.domain,
    customers.first_seen_at,
    cast(customers.identity_count as bigint) as identity_count,
    cast(customers.person_count as bigint) as person_count,
    cast(known.match_confidence as decimal(18, 4)) as match_confidence,
    customers.is_disputed,

    ---------- billing
    billing.plan,
    billing.subscription_status,
    billing.billing_interval,
    billing.currency,
    billing.seats,
    billing.mrr,
    billing.mrr_contract,
    billing.arr,
    billing.mrr_past_due,
    billing.mrr_scheduled_churn,
    billing.mrr_paused,
    billing.usage_mrr_3m,
    billing.arr_incl_usage,
    billing.renewal_on,
    billing.days_to_renewal,
    billing.first_paid_on,
    billing.last_movement,
    billing.last_movement_month,
    billing.trial_started_at,
    billing.trial_ends_at,
    billing.net_revenue,
    billing.ltv_realised,
    predictions.ltv_predicted,
    predictions.ltv_predicted_low,
    predictions.ltv_predicted_high,
    predictions.ltv_predicted_n,
    predictions.ltv_remaining,

    ---------- product, total over all products
    usage.signed_up_on,
    usage.first_active_on,
    usage.ttfv_days,
    usage.last_active_on,
    usage.l7,
    usage.l28,
    usage.l28_before,
    cast(usage.products_used_28d as bigint) as products_used_28d,
    usage.active_users_28d,
    usage.sessions_28d,
    usage.active_minutes_28d,
    cast(usage.minutes_per_active_day as decimal(18, 4)) as minutes_per_active_day,
    cast(usage.events_per_active_day as decimal(18, 4)) as events_per_active_day,
    usage.feature_families_28d,
    usage.top_feature_family,
    cast(usage.top_family_share as decimal(18, 4)) as top_family_share,
    usage.failed_exports_28d,
    usage.api_calls_28d,
    usage.frequency_band,
    usage.duration_band,
    usage.feature_mix,
    usage.usage_cohort,
    usage.usage_cohort_entered_at,
    usage.usage_rule_version,

    ---------- product, editor
    usage.editor_last_active_on,
    usage.editor_l7,
    usage.editor_l28,
    usage.editor_sessions_28d,
    usage.editor_active_minutes_28d,
    usage.editor_feature_families_28d,
    cast(usage.editor_events_per_active_day as decimal(18, 4)) as editor_events_per_active_day,
    usage.editor_top_feature_family,
    usage.editor_usage_cohort,

    ---------- product, esign
    usage.esign_last_active_on,
    usage.esign_l7,
    usage.esign_l28,
    usage.esign_sessions_28d,
    usage.esign_active_minutes_28d,
    usage.esign_feature_families_28d,
    cast(usage.esign_events_per_active_day as decimal(18, 4)) as esign_events_per_active_day,
    usage.esign_top_feature_family,
    usage.esign_usage_cohort,

    ---------- product, api
    usage.api_last_active_on,
    usage.api_l7,
    usage.api_l28,
    usage.api_sessions_28d,
    usage.api_active_minutes_28d,
    usage.api_feature_families_28d,
    cast(usage.api_events_per_active_day as decimal(18, 4)) as api_events_per_active_day,
    usage.api_top_feature_family,
    usage.api_usage_cohort,

    ---------- product, mobile
    usage.mobile_last_active_on,
    usage.mobile_l7,
    usage.mobile_l28,
    usage.mobile_sessions_28d,
    usage.mobile_active_minutes_28d,
    usage.mobile_feature_families_28d,
    cast(usage.mobile_events_per_active_day as decimal(18, 4)) as mobile_events_per_active_day,
    usage.mobile_top_feature_family,
    usage.mobile_usage_cohort,

    ---------- support
    support.tickets_90d,
    support.open_tickets,
    support.p1_tickets_90d,
    support.last_ticket_at,
    support.first_reply_minutes_median_90d,
    support.resolution_minutes_median_90d,
    cast(support.csat_90d as decimal(18, 4)) as csat_90d,
    support.csat_n_90d,
    cast(support.reopen_rate_90d as decimal(18, 4)) as reopen_rate_90d,

    ---------- marketing
    marketing.first_touch_channel,
    marketing.first_touch_campaign,
    marketing.first_touch_method,
    marketing.first_touched_at,
    marketing.last_touch_channel,
    marketing.last_touch_campaign,
    cast(economics.ltv as decimal(18, 2)) as channel_ltv,
    cast(economics.ltv_low as decimal(18, 2)) as channel_ltv_low,
    cast(economics.ltv_high as decimal(18, 2)) as channel_ltv_high,
    cast(economics.ltv_n as bigint) as channel_ltv_n,
    cast(economics.cac as decimal(18, 2)) as channel_cac,
    cast(economics.cac_low as decimal(18, 2)) as channel_cac_low,
    cast(economics.cac_high as decimal(18, 2)) as channel_cac_high,
    cast(economics.cac_n as bigint) as channel_cac_n,
    marketing.messages_sent_90d,
    marketing.messages_delivered_90d,
    marketing.messages_opened_90d,
    marketing.messages_clicked_90d,
    marketing.last_message_engaged_at,
    marketing.has_consent,
    marketing.unsubscribed_people,
    marketing.crm_deal_id,
    marketing.crm_deal_outcome,
    marketing.crm_owner_id,

    ---------- lifecycle
    states.lifecycle_state,
    states.state_entered_at,
    states.state_owner_team,
    states.previous_lifecycle_state,
    states.state_signal,
    states.state_proof_event_ids,
    states.is_over_time_limit,
    coalesce(states.is_in_danger, false) as is_in_danger,
    -- each step counts with all steps before it
    cast(
        case
            when usage.signed_up_on is null then 0
            when usage.first_active_on is null then 1
            when usage.ttfv_days is null then 2
            when billing.first_paid_on is null then 3
            when coalesce(billing.mrr, 0) <= 0 then 4
            else 5
        end as bigint
    ) as activation_steps,
    states.allowed_actions,
    states.next_action,

    ---------- what comes next
    case
        when scores.customer_id is null then 'is not paying'
        else scores.not_scored_because
    end as not_scored_because,
    scores.churn_risk,
    scores.churn_risk_low,
    scores.churn_risk_high,
    scores.churn_risk_n,
    scores.churn_risk_reasons,
    {% for end in ['', '_low', '_high'] -%}
    cast(billing.mrr * scores.churn_risk{{ end }} as decimal(18, 2)) as mrr_expected_to_leave{{ end }},
    {% endfor -%}
    scores.churn_risk_n as mrr_expected_to_leave_n,
    scores.upgrade_readiness,
    scores.upgrade_readiness_low,
    scores.upgrade_readiness_high,
    scores.upgrade_readiness_n,
    scores.upgrade_readiness_reasons,
    scores.score_version,

    ---------- trust
    customers.has_product,
    customers.has_billing,
    customers.has_support,
    customers.has_crm,
    customers.has_marketing,
    silos.product_through_at,
    silos.billing_through_at,
    silos.support_through_at,
    silos.crm_through_at,
    silos.marketing_through_at,
    silos.spend_through_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from customers
inner join known on customers.customer_id = known.customer_id
left join billing on customers.customer_id = billing.customer_id
left join predictions on customers.customer_id = predictions.customer_id
left join usage on customers.customer_id = usage.customer_id
left join support on customers.customer_id = support.customer_id
left join marketing on customers.customer_id = marketing.customer_id
left join economics on marketing.first_touch_channel = economics.channel
left join scores on customers.customer_id = scores.customer_id
left join states on customers.customer_id = states.customer_id
cross join silos
