-- One row per raw dictionary entry (stages of leads and deals, sources), with a verdict.
-- Hazard: the same status_id means different things in different dictionaries; only (entity_id, status_id) is a key.

with

source as (

    select * from {{ source('bitrix24', 'statuses') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as dictionary_entry_id,
        entity_id as dictionary_id,
        status_id,

        ---------- strings
        name as status_name,
        upper(nullif(trim(semantics), '')) as semantics,

        ---------- numerics
        sort as sort_order,

        ---------- as received, for the verdict
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; the entry id makes the pick repeatable
ranked as (

    select
        *,
        row_number() over (
            partition by dictionary_id, status_id
            order by _dlt_load_id desc, dictionary_entry_id asc
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when dictionary_id is null then 'no dictionary'
            when status_id is null then 'no status id'
        end as reject_reason
    from ranked

)

select
    *,
    case
        when reject_reason is not null then 'quarantined'
        when copy_rank > 1 then 'deduplicated'
        else 'staged'
    end as row_verdict
from judged
