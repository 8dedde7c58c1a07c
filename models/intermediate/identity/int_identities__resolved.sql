-- One row per source record with the customer it belongs to. Everybody joins through here. The customer is named
-- after its oldest member (first seen, then md5 of the record's key), so that neither the order of rows nor new,
-- unrelated rows change a name, and in a merge the older customer's name survives.

with

assigned as (

    select * from {{ ref('int_identities__assigned') }}

),

records as (

    select * from {{ ref('int_source_records__unioned') }}

),

oldest as (

    select
        assigned.customer_node,
        records.record_key as oldest_record_key
    from assigned
    inner join records on assigned.record_key = records.record_key
    qualify row_number() over (
        partition by assigned.customer_node
        order by records.first_seen_at nulls last, md5(records.record_key)
    ) = 1

)

select
    records.source_system,
    records.source_record_type,
    records.source_record_id,
    records.record_key,
    records.record_level,
    'c_' || substr(md5(oldest.oldest_record_key), 1, 16) as customer_id,
    'p_' || substr(md5(assigned.person_node), 1, 16) as person_id,
    assigned.match_method,
    assigned.match_confidence,
    assigned.matched_via,
    assigned.is_disputed,
    records.record_name,
    records.first_seen_at
from records
inner join assigned on records.record_key = assigned.record_key
inner join oldest on assigned.customer_node = oldest.customer_node
