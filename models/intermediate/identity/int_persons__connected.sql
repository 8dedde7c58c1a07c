-- One row per node (record or identifier) of int_person_links__drawn with the person it belongs to (`component`).
-- A person is whatever hangs together there; the name of the component means nothing outside of this build.
{{ config(materialized='connected_components') }}

select
    node_a,
    node_b
from {{ ref('int_person_links__drawn') }}
