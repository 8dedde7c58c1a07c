-- What one raw table looks like, day by day, in numbers that add up over days. Two selects for a union all:
-- profile_counts scans the table once for everything that is counted, profile_kinds once per column of labels.
--
-- `table` names what to look at:
--   source, name, at (when a row came to be, UTC), key; on (its day, where `at` does not say it); without a key only
--   rows are counted
--   fixed: columns that never change once written; steady: columns, or name: expression, that change in few rows at a
--   time, because somebody corrects them: whose a row is, where it came from
--   texts, numbers, present, kinds: columns, or name: expression
--   states, later, aging: kinds, times and texts of columns that change as a row ages, so that a young row is not like
--   an old one; a number that does (what is paid of a bill) is asked only by flags
--   content: what no two rows share unless one was sent again under another id
--   words: texts in which letters that were decoded the wrong way show; flags: conditions by name
--   parents: column: [source, table] whose id it names; empty and 0 name nobody
--   crowds: name: [column] of which rows say the same as another row of the day, or name: [column, other], of which one
--   goes with several others
--   own: a condition that holds for rows that we delivered ourselves, by our own receipts. They are there, once, and
--   point at parents like all others; what is in them says nothing of the silo
-- Measures, per day and column (rows without a time stand on 1970-01-01):
--   rows, future (later than as_of), repeated (rows more than keys), twin (rows more than contents), garbled,
--   fingerprint and steady (a digest of `fixed`, and of `steady`; their names stand for the column: other columns give
--   another digest, and are not compared with this one)
--   own; of rows that are not: missing; length, size (sums of 1000 * log10(1 + characters, absolute value)); zero;
--   negative; kind (rows per category)
--   extent (as length, of `aging`, whose empty objects are missing)
--   of all rows: crowd (rows that share their column with another; pairs that share it), orphan; flag; state (rows per
--   category); absent: `later` not yet there
{% macro profile_counts(table) -%}
{%- set text = dbt.type_string() -%}
{%- set ns = namespace(fields=['rows__']) -%}
{%- set of_others = 'filter (where not is_own)' if table.own is defined else '' -%}
{%- set and_of_others = 'and not is_own' if table.own is defined else '' -%}
    select
        '{{ table.source }}' as source_name,
        '{{ table.name }}' as table_name,
        profile_date,
        split_part(field, '__', 2) as column_name,
        split_part(field, '__', 1) as measure,
        cast(null as {{ text }}) as category,
        reading
    from (
        select
            profile_date,
            {%- if table.fixed is defined %}
            {%- set digest = 'fingerprint__' ~ table.fixed | join('_') %}
            {%- do ns.fields.append(digest) %}
            cast(sum({{ md5_number('fixed_text') }}) as double) as {{ digest }},
            {%- endif %}
            {%- if table.steady is defined %}
            {%- set digest = 'steady__' ~ table.steady | join('_') %}
            {%- do ns.fields.append(digest) %}
            cast(sum({{ md5_number('steady_text') }}) as double) as {{ digest }},
            {%- endif %}
            {%- if table.words is defined %}
            {%- do ns.fields.append('garbled__') %}
            cast(count(*) filter (where {{ looks_garbled('all_words') }}) as double) as garbled__,
            {%- endif %}
            {%- for column in table.get('texts', []) %}
            {%- do ns.fields.extend(['missing__' ~ column, 'length__' ~ column]) %}
            cast(count(*) filter (where coalesce(text_{{ column }}, '') = '' {{ and_of_others }}) as double)
            as missing__{{ column }},
            cast(coalesce(sum({{ thousandths_of_log("length(text_" ~ column ~ ")") }}) {{ of_others }}, 0) as double)
            as length__{{ column }},
            {%- endfor %}
            {%- for column in table.get('numbers', []) %}
            {%- do ns.fields.extend(
                ['missing__' ~ column, 'size__' ~ column, 'zero__' ~ column, 'negative__' ~ column]
            ) %}
            cast(count(*) filter (where number_{{ column }} is null {{ and_of_others }}) as double)
            as missing__{{ column }},
            cast(coalesce(sum({{ thousandths_of_log("abs(number_" ~ column ~ ")") }}) {{ of_others }}, 0) as double)
            as size__{{ column }},
            cast(count(*) filter (where number_{{ column }} = 0 {{ and_of_others }}) as double) as zero__{{ column }},
            cast(count(*) filter (where number_{{ column }} < 0 {{ and_of_others }}) as double)
            as negative__{{ column }},
            {%- endfor %}
            {%- for column in table.get('aging', []) %}
            {%- do ns.fields.extend(['missing__' ~ column, 'extent__' ~ column]) %}
            cast(
                count(*) filter (
                    where coalesce(aging_{{ column }}, '') in ('', '{}', '[]') {{ and_of_others }}
                ) as double
            ) as missing__{{ column }},
            cast(coalesce(sum({{ thousandths_of_log("length(aging_" ~ column ~ ")") }}) {{ of_others }}, 0) as double)
            as extent__{{ column }},
            {%- endfor %}
            {%- for column in table.get('present', []) %}
            {%- do ns.fields.append('missing__' ~ column) %}
            cast(count(*) filter (where is_missing_{{ column }} {{ and_of_others }}) as double)
            as missing__{{ column }},
            {%- endfor %}
            {%- for column in table.get('later', []) %}
            {%- do ns.fields.append('absent__' ~ column) %}
            cast(count(*) filter (where is_absent_{{ column }}) as double) as absent__{{ column }},
            {%- endfor %}
            {%- for column in table.get('parents', {}) %}
            {%- do ns.fields.append('orphan__' ~ column) %}
            cast(count(*) filter (where is_orphan_{{ column }}) as double) as orphan__{{ column }},
            {%- endfor %}
            {%- for column in table.get('flags', {}) %}
            {%- do ns.fields.append('flag__' ~ column) %}
            cast(count(*) filter (where is_flagged_{{ column }}) as double) as flag__{{ column }},
            {%- endfor %}
            {%- for name, columns in table.get('crowds', {}).items() %}
            {%- do ns.fields.append('crowd__' ~ name) %}
            {%- if columns | length == 1 %}
            cast(count(crowd_{{ columns[0] }}) - count(distinct crowd_{{ columns[0] }}) as double) as crowd__{{ name }},
            {%- else %}
            {%- set are_known = 'filter (where crowd_' ~ columns | join(' is not null and crowd_') ~ ' is not null)' %}
            cast(
                count(distinct (crowd_{{ columns | join(', crowd_') }})) {{ are_known }}
                - count(distinct crowd_{{ columns[0] }}) {{ are_known }} as double
            ) as crowd__{{ name }},
            {%- endif %}
            {%- endfor %}
            {%- if table.own is defined %}
            {%- do ns.fields.append('own__') %}
            cast(count(*) filter (where is_own) as double) as own__,
            {%- endif %}
            {%- if table.content is defined %}
            {%- do ns.fields.append('twin__') %}
            cast(count(*) - count(distinct row_content) as double) as twin__,
            {%- endif %}
            {%- if table.key is defined %}
            {%- do ns.fields.extend(['future__', 'repeated__']) %}
            cast(count(*) filter (where is_future) as double) as future__,
            cast(count(*) - count(distinct row_key) as double) as repeated__,
            {%- endif %}
            cast(count(*) as double) as rows__
        from (
            select
                {%- if table.fixed is defined %}
                concat_ws(
                    '|'{% for column in table.fixed %}, coalesce(cast({{ column }} as {{ text }}), '~'){% endfor %}
                ) as fixed_text,
                {%- endif %}
                {%- if table.steady is defined %}
                concat_ws(
                    '|', cast({{ table.key }} as {{ text }})
                    {%- for column in table.steady -%}
                    , coalesce(cast({{ expression_of(table.steady, column) }} as {{ text }}), '~')
                    {%- endfor %}
                ) as steady_text,
                {%- endif %}
                {%- if table.words is defined %}
                concat_ws(' ', {{ table.words | join(', ') }}) as all_words,
                {%- endif %}
                {%- for column in table.get('crowds', {}).values() | sum(start=[]) | unique %}
                {{ column }} as crowd_{{ column }},
                {%- endfor %}
                {%- for column in table.get('texts', []) %}
                cast({{ expression_of(table.texts, column) }} as {{ text }}) as text_{{ column }},
                {%- endfor %}
                {%- for column in table.get('numbers', []) %}
                cast({{ expression_of(table.numbers, column) }} as double) as number_{{ column }},
                {%- endfor %}
                {%- for column in table.get('aging', []) %}
                cast({{ column }} as {{ text }}) as aging_{{ column }},
                {%- endfor %}
                {%- for column in table.get('present', []) %}
                {{ expression_of(table.present, column) }} is null as is_missing_{{ column }},
                {%- endfor %}
                {%- for column in table.get('later', []) %}
                {{ expression_of(table.later, column) }} is null as is_absent_{{ column }},
                {%- endfor %}
                {%- for column, parent in table.get('parents', {}).items() %}
                coalesce(cast({{ column }} as {{ text }}), '0') not in ('', '0')
                and cast({{ column }} as {{ text }}) not in (
                    select cast(id as {{ text }}) from {{ source(parent[0], parent[1]) }} where id is not null
                ) as is_orphan_{{ column }},
                {%- endfor %}
                {%- for column, condition in table.get('flags', {}).items() %}
                {{ condition }} as is_flagged_{{ column }},
                {%- endfor %}
                {%- if table.own is defined %}
                coalesce({{ table.own }}, false) as is_own,
                {%- endif %}
                {%- if table.content is defined %}
                concat_ws(
                    '|'{% for column in table.content %}, coalesce(cast({{ column }} as {{ text }}), '~'){% endfor %}
                ) as row_content,
                {%- endif %}
                {%- if table.key is defined %}
                {{ table.key }} as row_key,
                {{ table['at'] }} > {{ as_of() }} as is_future,
                {%- endif %}
                coalesce(
                    {{ table.on or 'cast(' ~ table['at'] ~ ' as date)' }}, cast('1970-01-01' as date)
                ) as profile_date
            from {{ source(table.source, table.name) }}
            {{ table.get('where', '') }}
        ) as raw_rows
        group by profile_date
    ) as counted
    unpivot (reading for field in ({{ ns.fields | join(', ') }}))
{%- endmacro %}


