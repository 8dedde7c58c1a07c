"""Small silos with known contents, put straight into the sandbox's store: what a test extracts, a test put there."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ingest import contracts
from ingest.arrow import arrow_schema
from sandbox.store import Document, Store

NOW = dt.datetime(2026, 11, 1, 6, tzinfo=dt.UTC)
NOW_UNIX = NOW.timestamp()
DAY = 86_400
API_VERSION = "2025-03-31.basil"


def silo_path(data_dir: Path) -> Path:
    path = data_dir / "sandbox" / "silos.sqlite"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def open_store(data_dir: Path) -> Store:
    return Store(silo_path(data_dir))


def empty(store: Store) -> None:
    """Take everything out of a store, so that another test may fill it."""
    with store.transaction():
        for table in ("documents", "inbox", "settings", "sequences"):
            store._connection.execute(f"delete from {table}")


def iso(unix: float) -> str:
    return dt.datetime.fromtimestamp(unix, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def portal_time(unix: float) -> str:
    return dt.datetime.fromtimestamp(unix, dt.timezone(dt.timedelta(hours=3))).isoformat(timespec="seconds")


def customer(number: int, created: float, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"cus_{number:06}",
        "object": "customer",
        "email": f"owner{number}@company{number}.example",
        "name": f"Company {number}",
        "created": int(created),
        "delinquent": False,
        "livemode": False,
        "metadata": {"account_id": f"acc_{number}"},
        **changes,
    }


def subscription(number: int, created: float, **changes: Any) -> dict[str, Any]:
    item = {
        "id": f"si_{number:06}",
        "object": "subscription_item",
        "discounts": [],
        "quantity": 3,
        "price": {"id": "price_1", "product": "prod_1", "unit_amount": 1900, "currency": "usd"},
    }
    return {
        "id": f"sub_{number:06}",
        "object": "subscription",
        "customer": f"cus_{number:06}",
        "status": "active",
        "currency": "usd",
        "created": int(created),
        "start_date": int(created),
        "cancel_at_period_end": False,
        "discounts": [],
        "items": {"object": "list", "data": [item], "has_more": False},
        "metadata": {},
        **changes,
    }


def invoice(number: int, created: float, lines: int = 2, **changes: Any) -> dict[str, Any]:
    rows = [
        {
            "id": f"il_{number:06}_{line}",
            "object": "line_item",
            "amount": 1900,
            "currency": "usd",
            "quantity": 1,
            "period": {"start": int(created), "end": int(created) + 30 * DAY},
            "pricing": {"price_details": {"price": "price_1", "product": "prod_1"}, "unit_amount_decimal": "1900"},
            "parent": {"type": "subscription_item_details"},
            "discount_amounts": [],
        }
        for line in range(lines)
    ]
    return {
        "id": f"in_{number:06}",
        "object": "invoice",
        "customer": f"cus_{number:06}",
        "number": f"A-{number}",
        "status": "paid",
        "currency": "usd",
        "billing_reason": "subscription_cycle",
        "created": int(created),
        "total": 1900 * lines,
        "discounts": [],
        "lines": {"object": "list", "data": rows, "has_more": False},
        "status_transitions": {"paid_at": int(created)},
        "metadata": {},
        **changes,
    }


def refund(number: int, created: float) -> dict[str, Any]:
    return {
        "id": f"re_{number:06}",
        "object": "refund",
        "charge": f"ch_{number:06}",
        "amount": 1900,
        "currency": "usd",
        "status": "succeeded",
        "created": int(created),
        "metadata": {},
    }


def stripe_event(number: int, created: float, kind: str, record: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": f"evt_{number:06}",
        "object": "event",
        "type": kind,
        "api_version": API_VERSION,
        "created": int(created),
        "livemode": False,
        "data": {"object": record},
        **changes,
    }


def ticket(number: int, created: float, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "external_id": None,
        "subject": f"Question {number}",
        "type": "question",
        "priority": "normal",
        "status": "open",
        "requester_id": 1000 + number,
        "organization_id": 10,
        "tags": ["export"],
        "via": {"channel": "email"},
        "custom_fields": [],
        "satisfaction_rating": {"score": "unoffered"},
        "created_at": iso(created),
        "updated_at": iso(created),
        "generated_timestamp": int(created),
        **changes,
    }


def zendesk_user(number: int, created: float) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Person {number}",
        "email": f"person{number}@company.example",
        "role": "end-user",
        "active": True,
        "tags": [],
        "created_at": iso(created),
        "updated_at": iso(created),
    }


def organization(number: int, created: float) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"Company {number}",
        "external_id": f"acc_{number}",
        "domain_names": [f"company{number}.example"],
        "tags": [],
        "created_at": iso(created),
        "updated_at": iso(created),
    }


def rating(number: int, created: float) -> dict[str, Any]:
    return {
        "id": number,
        "ticket_id": number,
        "requester_id": 1000 + number,
        "score": "good",
        "created_at": iso(created),
        "updated_at": iso(created),
    }


def deal(number: int, updated: float, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "title": f"Deal {number}",
        "stageId": "NEW",
        "companyId": number,
        "opportunity": 990.5,
        "currencyId": "USD",
        "opened": "Y",
        "utmSource": "google",
        "ufCrmAccountId": f"acc_{number}",
        "fm": [],
        "createdTime": portal_time(updated - DAY),
        "updatedTime": portal_time(updated),
        **changes,
    }


def message(number: int, created: float, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"msg_{number:06}",
        "type": "email",
        "campaign_id": 7,
        "customer_id": f"usr_{number}",
        "customer_identifiers": {"id": f"usr_{number}", "email": f"p{number}@company.example"},
        "recipient": f"p{number}@company.example",
        "subject": "Welcome",
        "metrics": {"delivered": int(created) + 5},
        "created": int(created),
        **changes,
    }


def person(number: int, *, unsubscribed: bool) -> dict[str, Any]:
    return {
        "id": f"usr_{number}",
        "email": f"p{number}@company.example",
        "cio_id": f"{number:012x}",
        "unsubscribed": unsubscribed,
    }


def put(store: Store, collection: str, bodies: list[dict[str, Any]], *, created: str = "", updated: str = "") -> None:
    """Store bodies; their own time fields decide where they stand in the vendor's lists."""

    def unix(body: dict[str, Any], name: str) -> float:
        value = body.get(name) if name else None
        if value is None:
            return NOW_UNIX - DAY
        if isinstance(value, str):
            return dt.datetime.fromisoformat(value).timestamp()
        return float(value)

    documents = [
        Document(str(body["id"]), body, unix(body, created), unix(body, updated or created), None) for body in bodies
    ]
    store.put_many(collection, documents)


