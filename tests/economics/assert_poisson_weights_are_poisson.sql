-- Guards macros/economics/poisson_weights.sql: over many units and replicates the weights have mean 1 and variance 1,
-- and the weights of one unit in two replicates have nothing to do with each other.

with

units as (

    select {{ unit_key("'unit:' || cast(unit as " ~ dbt.type_string() ~ ")") }} as unit_key
    from (select {{ numbers(1, 2000) }} as unit) as counted

),

replicates as (

    select
        cast(replicate as integer) as replicate,
        {{ replicate_factor('replicate') }} as factor,
        {{ replicate_offset('replicate') }} as offset_number
    from (select {{ numbers(1, 40) }} as replicate) as counted

),

weights as (

    select
        units.unit_key,
        replicates.replicate,
        cast(
            {{ poisson_weight(
                "((replicates.factor * units.unit_key + replicates.offset_number) % " ~ poisson_prime() ~ ")"
            ) }} as double
        ) as weight
    from units
    cross join replicates

),

moments as (

    select
        avg(this_one.weight) as mean_weight,
        var_samp(this_one.weight) as variance,
        corr(this_one.weight, next_one.weight) as correlation
    from weights as this_one
    inner join weights as next_one
        on
            this_one.unit_key = next_one.unit_key
            and this_one.replicate + 1 = next_one.replicate

)

select *
from moments
where
    mean_weight not between 0.97 and 1.03
    or variance not between 0.95 and 1.05
    or abs(correlation) > 0.03
