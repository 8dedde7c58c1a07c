"""Records that no vendor should send and every vendor does: each with the reason for which it has to be set aside.

They are put among the good ones before the first load, so that every end-to-end test runs on a world that is not clean.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb
import orjson

from sandbox.store import Store

if TYPE_CHECKING:
    from pathlib import Path

FAR, OLD = 4_102_444_800, 946_684_800  # 2100 and 2000
MISSING = object()

INVOICES, SUBSCRIPTIONS = "stripe.invoices", "stripe.subscriptions"
TICKETS, DEALS, MESSAGES = "zendesk.tickets", "bitrix24.deals", "customerio.messages"
OUT_OF_TIME = "created before the company existed or in the future"


@dataclass(frozen=True, slots=True)
class Bad:
    """A good record of a collection with some of its fields changed (`MISSING`: taken out), and why it is refused."""

    collection: str
    reason: str
    changes: dict[str, Any]


def items(**changes: Any) -> dict[str, Any]:
    """The items of a subscription that has one, of a price that nobody knows."""
    item = {"id": "si_bad", "object": "subscription_item", "quantity": 1, "discounts": [], "price": {"id": "price_who"}}
    return {"object": "list", "data": [item | changes], "has_more": False}


RECORDS = (
    Bad(INVOICES, "id is missing.", {"id": MISSING}),
    Bad(INVOICES, "amount_due is '12 dollars', not a whole number of 64 bits.", {"amount_due": "12 dollars"}),
    Bad(INVOICES, "amount_paid is 1e+30, not a whole number of 64 bits.", {"amount_paid": 1e30}),
    Bad(INVOICES, "no customer id", {"customer": None}),
    Bad(INVOICES, "unknown currency", {"currency": "xxx"}),
    Bad(INVOICES, "negative payment", {"amount_paid": -500}),
    Bad(INVOICES, "amount too large to be money", {"amount_paid": 10**17}),
    Bad(INVOICES, OUT_OF_TIME, {"created": FAR}),
    Bad(INVOICES, OUT_OF_TIME, {"created": OLD}),
    Bad(INVOICES, "unknown status", {"status": "lost"}),
    Bad(INVOICES, "no list of lines", {"lines": "nonsense"}),
    Bad(INVOICES, "a line without an id", {"lines": {"object": "list", "data": [{"id": "il_bad"}, 5, None]}}),
    Bad(SUBSCRIPTIONS, "id is missing.", {"id": MISSING}),
    Bad(SUBSCRIPTIONS, "unknown currency", {"currency": "xxx"}),
    Bad(SUBSCRIPTIONS, "unknown product or price", {"items": items()}),
    Bad(SUBSCRIPTIONS, "no items", {"items": {"object": "list", "data": [], "has_more": False}}),
    Bad("stripe.customers", OUT_OF_TIME, {"created": FAR}),
    Bad("stripe.refunds", "negative or no amount", {"amount": -5}),
    Bad("stripe.prices", "negative amount", {"unit_amount": -5, "unit_amount_decimal": "-5"}),
    Bad("stripe.prices", "unknown product", {"product": "prod_who"}),
    Bad(TICKETS, "id is missing.", {"id": MISSING}),
    Bad(TICKETS, "id is 'abc', not a whole number of 64 bits.", {"id": "abc"}),
    Bad(TICKETS, "created_at is 'yesterday', not an ISO 8601 time.", {"created_at": "yesterday"}),
    Bad(TICKETS, OUT_OF_TIME, {"created_at": "2999-01-01T00:00:00Z"}),
    Bad(TICKETS, "unknown status", {"status": "lost"}),
    Bad("zendesk.satisfaction_ratings", "unknown score", {"score": "so so"}),
    Bad(DEALS, "opportunity is 'much', not a number.", {"opportunity": "much"}),
    Bad(DEALS, "negative opportunity", {"opportunity": -5.0}),
    Bad(DEALS, "opportunity too large to be money", {"opportunity": 1e30}),
    Bad("bitrix24.leads", "no creation time", {"createdTime": None}),
    Bad(MESSAGES, "id is missing.", {"id": MISSING}),
    Bad(MESSAGES, "no recipient", {"recipient": None, "customer_id": None}),
    Bad(MESSAGES, OUT_OF_TIME, {"created": FAR}),
)


def is_bad(key: object) -> bool:
    """Whether an object of Stripe is one of these."""
    return str(key).startswith("bad_")


def spoil_documents(data_dir: Path) -> None:
    """Put every bad record into a world that was never served."""
    store = Store(data_dir / "sandbox" / "silos.sqlite")
    try:
        for position, bad in enumerate(RECORDS):
            good = store.page(bad.collection, limit=1, offset=store.count(bad.collection) // 2)[0]
            number = 800_000 + position
            key = number if isinstance(good.body["id"], int) else f"bad_{number}"
            # nothing of it is shared with the good one: what is sold twice would be another mistake
            text = orjson.dumps(good.body).replace(b'"il_1', b'"il_%d' % number).replace(b'"si_', b'"si_%d' % number)
            body = orjson.loads(text) | {"id": key} | bad.changes
            kept = {name: value for name, value in body.items() if value is not MISSING}
            store.put(bad.collection, key, kept, good.created_at, good.updated_at, good.parent)
    finally:
        store.close()


def not_set_aside(warehouse: Path) -> list[tuple[str, str]]:
    """The bad records, as (table, reason), that the pipeline has not set aside for that reason."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'quarantine'"
        ).fetchall()
        found = Counter(
            connection.execute("select source || '.' || table_name, reason from raw_ops.quarantine").fetchall()
        )
        for (name,) in tables:
            source = name.removeprefix("quarantine__")
            query = f"select '{source}.' || table_name, reason from quarantine.{name}"
            found.update(connection.execute(query).fetchall())
    wanted = Counter((bad.collection, bad.reason) for bad in RECORDS)
    return sorted((wanted - found).elements())
