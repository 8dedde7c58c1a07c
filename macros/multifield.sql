-- Bitrix24 keeps e-mails, phones and web addresses of an item in one list `fm` of {id, typeId, valueType, value}.
-- This is the first value of a type, as the CRM shows it; all of them are in stg_bitrix24__multifields.
{% macro first_multifield(column, type_id) -%}
    {{ return(adapter.dispatch('first_multifield')(column, type_id)) }}
{%- endmacro %}

{% macro default__first_multifield(column, type_id) -%}
    nullif(trim(list_filter(
        from_json({{ column }}, '[{"typeId": "VARCHAR", "value": "VARCHAR"}]'),
        lambda entry: entry."typeId" = '{{ type_id }}'
    )[1]."value"), '')
{%- endmacro %}

{% macro spark__first_multifield(column, type_id) -%}
    nullif(trim(get(filter(
        from_json({{ column }}, 'array<struct<typeId: string, value: string>>'),
        entry -> entry.typeId = '{{ type_id }}'
    ), 0).value), '')
{%- endmacro %}
