-- Guards action_decisions: a decision behind a delivery is `permitted` for good, and is known as sent. If it could
-- flip, the caps would forget what the customer already got.

select
    decisions.action_id,
    decisions.decision,
    decisions.sent_at,
    deliveries.sent_at as delivery_sent_at
from {{ ref('action_decisions') }} as decisions
inner join {{ ref('int_deliveries__committed') }} as deliveries
    on
        decisions.occurrence_id = deliveries.occurrence_id
        and decisions.action = deliveries.action
where
    decisions.decision != 'permitted'
    or decisions.sent_at is null
