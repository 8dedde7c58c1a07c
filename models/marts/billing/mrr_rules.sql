-- One row per tool and rule: how it counts revenue, where we know that from, and whether our page can follow it.
-- Why it exists: a difference between two tools is a difference between two rows here.

with

rules as (

    select * from {{ ref('mrr_rule_profiles') }}

)

select
    cast(profile as varchar) as profile,
    cast(rule_id as varchar) as rule_id,
    cast(rule_order as integer) as rule_order,
    cast(question as varchar) as question,
    cast(rule_value as varchar) as rule_value,
    cast(affects as varchar) as affects,
    cast(basis as varchar) as basis,
    cast(note as varchar) as note,
    {{ data_through_at() }} as data_through_at,
    {{ definition_version() }} as definition_version
from rules
