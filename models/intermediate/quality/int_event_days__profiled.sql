-- One row per received date of the product's messages, column and measure, as int_raw_days__profiled has them for the
-- other tables, for the 90 days before as_of. Only days that a newer load wrote are read again: a received-date
-- partition is loaded as a whole. What is expected of a day is learnt from the 56 before it.
-- Hazard: a partition that vanished without a newer load stays here as it was. The rows of every day are therefore
-- counted in int_raw_days__profiled, in every run.
{{
    config(
        materialized='incremental',
        incremental_strategy='delete+insert',
        unique_key='profile_date',
        on_schema_change='fail',
    )
}}

{% set recent_days %}
where received_date >= cast({{ dbt.dateadd('day', -90, as_of()) }} as date)
{% if is_incremental() %}
and received_date >= (
    select
        least(
            (select max(known.profile_date) from {{ this }} as known),
            (
                select min(loaded.received_date)
                from {{ source('product', 'events') }} as loaded
                where loaded._dlt_load_id > (select max(known.last_load_id) from {{ this }} as known)
            )
        )
)
{% endif %}
{% endset %}

{% set table = {
    'source': 'product', 'name': 'events', 'at': 'received_at', 'on': 'received_date', 'key': 'message_id',
    'fixed': ['message_id', 'type', 'event', 'user_id', 'anonymous_id', 'group_id', 'product', 'timestamp'],
    'texts': ['user_id', 'anonymous_id', 'group_id', 'properties', 'context'],
    'present': ['timestamp', 'sent_at'],
    'crowds': {'user_id': ['user_id'], 'user_and_account': ['user_id', 'group_id']},
    'kinds': {
        'event': "coalesce(event, type)", 'product': 'product', 'hour': quarter_of_day('timestamp'),
        'user_prefix': "case when user_id like '%#_%' escape '#' then split_part(user_id, '_', 1) end",
        'account_prefix': "case when group_id like '%#_%' escape '#' then split_part(group_id, '_', 1) end",
    },
    'flags': {
        'off_by_an_hour': "abs(epoch(received_at) - epoch(timestamp)) > 3300",
        'happened_after_receipt': 'timestamp > received_at',
    },
    'where': recent_days,
} %}

with

profiled as (

    {{ profile_counts(table) }}
    union all
    {{ profile_kinds(table) }}

)

select
    profiled.source_name,
    profiled.table_name,
    profiled.profile_date,
    profiled.column_name,
    profiled.measure,
    profiled.category,
    profiled.reading,
    (select max(events._dlt_load_id) from {{ source('product', 'events') }} as events) as last_load_id
from profiled
where profiled.measure <> 'rows'
