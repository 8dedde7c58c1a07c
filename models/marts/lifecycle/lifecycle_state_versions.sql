-- One row per entry of a customer into a state that was ever published, with both times: since when it holds
-- (valid_from) and from when to when we said so (known_from, known_until). Why it exists: what we did is to be judged
-- by what we knew. The history as it was known at an instant T is
--     known_from <= T and (known_until > T or known_until is null)
-- and a stay ends where the next one of that selection begins. Late facts, an edited machine and merged customers
-- correct the past: such rows are marked, and what they replace is withdrawn, never deleted.

with

stays as (

    select * from {{ ref('int_lifecycle__dated') }}

),

log as (

    select * from {{ ref('stg_ops__state_log') }}

),

-- what this build says differently from what was published, in the words of the log
told as (

    select
        customer_id,
        region,
        state,
        valid_from,
        occurrence_id,
        {{ as_of() }} as known_at,
        false as is_withdrawn
    from stays
    union all
    select
        customer_id,
        region,
        state,
        valid_from,
        occurrence_id,
        known_at,
        is_withdrawn
    from log

),

-- one row per time that an entry was told: the log says it once, this build says again what still holds
versions as (

    select
        *,
        lag(is_withdrawn) over (
            partition by customer_id, region, state, valid_from, occurrence_id
            order by known_at
        ) as was_withdrawn,
        lead(case when is_withdrawn then known_at end) over (
            partition by customer_id, region, state, valid_from, occurrence_id
            order by known_at
        ) as withdrawn_at,
        count(*) filter (where not is_withdrawn and known_at = {{ as_of() }}) over (
            partition by customer_id, region, state, valid_from, occurrence_id
        ) as is_told_now
    from told

),

-- what was told and is in this build no more ends with it
dated as (

    select
        customer_id,
        region,
        state,
        valid_from,
        occurrence_id,
        known_at as known_from,
        case
            when withdrawn_at is not null then withdrawn_at
            when is_told_now = 0 then {{ as_of() }}
        end as known_until
    from versions
    where
        not is_withdrawn
        and coalesce(was_withdrawn, true)

),

-- the latest that each publication told of a region
tellings as (

    select
        customer_id,
        region,
        known_from,
        max(valid_from) as latest_told
    from dated
    group by customer_id, region, known_from

),

-- and the latest that had been told before it
preceded as (

    select
        *,
        max(latest_told) over (
            partition by customer_id, region
            order by known_from
            rows between unbounded preceding and 1 preceding
        ) as latest_told_before
    from tellings

)

select
    {{ surrogate_key([
        'dated.customer_id', 'dated.region', 'dated.state', 'dated.valid_from', 'dated.occurrence_id', 'dated.known_from',
    ]) }} as version_id,
    dated.customer_id,
    dated.region,
    dated.state as lifecycle_state,
    dated.valid_from,
    dated.occurrence_id as proof_occurrence_id,
    dated.known_from,
    dated.known_until,
    dated.known_until is null as is_believed,
    case
        when dated.known_until is not null then 'withdrawn'
        when dated.valid_from < preceded.latest_told_before then 'late'
        else 'news'
    end as correction,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from dated
inner join preceded
    on
        dated.customer_id = preceded.customer_id
        and dated.region = preceded.region
        and dated.known_from = preceded.known_from
