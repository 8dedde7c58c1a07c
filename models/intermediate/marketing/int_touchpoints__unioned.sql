-- One row per moment at which somebody of a customer met us and left a trace of where they came from: a tagged page
-- view, or a record in the CRM with campaign parameters or a source. Before as_of. The channel is looked up in
-- seeds/definitions/channels by campaign source and medium, else by the CRM's source; a trace that no rule knows keeps
-- a null channel and stays visible here.
-- Hazard: a page view of a visitor who was never identified has no customer; it stays, with a null customer_id.

with

page_views as (

    select
        'page:' || event_id as touchpoint_id,
        customer_id,
        'page_view' as touch_type,
        utm_source,
        utm_medium,
        utm_campaign as campaign,
        cast(null as {{ dbt.type_string() }}) as crm_source_id,
        occurred_at as touched_at
    from {{ ref('int_events__attributed') }}
    where
        event_type = 'page'
        and coalesce(utm_source, utm_medium, utm_campaign) is not null

),

crm_records as (

    {%- for entity, record_type in [('leads', 'lead'), ('contacts', 'contact'), ('deals', 'deal')] %}
    select
        '{{ record_type }}' as source_record_type,
        {{ record_type }}_id as source_record_id,
        utm_source,
        utm_medium,
        utm_campaign as campaign,
        source_id as crm_source_id,
        created_at
    from {{ ref('stg_bitrix24__' ~ entity) }}
    {{ 'union all' if not loop.last }}
    {%- endfor %}

),

identities as (

    select
        source_record_type,
        source_record_id,
        customer_id
    from {{ ref('int_identities__resolved') }}
    where source_system = 'bitrix24'

),

-- what do leads and deals say about where somebody came from?
crm_touches as (

    select
        crm_records.source_record_type || ':' || crm_records.source_record_id as touchpoint_id,
        identities.customer_id,
        crm_records.source_record_type as touch_type,
        crm_records.utm_source,
        crm_records.utm_medium,
        crm_records.campaign,
        crm_records.crm_source_id,
        crm_records.created_at as touched_at
    from crm_records
    left join identities
        on
            crm_records.source_record_type = identities.source_record_type
            and crm_records.source_record_id = identities.source_record_id
    where
        crm_records.created_at < {{ as_of() }}
        and coalesce(
            crm_records.utm_source, crm_records.utm_medium, crm_records.campaign, crm_records.crm_source_id
        ) is not null

),

touches as (

    select * from page_views
    union all
    select * from crm_touches

),

-- traces repeat; every different one is looked up once
traces as (

    select distinct
        utm_source,
        utm_medium,
        crm_source_id
    from touches

),

rules as (

    select
        priority,
        utm_source,
        utm_medium,
        crm_source_id,
        channel
    from {{ ref('channels') }}

),

-- which rule speaks? the one with the smallest priority among those whose filled fields all match
recognised as (

    select
        traces.utm_source,
        traces.utm_medium,
        traces.crm_source_id,
        rules.channel
    from traces
    inner join rules
        on
            (rules.utm_source is null or traces.utm_source = rules.utm_source)
            and (rules.utm_medium is null or traces.utm_medium = rules.utm_medium)
            and (rules.crm_source_id is null or traces.crm_source_id = rules.crm_source_id)
    qualify row_number() over (
        partition by traces.utm_source, traces.utm_medium, traces.crm_source_id
        order by rules.priority
    ) = 1

)

select
    ---------- ids
    touches.touchpoint_id,
    touches.customer_id,

    ---------- strings
    touches.touch_type,
    recognised.channel,
    touches.campaign,
    touches.utm_source,
    touches.utm_medium,
    touches.crm_source_id,
    -- by what was the channel recognised? campaign parameters are set on purpose, a CRM source is a drop-down
    case
        when recognised.channel is null then 'none'
        when coalesce(touches.utm_source, touches.utm_medium) is not null then 'campaign_parameters'
        else 'crm_source'
    end as recognised_by,

    ---------- timestamps
    touches.touched_at
from touches
left join recognised
    on
        touches.utm_source is not distinct from recognised.utm_source
        and touches.utm_medium is not distinct from recognised.utm_medium
        and touches.crm_source_id is not distinct from recognised.crm_source_id
