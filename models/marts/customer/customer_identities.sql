-- One row per record of a silo that is somebody, with the customer it belongs to, how that was found and how sure it
-- is.
-- Why it exists: every sum per customer in any mart is a join through this table; who doubts a number starts here.

with

identities as (

    select * from {{ ref('int_identities__resolved') }}

),

-- which customers have evidence that points at another customer as well?
conflicted as (

    select distinct customer_id from {{ ref('identity_conflicts') }}

)

select
    identities.source_system,
    identities.source_record_type,
    identities.source_record_id,
    identities.customer_id,
    identities.person_id,
    identities.match_method,
    identities.match_confidence,
    identities.matched_via,
    conflicted.customer_id is not null as has_conflict,
    identities.first_seen_at,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from identities
left join conflicted on identities.customer_id = conflicted.customer_id
