-- The names of time zones that the engine can tell the time by, as a relation of one column, time_zone. A name that it
-- does not know would stop every build that uses it.
{% macro known_time_zones() -%}
    {{ return(adapter.dispatch('known_time_zones')()) }}
{%- endmacro %}

{% macro default__known_time_zones() -%}
    (select name as time_zone from pg_timezone_names())
{%- endmacro %}

{# an engine without such a list knows those of the time zone database #}
{% macro spark__known_time_zones() -%}
    (select explode(array('{{ modules.pytz.all_timezones | join("', '") }}')) as time_zone)
{%- endmacro %}
