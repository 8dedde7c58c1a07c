-- One row per campaign, the latest copy of each.

select
    ---------- ids
    campaign_id,

    ---------- strings
    campaign_name,
    campaign_type,
    campaign_state,
    event_name,
    tags,

    ---------- booleans
    is_active,

    ---------- timestamps
    created_at,
    updated_at,
    first_started_at
from {{ ref('base_customerio__campaigns') }}
where row_verdict = 'staged'
