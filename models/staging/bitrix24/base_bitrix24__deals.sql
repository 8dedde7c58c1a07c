-- One row per raw deal, with a verdict: staged, deduplicated (a newer copy of it was loaded) or quarantined.
-- Hazard: a deal's stage is where it stands now; when it got there is not in the item and must not be guessed here.

with

source as (

    select * from {{ source('bitrix24', 'deals') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as deal_id,
        cast(nullif(company_id, 0) as {{ dbt.type_string() }}) as company_id,
        cast(nullif(contact_id, 0) as {{ dbt.type_string() }}) as contact_id,
        cast(nullif(lead_id, 0) as {{ dbt.type_string() }}) as lead_id,
        cast(nullif(assigned_by_id, 0) as {{ dbt.type_string() }}) as assigned_by_id,
        cast(category_id as {{ dbt.type_string() }}) as category_id,
        nullif(trim(uf_crm_account_id), '') as account_id,
        nullif(trim(originator_id), '') as originator_id,
        nullif(trim(origin_id), '') as origin_id,

        ---------- strings
        title as deal_title,
        stage_id,
        source_id,
        nullif(lower(trim(utm_source)), '') as utm_source,
        nullif(lower(trim(utm_medium)), '') as utm_medium,
        nullif(lower(trim(utm_campaign)), '') as utm_campaign,
        lower(currency_id) as currency,
        nullif(trim(uf_crm_lifecycle_state), '') as lifecycle_state,
        nullif(trim(uf_crm_lifecycle_action), '') as lifecycle_action,

        ---------- numerics
        {{ decimal_amount('opportunity') }} as opportunity,

        ---------- booleans
        lower(closed) in ('y', 'true', '1') as is_closed,

        ---------- timestamps
        begindate as begun_at,
        closedate as closed_at,
        created_time as created_at,
        updated_time as updated_at,

        ---------- as received, for the verdict and the quarantine
        opportunity as raw_opportunity,
        _dlt_load_id
    from source

),

-- which copy of an item is the one to believe? the last updated, then the last loaded; a load holds an item once
ranked as (

    select
        *,
        row_number() over (
            partition by deal_id
            order by updated_at desc nulls last, _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when deal_id is null then 'no deal id'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
            when raw_opportunity < 0 then 'negative opportunity'
            when raw_opportunity is not null and opportunity is null then 'opportunity too large to be money'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('deal_id') }} as row_verdict
from judged
