-- One row per raw support row that staging refused, with the reason and the row as it stood.
{{ config(schema='quarantine') }}

{{ quarantined_rows('zendesk', 'tickets', ref('base_zendesk__tickets'), 'ticket_id') }}
union all
{{ quarantined_rows('zendesk', 'users', ref('base_zendesk__users'), 'zendesk_user_id') }}
union all
{{ quarantined_rows('zendesk', 'organizations', ref('base_zendesk__organizations'), 'zendesk_organization_id') }}
union all
{{ quarantined_rows('zendesk', 'satisfaction_ratings', ref('base_zendesk__satisfaction_ratings'), 'rating_id') }}
