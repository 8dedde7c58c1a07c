-- One row per lead of the CRM, the latest copy of each; rows that cannot be used are in quarantine__bitrix24.

select
    ---------- ids
    lead_id,
    company_id,
    contact_id,
    assigned_by_id,
    account_id,
    originator_id,
    origin_id,

    ---------- strings
    lead_title,
    first_name,
    last_name,
    company_title,
    email,
    website,
    stage_id,
    source_id,
    utm_source,
    utm_medium,
    utm_campaign,
    currency,

    ---------- numerics
    opportunity,

    ---------- timestamps
    created_at,
    updated_at
from {{ ref('base_bitrix24__leads') }}
where row_verdict = 'staged'
