-- One row per node of int_account_links__drawn with the account it belongs to by keys alone (`component`).
{{ config(materialized='connected_components') }}

select
    node_a,
    node_b
from {{ ref('int_account_links__drawn') }}
