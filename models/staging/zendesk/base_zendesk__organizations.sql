-- One row per raw support organisation, with a verdict: staged, deduplicated or quarantined.
-- Hazard: domain_names is a list that people edit by hand; identity resolution normalises and judges the entries.

with

source as (

    select * from {{ source('zendesk', 'organizations') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as zendesk_organization_id,
        nullif(trim(external_id), '') as external_id,

        ---------- strings
        nullif(trim(name), '') as organization_name,
        domain_names,
        cast(tags as {{ dbt.type_string() }}) as tags,

        ---------- timestamps
        created_at,
        updated_at,

        _dlt_load_id
    from source

),

-- which copy of an organisation is the one to believe? the last updated; then the last loaded,
-- copies that still tie are compared as text
ranked as (

    select
        *,
        row_number() over (
            partition by zendesk_organization_id
            order by updated_at desc nulls last, _dlt_load_id desc, {{ row_as_json('renamed') }}
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when zendesk_organization_id is null then 'no organisation id'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('zendesk_organization_id') }} as row_verdict
from judged
