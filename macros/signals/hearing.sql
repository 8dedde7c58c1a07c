-- How int_signals__occurred takes up what was said.

{# the behaviours of those who are looked at: in a full run all there are, else what an increment reads #}
{% macro signals_said() -%}
    {%- if is_incremental() -%}
    said
    {%- else -%}
    (
        select
            unioned.*,
            listened.customer_number
        from {{ ref('int_behaviours__unioned') }} as unioned
        inner join listened
            on unioned.customer_id = listened.customer_id
    )
    {%- endif -%}
{%- endmacro %}


{# `<name>_once`: of several copies of a message the first of each customer. Few messages have copies, and only those
are worth sorting; two messages may share a number, which only costs a look #}
{% macro signals_taken_once(name, keys, in_order) -%}
{{ name }}_twice as (

    select message_number
    from {{ name }}
    group by message_number
    having count(*) > 1

),

{{ name }}_once as (

    select {{ name }}.*
    from {{ name }}
    left join {{ name }}_twice
        on {{ name }}.message_number = {{ name }}_twice.message_number
    where {{ name }}_twice.message_number is null
    union all
    select {{ name }}.*
    from {{ name }}
    inner join {{ name }}_twice
        on {{ name }}.message_number = {{ name }}_twice.message_number
    qualify row_number() over (
        partition by {{ name }}.customer_number, {{ name }}.{{ keys | join(', ' ~ name ~ '.') }}
        order by {{ name }}.{{ in_order | join(', ' ~ name ~ '.') }}
    ) = 1

),
{%- endmacro %}
