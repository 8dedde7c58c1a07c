-- One row per pair of nodes that a key makes one account: an account-level record and the product account id it
-- carries, an account id that became another one, a human's word.
-- Hazard: nothing that merely suggests (an address, a domain) may appear here; keys are believed even against
-- evidence.

{{ config(materialized='view') }}

with

records as (

    select record_key
    from {{ ref('int_source_records__unioned') }}
    where record_level = 'account'

)

select
    record_key as node_a,
    identifier_key as node_b,
    'account_id' as link_method,
    seen_at as linked_at
from {{ ref('int_identifiers__judged') }}
where verdict = 'used' and record_level = 'account' and identifier_type = 'account_id'

union all

select
    record_key as node_a,
    record_key as node_b,
    'self' as link_method,
    cast(null as timestamp) as linked_at
from records

union all

---------- the product moved a user's group from one account to another and said so
select
    {{ identifier_key('account_id', 'previous_account_id') }} as node_a,
    {{ identifier_key('account_id', 'account_id') }} as node_b,
    'alias' as link_method,
    min(first_seen_at) as linked_at
from {{ ref('int_product_identities__observed') }}
where previous_account_id is not null and account_id is not null
group by previous_account_id, account_id

union all

---------- what people decided
{{ decided_links(['account_id']) }}
