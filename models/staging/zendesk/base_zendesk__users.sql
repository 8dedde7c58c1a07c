-- One row per raw support user, with a verdict: staged, deduplicated or quarantined.
-- Hazard: a user without an e-mail address is normal (chat, phone); only one without an id cannot be used.

with

source as (

    select * from {{ source('zendesk', 'users') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as zendesk_user_id,
        nullif(trim(external_id), '') as external_id,
        cast(organization_id as {{ dbt.type_string() }}) as zendesk_organization_id,

        ---------- strings
        name as user_name,
        nullif(trim(email), '') as email,
        lower(role) as user_role,
        cast(tags as {{ dbt.type_string() }}) as tags,

        ---------- booleans
        active as is_active,
        verified as is_verified,
        suspended as is_suspended,

        ---------- timestamps
        created_at,
        updated_at,

        _dlt_load_id
    from source

),

-- which copy of a user is the one to believe? the last updated; then the last loaded,
-- copies that still tie are compared as text
ranked as (

    select
        *,
        row_number() over (
            partition by zendesk_user_id
            order by updated_at desc nulls last, _dlt_load_id desc, {{ row_as_json('renamed') }}
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when zendesk_user_id is null then 'no user id'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('zendesk_user_id') }} as row_verdict
from judged
