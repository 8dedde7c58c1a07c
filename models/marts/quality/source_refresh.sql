-- One row per silo: up to when its data is complete, and whether the numbers shown rest on an older answer of it.
-- Why it exists: a run goes on without a silo that is down. Nothing stale may look fresh, so every reader can ask here.
-- Hazard: only what is a function of as_of stands here. Rows per run would differ between two runs over the same data.

with

extracts as (

    select * from {{ ref('stg_ops__extracts') }}
    where as_of <= {{ as_of() }}

),

silos as (

    {% for silo in var('silos') %}
    select cast('{{ silo }}' as {{ dbt.type_string() }}) as source
    {% if not loop.last %}union all{% endif %}
    {% endfor %}

),

-- how did the silo answer at this as_of? a success outweighs a failure that a later try made good; the id breaks ties
latest as (

    select
        source,
        as_of,
        status,
        error
    from extracts
    qualify row_number() over (
        partition by source
        order by as_of desc, case when status = 'succeeded' then 0 else 1 end asc, extract_id asc
    ) = 1

),

-- when did it last answer in full?
successes as (

    select
        source,
        max(as_of) as last_succeeded_as_of,
        max(data_through_at) as silo_through_at
    from extracts
    where status = 'succeeded'
    group by source

),

joined as (

    select
        silos.source,
        coalesce(latest.status, 'never asked') as latest_status,
        latest.error as latest_error,
        successes.last_succeeded_as_of,
        successes.silo_through_at,
        coalesce(successes.last_succeeded_as_of < {{ as_of() }}, true) as is_stale
    from silos
    left join latest
        on silos.source = latest.source
    left join successes
        on silos.source = successes.source

)

select
    source,
    is_stale,
    latest_status,
    case when latest_status <> 'succeeded' then latest_error end as latest_error,
    last_succeeded_as_of,
    silo_through_at,
    cast({{ dbt.datediff('silo_through_at', as_of(), 'minute') }} as bigint) as minutes_behind,
    {{ as_of() }} as as_of,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from joined
