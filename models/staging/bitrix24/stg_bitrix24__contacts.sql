-- One row per contact (person) of the CRM, the latest copy of each.
-- `email` is the first address; all of them are in stg_bitrix24__multifields.

select
    ---------- ids
    contact_id,
    company_id,
    lead_id,
    assigned_by_id,
    account_id,
    originator_id,
    origin_id,

    ---------- strings
    first_name,
    last_name,
    job_title,
    email,
    source_id,
    utm_source,
    utm_medium,
    utm_campaign,

    ---------- timestamps
    created_at,
    updated_at
from {{ ref('base_bitrix24__contacts') }}
where row_verdict = 'staged'
