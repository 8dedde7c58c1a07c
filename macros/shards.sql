-- The shard of a unit, 0 to 9,999: the first 8 hex digits of md5('salt-unit') modulo 10,000. This is the scheme of
-- Eppo's SDKs, so an assignment made here can be recomputed by theirs. Never reuse a salt for another purpose: equal
-- salts mean equal groups.
{% macro shard(salt, unit) -%}
    ({{ md5_number(salt ~ " || '-' || " ~ unit) }} % 10000)
{%- endmacro %}
