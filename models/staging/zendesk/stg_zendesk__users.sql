-- One row per support user (requesters and agents), the latest copy of each.

select
    ---------- ids
    zendesk_user_id,
    external_id,
    zendesk_organization_id,

    ---------- strings
    user_name,
    email,
    user_role,
    tags,

    ---------- booleans
    is_active,
    is_verified,
    is_suspended,

    ---------- timestamps
    created_at,
    updated_at
from {{ ref('base_zendesk__users') }}
where row_verdict = 'staged'
