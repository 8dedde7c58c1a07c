-- One row per rating, the latest copy of each, offers without an answer included.

select
    ---------- ids
    rating_id,
    ticket_id,
    requester_id,
    assignee_id,

    ---------- strings
    -- the vendor distinguishes good from good_with_comment; the verdict is the first word
    split_part(score, '_', 1) as score,
    rating_reason,

    ---------- booleans
    split_part(score, '_', 1) in ('good', 'bad') as is_answered,

    ---------- timestamps
    created_at,
    updated_at
from {{ ref('base_zendesk__satisfaction_ratings') }}
where row_verdict = 'staged'
