-- One row per raw product of the catalogue, with a verdict.
-- Hazard: the plan is named by metadata.plan; a product without it is its own plan under its lower-cased name.

with

source as (

    select * from {{ source('stripe', 'products') }}

),

renamed as (

    select
        ---------- ids
        id as product_id,

        ---------- strings
        nullif(trim(name), '') as product_name,
        lower(coalesce(nullif(trim({{ json_text('metadata', '$.plan') }}), ''), nullif(trim(name), ''))) as plan,

        ---------- booleans
        coalesce(active, false) as is_active,
        coalesce(deleted, false) as is_deleted,

        ---------- timestamps
        {{ unix_to_timestamp('created') }} as created_at,

        ---------- load bookkeeping
        _dlt_load_id
    from source

),

-- which copy is the one to believe? the last loaded; a load holds one copy of an id, it merges by primary key
ranked as (

    select
        *,
        row_number() over (
            partition by product_id
            order by _dlt_load_id desc
        ) as copy_rank
    from renamed

),

judged as (

    select
        ranked.*,
        case
            when ranked.product_id is null then 'no product id'
            when ranked.plan is null then 'no name and no plan'
            when ranked.created_at > {{ latest_believable_at() }} then 'created in the future'
        end as reject_reason
    from ranked

)

select
    *,
    {{ row_verdict('product_id') }} as row_verdict
from judged
