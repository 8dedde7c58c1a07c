-- One row per source record that was ever published, with the customer and person it was last published under, and the
-- record that stands for it now: itself, or, where the silo no longer has it, the oldest one it was published with.
-- Why it exists: ids are made from records. Whoever was told an id must find the customer again after the record that
-- named it was deleted in its silo, after an older record came in later, and after a merge.
-- Hazard: memory only ever settles who names whom. It never joins or parts records: that is evidence's business.

with

log as (

    select
        shown.record_key,
        shown.customer_id,
        shown.person_id,
        shown.first_seen_at,
        shown.known_at,
        coalesce(forgotten.customer_id, {{ customer_id_of('shown.record_key') }}) as given_customer_id
    from {{ ref('stg_ops__identity_log') }} as shown
    left join {{ ref('stg_ops__forgotten_names') }} as forgotten
        on shown.record_key = forgotten.record_key

),

records as (

    select
        record_key,
        first_seen_at
    from {{ ref('int_source_records__unioned') }}

),

latest as (

    select
        record_key,
        given_customer_id,
        max_by(customer_id, known_at) as customer_id,
        max_by(person_id, known_at) as person_id,
        max_by(first_seen_at, known_at) as first_seen_at,
        min(case when customer_id = given_customer_id then known_at end) as customer_since,
        min(case when person_id = {{ person_id_of('record_key') }} then known_at end) as person_since
    from log
    group by record_key, given_customer_id

),

present as (

    select
        latest.record_key,
        latest.customer_id,
        latest.person_id,
        records.first_seen_at
    from latest
    inner join records on latest.record_key = records.record_key

),

-- who is left of those it was published with? the oldest, then md5, so that the pick is repeatable
customer_heirs as (

    select
        customer_id,
        record_key
    from present
    qualify row_number() over (
        partition by customer_id
        order by first_seen_at nulls last, md5(record_key)
    ) = 1

),

person_heirs as (

    select
        person_id,
        record_key
    from present
    qualify row_number() over (
        partition by person_id
        order by first_seen_at nulls last, md5(record_key)
    ) = 1

)

select
    latest.record_key,
    latest.customer_id,
    latest.given_customer_id,
    latest.person_id,
    latest.first_seen_at,
    latest.customer_since,
    latest.person_since,
    present.record_key is not null as is_present,
    coalesce(present.record_key, customer_heirs.record_key) as customer_heir,
    coalesce(present.record_key, person_heirs.record_key) as person_heir,
    case
        when latest.customer_id = latest.given_customer_id then 0
        when latest.customer_since is not null then 1
        else 2
    end as customer_rank,
    case
        when latest.person_id = {{ person_id_of('latest.record_key') }} then 0
        when latest.person_since is not null then 1
        else 2
    end as person_rank
from latest
left join present on latest.record_key = present.record_key
left join customer_heirs on latest.customer_id = customer_heirs.customer_id
left join person_heirs on latest.person_id = person_heirs.person_id
