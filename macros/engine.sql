-- What DuckDB and Spark say differently, in one place. Everything else is written once, in SQL that both take.

-- Text at a JSON path such as '$.a.b'; null when the path or the document is not there, or the document is malformed.
{% macro json_text(column, path) -%}
    {{ return(adapter.dispatch('json_text')(column, path)) }}
{%- endmacro %}

{% macro default__json_text(column, path) -%}
    json_extract_string(try_cast({{ column }} as json), '{{ path }}')
{%- endmacro %}

{% macro spark__json_text(column, path) -%}
    get_json_object({{ column }}, '{{ path }}')
{%- endmacro %}


-- Whether a text is JSON; null for null. Far cheaper than to ask for the text at '$'.
{% macro is_json(column) -%}
    {{ return(adapter.dispatch('is_json')(column)) }}
{%- endmacro %}

{% macro default__is_json(column) -%}
    json_valid({{ column }})
{%- endmacro %}

{% macro spark__is_json(column) -%}
    (get_json_object({{ column }}, '$') is not null)
{%- endmacro %}


-- One row per element of the JSON array at a path (for a select list; each element is JSON again, see json_text).
{% macro json_elements(column, path='$') -%}
    {{ return(adapter.dispatch('json_elements')(column, path)) }}
{%- endmacro %}

{% macro default__json_elements(column, path) -%}
    unnest(json_extract(try_cast({{ column }} as json), '{{ path }}[*]'))
{%- endmacro %}

{% macro spark__json_elements(column, path) -%}
    explode(from_json({{ column if path == '$' else json_text(column, path) }}, 'array<string>'))
{%- endmacro %}


-- A JSON element that is a plain string, without its quotes.
{% macro json_scalar(element) -%}
    {{ return(adapter.dispatch('json_scalar')(element)) }}
{%- endmacro %}

{% macro default__json_scalar(element) -%}
    json_extract_string({{ element }}, '$')
{%- endmacro %}

{% macro spark__json_scalar(element) -%}
    {{ element }}
{%- endmacro %}


-- Unix seconds to a naive UTC timestamp; null for a value no calendar holds.
{% macro unix_to_timestamp(column) -%}
    {{ return(adapter.dispatch('unix_to_timestamp')(column)) }}
{%- endmacro %}

{% macro default__unix_to_timestamp(column) -%}
    case when {{ column }} between -62135596800 and 253402300799
        then make_timestamp(cast({{ column }} as bigint) * 1000000)
    end
{%- endmacro %}

{% macro spark__unix_to_timestamp(column) -%}
    case when {{ column }} between -62135596800 and 253402300799 then timestamp_seconds({{ column }}) end
{%- endmacro %}


-- One row per day, month, ... from first to last, both included (for a select list).
{% macro series(first, last, unit='day') -%}
    {{ return(adapter.dispatch('series')(first, last, unit)) }}
{%- endmacro %}

{% macro default__series(first, last, unit) -%}
    unnest(generate_series(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval 1 {{ unit }}))
{%- endmacro %}

{% macro spark__series(first, last, unit) -%}
    explode(sequence(cast({{ first }} as timestamp), cast({{ last }} as timestamp), interval 1 {{ unit }}))
{%- endmacro %}


-- A number in [0, 2^40) from several columns of any type, ten times cheaper than md5_number; a null is not an empty text. Only
-- for what another engine or version may compute anew without harm: to see that something is different, never as a name.
{% macro fingerprint(columns) -%}
    {{ return(adapter.dispatch('fingerprint')(columns)) }}
{%- endmacro %}

{% macro default__fingerprint(columns) -%}
    cast(hash({{ columns | join(', ') }}) >> 24 as bigint)
{%- endmacro %}

{% macro spark__fingerprint(columns) -%}
    shiftrightunsigned(xxhash64({{ columns | join(', ') }}), 24)
{%- endmacro %}


-- A number in [0, 2^32) from text: md5 is the same on every engine and in every version, an engine's own hash is not.
{% macro md5_number(expression) -%}
    {{ return(adapter.dispatch('md5_number')(expression)) }}
{%- endmacro %}

{% macro default__md5_number(expression) -%}
    cast('0x' || substr(md5({{ expression }}), 1, 8) as bigint)
{%- endmacro %}

{% macro spark__md5_number(expression) -%}
    cast(conv(substr(md5({{ expression }}), 1, 8), 16, 10) as bigint)
{%- endmacro %}


-- Unicode text in its composed form (NFC), so that the same letter is the same bytes.
{% macro unicode_composed(column) -%}
    {{ return(adapter.dispatch('unicode_composed')(column)) }}
{%- endmacro %}

{% macro default__unicode_composed(column) -%}
    nfc_normalize({{ column }})
{%- endmacro %}

{# Spark has no NFC function; text stays as the vendor sent it #}
{% macro spark__unicode_composed(column) -%}
    {{ column }}
{%- endmacro %}


-- Does the text match the pattern anywhere?
{% macro matches(column, pattern) -%}
    {{ return(adapter.dispatch('matches')(column, pattern)) }}
{%- endmacro %}

{% macro default__matches(column, pattern) -%}
    regexp_matches({{ column }}, '{{ pattern }}')
{%- endmacro %}

{% macro spark__matches(column, pattern) -%}
    {{ column }} rlike '{{ pattern }}'
{%- endmacro %}


-- A list of plain values as SQL string literals.
{% macro quoted_list(values) -%}
    {%- for value in values -%}'{{ value }}'{{ ', ' if not loop.last }}{%- endfor -%}
{%- endmacro %}


-- A key of 32 hex digits over several columns. A null is not an empty text, and 'a','bc' is not 'ab','c'.
{% macro surrogate_key(columns) -%}
    {%- if columns is string or columns | length == 0 -%}
        {{ exceptions.raise_compiler_error('surrogate_key needs a list of at least one column, got: ' ~ columns) }}
    {%- endif -%}
    md5(
        {%- for column in columns %}
        coalesce(cast({{ column }} as {{ dbt.type_string() }}), '~null~'){{ " || '|' ||" if not loop.last }}
        {%- endfor %}
    )
{%- endmacro %}


-- The sum of numbers in a stated order (one column or several), so that its last digit is the same in every run. An
-- aggregate; null where there is nothing to add.
{% macro ordered_sum(value, order_by) -%}
    {{ return(adapter.dispatch('ordered_sum')(value, order_by)) }}
{%- endmacro %}

{% macro default__ordered_sum(value, order_by) -%}
    sum({{ value }} order by {{ order_by }})
{%- endmacro %}

{% macro spark__ordered_sum(value, order_by) -%}
    case when count({{ value }}) > 0 then
        aggregate(
            array_sort(
                collect_list(struct(struct({{ order_by }}) as place, cast({{ value }} as double) as addend))
            ),
            cast(0 as double),
            (total, each) -> total + coalesce(each.addend, 0)
        )
    end
{%- endmacro %}


-- The distinct values of a group as one text, sorted, joined by ', '. An aggregate.
{% macro text_list(column) -%}
    {{ return(adapter.dispatch('text_list')(column)) }}
{%- endmacro %}

{% macro default__text_list(column) -%}
    string_agg(distinct {{ column }}, ', ' order by {{ column }})
{%- endmacro %}

{% macro spark__text_list(column) -%}
    array_join(array_sort(collect_set({{ column }})), ', ')
{%- endmacro %}
