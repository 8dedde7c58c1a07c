"""What the ledger shows to others: `deliveries`, one row per action, and `attempts`, one row per finished attempt.

Whether a delivery is kept on its own or with the others of its request makes no difference there. These two views are
what `ingest` reads, and what people ask. Payloads are in a view of their own, `payloads`: they name people, and are
looked at seldom.
"""

from __future__ import annotations

# what a request's contents say of each action, by place
FACTS = (
    "action_id", "payload_hash", "object", "action", "customer_id", "occurrence_id", "occurred_at", "expires_at",
    "priority",
)  # fmt: skip
_DELIVERIES = """
create view deliveries as
select
    action_id, destination, object, action, customer_id, occurrence_id, occurred_at, expires_at, priority, state,
    payload_hash, acknowledged_hash, vendor_reference, reason, attempt_count, first_planned_at, started_at,
    acknowledged_at, updated_at, plan_id, queued, due, tries, given_up_at, first_tried, is_wanted, order_key, lease
from single_deliveries
union all
select
    {action_id}, b.destination, {object}, {action}, {customer_id}, {occurrence_id}, {occurred_at}, {expires_at},
    {priority}, b.state, {payload_hash},
    case when b.state = 'acknowledged' then {payload_hash} end, {vendor_reference}, b.reason, 1, b.started_at,
    b.started_at, b.finished_at, coalesce(b.finished_at, b.started_at), b.plan_id, null, 0.0, 1, 0,
    case when b.state = 'sending' then b.tried_at end, {yes}, null, case when b.state = 'sending' then b.worker end
from {batches}
where b.state in ('sending', 'acknowledged')
"""
_ATTEMPTS = """
create view attempts as
select attempt_id, action_id, destination, attempt_number, started_at, finished_at, outcome, status_code, reason
from single_attempts
union all
select
    {action_id} || '-1', {action_id}, b.destination, 1, b.started_at, b.finished_at, b.state, b.status_code, b.reason
from {batches}
where b.state = 'acknowledged'
"""
_PAYLOADS = """
create view payloads as
select action_id, payload
from single_deliveries
union all
select {action_id}, coalesce({payload}, '{{}}')
from {batches}
where b.state in ('sending', 'acknowledged')
"""
VIEWS = {"deliveries": _DELIVERIES, "attempts": _ATTEMPTS, "payloads": _PAYLOADS}
_BATCHES = (
    "batches as b join batch_contents as c on c.batch_id = b.batch_id"
    " left join batch_references as r on r.batch_id = b.batch_id"
)


def views(dialect: str) -> dict[str, str]:
    """The statements that make the views, by their names."""
    parts = _in_postgresql() if dialect == "postgresql" else _in_sqlite()
    return {name: text.format(**parts) for name, text in VIEWS.items()}


def _in_sqlite() -> dict[str, str]:
    parts = {name: f"json_extract(each.value, '$[{place}]')" for place, name in enumerate(FACTS)}
    return {
        **parts,
        "payload": "json_extract(c.payloads, '$[' || each.key || ']')",
        "vendor_reference": "json_extract(r.vendor_references, '$[' || each.key || ']')",
        "yes": "1",
        "batches": f"{_BATCHES}, json_each(c.facts) as each",
    }


def _in_postgresql() -> dict[str, str]:
    parts = {name: f"(each.value ->> {place})" for place, name in enumerate(FACTS)}
    kinds = {"occurred_at": "timestamp", "expires_at": "timestamp", "priority": "integer"}
    return {
        **parts,
        **{name: f"{parts[name]}::{kind}" for name, kind in kinds.items()},
        "payload": "(c.payloads::json ->> (each.number - 1)::integer)",
        "vendor_reference": "(r.vendor_references::json ->> (each.number - 1)::integer)",
        "yes": "true",
        "batches": f"{_BATCHES} cross join lateral json_array_elements(c.facts::json) with ordinality"
        " as each(value, number)",
    }
