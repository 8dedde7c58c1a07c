-- One row per message and recipient, the latest copy of each, with the time of each outcome it had.

select
    ---------- ids
    message_id,
    user_id,
    campaign_id,
    message_action_id,
    newsletter_id,

    ---------- strings
    message_type,
    email,
    subject,

    ---------- timestamps
    created_at,
    sent_at,
    delivered_at,
    -- machines open mail too; where the vendor tells people from machines, only people count
    coalesce(human_opened_at, opened_at) as opened_at,
    clicked_at,
    converted_at,
    bounced_at,
    dropped_at,
    spammed_at,
    failed_at,
    unsubscribed_at
from {{ ref('base_customerio__messages') }}
where row_verdict = 'staged'
