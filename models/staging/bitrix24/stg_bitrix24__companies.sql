-- One row per company of the CRM, the latest copy of each.

select
    ---------- ids
    company_id,
    lead_id,
    assigned_by_id,
    account_id,
    originator_id,
    origin_id,

    ---------- strings
    company_name,
    industry,
    employees,
    email,
    website,

    ---------- timestamps
    created_at,
    updated_at
from {{ ref('base_bitrix24__companies') }}
where row_verdict = 'staged'
