-- One row per CRM deal created before as_of, tied to its customer, with what its stage means.
-- Hazard: a deal keeps only its present stage. closed_at is believed for deals that are won or lost; before that it is
-- the salesperson's forecast.

with

deals as (

    select * from {{ ref('stg_bitrix24__deals') }}
    where created_at < {{ as_of() }}

),

stages as (

    select
        status_id,
        -- a stage code may appear in several pipelines' dictionaries; it means the same in all of them
        max(semantics) as semantics
    from {{ ref('stg_bitrix24__statuses') }}
    where dictionary_id like 'DEAL_STAGE%'
    group by status_id

),

identities as (

    select
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'bitrix24' and source_record_type = 'deal'

)

select
    ---------- ids
    deals.deal_id,
    identities.customer_id,
    deals.assigned_by_id,

    ---------- strings
    deals.stage_id,
    case
        when coalesce(stages.semantics, '') = 'S' then 'won'
        when coalesce(stages.semantics, '') = 'F' then 'lost'
        when deals.is_closed then 'closed'
        else 'open'
    end as outcome,
    deals.currency,

    ---------- numerics
    deals.opportunity,

    ---------- timestamps
    deals.created_at,
    case when coalesce(stages.semantics, '') in ('S', 'F') or deals.is_closed then deals.closed_at end as closed_at
from deals
left join stages on deals.stage_id = stages.status_id
left join identities on deals.deal_id = identities.source_record_id
