-- One row per deal (sales opportunity), the latest copy of each. `stage_id` is where it stands now.

select
    ---------- ids
    deal_id,
    company_id,
    contact_id,
    lead_id,
    assigned_by_id,
    category_id,
    account_id,
    originator_id,
    origin_id,

    ---------- strings
    deal_title,
    stage_id,
    source_id,
    utm_source,
    utm_medium,
    utm_campaign,
    currency,
    lifecycle_state,
    lifecycle_action,

    ---------- numerics
    opportunity,

    ---------- booleans
    is_closed,

    ---------- timestamps
    begun_at,
    closed_at,
    created_at,
    updated_at
from {{ ref('base_bitrix24__deals') }}
where row_verdict = 'staged'
