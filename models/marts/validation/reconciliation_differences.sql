-- One row per metric, grain, period and customer on whom we and the company's own report differ.
-- Why it exists: whoever has to explain a difference starts with the customers it consists of.
-- Hazard: only reports with a list behind their total can be compared customer by customer; a reference that no record
-- of ours has stands in customer_id as it was reported.

with

compared as (

    select * from {{ ref('int_figures__compared') }}

),

rules as (

    select
        rule,
        metric,
        grain,
        text
    from {{ ref('validation_explanations') }}

)

select
    compared.metric,
    compared.grain,
    compared.period,
    compared.customer_id,
    compared.their_references,
    compared.ours,
    compared.theirs,
    compared.difference,
    compared.rule,
    compared.item_type,
    compared.explained_amount,
    cast(compared.difference - compared.explained_amount as decimal(18, 2)) as unexplained,
    coalesce(rules.text, 'Nobody has explained it.') as reason,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from compared
left join rules
    on
        compared.rule = rules.rule
        and compared.metric = rules.metric
        and compared.grain = rules.grain
where compared.customer_id is not null and compared.difference != 0
