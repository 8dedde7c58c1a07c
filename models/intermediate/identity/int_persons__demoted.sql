-- One row per node of a crowded person with the person it belongs to once the links of the lowest priority are gone
-- (`component`). Crowded: the component of int_persons__connected holds more values of a type than identifier_rules
-- allows one person (max_per_person). Nobody has eleven addresses; an inbox that no list names does.
-- Hazard: an alias or a human's word is never demoted, so a person may stay crowded: identity_conflicts says so.
{{ config(materialized='connected_components') }}

with

links as (

    select
        node_a,
        node_b,
        link_method
    from {{ ref('int_person_links__drawn') }}

),

persons as (

    select
        node,
        component as person
    from {{ ref('int_persons__connected') }}

),

rules as (

    select
        identifier_type,
        priority,
        max_per_person
    from {{ ref('identifier_rules') }}

),

crowded_persons as (

    select distinct person
    from (
        select persons.person
        from links
        inner join persons on links.node_b = persons.node
        inner join rules on links.link_method = rules.identifier_type
        group by persons.person, links.link_method, rules.max_per_person
        having count(distinct links.node_b) > rules.max_per_person
    ) as persons_by_type

),

crowded_links as (

    select
        crowded_persons.person,
        links.node_a,
        links.node_b,
        rules.priority
    from links
    inner join persons on links.node_a = persons.node
    inner join crowded_persons on persons.person = crowded_persons.person
    left join rules on links.link_method = rules.identifier_type

),

-- which kind of link is believed least among those that joined this person?
demoted as (

    select
        person,
        max(priority) as priority
    from crowded_links
    group by person

)

---------- what only the demoted links held is alone
select
    crowded_links.node_a,
    case
        when crowded_links.priority = demoted.priority then crowded_links.node_a
        else crowded_links.node_b
    end as node_b
from crowded_links
inner join demoted on crowded_links.person = demoted.person

union all

select
    node_b as node_a,
    node_b
from crowded_links
