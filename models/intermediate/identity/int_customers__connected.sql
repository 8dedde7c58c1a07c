-- One row per node (account, person or domain) with the customer it belongs to by keys and admitted evidence
-- (`component`). A component may still hold two product accounts, through a chain of things that each touch only one;
-- int_customers__separated takes those apart.
{{ config(materialized='connected_components') }}

select
    account as node_a,
    mediator as node_b
from {{ ref('int_account_evidence__judged') }}
where verdict = 'admitted'

union all

select
    component as node_a,
    component as node_b
from {{ ref('int_accounts__keyed') }}

union all

select
    'person=' || person as node_a,
    'person=' || person as node_b
from {{ ref('int_persons__limited') }}
