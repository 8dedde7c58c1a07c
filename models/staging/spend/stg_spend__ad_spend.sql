-- One row per cost line: channel, campaign, platform, cost type and day. Rows that cannot be used are in
-- quarantine__spend.

select
    ---------- ids
    spend_id,

    ---------- strings
    channel,
    campaign,
    platform,
    cost_type,
    currency,

    ---------- numerics
    amount,
    impressions,
    clicks,

    ---------- dates
    spend_date,

    ---------- where the line stood
    file_name,
    line_number
from {{ ref('base_spend__ad_spend') }}
where row_verdict = 'staged'
