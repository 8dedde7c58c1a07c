-- One row per raw message, with a verdict: staged, deduplicated or quarantined.
-- Hazard: `metrics` holds one time per outcome, not a count; the outcomes of a message arrive one after the other, so
-- an early copy knows less than a late one.

{% set outcomes = [
    'sent', 'delivered', 'opened', 'human_opened', 'clicked', 'converted', 'bounced', 'dropped', 'spammed', 'failed',
    'unsubscribed',
] %}

with

source as (

    select * from {{ source('customerio', 'messages') }}

),

renamed as (

    select
        ---------- ids
        nullif(trim(id), '') as message_id,
        nullif(trim(customer_id), '') as user_id,
        cast(campaign_id as {{ dbt.type_string() }}) as campaign_id,
        cast(action_id as {{ dbt.type_string() }}) as message_action_id,
        cast(newsletter_id as {{ dbt.type_string() }}) as newsletter_id,

        ---------- strings
        lower(type) as message_type,
        nullif(trim(recipient), '') as email,
        subject,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,
        {%- for outcome in outcomes %}
        {%- set seconds = 'try_cast(' ~ json_text('metrics', '$.' ~ outcome) ~ ' as bigint)' %}
        {{ unix_to_timestamp(seconds) }} as {{ outcome }}_at,
        {%- endfor %}

        _dlt_load_id
    from source

),

-- which copy of a message is the one to believe? the last loaded; copies that still tie are compared as text
ranked as (

    select
        *,
        row_number() over (
            partition by message_id
            order by _dlt_load_id desc nulls last, {{ row_as_json('renamed') }}
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when message_id is null then 'no message id'
            when coalesce(user_id, email) is null then 'no recipient'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
            when sent_at is not null and {{ is_unbelievable_time('sent_at') }}
                then 'sent before the company existed or in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('message_id') }} as row_verdict
from judged
