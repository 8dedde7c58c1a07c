-- One row per period of a validated metric and time it was judged, before as_of: what a run at the same instant judges
-- again must not depend on what it judged.

with

source as (

    select * from {{ source('ops', 'validation_verdicts') }}

)

select
    metric,
    grain,
    status,
    run_id,
    fingerprint,
    revision,
    cast(ours as decimal(18, 2)) as ours,
    cast(theirs as decimal(18, 2)) as theirs,
    cast(explained as decimal(18, 2)) as explained,
    cast(unexplained as decimal(18, 2)) as unexplained,
    cast(tolerance as decimal(18, 2)) as tolerance,
    is_within,
    period,
    known_at
from source
where known_at < {{ as_of() }}