-- Rows per category of each column of `kinds` and `states`.
{% macro profile_kinds(table) -%}
{%- set text = dbt.type_string() -%}
{%- set listed = [] -%}
{%- for measure, columns in [('kind', table.get('kinds', [])), ('state', table.get('states', []))] -%}
    {%- for column in columns -%}
        {%- do listed.append((measure, column, expression_of(columns, column))) -%}
    {%- endfor -%}
{%- endfor -%}
{%- set of_others -%}
    {{ table.get('where', '') }}
    {% if table.own is defined -%}
    {{ 'and' if table.where is defined else 'where' }} not coalesce({{ table.own }}, false)
    {%- endif %}
{%- endset -%}
{%- for measure, column, expression in listed %}
    select
        '{{ table.source }}' as source_name,
        '{{ table.name }}' as table_name,
        coalesce(
            {{ table.on or 'cast(' ~ table['at'] ~ ' as date)' }}, cast('1970-01-01' as date)
        ) as profile_date,
        '{{ column }}' as column_name,
        '{{ measure }}' as measure,
        coalesce(cast({{ expression }} as {{ text }}), '(none)') as category,
        cast(count(*) as double) as reading
    from {{ source(table.source, table.name) }}
    {{ of_others if measure == 'kind' else table.get('where', '') }}
    group by 3, 6
    {{ 'union all' if not loop.last }}
{%- endfor %}
{%- endmacro %}


