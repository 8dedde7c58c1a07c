-- One row per support organisation, the latest copy of each.

select
    ---------- ids
    zendesk_organization_id,
    external_id,

    ---------- strings
    organization_name,
    domain_names,
    tags,

    ---------- timestamps
    created_at,
    updated_at
from {{ ref('base_zendesk__organizations') }}
where row_verdict = 'staged'
