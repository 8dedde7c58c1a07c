-- One row per raw campaign, with a verdict: staged, deduplicated or quarantined.

with

source as (

    select * from {{ source('customerio', 'campaigns') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as campaign_id,

        ---------- strings
        name as campaign_name,
        lower(type) as campaign_type,
        lower(state) as campaign_state,
        event_name,
        cast(tags as {{ dbt.type_string() }}) as tags,

        ---------- booleans
        active as is_active,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,
        {{ unix_to_timestamp('updated') }} as updated_at,
        {{ unix_to_timestamp('first_started') }} as first_started_at,

        _dlt_load_id
    from source

),

-- which copy of a campaign is the one to believe? the last updated; then the last loaded,
-- copies that still tie are compared as text
ranked as (

    select
        *,
        row_number() over (
            partition by campaign_id
            order by updated_at desc nulls last, _dlt_load_id desc, {{ row_as_json('renamed') }}
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when campaign_id is null then 'no campaign id'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('campaign_id') }} as row_verdict
from judged
