-- One row per raw billing customer, with a verdict: staged, deduplicated or quarantined.
-- Hazard: one company can be several billing customers; they are joined by identity resolution, never here.

with

source as (

    select * from {{ source('stripe', 'customers') }}

),

renamed as (

    select
        ---------- ids
        id as stripe_customer_id,
        nullif(trim({{ json_text('metadata', '$.account_id') }}), '') as account_id,

        ---------- strings
        nullif(trim(email), '') as email,
        nullif(trim(name), '') as customer_name,
        lower(currency) as currency,

        ---------- booleans
        coalesce(delinquent, false) as is_delinquent,
        coalesce(deleted, false) as is_deleted,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,

        ---------- parts kept as JSON
        discount,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; a load holds one copy of an id, it merges by primary key
ranked as (

    select
        *,
        row_number() over (
            partition by stripe_customer_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        ranked.*,
        case
            when ranked.stripe_customer_id is null then 'no customer id'
            when ranked.created_at is null and not ranked.is_deleted then 'no creation time'
            when {{ is_unbelievable_time('created_at') }} then 'created before the company existed or in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('stripe_customer_id') }} as row_verdict
from judged
