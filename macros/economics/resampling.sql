-- The Poisson bootstrap, studentised: what every interval of the economics is made with.
--
-- Customers are put into buckets by the hash of their id, and buckets are resampled, not customers: a replicate then
-- costs the same for a thousand customers and for a million, and coverage does not suffer (benchmarks/coverage.py).
-- A replicate gives every bucket a Poisson(1) weight (macros/economics/poisson_weights.sql), estimates again, and
-- divides how far it came from the estimate by the error it would have been given: a t. The quantiles of these t,
-- turned around and times the standard error, are the limits. Plain percentiles of replicates cover 80 to 90 % at 30
-- customers where 95 % are promised. The standard error is the jackknife's, n / (n - 1) times the plain one, which is
-- on the safe side where there are few buckets.


-- The bucket of a customer, from the text of the id.
{% macro resampling_bucket(customer_id) -%}
    ({{ md5_number("'bucket:' || " ~ customer_id) }} % {{ economics_setting('bootstrap_buckets') }})
{%- endmacro %}


-- One row per distinct unit_key of a relation and replicate: the weight. (A query.)
{% macro replicate_weights(units) %}
    select
        resampled_units.unit_key,
        replicates.replicate,
        cast(
            {{ poisson_weight(
                "((replicates.factor * resampled_units.unit_key + replicates.offset_number) % "
                ~ poisson_prime() ~ ")"
            ) }} as double
        ) as weight
    from (select distinct unit_key from {{ units }}) as resampled_units
    cross join (
        select
            cast(replicate as integer) as replicate,
            {{ replicate_factor('replicate') }} as factor,
            {{ replicate_offset('replicate') }} as offset_number
        from (select {{ numbers(1, economics_setting('bootstrap_replicates')) }} as replicate) as counted
    ) as replicates
{% endmacro %}


-- The same without weights of nothing, and as replicate 0 the data itself, every unit once: estimates and replicates
-- are then one sum. (A query.)
{% macro replicate_weights_and_data(units) %}
    select *
    from (
        {{ replicate_weights(units) }}
    ) as drawn
    where drawn.weight > 0
    union all
    select distinct
        unit_key,
        0 as replicate,
        cast(1 as double) as weight
    from {{ units }}
{% endmacro %}


-- A quantile of replicates. The p-th of R ordered replicates stands at p x (R + 1), which leaves the promised share
-- outside; interpolating over R - 1 steps, as quantile functions do, leaves a little less.
{% macro replicate_quantile(expression, level) -%}
    {%- set replicates = economics_setting('bootstrap_replicates') | int -%}
    {%- set position = ((replicates + 1) * level - 1) / (replicates - 1) -%}
    {{ return(adapter.dispatch('replicate_quantile')(expression, [[position, 0] | max, 1] | min)) }}
{%- endmacro %}

{% macro default__replicate_quantile(expression, position) -%}
    quantile_cont({{ expression }}, {{ position }})
{%- endmacro %}

{% macro spark__replicate_quantile(expression, position) -%}
    percentile({{ expression }}, {{ position }})
{%- endmacro %}


-- The join condition that two relations agree on the columns of a key.
{% macro same_key(left, right, columns) -%}
    {%- for column in columns -%}
        {{ left }}.{{ column }} = {{ right }}.{{ column }}{{ " and " if not loop.last }}
    {%- endfor -%}
{%- endmacro %}


-- Mean of a value per group with its 95 % interval. (A query: one row per group.)
--
-- `customers` is a relation with one row per group and customer: the columns of `by`, `bucket` (resampling_bucket), the
-- value, a whole number such as cents, and, where customers count in part, the share they count with. The mean is
-- sum(share x value) / sum(share).
-- Gives: customers, shares, value_sum, mean_value, mean_error (standard error), mean_low, mean_high, skew_of_mean (how
-- skewed the mean itself is; above 0.3 no interval keeps its promise).
-- Deviations are held as whole numbers of a ten-millionth of the total: sums of them and of their squares are exact in
-- any order, so that the interval is the same with any number of threads and on any engine.
{% macro mean_with_interval(customers, by, value, share=none) %}
{%- set keys = by | join(', ') %}
{%- set unit = 10000000 %}
with

