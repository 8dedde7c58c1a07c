-- One row per node of int_customers__connected with the customer it belongs to in the end, and whether that was
-- disputed.
-- Why it exists: weak evidence may chain two product accounts together though no single piece of it touches both.
-- There the weakest is cut: every part goes to the account that its own evidence names (a person's before a domain's,
-- then the more evidence), and where that is a tie the part stays alone. Nothing is disputed in silence,
-- see identity_conflicts.

with

connected as (

    select
        node,
        component
    from {{ ref('int_customers__connected') }}

),

evidence as (

    select
        account,
        mediator,
        mediator_type,
        evidence_type,
        mediator_anchor,
        is_anchored,
        weight
    from {{ ref('int_account_evidence__judged') }}
    where verdict = 'admitted'

),

anchors as (

    select distinct component as account
    from {{ ref('int_accounts__keyed') }}
    where node like 'account_id=%'

),

disputed_components as (

    select connected.component
    from connected
    inner join anchors on connected.node = anchors.account
    group by connected.component
    having count(*) > 1

),

-- whom does each part's own evidence name?
votes as (

    ---------- a mediator names the one anchored account it touches
    select distinct
        mediator as node,
        mediator_anchor as anchor,
        0 as vote_rank,
        1 as vote_weight
    from evidence
    where mediator_anchor is not null

    union all

    ---------- an unanchored account or a stray person is named by what it shares
    select
        account as node,
        mediator_anchor as anchor,
        case mediator_type when 'person' then 1 when 'role_email' then 2 else 3 end as vote_rank,
        sum(weight) as vote_weight
    from evidence
    where not is_anchored and mediator_anchor is not null
    group by account, mediator_anchor, case mediator_type when 'person' then 1 when 'role_email' then 2 else 3 end

),

ranked as (

    select
        node,
        anchor,
        rank() over (
            partition by node
            order by vote_rank asc, vote_weight desc
        ) as place
    from (
        select
            node,
            anchor,
            min(vote_rank) as vote_rank,
            sum(vote_weight) as vote_weight
        from votes
        group by node, anchor
    ) as totals

),

winners as (

    select
        node,
        min(anchor) as anchor
    from ranked
    where place = 1
    group by node
    having count(*) = 1

)

select
    connected.node,
    connected.component,
    disputed_components.component is not null as is_disputed,
    case
        when disputed_components.component is null then connected.component
        when anchors.account is not null then connected.node
        else coalesce(winners.anchor, connected.node)
    end as customer_node
from connected
left join disputed_components on connected.component = disputed_components.component
left join anchors on connected.node = anchors.account
left join winners on connected.node = winners.node
