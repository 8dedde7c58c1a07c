-- One row per node (record or identifier) of int_person_links__drawn with the person it belongs to (`component`).
-- Hazard: a component may hold more than one person can have; int_persons__limited is what everybody else reads.
{{ config(materialized='connected_components') }}

select
    node_a,
    node_b
from {{ ref('int_person_links__drawn') }}
