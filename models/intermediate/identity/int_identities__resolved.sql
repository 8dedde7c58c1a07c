-- One row per source record with the customer and the person it belongs to. Everybody joins through here.
-- A customer is named after one of its members: the one that names a published customer now, else one that did before,
-- else any; among those the oldest (first seen, then md5 of the record's key). So neither the order of rows nor new,
-- unrelated rows change a name; in a merge the older customer's name survives; after a split each piece has the name
-- that its own oldest member gave it. Persons are named the same way.
-- Why what was published comes first: a silo connected later brings records older than any that were known, and the
-- whole company must not be renamed for them. Nor for one person's sake: a forgotten record goes on giving its old id.

with

assigned as (

    select * from {{ ref('int_identities__assigned') }}

),

records as (

    select * from {{ ref('int_source_records__unioned') }}

),

remembered as (

    select
        record_key,
        first_seen_at,
        is_present,
        customer_heir,
        person_heir,
        customer_rank,
        person_rank
    from {{ ref('int_identities__remembered') }}

),

forgotten_names as (

    select * from {{ ref('stg_ops__forgotten_names') }}

),

-- who can give a name? every member, and a record its silo no longer has, where those it was published with are
candidates as (

    select
        assigned.customer_node,
        assigned.person_node,
        records.record_key,
        records.first_seen_at,
        coalesce(remembered.customer_rank, 2) as customer_rank,
        coalesce(remembered.person_rank, 2) as person_rank
    from records
    inner join assigned on records.record_key = assigned.record_key
    left join remembered on records.record_key = remembered.record_key

    union all

    select
        customer_heirs.customer_node,
        person_heirs.person_node,
        remembered.record_key,
        remembered.first_seen_at,
        remembered.customer_rank,
        remembered.person_rank
    from remembered
    left join assigned as customer_heirs on remembered.customer_heir = customer_heirs.record_key
    left join assigned as person_heirs on remembered.person_heir = person_heirs.record_key
    where not remembered.is_present

),

customer_names as (

    select
        customer_node,
        record_key
    from candidates
    where customer_node is not null
    qualify row_number() over (
        partition by customer_node
        order by customer_rank, first_seen_at nulls last, md5(record_key)
    ) = 1

),

person_names as (

    select
        person_node,
        record_key
    from candidates
    where person_node is not null
    qualify row_number() over (
        partition by person_node
        order by person_rank, first_seen_at nulls last, md5(record_key)
    ) = 1

)

select
    records.source_system,
    records.source_record_type,
    records.source_record_id,
    records.record_key,
    records.record_level,
    coalesce(named.customer_id, {{ customer_id_of('customer_names.record_key') }}) as customer_id,
    -- the id that the record's customer has, had or would have, were it named after this record
    coalesce(own_names.customer_id, {{ customer_id_of('records.record_key') }}) as given_customer_id,
    {{ person_id_of('person_names.record_key') }} as person_id,
    assigned.match_method,
    assigned.match_confidence,
    assigned.matched_via,
    assigned.is_disputed,
    records.record_name,
    records.first_seen_at
from records
inner join assigned on records.record_key = assigned.record_key
inner join customer_names on assigned.customer_node = customer_names.customer_node
inner join person_names on assigned.person_node = person_names.person_node
left join forgotten_names as named on customer_names.record_key = named.record_key
left join forgotten_names as own_names on records.record_key = own_names.record_key
