-- One row per figure of a profile and publication that showed it changed, known before as_of: what a run at the same
-- instant publishes again must not depend on what it published.

with

source as (

    select * from {{ source('ops', 'profiles') }}

)

select
    question,
    source_name,
    table_name,
    profile_date,
    column_name,
    measure,
    category,
    reading,
    run_id,
    as_of,
    row_number() over (
        partition by question, profile_date
        order by as_of desc, run_id desc
    ) = 1 as is_latest
from source
where as_of < {{ as_of() }}
