-- The shifted beta-geometric model of Fader and Hardie (2007): every customer leaves with a probability of their own at
-- each renewal, and these probabilities are beta(alpha, beta) distributed over customers. Those who stay are ever more
-- those who stay easily, so the hazard falls with tenure; one constant churn rate would have everybody gone too soon.
-- Renewal t = 1, 2, ... is made with probability (beta + t - 1) / (alpha + beta + t - 1).


-- Maximum likelihood by a grid that closes in: 21 x 21 points over the mean alpha / (alpha + beta) and the logarithm
-- of alpha + beta, twelve times, each time 0.3 as wide around the best. Nothing but logarithms and sums; no engine's
-- solver is needed, and parameters come out to five digits. (A query: one row per group with alpha and beta.)
--
-- `counts` is a relation with one row per group and renewal (from 1): at_risk and lost, so that customers whose renewal
-- has not come yet count for those they made. At the upper end of the grid (alpha + beta = e^12) customers do not
-- differ and the model is a constant hazard.
{% macro sbg_fit(counts, by) %}
{%- set keys = by | join(', ') %}
with

grid as (

    select
        (cast(mean_step as double) - 10) / 10 as mean_step,
        (cast(size_step as double) - 10) / 10 as size_step
    from (select {{ numbers(0, 20) }} as mean_step) as mean_steps
    cross join (select {{ numbers(0, 20) }} as size_step) as size_steps

),

best_0 as (

    select
        {{ keys }},
        cast(0.5 as double) as mean_hazard,
        cast(4 as double) as log_size
    from {{ counts }}
    group by {{ keys }}

),

{% for round in range(1, 13) %}
candidates_{{ round }} as (

    select
        {{ keys }},
        least(greatest(mean_hazard + {{ 0.5 * 0.3 ** (round - 1) }} * mean_step, 0.000001), 0.999999) as mean_hazard,
        least(greatest(log_size + {{ 8 * 0.3 ** (round - 1) }} * size_step, -4), 12) as log_size
    from best_{{ round - 1 }}
    cross join grid

),

best_{{ round }} as (

    select
        {{ keys }},
        mean_hazard,
        log_size
    from (
        select
            candidates_{{ round }}.{{ by | join(', candidates_' ~ round ~ '.') }},
            candidates_{{ round }}.mean_hazard,
            candidates_{{ round }}.log_size,
            {{ ordered_sum(
                'counts.lost * ln(mean_hazard * exp(log_size)) '
                ~ '+ (counts.at_risk - counts.lost) * ln((1 - mean_hazard) * exp(log_size) + counts.renewal - 1) '
                ~ '- counts.at_risk * ln(exp(log_size) + counts.renewal - 1)',
                'counts.renewal'
            ) }} as log_likelihood
        from candidates_{{ round }}
        inner join {{ counts }} as counts on {{ same_key('candidates_' ~ round, 'counts', by) }}
        group by
            candidates_{{ round }}.{{ by | join(', candidates_' ~ round ~ '.') }},
            candidates_{{ round }}.mean_hazard,
            candidates_{{ round }}.log_size
    ) as scored_{{ round }}
    qualify row_number() over (
        partition by {{ keys }}
        order by log_likelihood desc, mean_hazard asc, log_size desc
    ) = 1

){{ ',' if not loop.last }}

{% endfor %}
select
    {{ keys }},
    mean_hazard * exp(log_size) as alpha,
    (1 - mean_hazard) * exp(log_size) as beta
from best_12
{% endmacro %}


-- The share still there after each number of renewals up to `last`, from one row per group with alpha and beta.
-- (A query: one row per group and number of renewals, from 0.)
{% macro sbg_survival(parameters, by, last) %}
    select
        {{ parameters }}.{{ by | join(', ' ~ parameters ~ '.') }},
        counted.renewals,
        exp(
            coalesce(
                sum(
                    case
                        when counted.renewals > 0
                            then ln(
                                ({{ parameters }}.beta + counted.renewals - 1)
                                / ({{ parameters }}.alpha + {{ parameters }}.beta + counted.renewals - 1)
                            )
                    end
                ) over (
                    partition by {{ parameters }}.{{ by | join(', ' ~ parameters ~ '.') }}
                    order by counted.renewals
                    rows unbounded preceding
                ),
                0
            )
        ) as survival
    from {{ parameters }}
    cross join (select {{ numbers(0, last) }} as renewals) as counted
{% endmacro %}
