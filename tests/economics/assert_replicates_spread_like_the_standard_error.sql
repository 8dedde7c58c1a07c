-- Guards the bootstrap's random numbers: over replicates the estimate must spread as its standard error says, within
-- 15 % for channels with at least 100 customers. Weights that are correlated over replicates (an engine's own hash)
-- miss that in both directions, and every interval with it.

with

spread as (

    select
        channel,
        stddev_samp(ln(ltv_cents)) as replicate_error
    from {{ ref('int_channel_replicates__estimated') }}
    where unit_kind = 'bucket' and ltv_cents > 0
    group by channel

)

select
    spread.channel,
    spread.replicate_error,
    intervals.ltv_se / intervals.ltv as influence_error
from spread
inner join {{ ref('int_channel_intervals__studentised') }} as intervals on spread.channel = intervals.channel
where
    intervals.customers >= 100
    and spread.replicate_error / (intervals.ltv_se / intervals.ltv) not between 0.85 and 1.15
