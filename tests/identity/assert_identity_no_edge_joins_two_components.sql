-- Guards the connected components: a pair whose ends are in different components means that the rounds stopped too
-- early, and one customer would be two in every mart without anything else failing.

with

edges as (

    select
        'persons' as graph,
        node_a,
        node_b
    from {{ ref('int_person_links__drawn') }}
    union all
    select
        'accounts' as graph,
        node_a,
        node_b
    from {{ ref('int_account_links__drawn') }}
    union all
    select
        'customers' as graph,
        account as node_a,
        mediator as node_b
    from {{ ref('int_account_evidence__judged') }}
    where verdict = 'admitted'

),

members as (

    select
        'persons' as graph,
        node,
        component
    from {{ ref('int_persons__connected') }}
    union all
    select
        'accounts' as graph,
        node,
        component
    from {{ ref('int_accounts__keyed') }}
    union all
    select
        'customers' as graph,
        node,
        component
    from {{ ref('int_customers__connected') }}

)

select
    edges.graph,
    edges.node_a,
    edges.node_b,
    ends_a.component as component_a,
    ends_b.component as component_b
from edges
left join members as ends_a on edges.graph = ends_a.graph and edges.node_a = ends_a.node
left join members as ends_b on edges.graph = ends_b.graph and edges.node_b = ends_b.node
where ends_a.component is distinct from ends_b.component or ends_a.component is null
