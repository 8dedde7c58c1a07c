-- One row per raw CRM row that staging refused, with the reason and the row as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('bitrix24', 'leads', ref('base_bitrix24__leads'), 'lead_id') }}
union all
{{ quarantined_rows('bitrix24', 'deals', ref('base_bitrix24__deals'), 'deal_id') }}
union all
{{ quarantined_rows('bitrix24', 'contacts', ref('base_bitrix24__contacts'), 'contact_id') }}
union all
{{ quarantined_rows('bitrix24', 'companies', ref('base_bitrix24__companies'), 'company_id') }}
union all
{{ quarantined_rows('bitrix24', 'statuses', ref('base_bitrix24__statuses'), 'dictionary_entry_id') }}
