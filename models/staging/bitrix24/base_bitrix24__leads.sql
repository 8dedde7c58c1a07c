-- One row per raw lead, with a verdict: staged, deduplicated (a newer copy of the same lead was loaded) or
-- quarantined.
-- Hazard: Bitrix24 repeats items at page borders while the list is being read; without the copy rule a lead counts
-- twice.

with

source as (

    select * from {{ source('bitrix24', 'leads') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as lead_id,
        cast(nullif(company_id, 0) as {{ dbt.type_string() }}) as company_id,
        cast(nullif(contact_id, 0) as {{ dbt.type_string() }}) as contact_id,
        cast(nullif(assigned_by_id, 0) as {{ dbt.type_string() }}) as assigned_by_id,
        nullif(trim(uf_crm_account_id), '') as account_id,
        nullif(trim(originator_id), '') as originator_id,
        nullif(trim(origin_id), '') as origin_id,

        ---------- strings
        title as lead_title,
        name as first_name,
        last_name,
        nullif(trim(company_title), '') as company_title,
        {{ first_multifield('fm', 'EMAIL') }} as email,
        {{ first_multifield('fm', 'WEB') }} as website,
        stage_id,
        source_id,
        nullif(lower(trim(utm_source)), '') as utm_source,
        nullif(lower(trim(utm_medium)), '') as utm_medium,
        nullif(lower(trim(utm_campaign)), '') as utm_campaign,
        lower(currency_id) as currency,

        ---------- numerics
        {{ decimal_amount('opportunity') }} as opportunity,

        ---------- timestamps
        created_time as created_at,
        updated_time as updated_at,

        ---------- as received, for the verdict and the quarantine
        opportunity as raw_opportunity,
        fm,
        _dlt_load_id
    from source

),

-- which copy of an item is the one to believe? the last updated, then the last loaded; a load holds an item once
ranked as (

    select
        *,
        row_number() over (
            partition by lead_id
            order by updated_at desc nulls last, _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when lead_id is null then 'no lead id'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
            when raw_opportunity < 0 then 'negative opportunity'
            when raw_opportunity is not null and opportunity is null then 'opportunity too large to be money'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('lead_id') }} as row_verdict
from judged
