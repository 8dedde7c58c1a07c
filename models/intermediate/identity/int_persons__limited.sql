-- One row per node (record or identifier) of int_person_links__drawn with the person it belongs to, after persons that
-- hold more than one person can have were taken apart (int_persons__demoted).
-- A person is whatever hangs together there; the name of the component means nothing outside of this build: person_id
-- is made in int_identities__resolved.

{{ config(materialized='view') }}

with

connected as (

    select
        node,
        component
    from {{ ref('int_persons__connected') }}

),

demoted as (

    select
        node,
        component
    from {{ ref('int_persons__demoted') }}

)

select
    connected.node,
    coalesce(demoted.component, connected.component) as person,
    demoted.node is not null as is_demoted
from connected
left join demoted on connected.node = demoted.node
