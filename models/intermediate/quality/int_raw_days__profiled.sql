-- One row per raw table, day on which its rows came to be, column and measure: what the tables of the four silos look
-- like, before anything is judged, repaired or set aside. Messages of the product are in int_event_days__profiled.
-- Why it exists: a gate that asks for volume, gaps, drift, keys and parents table by table would read everything again
-- for every question; this reads each table once, and all checks are arithmetic on it.
-- Hazard: it reads the raw tables themselves, past staging. What staging sets aside or takes for a copy is the very
-- thing that has to be seen here.

-- what we delivered ourselves is known by its receipt: a ticket by the id that it was given, a user by being its
-- requester since the day it was written
{% set own_ids %}select action_id from {{ source('receipts', 'deliveries') }} where action_id is not null{% endset %}
{% set own_requesters -%}
    select concat_ws('|', tickets.requester_id, cast(tickets.created_at as date))
    from {{ source('zendesk', 'tickets') }} as tickets
    where tickets.external_id in ({{ own_ids }})
{%- endset %}

{% set tables = [
    {
        'source': 'stripe', 'name': 'customers', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'created'], 'content': ['created', 'email', 'name'],
        'steady': {'email': 'email', 'account': json_text('metadata', '$.account_id')},
        'texts': ['id', 'email', 'name', 'currency'], 'words': ['name', 'email'],
        'states': ['deleted'], 'kinds': ['currency'],
    },
    {
        'source': 'stripe', 'name': 'subscriptions', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'customer', 'currency', 'created'], 'texts': ['customer', 'items', 'discounts'],
        'numbers': {
            'start_date': 'start_date', 'billing_cycle_anchor': 'billing_cycle_anchor',
            'quantity': json_text('items', '$.data[0].quantity'),
        },
        'later': ['canceled_at', 'ended_at', 'cancel_at', 'trial_end', 'pause_collection'],
        'states': ['status', 'cancel_at_period_end'],
        'kinds': ['currency', 'collection_method'], 'parents': {'customer': ['stripe', 'customers']},
    },
    {
        'source': 'stripe', 'name': 'invoices', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'customer', 'currency', 'subtotal', 'total', 'created'],
        'steady': {
            'subscription': json_text('parent', '$.subscription_details.subscription'),
            'amount': json_text('lines', '$.data[0].amount'), 'quantity': json_text('lines', '$.data[0].quantity'),
        },
        'content': ['created', 'customer', 'total', 'period_start', 'period_end', 'parent'],
        'texts': ['customer', 'lines', 'parent'], 'aging': ['status_transitions'],
        'numbers': ['subtotal', 'total', 'amount_due', 'period_start', 'period_end'],
        'states': ['status'],
        'kinds': {
            'currency': 'currency', 'billing_reason': 'billing_reason',
            'hour': quarter_of_day(unix_to_timestamp('created')),
        },
        'parents': {'customer': ['stripe', 'customers']},
        'flags': {
            'currency_is_not_the_customers': "concat_ws('|', customer, lower(currency)) not in ("
            ~ "select concat_ws('|', owners.id, lower(owners.currency)) from " ~ source('stripe', 'customers')
            ~ " as owners where owners.id is not null)",
            'paid_with_a_rest': "status = 'paid' and amount_remaining > 0",
            'parts_do_not_add_up': 'amount_paid + amount_remaining <> amount_due',
            'due_is_not_the_total': 'amount_due <> total',
            'open_without_a_rest': "status = 'open' and amount_remaining = 0",
        },
    },
    {
        'source': 'stripe', 'name': 'refunds', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'amount', 'currency', 'created'], 'content': ['created', 'charge', 'amount'], 'texts': ['charge'], 'numbers': ['amount'],
        'states': ['status'], 'kinds': ['currency'],
    },
    {
        'source': 'stripe', 'name': 'events', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'type', 'created'], 'steady': {'object': json_text('data', '$.object.id')},
        'texts': ['data'], 'kinds': ['type'],
    },
    {
        'source': 'stripe', 'name': 'prices', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'product', 'currency', 'unit_amount', 'recurring'], 'numbers': ['unit_amount'],
        'kinds': ['currency', 'type', 'active'],
    },
    {
        'source': 'stripe', 'name': 'coupons', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'percent_off', 'amount_off', 'currency', 'duration', 'duration_in_months'],
        'kinds': ['duration'],
    },
    {
        'source': 'stripe', 'name': 'products', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'name'],
    },
    {
        'source': 'zendesk', 'name': 'tickets', 'at': 'created_at', 'key': 'id', 'fixed': ['id', 'created_at'],
        'steady': {
            'requester_id': 'requester_id', 'organization_id': 'organization_id',
            'reply': json_text('metric_set', '$.reply_time_in_minutes.calendar'),
        },
        'content': ['created_at', 'requester_id', 'subject'], 'aging': ['metric_set'],
        'present': ['requester_id', 'organization_id', 'assignee_id', 'subject', 'via', 'tags'],
        'words': ['subject'],
        'states': ['status'],
        'kinds': {'priority': 'priority', 'type': 'type', 'hour': quarter_of_day('created_at')},
        'parents': {'requester_id': ['zendesk', 'users'], 'organization_id': ['zendesk', 'organizations']},
        'flags': {'updated_before_created': 'updated_at < created_at'}, 'own': 'external_id in (' ~ own_ids ~ ')',
    },
    {
        'source': 'zendesk', 'name': 'users', 'at': 'created_at', 'key': 'id', 'fixed': ['id', 'created_at'],
        'steady': ['email', 'organization_id'],
        'content': ['created_at', 'email', 'name'], 'texts': ['email', 'name'], 'present': ['organization_id'], 'words': ['name', 'email'],
        'kinds': ['role', 'active', 'suspended'], 'parents': {'organization_id': ['zendesk', 'organizations']},
        'own': "concat_ws('|', id, cast(created_at as date)) in (" ~ own_requesters ~ ')',
    },
    {
        'source': 'zendesk', 'name': 'organizations', 'at': 'created_at', 'key': 'id', 'fixed': ['id', 'created_at'],
        'steady': ['name', 'domain_names', 'external_id'],
        'texts': ['name', 'domain_names', 'external_id'], 'words': ['name'],
    },
    {
        'source': 'zendesk', 'name': 'satisfaction_ratings', 'at': 'created_at', 'key': 'id',
        'fixed': ['id', 'ticket_id', 'created_at'], 'kinds': ['score'],
        'parents': {'ticket_id': ['zendesk', 'tickets']},
    },
    {
        'source': 'bitrix24', 'name': 'deals', 'at': 'created_time', 'key': 'id', 'fixed': ['id', 'created_time'],
        'steady': ['company_id', 'contact_id', 'source_id', 'utm_source', 'utm_campaign'],
        'content': ['created_time', 'title', 'company_id', 'contact_id'],
        'texts': ['title', 'uf_crm_account_id', 'utm_source', 'utm_campaign'], 'numbers': ['opportunity'],
        'words': ['title'], 'states': ['stage_id', 'closed'],
        'kinds': {
            'category_id': 'category_id', 'currency_id': 'currency_id', 'source_id': 'source_id',
            'hour': quarter_of_day('created_time'),
        },
        'parents': {'company_id': ['bitrix24', 'companies'], 'contact_id': ['bitrix24', 'contacts']},
        'flags': {
            'updated_before_created': 'updated_time < created_time',
            'closed_before_created': "closed = 'Y' and closedate < cast(created_time as date)",
        },
    },
    {
        'source': 'bitrix24', 'name': 'leads', 'at': 'created_time', 'key': 'id', 'fixed': ['id', 'created_time'],
        'steady': {
            'email': first_multifield('fm', 'EMAIL'), 'source_id': 'source_id', 'utm_source': 'utm_source',
            'utm_campaign': 'utm_campaign',
        },
        'content': ['created_time', 'name', 'last_name', 'company_title', 'fm'],
        'texts': ['name', 'last_name', 'company_title', 'fm', 'utm_source', 'utm_campaign'],
        'words': ['name', 'last_name', 'company_title'],
        'states': ['stage_id'],
        'kinds': {
            'source_id': 'source_id', 'utm_source': 'utm_source',
            'hour': quarter_of_day('created_time'),
        },
    },
    {
        'source': 'bitrix24', 'name': 'contacts', 'at': 'created_time', 'key': 'id', 'fixed': ['id', 'created_time'],
        'steady': {'email': first_multifield('fm', 'EMAIL'), 'company_id': 'company_id'},
        'content': ['created_time', 'name', 'last_name', 'fm'],
        'texts': ['name', 'last_name', 'fm', 'utm_source'], 'words': ['name', 'last_name'], 'kinds': ['source_id'],
        'parents': {'company_id': ['bitrix24', 'companies']},
    },
    {
        'source': 'bitrix24', 'name': 'companies', 'at': 'created_time', 'key': 'id', 'fixed': ['id', 'created_time'],
        'steady': ['title', 'uf_crm_account_id', 'lead_id'],
        'texts': ['title', 'fm'], 'words': ['title'], 'kinds': ['industry'],
    },
    {
        'source': 'bitrix24', 'name': 'statuses', 'at': 'cast(null as timestamp)', 'key': 'id',
        'fixed': ['id', 'entity_id', 'status_id', 'semantics'], 'texts': ['name'], 'kinds': ['semantics'],
    },
    {
        'source': 'customerio', 'name': 'messages', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'type', 'campaign_id', 'customer_id', 'created'],
        'steady': {'sent': json_text('metrics', '$.sent')},
        'content': ['created', 'type', 'campaign_id', 'customer_id', 'recipient', 'subject'],
        'crowds': {'customer_id': ['customer_id']},
        'texts': ['customer_id', 'recipient', 'subject'], 'aging': ['metrics'], 'present': ['campaign_id'],
        'words': ['subject'],
        'kinds': {
            'type': 'type', 'hour': quarter_of_day(unix_to_timestamp('created')),
        },
        'parents': {'campaign_id': ['customerio', 'campaigns']},
    },
    {
        'source': 'customerio', 'name': 'campaigns', 'at': unix_to_timestamp('created'), 'key': 'id',
        'fixed': ['id', 'created'], 'texts': ['name', 'event_name'], 'states': ['state'], 'kinds': ['type'],
    },
    {
        'source': 'customerio', 'name': 'unsubscribed', 'at': 'cast(null as timestamp)', 'key': 'id',
        'texts': ['id', 'email'],
    },
    {'source': 'product', 'name': 'events', 'on': 'received_date'},
    {
        'source': 'spend', 'name': 'ad_spend', 'at': 'cast(spend_date as timestamp)', 'on': 'spend_date',
        'key': "concat_ws('|', channel, campaign, platform, cost_type)",
        'fixed': ['spend_date', 'channel', 'campaign', 'cost_type', 'currency', 'amount'], 'texts': ['campaign'],
        'numbers': {
            'amount': 'try_cast(amount as double)', 'impressions': 'impressions', 'clicks': 'clicks',
        },
        'kinds': {
            'channel': 'channel', 'platform': 'platform', 'cost_type': 'cost_type', 'currency': 'currency',
            'channel_and_platform': "concat_ws('/', channel, platform)",
        },
        'flags': {
            'more_clicks_than_impressions': 'clicks > impressions',
            'as_the_day_before': spend_of(dbt.dateadd('day', -1, 'spend_date')) ~ " in (select "
            ~ spend_of('spend_date') ~ " from " ~ source('spend', 'ad_spend') ~ ")",
        },
    },
] %}

with

profiled as (

    {% for table in tables %}
    {{ profile_counts(table) }}
    {% if table.kinds is defined or table.states is defined %}
    union all
    {{ profile_kinds(table) }}
    {% endif %}
    {% if not loop.last %}
    union all
    {% endif %}
    {% endfor %}

)

select
    source_name,
    table_name,
    profile_date,
    column_name,
    measure,
    category,
    reading
from profiled
