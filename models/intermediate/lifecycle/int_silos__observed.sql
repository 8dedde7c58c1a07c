-- One row per silo: up to when its facts are complete, as far as they count at as_of (UTC, exclusive). Hazard: a
-- loader that stands still looks exactly like customers who do. Whoever concludes anything from silence has to
-- compare with this instant, and a silo that never answered has proven nothing.

with

extracts as (

    select
        source,
        data_through_at
    from {{ ref('stg_ops__extracts') }}
    where
        status = 'succeeded'
        and as_of <= {{ as_of() }}

)

select
    source,
    least(max(data_through_at), {{ as_of() }}) as observed_through_at
from extracts
group by source
