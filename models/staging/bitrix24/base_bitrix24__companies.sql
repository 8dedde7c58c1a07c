-- One row per raw company, with a verdict: staged, deduplicated (a newer copy of it was loaded) or quarantined.
-- Hazard: sales may enter a company twice; the two rows stay two here, joining them is identity's work.

with

source as (

    select * from {{ source('bitrix24', 'companies') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as company_id,
        cast(nullif(lead_id, 0) as {{ dbt.type_string() }}) as lead_id,
        cast(nullif(assigned_by_id, 0) as {{ dbt.type_string() }}) as assigned_by_id,
        nullif(trim(uf_crm_account_id), '') as account_id,
        nullif(trim(originator_id), '') as originator_id,
        nullif(trim(origin_id), '') as origin_id,

        ---------- strings
        nullif(trim(title), '') as company_name,
        industry,
        employees,
        {{ first_multifield('fm', 'EMAIL') }} as email,
        {{ first_multifield('fm', 'WEB') }} as website,

        ---------- timestamps
        created_time as created_at,
        updated_time as updated_at,

        ---------- as received, for the verdict and the quarantine
        fm,
        _dlt_load_id
    from source

),

-- which copy of an item is the one to believe? the last updated, then the last loaded; a load holds an item once
ranked as (

    select
        *,
        row_number() over (
            partition by company_id
            order by updated_at desc nulls last, _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when company_id is null then 'no company id'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('company_id') }} as row_verdict
from judged
