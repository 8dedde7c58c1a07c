-- One row per contestable definition and version: what a number in these marts means, in words, with who answers for
-- it.
-- Why it exists: two tools never agree on MRR; a reader must be able to see our rule next to our number.

with

definitions as (

    select * from {{ ref('definitions') }}

)

select
    cast(definition_id as varchar) as definition_id,
    cast(version as varchar) as version,
    -- the newest wording of its own id that is not newer than the version the marts were computed under
    row_number() over (
        partition by definition_id
        order by
            cast(version as integer) <= cast({{ definition_version() }} as integer) desc,
            cast(version as integer) desc
    ) = 1 and cast(version as integer) <= cast({{ definition_version() }} as integer) as is_current,
    cast(name as varchar) as name,
    cast(text as varchar) as text,
    cast(unit as varchar) as unit,
    cast(owner as varchar) as owner,
    cast(source as varchar) as source,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from definitions
