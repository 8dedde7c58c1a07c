-- A JSON object from a list of [key, expression] pairs, to be nested in another or to be finished by as_json_text.
{% macro json_object(pairs) -%}
    {{ return(adapter.dispatch('json_object')(pairs)) }}
{%- endmacro %}

{% macro default__json_object(pairs) -%}
    json_object(
        {%- for key, expression in pairs %}'{{ key }}', {{ expression }}{{ ', ' if not loop.last }}{%- endfor -%}
    )
{%- endmacro %}

{% macro spark__json_object(pairs) -%}
    named_struct(
        {%- for key, expression in pairs %}'{{ key }}', {{ expression }}{{ ', ' if not loop.last }}{%- endfor -%}
    )
{%- endmacro %}


-- What json_object built, as text.
{% macro as_json_text(object) -%}
    {{ return(adapter.dispatch('as_json_text')(object)) }}
{%- endmacro %}

{% macro default__as_json_text(object) -%}
    cast({{ object }} as varchar)
{%- endmacro %}

{% macro spark__as_json_text(object) -%}
    to_json({{ object }})
{%- endmacro %}


-- A list of texts as a JSON list, to be nested in json_object.
{% macro json_texts(expressions) -%}
    {{ return(adapter.dispatch('json_texts')(expressions)) }}
{%- endmacro %}

{% macro default__json_texts(expressions) -%}
    json_array({{ expressions | join(', ') }})
{%- endmacro %}

{% macro spark__json_texts(expressions) -%}
    array({{ expressions | join(', ') }})
{%- endmacro %}


-- A naive UTC timestamp as ISO 8601 with Z, to the second, as every vendor here reads it.
{% macro iso_utc(timestamp) -%}
    {{ return(adapter.dispatch('iso_utc')(timestamp)) }}
{%- endmacro %}

{% macro default__iso_utc(timestamp) -%}
    strftime({{ timestamp }}, '%Y-%m-%dT%H:%M:%SZ')
{%- endmacro %}

{% macro spark__iso_utc(timestamp) -%}
    date_format({{ timestamp }}, "yyyy-MM-dd'T'HH:mm:ss'Z'")
{%- endmacro %}


-- A naive UTC timestamp for people, to the minute.
{% macro utc_words(timestamp) -%}
    {{ return(adapter.dispatch('utc_words')(timestamp)) }}
{%- endmacro %}

{% macro default__utc_words(timestamp) -%}
    strftime({{ timestamp }}, '%Y-%m-%d %H:%M UTC')
{%- endmacro %}

{% macro spark__utc_words(timestamp) -%}
    date_format({{ timestamp }}, "yyyy-MM-dd HH:mm 'UTC'")
{%- endmacro %}


-- Text of a top-level field whose name is itself a column; null when it is not there or the document is malformed.
{% macro json_field(column, name_column) -%}
    {{ return(adapter.dispatch('json_field')(column, name_column)) }}
{%- endmacro %}

{% macro default__json_field(column, name_column) -%}
    json_extract_string(try_cast({{ column }} as json), '$."' || {{ name_column }} || '"')
{%- endmacro %}

{% macro spark__json_field(column, name_column) -%}
    get_json_object({{ column }}, '$.' || {{ name_column }})
{%- endmacro %}
