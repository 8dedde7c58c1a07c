-- Guards the bootstrap's random numbers: over replicates the estimate must spread as its standard error by influence
-- functions says, within 25 % for channels with at least 100 customers. Weights that are correlated over replicates (an
-- engine's own hash) miss that by 40 %, and every interval with it.

with

spread as (

    select
        replicates.channel,
        stddev_samp(replicates.ltv_cents) filter (where replicates.replicate > 0) as spread_of_replicates,
        max(replicates.ltv_error) filter (where replicates.replicate = 0) as standard_error
    from {{ ref('int_ltv_replicates__estimated') }} as replicates
    inner join {{ ref('int_channel_ltv__valued') }} as ltv on replicates.channel = ltv.channel
    where ltv.customers >= 100
    group by replicates.channel

)

select *
from spread
where spread_of_replicates / nullif(standard_error, 0) not between 0.75 and 1.25
