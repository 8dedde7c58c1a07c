-- One row per received date and combination of (user, anonymous visitor, account, address, company) seen in product
-- events.
-- Why it exists: identity needs who was seen with whom, not the events; this keeps a hundredth of them, day by day.
-- Hazard: a received-date partition may be loaded again. Days from the earliest one that a newer load wrote are
-- computed again, so a full refresh gives the same rows.
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='received_date',
        on_schema_change='fail',
    )
}}

with

events as (

    select
        received_date,
        user_id,
        anonymous_id,
        account_id,
        event_type,
        properties,
        context,
        occurred_at,
        _dlt_load_id
    from {{ ref('stg_product__events') }}

),

{% if is_incremental() %}

-- from which received date on is anything different?
changes as (

    select
        least(
            (select max(known.received_date) from {{ this }} as known),
            (
                select min(received_date)
                from events
                where _dlt_load_id > (select max(known.last_load_id) from {{ this }} as known)
            )
        ) as first_received_date

),

{% endif %}

-- what does each message say about who is who? only identify and group messages carry traits worth parsing
statements as (

    select
        received_date,
        user_id,
        anonymous_id,
        account_id,
        occurred_at,
        _dlt_load_id,
        case
            when event_type in ('identify', 'group')
                then
                    coalesce(
                        {{ json_text('context', '$.traits') }}, {{ json_text('properties', '$.traits') }}, properties
                    )
        end as traits,
        event_type
    from events
    where
        occurred_at < {{ as_of() }}
        {% if is_incremental() %}
        and received_date >= (select changes.first_received_date from changes)
        {% endif %}

),

-- addresses and names of people stand in identify messages, those of companies in group messages
parsed as (

    select
        received_date,
        user_id,
        anonymous_id,
        account_id,
        occurred_at,
        _dlt_load_id,
        case when event_type = 'identify' then {{ json_text('traits', '$.email') }} end as email,
        case when event_type = 'identify' then {{ json_text('traits', '$.name') }} end as person_name,
        case when event_type = 'group' then {{ json_text('traits', '$.name') }} end as company_name,
        case when event_type = 'group' then {{ json_text('traits', '$.domain') }} end as company_domain,
        case when event_type = 'group' then {{ json_text('traits', '$.previous_account_id') }} end
            as previous_account_id
    from statements

)

select
    received_date,
    user_id,
    anonymous_id,
    account_id,
    email,
    person_name,
    company_name,
    company_domain,
    previous_account_id,
    min(occurred_at) as first_seen_at,
    max(occurred_at) as last_seen_at,
    count(*) as message_count,
    max(_dlt_load_id) as last_load_id
from parsed
group by
    received_date,
    user_id,
    anonymous_id,
    account_id,
    email,
    person_name,
    company_name,
    company_domain,
    previous_account_id
