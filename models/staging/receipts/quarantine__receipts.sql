-- One row per raw ledger row that staging refused, with the reason and the row as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('receipts', 'deliveries', ref('base_receipts__deliveries'), 'action_id') }}
union all
{{ quarantined_rows('receipts', 'attempts', ref('base_receipts__attempts'), 'attempt_id') }}
