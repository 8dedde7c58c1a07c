-- One row per line of a report: a total, or a line of the list behind it (with a reference to a customer).
-- Hazard: a period can be reported more than once; is_current is the filing that counts, the others are its history.

select
    ---------- ids
    figure_id,
    reference,

    ---------- strings
    metric,
    grain,
    currency,
    prepared_by,
    note,

    ---------- numerics
    amount,

    ---------- booleans
    reference is null as is_total,
    -- a file's name begins with the day it was filed on, and a correction of the same day sorts after what it corrects
    file_name = max(file_name) over (partition by metric, grain, period) as is_current,

    ---------- dates
    filed_on,
    period,

    ---------- where the line stood
    file_name,
    line_number
from {{ ref('base_reports__figures') }}
where row_verdict = 'staged'
