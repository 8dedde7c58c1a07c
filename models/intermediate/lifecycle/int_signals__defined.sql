-- One row per signal of the playbook with the silos it listens to and the hash of its whole definition. Why it
-- exists: an occurrence must say under which definition it was found. The hash covers every field that can change
-- what fires, those of the behaviours included, so that an edited signal never passes for the old one. What only says
-- what may follow (lateness, staleness, since when it is enabled, the wording) is not part of it.

with

signals as (

    select * from {{ ref('signal_definitions') }}

),

behaviours as (

    select * from {{ ref('behaviours') }}

),

ways as (

    select
        behaviour,
        source,
        {{ surrogate_key([
            'source', 'event_name', 'product', 'property_name', 'property_test', 'property_value', 'grain',
        ]) }} as way_hash
    from behaviours

),

-- a behaviour is any of its rows, so its hash is made of all of them
behaviour_hashes as (

    select
        behaviour,
        max(source) as source,
        md5({{ dbt.listagg('way_hash', "','", 'order by way_hash') }}) as behaviour_hash
    from ways
    group by behaviour

)

select
    signals.signal_id,
    signals.kind,
    signals.behaviour,
    signals.until_behaviour,
    signals.then_behaviour,
    signals.last_behaviour,
    signals.occurrences,
    signals.within_seconds,
    signals.period,
    signals.in_periods,
    signals.of_periods,
    signals.direction,
    cast(signals.threshold as double) as threshold,
    -- without a way back of its own a metric is re-armed by the threshold itself
    cast(coalesce(signals.rearm_threshold, signals.threshold) as double) as rearm_threshold,
    signals.lead_seconds,
    signals.state,
    signals.unit,
    signals.rearm,
    signals.rearm_after_seconds,
    signals.max_lateness_hours,
    signals.stale_after_hours,
    signals.enabled_at,
    signals.meaning,
    coalesce(started.source, 'states') as source,
    -- silence is only proven by the silo in which the missing behaviour would have shown
    coalesce(ended.source, concluded.source, followed.source, started.source, 'states') as proving_source,
    {{ surrogate_key([
        'signals.signal_id', 'signals.kind', 'started.behaviour_hash', 'ended.behaviour_hash', 'followed.behaviour_hash',
        'concluded.behaviour_hash', 'signals.occurrences', 'signals.within_seconds', 'signals.period', 'signals.in_periods',
        'signals.of_periods', 'signals.direction', 'cast(signals.threshold as double)',
        'cast(signals.rearm_threshold as double)', 'signals.lead_seconds', 'signals.state', 'signals.unit',
        'signals.rearm', 'signals.rearm_after_seconds',
    ]) }} as definition_hash
from signals
left join behaviour_hashes as started
    on signals.behaviour = started.behaviour
left join behaviour_hashes as ended
    on signals.until_behaviour = ended.behaviour
left join behaviour_hashes as followed
    on signals.then_behaviour = followed.behaviour
left join behaviour_hashes as concluded
    on signals.last_behaviour = concluded.behaviour
