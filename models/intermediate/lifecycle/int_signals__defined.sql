-- One row per signal of the playbook with the silos it listens to and the hash of its whole definition. Why it
-- exists: an occurrence must say under which definition it was found. The hash covers every field that can change
-- what fires, those of the behaviours included, so that an edited signal never passes for the old one.

with

signals as (

    select * from {{ ref('signal_definitions') }}

),

behaviours as (

    select * from {{ ref('behaviours') }}

),

behaviour_hashes as (

    select
        behaviour,
        source,
        {{ surrogate_key(['source', 'event_name', 'product', 'property_name', 'property_value', 'grain']) }}
            as behaviour_hash
    from behaviours

)

select
    signals.signal_id,
    signals.kind,
    signals.behaviour,
    signals.until_behaviour,
    signals.occurrences,
    signals.within_seconds,
    signals.state,
    signals.unit,
    signals.rearm,
    signals.rearm_after_seconds,
    signals.max_lateness_hours,
    signals.meaning,
    coalesce(started.source, 'states') as source,
    -- silence is only proven by the silo in which the missing behaviour would have shown
    coalesce(ended.source, started.source, 'states') as proving_source,
    {{ surrogate_key([
        'signals.signal_id', 'signals.kind', 'started.behaviour_hash', 'ended.behaviour_hash', 'signals.occurrences',
        'signals.within_seconds', 'signals.state', 'signals.unit', 'signals.rearm', 'signals.rearm_after_seconds',
    ]) }} as definition_hash
from signals
left join behaviour_hashes as started
    on signals.behaviour = started.behaviour
left join behaviour_hashes as ended
    on signals.until_behaviour = ended.behaviour
