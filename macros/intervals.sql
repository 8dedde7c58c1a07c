-- Intervals that have a closed form. 95 % throughout: 1.959964 is the 97.5 % point of the normal distribution, and
-- 3.841459 its square.

-- Wilson's interval for a share observed on so many units: it stays within 0 and 1 and has a width at 0 of 20, too.
-- Null without units.
{% macro wilson_low(share, units) -%}
    case
        when ({{ units }}) > 0 then greatest(0, {{ _wilson_end(share, units, '-') }})
    end
{%- endmacro %}

{% macro wilson_high(share, units) -%}
    case
        when ({{ units }}) > 0 then least(1, {{ _wilson_end(share, units, '+') }})
    end
{%- endmacro %}

{% macro _wilson_end(share, units, sign) -%}
    (
        ({{ share }}) + 1.920729 / ({{ units }})
        {{ sign }} 1.959964 * sqrt(
            greatest(0, ({{ share }}) * (1 - ({{ share }}))) / ({{ units }})
            + 0.960365 / (cast(({{ units }}) as double) * ({{ units }}))
        )
    ) / (1 + 3.841459 / ({{ units }}))
{%- endmacro %}


-- The 97.5 % point of Student's distribution, by the Cornish-Fisher expansion: within 0.001 from five degrees of
-- freedom on. Null below five, where nothing should be claimed.
{% macro student_t(degrees) -%}
    case
        when ({{ degrees }}) >= 5
            then 1.959964
                + 2.372270 / ({{ degrees }})
                + 2.822500 / (({{ degrees }}) * cast(({{ degrees }}) as double))
                + 2.555850 / (({{ degrees }}) * cast(({{ degrees }}) as double) * ({{ degrees }}))
                + 1.589540 / (({{ degrees }}) * cast(({{ degrees }}) as double) * ({{ degrees }}) * ({{ degrees }}))
    end
{%- endmacro %}
