-- One row per thing that happened with a customer in sales: what the signals of the playbook can listen to.
-- Hazard: when a deal reached its stage is not recorded by the CRM; a won or lost deal is dated by its closing date.

with

leads as (

    select
        leads.lead_id,
        identities.customer_id,
        leads.source_id,
        leads.created_at
    from {{ ref('stg_bitrix24__leads') }} as leads
    inner join {{ ref('int_identities__resolved') }} as identities
        on
            identities.source_system = 'bitrix24'
            and identities.source_record_type = 'lead'
            and leads.lead_id = identities.source_record_id
    where leads.created_at < {{ as_of() }}

),

deals as (

    select * from {{ ref('int_deals__attributed') }}
    where customer_id is not null

)

select
    customer_id,
    'lead_created' as behaviour,
    created_at as occurred_at,
    'bitrix24:lead:' || lead_id || ':created' as event_id,
    '{"lead_id": "' || lead_id || '"}' as properties
from leads
where customer_id is not null
union all
select
    customer_id,
    'deal_created' as behaviour,
    created_at as occurred_at,
    'bitrix24:deal:' || deal_id || ':created' as event_id,
    '{"deal_id": "' || deal_id || '"}' as properties
from deals
union all
select
    customer_id,
    'deal_' || outcome as behaviour,
    closed_at as occurred_at,
    'bitrix24:deal:' || deal_id || ':' || outcome as event_id,
    '{"deal_id": "' || deal_id || '"}' as properties
from deals
where outcome in ('won', 'lost') and closed_at < {{ as_of() }}
