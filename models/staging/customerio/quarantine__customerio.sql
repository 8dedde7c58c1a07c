-- One row per raw marketing row that staging refused, with the reason and the row as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('customerio', 'messages', ref('base_customerio__messages'), 'message_id') }}
union all
{{ quarantined_rows('customerio', 'campaigns', ref('base_customerio__campaigns'), 'campaign_id') }}
union all
{{ quarantined_rows('customerio', 'unsubscribed', ref('base_customerio__unsubscribed'), 'user_id') }}
