-- One row per raw ticket, with a verdict: staged, deduplicated (a newer copy of the same ticket was loaded) or
-- quarantined.
-- Hazard: updated_at does not move when the system changes a ticket (a deletion, a merge); the export's own
-- generated_timestamp does, and decides which copy is the latest.

with

source as (

    select * from {{ source('zendesk', 'tickets') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as ticket_id,
        nullif(trim(external_id), '') as external_id,
        cast(requester_id as {{ dbt.type_string() }}) as requester_id,
        cast(submitter_id as {{ dbt.type_string() }}) as submitter_id,
        cast(assignee_id as {{ dbt.type_string() }}) as assignee_id,
        cast(organization_id as {{ dbt.type_string() }}) as zendesk_organization_id,
        cast(group_id as {{ dbt.type_string() }}) as group_id,

        ---------- strings
        subject,
        lower(type) as ticket_type,
        lower(status) as status,
        -- a ticket that nobody has triaged has no priority
        lower(priority) as priority,
        cast(tags as {{ dbt.type_string() }}) as tags,
        lower({{ json_text('via', '$.channel') }}) as via_channel,
        lower({{ json_text('satisfaction_rating', '$.score') }}) as satisfaction_score,

        ---------- numerics
        try_cast({{ json_text('metric_set', '$.reply_time_in_minutes.calendar') }} as double) as first_reply_minutes,
        try_cast({{ json_text('metric_set', '$.full_resolution_time_in_minutes.calendar') }} as double)
            as full_resolution_minutes,
        try_cast({{ json_text('metric_set', '$.reopens') }} as bigint) as reopens,
        try_cast({{ json_text('metric_set', '$.replies') }} as bigint) as replies,
        generated_timestamp,

        ---------- booleans
        coalesce(cast(tags as {{ dbt.type_string() }}) like '%"lifecycle_escalation"%', false) as is_own_escalation,

        ---------- timestamps
        created_at,
        updated_at,
        try_cast({{ json_text('metric_set', '$.solved_at') }} as timestamp) as solved_at,

        _dlt_load_id
    from source

),

-- which copy of a ticket is the one to believe? the last exported; then the last loaded,
-- copies that still tie are compared as text
ranked as (

    select
        *,
        row_number() over (
            partition by ticket_id
            order by
                generated_timestamp desc nulls last,
                updated_at desc nulls last,
                _dlt_load_id desc,
                {{ row_as_json('renamed') }} asc
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when ticket_id is null then 'no ticket id'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
            when status is null then 'no status'
            when status not in ('new', 'open', 'pending', 'hold', 'solved', 'closed', 'deleted') then 'unknown status'
            when first_reply_minutes < 0 or full_resolution_minutes < 0 then 'negative time to reply or to solve'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('ticket_id') }} as row_verdict
from judged
