-- Monthly amounts without rounding on the way.
--
-- A price per year, week or day has no finite decimal per month (10 USD a week is 43.333... a month), so amounts are
-- kept as whole numbers of a unit small enough for all of them and are rounded once, half up, where they become
-- money. The unit is 1 / (332,640 * 10^12) of the currency's minor unit:
--     332,640 = 12 * 27,720 divides by every billing interval of up to twelve days, weeks, months or years,
--     10^4 for prices below one minor unit (unit_amount_decimal),
--     10^8 for two percentages of two decimals each, one after the other.
-- A third stacked percentage or a longer interval is cut at that unit, which is far below what a cent can show.


-- The type for such amounts: 38 digits.
{% macro exact_integer() -%}
    {{ return(adapter.dispatch('exact_integer')()) }}
{%- endmacro %}

{% macro default__exact_integer() -%}
    hugeint
{%- endmacro %}

{% macro spark__exact_integer() -%}
    decimal(38, 0)
{%- endmacro %}


-- Whole-number division, cut towards zero.
{% macro whole_division(numerator, denominator) -%}
    {{ return(adapter.dispatch('whole_division')(numerator, denominator)) }}
{%- endmacro %}

{% macro default__whole_division(numerator, denominator) -%}
    (({{ numerator }}) // ({{ denominator }}))
{%- endmacro %}

{% macro spark__whole_division(numerator, denominator) -%}
    (({{ numerator }}) div ({{ denominator }}))
{%- endmacro %}


-- Units in one minor unit of a currency.
{% macro units_per_minor() -%}
    cast(332640000000000000 as {{ exact_integer() }})
{%- endmacro %}


-- What one seat at a price is per month, in units. day x 365/12, week x 52/12, month / n, year / 12n.
{% macro monthly_units(unit_amount_minor, billing_interval, interval_count) -%}
    cast({{ unit_amount_minor }} * 10000 as {{ exact_integer() }})
    * cast(100000000 as {{ exact_integer() }})
    * {{ whole_division(
        "case " ~ billing_interval ~ " when 'day' then 10117800 when 'week' then 1441440 when 'month' then 332640 "
        ~ "when 'year' then 27720 end",
        interval_count
    ) }}
{%- endmacro %}


-- Units to an amount in the currency itself, decimal(18, 2), rounded half up; minor_unit_digits is 0 for yen, 2 for
-- euro.
{% macro units_to_money(units, minor_unit_digits) -%}
    {%- set unit_per_major = "(" ~ units_per_minor() ~ " * cast(power(10, " ~ minor_unit_digits ~ ") as bigint))" -%}
    cast(
        {{ whole_division("2 * 100 * (" ~ units ~ ") + " ~ unit_per_major, "2 * " ~ unit_per_major) }} as decimal(18, 0)
    ) * cast(0.01 as decimal(3, 2))
{%- endmacro %}


-- A sum of units times rates (see units_at_rate) to US dollars, decimal(18, 2), rounded half up. The one place where
-- MRR becomes money.
{% macro rated_units_to_usd(rated_units) -%}
    cast(
        {{ whole_division(
            rated_units ~ " + " ~ units_per_minor() ~ " * 50000000",
            units_per_minor() ~ " * 100000000"
        ) }} as decimal(18, 0)
    ) * cast(0.01 as decimal(3, 2))
{%- endmacro %}


-- Units of a currency times its rate in US dollars (eight decimals at most), as hundred-millionths of units of a US
-- cent.
{% macro units_at_rate(units, usd_per_unit, minor_unit_digits) -%}
    {{ whole_division(
        "(" ~ units ~ ") * cast(" ~ usd_per_unit ~ " * 100000000 as bigint) * 100",
        "cast(power(10, " ~ minor_unit_digits ~ ") as bigint)"
    ) }}
{%- endmacro %}


-- What one discount leaves of an exact monthly amount: a percentage (two decimals) or an amount, never below zero. Null
-- for both takes nothing off.
{% macro discounted_units(units, percent_off, amount_off_units) -%}
    case
        when {{ percent_off }} is not null
            then {{ whole_division(
                units ~ " * (10000 - cast(" ~ percent_off ~ " * 100 as bigint))",
                "10000"
            ) }}
        when {{ amount_off_units }} is not null
            then greatest({{ units }} - {{ amount_off_units }}, 0)
        else {{ units }}
    end
{%- endmacro %}
