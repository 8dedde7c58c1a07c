-- One row per raw line of a spend file that staging refused, with the reason and the line as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('spend', 'ad_spend', ref('base_spend__ad_spend'), 'spend_id') }}
