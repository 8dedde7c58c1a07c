-- One row per dictionary entry: the name and meaning (semantics: S won, F lost, null or P in progress) of a code.

select
    ---------- ids
    dictionary_entry_id,
    dictionary_id,
    status_id,

    ---------- strings
    status_name,
    semantics,

    ---------- numerics
    sort_order
from {{ ref('base_bitrix24__statuses') }}
where row_verdict = 'staged'
