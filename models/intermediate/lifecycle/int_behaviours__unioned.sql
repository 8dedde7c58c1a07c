-- One row per behaviour and event: what the signals of the playbook listen to, out of all silos, in one shape, as known
-- at as_of. Behaviour '*' is use of the product: of the days before as_of's the first and the last event per
-- attribution key, of the day itself every event, because only whole days are folded in advance.
-- Hazard: at-least-once senders repeat a message for weeks, and then it is here twice; whoever counts takes an event
-- once per customer (int_signals__occurred does). A view on purpose: a merged identity moves history without
-- rewriting it, and readers' filters reach the tables underneath.
{{ config(materialized='view') }}

with

found as (

    select * from {{ ref('int_behaviours__found') }}
    where
        behaviour not in ('calendar', '*withdrawn', '*zone')
        and occurred_at < {{ as_of() }}
        and received_at < {{ as_of() }}
        and (
            behaviour != '*'
            or (
                received_date < cast({{ as_of() }} as date)
                and occurred_at < date_trunc('day', {{ as_of() }})
            )
        )

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'product'

),

today as (

    select
        customer_id,
        event_id,
        occurred_at,
        received_at,
        received_date
    from {{ ref('int_events__attributed') }}
    where
        is_qualifying
        and customer_id is not null
        -- a clock may run ahead by a day; by date, so that the partitions before are not read
        and received_date >= cast({{ dbt.dateadd('day', -1, as_of()) }} as date)
        and (
            received_date >= cast({{ as_of() }} as date)
            or occurred_at >= date_trunc('day', {{ as_of() }})
        )

),

behaviours as (

    select * from {{ ref('behaviours') }}
    where grain != 'day' and grain != 'day_edges'

),

-- what the other silos and our own figures tell
derived as (

    {% for silo, model in [
        ('stripe', 'int_billing_behaviours__derived'),
        ('zendesk', 'int_support_behaviours__derived'),
        ('bitrix24', 'int_crm_behaviours__derived'),
    ] %}
    select
        customer_id,
        behaviour as event_name,
        '{{ silo }}' as source,
        cast(null as {{ dbt.type_string() }}) as product,
        occurred_at,
        event_id,
        cast(properties as {{ dbt.type_string() }}) as properties,
        cast(null as double) as measured_value,
        cast(null as timestamp) as due_at,
        cast(null as timestamp) as gone_at
    from {{ ref(model) }}
    union all
    {% endfor %}
    select
        customer_id,
        event_name,
        source,
        product,
        occurred_at,
        event_id,
        properties,
        measured_value,
        due_at,
        gone_at
    from {{ ref('int_signals__measured') }}

),

-- which of it is a behaviour that signals listen to?
elsewhere as (

    select
        derived.customer_id,
        behaviours.behaviour,
        derived.occurred_at,
        derived.event_id,
        derived.measured_value,
        derived.due_at,
        derived.gone_at,
        cast(null as {{ dbt.type_string() }}) as user_id,
        cast(null as timestamp) as received_at
    from derived
    inner join behaviours
        on
            derived.event_name = behaviours.event_name
            and derived.source = behaviours.source
    where
        derived.customer_id is not null
        and derived.occurred_at < {{ as_of() }}
        and (behaviours.source != 'product' or behaviours.grain = 'measured')
        and (behaviours.product is null or derived.product = behaviours.product)
        and {{ property_matches('derived.properties', 'behaviours') }}

),

used_today as (

    select
        *,
        '*' as behaviour,
        cast(null as {{ dbt.type_string() }}) as user_id
    from today

)

select
    identities.customer_id,
    found.user_id,
    found.behaviour,
    found.occurred_at,
    found.received_at,
    found.received_date,
    found.event_id,
    found.uses,
    found.behaviour_number,
    cast(null as double) as measured_value,
    cast(null as timestamp) as due_at,
    cast(null as timestamp) as gone_at
from found
inner join identities
    on
        found.source_record_type = identities.source_record_type
        and found.source_record_id = identities.source_record_id
where identities.customer_id is not null
union all
select
    customer_id,
    user_id,
    behaviour,
    occurred_at,
    received_at,
    received_date,
    event_id,
    1 as uses,
    {{ behaviour_number() }} as behaviour_number,
    null as measured_value,
    null as due_at,
    null as gone_at
from used_today
union all
select
    customer_id,
    user_id,
    behaviour,
    occurred_at,
    received_at,
    null as received_date,
    event_id,
    1 as uses,
    -- what is measured may change without being dated anew
    {{ behaviour_number() }} + {{ fingerprint(['measured_value', 'due_at', 'gone_at']) }} as behaviour_number,
    measured_value,
    due_at,
    gone_at
from elsewhere
