-- Guards the caps: no identifier in use is shared by more records than its seed row allows, and no person holds more
-- values of a type than one can have, unless an alias or a human says so. One placeholder that gets through glues
-- thousands of customers together.

with

rules as (

    select
        identifier_type,
        max_records,
        max_per_person
    from {{ ref('identifier_rules') }}

),

persons as (

    select
        persons.person,
        links.link_method,
        count(distinct links.node_b) as held
    from {{ ref('int_person_links__drawn') }} as links
    inner join {{ ref('int_persons__limited') }} as persons on links.node_a = persons.node
    inner join {{ ref('int_persons__limited') }} as theirs on links.node_b = theirs.node
    where persons.person = theirs.person
    group by persons.person, links.link_method

),

decided as (

    select distinct persons.person
    from {{ ref('int_person_links__drawn') }} as links
    inner join {{ ref('int_persons__limited') }} as persons on links.node_a = persons.node
    where links.link_method in ('alias', 'override')

)

select
    identifiers.identifier_key as subject,
    identifiers.record_count as found,
    rules.max_records as allowed
from {{ ref('int_identifiers__judged') }} as identifiers
left join rules on identifiers.identifier_type = rules.identifier_type
where
    identifiers.verdict = 'used'
    and (rules.max_records is null or identifiers.record_count > rules.max_records)

union all

select
    persons.person as subject,
    persons.held as found,
    rules.max_per_person as allowed
from persons
inner join rules on persons.link_method = rules.identifier_type
left join decided on persons.person = decided.person
where persons.held > rules.max_per_person and decided.person is null
