-- One row per customer, reporting month, tool and rule that makes the tool's MRR of that customer another than ours.
-- Why it exists: "why is it 259,796 here and 274,453 there" has an answer that adds up: our closing plus these rows is
-- the tool's closing, per customer and in total, without a rest.
-- Hazard: rules are put in one after the other (rule_order); what two rules do together is charged to the first.

with

recut as (

    select * from {{ ref('int_mrr__recut') }}
    where is_touched

),

rules as (

    select * from {{ ref('mrr_rule_profiles') }}

),

stepped as (

    select
        customer_id,
        month,
        profile,
        changed_rule,
        is_open,
        closing_mrr - lag(closing_mrr) over (
            partition by customer_id, month, profile
            order by step
        ) as difference
    from recut

)

select
    stepped.customer_id,
    stepped.month,
    cast(stepped.profile as varchar) as profile,
    cast(stepped.changed_rule as varchar) as rule_id,
    cast(theirs.rule_order as integer) as rule_order,
    cast(ours.rule_value as varchar) as our_value,
    cast(theirs.rule_value as varchar) as their_value,
    stepped.is_open as is_open_month,
    cast(stepped.difference as decimal(18, 2)) as difference,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from stepped
inner join rules as ours
    on
        stepped.changed_rule = ours.rule_id
        and ours.profile = 'ours'
inner join rules as theirs
    on
        stepped.changed_rule = theirs.rule_id
        and stepped.profile = theirs.profile
where stepped.difference != 0