-- What a column of a list, or of a mapping from names to expressions, is computed from.
{% macro expression_of(listed, column) -%}
    {{ listed[column] if listed is mapping else column }}
{%- endmacro %}


-- Which quarter of the day a time lies in, as a category.
{% macro quarter_of_day(at) -%}
    case cast(floor(extract(hour from {{ at }}) / 6) as integer)
        when 0 then 'night'
        when 1 then 'morning'
        when 2 then 'afternoon'
        when 3 then 'evening'
    end
{%- endmacro %}


-- Letters that show that UTF-8 was read as something else, or was lost: the replacement character, and a capital A
-- with tilde or circumflex before a sign that no word has there.
{% macro looks_garbled(column) -%}
    {{ matches(column, '\\x{FFFD}|[\\x{C2}\\x{C3}][\\x{80}-\\x{BF}]|\\x{E2}\\x{20AC}') }}
{%- endmacro %}


-- How large a number is, as a whole number: 1000 * log10(1 + number). Sums of whole numbers are the same in any order.
{% macro thousandths_of_log(number) -%}
    cast(round(1000 * log10(1 + {{ number }})) as bigint)
{%- endmacro %}


-- What was spent on one thing, as a page of that day says it. Nobody spends the same on everything two days in a row: a
-- page of the day before was sent again.
{% macro spend_of(day) -%}
    concat_ws(
        '|', cast({{ day }} as date), channel, campaign, platform, cost_type, amount, impressions, clicks
    )
{%- endmacro %}
