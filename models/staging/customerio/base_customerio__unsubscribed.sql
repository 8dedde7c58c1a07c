-- One row per raw member of the segment "unsubscribed", with a verdict: staged, deduplicated or quarantined.
-- Hazard: this is the consent list. A row that can be tied to nobody is quarantined and counted, because a lost row
-- here means a message to somebody who said no.

with

source as (

    select * from {{ source('customerio', 'unsubscribed') }}

),

renamed as (

    select
        ---------- ids
        nullif(trim(id), '') as user_id,
        nullif(trim(cio_id), '') as customerio_id,

        ---------- strings
        nullif(trim(email), '') as email,

        _dlt_load_id
    from source

),

-- which copy of a member is the one to believe? they say the same; then the last loaded,
-- copies that still tie are compared as text
ranked as (

    select
        *,
        row_number() over (
            partition by coalesce(user_id, customerio_id, email), email
            order by _dlt_load_id desc, {{ row_as_json('renamed') }}
        ) as copy_rank
    from renamed

),

judged as (

    select
        *,
        case when coalesce(user_id, email) is null then 'neither a person id nor an address' end as reject_reason
    from ranked

)

select
    *,
    case
        when reject_reason is not null then 'quarantined'
        when copy_rank > 1 then 'deduplicated'
        else 'staged'
    end as row_verdict
from judged
