-- One row per e-mail, phone or web address that the CRM keeps on a lead, contact or company.
-- Hazard: an item can have several addresses of a type; taking the first loses the one that matches another silo.

with

entries as (

    {%- for entity, record_type, key in [
        ('leads', 'lead', 'lead_id'), ('contacts', 'contact', 'contact_id'), ('companies', 'company', 'company_id')
    ] %}
    select
        '{{ record_type }}' as source_record_type,
        {{ key }} as source_record_id,
        created_at,
        {{ json_elements('fm') }} as entry
    from {{ ref('base_bitrix24__' ~ entity) }}
    where row_verdict = 'staged'
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

renamed as (

    select
        ---------- ids
        source_record_type,
        source_record_id,

        ---------- strings
        upper({{ json_text('entry', '$.typeId') }}) as field_type,
        upper({{ json_text('entry', '$.valueType') }}) as value_type,
        nullif(trim({{ json_text('entry', '$.value') }}), '') as field_value,

        ---------- timestamps
        created_at
    from entries

)

select * from renamed
where field_value is not null
