-- One row per raw rating, with a verdict: staged, deduplicated or quarantined.
-- Hazard: an offer that nobody answered is a rating too (score offered); counting it as answered halves satisfaction.

with

source as (

    select * from {{ source('zendesk', 'satisfaction_ratings') }}

),

renamed as (

    select
        ---------- ids
        cast(id as {{ dbt.type_string() }}) as rating_id,
        cast(ticket_id as {{ dbt.type_string() }}) as ticket_id,
        cast(requester_id as {{ dbt.type_string() }}) as requester_id,
        cast(assignee_id as {{ dbt.type_string() }}) as assignee_id,

        ---------- strings
        lower(score) as score,
        reason as rating_reason,

        ---------- timestamps
        created_at,
        updated_at,

        _dlt_load_id
    from source

),

-- which copy of a rating is the one to believe? the last updated; then the last loaded,
-- copies that still tie are compared as text
ranked as (

    select
        *,
        row_number() over (
            partition by rating_id
            order by updated_at desc nulls last, _dlt_load_id desc, {{ row_as_json('renamed') }}
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case
            when rating_id is null then 'no rating id'
            when ticket_id is null then 'no ticket id'
            when created_at is null then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
            when score is null then 'no score'
            when split_part(score, '_', 1) not in ('offered', 'unoffered', 'good', 'bad') then 'unknown score'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('rating_id') }} as row_verdict
from judged
