-- One row per pair of nodes that are one person: a record that hangs on an account, and an identifier it carries.
-- Why records and identifiers and not pairs of records: an address on n records is n rows this way, not n squared.
-- A record without identifiers is paired with itself, so that it gets a person of its own.
-- Hazard: what says only which company somebody works for (domain, role inbox, account id) must not appear here.

{{ config(materialized='view') }}

with

identifiers as (

    select
        record_key,
        identifier_key,
        identifier_type,
        seen_at
    from {{ ref('int_identifiers__judged') }}
    where
        verdict = 'used'
        and record_level = 'member'
        and identifier_type in ('user_id', 'anonymous_id', 'crm_contact_id', 'crm_lead_id', 'email')

),

records as (

    select record_key
    from {{ ref('int_source_records__unioned') }}
    where record_level = 'member'

)

select
    record_key as node_a,
    identifier_key as node_b,
    identifier_type as link_method,
    seen_at as linked_at
from identifiers

union all

select
    record_key as node_a,
    record_key as node_b,
    'self' as link_method,
    cast(null as timestamp) as linked_at
from records

union all

---------- what people decided
{{ decided_links(['user_id', 'email']) }}
