-- Poisson bootstrap weights that are a function of (seed, replicate, unit) and nothing else: the same in every run, with
-- any number of threads, and on any engine that has md5. An engine's own hash has none of that, and DuckDB's hash(id,
-- replicate) is so correlated over replicates that intervals come out far too narrow. Another bootstrap_seed draws
-- everything anew: whoever wants to know how much of a limit is the luck of the draw builds twice.
--
-- The unit's key is mixed with two numbers of the replicate: u = (a * key + b) mod p with p = 2^31 - 1, which is
-- uniform on [0, p) and pairwise independent over units. Every product stays below 2^62.

{% macro poisson_prime() -%} 2147483647 {%- endmacro %}


-- Key of a unit, from text.
{% macro unit_key(text) -%}
    ({{ md5_number(text) }} % {{ poisson_prime() }})
{%- endmacro %}


-- Factor and offset of a replicate, from the seed and its number.
{% macro replicate_factor(replicate) -%}
    ({{ md5_number(_replicate_name('a', replicate)) }} % ({{ poisson_prime() }} - 1) + 1)
{%- endmacro %}

{% macro replicate_offset(replicate) -%}
    ({{ md5_number(_replicate_name('b', replicate)) }} % {{ poisson_prime() }})
{%- endmacro %}

{% macro _replicate_name(part, replicate) -%}
    '{{ part }}:{{ economics_setting("bootstrap_seed") }}:' || cast({{ replicate }} as {{ dbt.type_string() }})
{%- endmacro %}


-- The Poisson(1) weight of a uniform number in [0, p): how many of the distribution's steps it is above. The steps are
-- p times P(X <= j), rounded, for j = 0 to 9; a weight above ten has a probability of 10^-8.
{% macro poisson_weight(uniform) -%}
    {%- set steps = [790015084, 1580030168, 1975037710, 2106706891, 2139624186, 2146207645, 2147304888, 2147461637,
                     2147481231, 2147483408] -%}
    case
        {%- for step in steps %}
        when {{ uniform }} < {{ step }} then {{ loop.index0 }}
        {%- endfor %}
        else 10
    end
{%- endmacro %}