buckets as (

    select
        {{ keys }},
        bucket,
        count(*) as customers,
        {% if share is none %}
        cast(count(*) as double) as shares,
        cast(sum({{ value }}) as double) as value_sum
        {% else %}
        cast(sum({{ share }}) as double) as shares,
        cast(sum({{ value }} * {{ share }}) as double) as value_sum
        {% endif %}
    from {{ customers }}
    group by {{ keys }}, bucket

),

totals as (

    select
        {{ keys }},
        sum(customers) as customers,
        sum(shares) as shares,
        sum(value_sum) as value_sum,
        sum(value_sum) / nullif(sum(shares), 0) as mean_value
    from buckets
    group by {{ keys }}

),

-- which part of the group is in a bucket, and how far is its sum from what that part lets expect?
deviations as (

    select
        buckets.{{ by | join(', buckets.') }},
        {{ unit_key("'bucket:' || cast(buckets.bucket as " ~ dbt.type_string() ~ ")") }} as unit_key,
        round({{ unit }} * buckets.shares / nullif(totals.shares, 0)) as part,
        round(
            {{ unit }} * (buckets.value_sum - totals.mean_value * buckets.shares) / nullif(abs(totals.value_sum), 0)
        ) as deviation
    from buckets
    inner join totals on {{ same_key('buckets', 'totals', by) }}

),

weights as (
    {{ replicate_weights('deviations') }}
),

replicates as (

    select
        deviations.{{ by | join(', deviations.') }},
        weights.replicate,
        sum(weights.weight * deviations.part) as part,
        sum(weights.weight * deviations.deviation) as deviation,
        sum(weights.weight * deviations.part * deviations.part) as part_part,
        sum(weights.weight * deviations.part * deviations.deviation) as part_deviation,
        sum(weights.weight * deviations.deviation * deviations.deviation) as deviation_deviation
    from weights
    inner join deviations on weights.unit_key = deviations.unit_key
    where weights.weight > 0
    group by deviations.{{ by | join(', deviations.') }}, weights.replicate

),

-- how far is a replicate's mean from the mean, in its own standard errors?
studentised as (

    select
        {{ keys }},
        {{ studentised_deviation('part', 'deviation', 'part_part', 'part_deviation', 'deviation_deviation') }} as t
    from replicates

),

quantiles as (

    select
        {{ keys }},
        {{ replicate_quantile('t', 0.025) }} as t_low,
        {{ replicate_quantile('t', 0.975) }} as t_high
    from studentised
    group by {{ keys }}

),

errors as (

    select
        {{ keys }},
        sqrt(sum(deviation * deviation)) * count(*) / nullif(count(*) - 1, 0) / {{ unit }} as relative_error,
        {{ skew_of_sum('deviation', 'unit_key') }} as skew_of_mean
    from deviations
    group by {{ keys }}

)

select
    totals.*,
    abs(totals.mean_value) * errors.relative_error as mean_error,
    totals.mean_value - abs(totals.mean_value) * errors.relative_error * quantiles.t_high as mean_low,
    totals.mean_value - abs(totals.mean_value) * errors.relative_error * quantiles.t_low as mean_high,
    errors.skew_of_mean
from totals
inner join errors on {{ same_key('totals', 'errors', by) }}
inner join quantiles on {{ same_key('totals', 'quantiles', by) }}
{% endmacro %}


-- How far a replicate is from the estimate in its own standard errors, from the weighted sums over units of: parts of
-- the total, deviations, and their products. The replicate's error is that of deviations from its own estimate.
{% macro studentised_deviation(part, deviation, part_part, part_deviation, deviation_deviation) -%}
    {{ deviation }} / nullif(
        sqrt(
            greatest(
                {{ deviation_deviation }}
                - 2 * ({{ deviation }} / nullif({{ part }}, 0)) * {{ part_deviation }}
                + power({{ deviation }} / nullif({{ part }}, 0), 2) * {{ part_part }},
                0
            )
        ),
        0
    )
{%- endmacro %}


-- How skewed the sum of independent deviations is, without sign: skewness of one / square root of how many. An
-- aggregate; the order makes the last digit the same in every run.
{% macro skew_of_sum(deviation, order_by) -%}
    abs({{ ordered_sum('power(' ~ deviation ~ ', 3)', order_by) }})
    / nullif(power(sum({{ deviation }} * {{ deviation }}), 1.5), 0)
{%- endmacro %}