def fill(store: Store, customers: int = 5, months: int = 3, messages: int = 30) -> None:
    """A little of everything, all of it older than an hour."""
    store.set_now(NOW_UNIX)
    start = NOW_UNIX - months * 30 * DAY
    put(store, "stripe.customers", [customer(n, start + n) for n in range(customers)], created="created")
    put(store, "stripe.subscriptions", [subscription(n, start + n) for n in range(customers)], created="created")
    invoices = [
        invoice(m * customers + n, start + m * 30 * DAY + n * 60) for m in range(months) for n in range(customers)
    ]
    put(store, "stripe.invoices", invoices, created="created")
    put(store, "stripe.refunds", [refund(n, start + n) for n in range(max(customers // 10, 1))], created="created")
    put(store, "stripe.products", [{"id": "prod_1", "object": "product", "name": "team", "active": True, "created": 1}])
    prices = [{"id": "price_1", "object": "price", "product": "prod_1", "unit_amount": 1900, "currency": "usd"}]
    put(store, "stripe.prices", prices)
    events = [
        stripe_event(n, NOW_UNIX - 20 * DAY + n * 60, "customer.updated", customer(n, start + n))
        for n in range(customers)
    ]
    put(store, "stripe.events", events, created="created")
    put(store, "zendesk.tickets", [ticket(n + 1, start + n) for n in range(customers)], updated="generated_timestamp")
    metrics = [{"id": n + 1, "ticket_id": n + 1, "reopens": 0} for n in range(customers)]
    put(store, "zendesk.ticket_metrics", metrics)
    put(store, "zendesk.users", [zendesk_user(1000 + n, start + n) for n in range(customers)], updated="updated_at")
    put(store, "zendesk.organizations", [organization(10 + n, start) for n in range(customers)])
    put(store, "zendesk.satisfaction_ratings", [rating(n + 1, start + n) for n in range(3)], created="created_at")
    for name in ("leads", "deals", "contacts", "companies"):
        items = [deal(n + 1, start + n * 60) for n in range(customers)]
        put(store, f"bitrix24.{name}", items, created="createdTime", updated="updatedTime")
    stages = [
        {"ID": str(n), "ENTITY_ID": "DEAL_STAGE", "STATUS_ID": code, "NAME": code.title(), "SORT": str(n * 10)}
        for n, code in enumerate(("NEW", "WON", "LOSE"), start=1)
    ]
    put_statuses = [{**stage, "id": stage["ID"]} for stage in stages]
    put(store, "bitrix24.statuses", put_statuses)
    sent = [message(n, start + n * 3600) for n in range(messages)]
    put(store, "customerio.messages", sent, created="created")
    put(store, "customerio.campaigns", [{"id": 7, "name": "Onboarding", "type": "segment", "active": True, "tags": []}])
    put(store, "customerio.segments", [{"id": 1, "name": "Unsubscribed", "type": "dynamic"}])
    put(store, "customerio.customers", [person(n, unsubscribed=n % 5 == 0) for n in range(max(customers, 5))])


def event_rows(day: dt.date, count: int, *, first: int = 0) -> list[dict[str, Any]]:
    at = dt.datetime.combine(day, dt.time(12))
    return [
        {
            "message_id": f"m_{day}_{n}",
            "type": "track",
            "event": "document_created",
            "user_id": "usr_1",
            "anonymous_id": None,
            "group_id": "acc_1",
            "product": "editor",
            "properties": "{}",
            "context": "{}",
            "original_timestamp": at,
            "sent_at": at,
            "received_at": at,
            "timestamp": at,
        }
        for n in range(first, first + count)
    ]


def write_events(bucket: Path, day: dt.date, rows: list[dict[str, Any]], name: str = "part-0.parquet") -> Path:
    contract = contracts.load("product")["events"]
    schema = pa.schema([field for field in arrow_schema(contract) if field.name != "received_date"])
    folder = bucket / f"received_date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


SPEND_HEADER = "spend_date,channel,campaign,platform,cost_type,currency,amount,impressions,clicks"


def spend_line(day: dt.date, channel: str = "paid_search", amount: str = "120.50") -> str:
    return f"{day},{channel},brand,google,media,USD,{amount},1000,50"


def write_spend(bucket: Path, day: dt.date, lines: list[str | bytes], name: str = "spend.csv") -> Path:
    folder = bucket / f"spend_date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    encoded = [line if isinstance(line, bytes) else line.encode() for line in [SPEND_HEADER, *lines]]
    path.write_bytes(b"\n".join(encoded) + b"\n")
    return path
