-- One row per raw product message that staging refused, with the reason and the row as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('product', 'events', ref('base_product__events'), 'event_id') }}
