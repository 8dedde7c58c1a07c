-- Guards the degree cap: no identifier in use is shared by more records than its seed row allows. One placeholder
-- that gets through glues thousands of customers together.

select
    identifiers.identifier_key,
    identifiers.record_count,
    rules.max_records
from {{ ref('int_identifiers__judged') }} as identifiers
left join {{ ref('identifier_rules') }} as rules on identifiers.identifier_type = rules.identifier_type
where
    identifiers.verdict = 'used'
    and (rules.max_records is null or identifiers.record_count > rules.max_records)
