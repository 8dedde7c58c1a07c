-- One row per person who does not want to be written to.

select
    ---------- ids
    user_id,
    customerio_id,

    ---------- strings
    email
from {{ ref('base_customerio__unsubscribed') }}
where row_verdict = 'staged'
