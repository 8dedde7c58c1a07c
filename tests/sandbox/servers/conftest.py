"""One sandbox server for all tests of the vendor servers; each test gets the small world below afresh, no limits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox import detached, serve
from sandbox.limits import Limits
from sandbox.store import Document, Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC).timestamp()
DAY = 86_400


class HandClock:
    """A monotonic clock that a test moves by hand."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Sandbox:
    """The running server and its parts, as a test uses them."""

    url: str
    store: Store
    clock: HandClock
    session: requests.Session

    stripe_auth = ("rk_test_sandbox", "")
    zendesk_auth = ("ops@sandbox.example/token", "sandbox-zendesk-token")
    track_auth = ("sandbox-site", "sandbox-track-key")

    def stripe(self, path: str, *query: tuple[str, Any]) -> requests.Response:
        return self.session.get(f"{self.url}/stripe{path}", params=list(query), auth=self.stripe_auth, timeout=60)

    def zendesk(self, path: str, **query: Any) -> requests.Response:
        address = path if path.startswith("http") else f"{self.url}/zendesk/api/v2{path}"
        return self.session.get(address, params=query, auth=self.zendesk_auth, timeout=60)

    def create_ticket(self, ticket: Any, key: str | None = None) -> requests.Response:
        headers = {} if key is None else {"Idempotency-Key": key}
        address = f"{self.url}/zendesk/api/v2/tickets.json"
        return self.session.post(address, json=ticket, headers=headers, auth=self.zendesk_auth, timeout=60)

    def bitrix(self, method: str, **params: Any) -> requests.Response:
        return self.session.post(f"{self.url}/bitrix24/rest/1/sandboxsecret/{method}", json=params, timeout=60)

    def batch(self, cmd: Any, halt: int = 0) -> dict[str, Any]:
        answer = self.bitrix("batch", cmd=cmd, halt=halt)
        assert answer.status_code == 200
        return answer.json()["result"]

    def app_api(self, path: str, **query: Any) -> requests.Response:
        headers = {"Authorization": "Bearer sandbox-app-key"}
        return self.session.get(f"{self.url}/customerio/app{path}", params=query, headers=headers, timeout=60)

    def track(self, method: str, path: str, **arguments: Any) -> requests.Response:
        address = f"{self.url}/customerio/track{path}"
        return self.session.request(method, address, auth=self.track_auth, timeout=60, **arguments)

    def hook(self, **arguments: Any) -> requests.Response:
        address = f"{self.url}/make/sandboxhook0123456789abcdefghijkl"
        return self.session.post(address, timeout=60, **arguments)

    def admin(self, method: str, path: str, **arguments: Any) -> requests.Response:
        return self.session.request(method, f"{self.url}/_sandbox{path}", timeout=60, **arguments)

    def limit(self, **figures: Any) -> None:
        """Put single limits into force; all others stay off."""
        answer = self.admin("PUT", "/limits", json=Limits.off().as_mapping() | figures)
        assert answer.status_code == 200, answer.text

    def fault(self, vendor: str, kind: str, **fields: Any) -> None:
        answer = self.admin("POST", "/faults", json={"vendor": vendor, "kind": kind, **fields})
        assert answer.status_code == 201, answer.text

    def inbox(self, vendor: str) -> list[dict[str, Any]]:
        return self.admin("GET", "/inbox", params={"vendor": vendor}).json()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served")
    (folder / "sandbox").mkdir()
    store = Store(detached.store_path(folder))
    store.set_now(NOW)
    store.close()
    return folder


@pytest.fixture(scope="session")
def server(data_dir: Path) -> Iterator[Sandbox]:
    clock = HandClock()
    with serve.start(data_dir, limits=Limits.off(), clock=clock) as running, requests.Session() as session:
        yield Sandbox(running.url, running.world.store, clock, session)


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.admin("DELETE", "/faults")
    server.admin("DELETE", "/requests")
    server.limit()
    fill(server.store)
    return server


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def portal(at: float) -> str:
    return datetime.fromtimestamp(at + 3 * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%S+03:00")


def fill(store: Store) -> None:
    """Replace everything by the small world."""
    for table in ("documents", "inbox", "settings", "sequences"):
        store._connection.execute(f"delete from {table}")
    store.set_now(NOW)
    with store.transaction():
        for collection, documents in {**stripe_world(), **zendesk_world(), **bitrix_world(), **cio_world()}.items():
            store.put_many(collection, documents)


def stripe_world() -> dict[str, list[Document]]:
    """250 customers (pairs share a second), a deleted one, subscriptions in several states, a long invoice, events."""

    def at(body: dict[str, Any], created: float) -> Document:
        return Document(body["id"], body | {"created": int(created)}, created, created)

    customers = [
        at({"id": f"cus_{i:04}", "object": "customer", "email": f"u{i}@acme.example"}, NOW - 400 * DAY + i // 2)
        for i in range(250)
    ]
    stub = {"id": "cus_gone", "object": "customer", "deleted": True}
    customers.append(Document("cus_gone", stub, NOW - 5 * DAY, NOW - 5 * DAY))
    discount = {"id": "di_1", "object": "discount", "coupon": {"id": "SPRING", "object": "coupon", "percent_off": 20.0}}
    price = {"id": "price_1", "object": "price", "product": "prod_1", "unit_amount": 1900, "currency": "usd"}
    statuses = ["active", "canceled", "trialing", "past_due"]
    subscriptions = [
        at(
            {
                "id": f"sub_{i:03}",
                "object": "subscription",
                "customer": f"cus_{i:04}",
                "status": statuses[i % 4],
                "discounts": [discount] if i == 0 else [],
                "items": {"object": "list", "data": [{"id": f"si_{i}", "price": price}], "has_more": False},
            },
            NOW - 300 * DAY + i,
        )
        for i in range(40)
    ]
    invoices = [
        at(
            {
                "id": f"in_{i}",
                "object": "invoice",
                "customer": "cus_0000",
                "status": "paid",
                "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_000"}},
                "discounts": [],
                "lines": {
                    "object": "list",
                    "data": [{"id": f"il_{i}_{n}", "object": "line_item", "amount": n} for n in range(lines)],
                    "has_more": False,
                    "url": f"/v1/invoices/in_{i}/lines",
                },
            },
            NOW - 200 * DAY + i,
        )
        for i, lines in enumerate((14, 10, 2))
    ]
    kinds = ["customer.subscription.updated", "customer.subscription.deleted", "invoice.paid"]
    events = [
        at({"id": f"evt_{i:02}", "object": "event", "type": kinds[i % 3], "data": {"object": {}}}, NOW - i * DAY)
        for i in range(40)
    ]
    charge = {"id": "ch_1", "object": "charge", "customer": "cus_0000", "amount": 1900}
    refund = {"id": "re_1", "object": "refund", "charge": "ch_1", "amount": 1900}
    coupons: list[dict[str, Any]] = [
        {"id": "LIMITED", "object": "coupon", "applies_to": {"products": ["prod_1"]}},
        {"id": "OPEN", "object": "coupon"},
    ]
    return {
        "stripe.customers": customers,
        "stripe.subscriptions": subscriptions,
        "stripe.invoices": invoices,
        "stripe.events": events,
        "stripe.coupons": [at(coupon, NOW - 500 * DAY) for coupon in coupons],
        "stripe.charges": [at(charge, NOW - 9 * DAY)],
        "stripe.refunds": [at(refund, NOW - 8 * DAY)],
        "stripe.prices": [at(price | {"active": True}, NOW - 500 * DAY)],
        "stripe.products": [at({"id": "prod_1", "object": "product", "active": True}, NOW - 500 * DAY)],
    }


def zendesk_world() -> dict[str, list[Document]]:
    """120 tickets (three at each instant), the last ones inside the excluded minute; users, organisations, ratings."""

    def record(number: int, at: float, **fields: Any) -> Document:
        body = {"id": number, "created_at": iso(at), "updated_at": iso(at), **fields}
        return Document(str(number), body, at, at)

    tickets = [
        record(i, NOW - 90 * DAY + i // 3 * 600, subject=f"Ticket {i}", status="open", external_id=None)
        for i in range(1, 118)
    ]
    # a system change: generated yesterday, but updated_at still tells of the day the agent last wrote
    system = {"id": 118, "updated_at": iso(NOW - 80 * DAY), "status": "deleted", "external_id": None}
    tickets.append(Document("118", system, NOW - 80 * DAY, NOW - DAY))
    tickets += [record(119, NOW - 61, status="new"), record(120, NOW - 30, status="new")]
    metrics = [record(i, NOW - 90 * DAY, ticket_id=i, reopens=i % 2) for i in range(1, 121)]
    users = [record(1000 + i, NOW - 200 * DAY + i, email=f"u{i}@acme.example", organization_id=9) for i in range(25)]
    organizations = [record(i, NOW - 200 * DAY + i // 60 * 600, name=f"Org {i}") for i in range(1, 231)]
    ratings = [record(i, NOW - 50 * DAY + i, score="good" if i % 3 else "bad", ticket_id=i) for i in range(1, 31)]
    return {
        "zendesk.tickets": tickets,
        "zendesk.ticket_metrics": metrics,
        "zendesk.users": users,
        "zendesk.organizations": organizations,
        "zendesk.satisfaction_ratings": ratings,
    }


def bitrix_world() -> dict[str, list[Document]]:
    """130 leads, 60 deals, stages and three employees."""

    def item(number: int, at: float, **fields: Any) -> Document:
        body = {"id": number, "createdTime": portal(at), "updatedTime": portal(at), "assignedById": 1, **fields}
        return Document(str(number), body, at, at)

    leads = [
        item(
            i,
            NOW - 100 * DAY + i * 3600,
            title=f"Lead {i}",
            stageId="NEW" if i % 2 else "JUNK",
            utmSource="google" if i % 3 else None,
            fm=[{"id": i, "typeId": "EMAIL", "valueType": "WORK", "value": f"lead{i}@acme.example"}],
        )
        for i in range(1, 131)
    ]
    deals = [
        item(
            i,
            NOW - 100 * DAY + i,
            title=f"Deal {i}",
            stageId="NEW",
            stageSemanticId="P",
            opportunity=100.0 * i,
            closed="N",
            closedate=None,
            ufCrmLifecycleState=None,
        )
        for i in range(1, 61)
    ]
    stages = [("NEW", None), ("PREPARATION", None), ("WON", "S"), ("LOSE", "F")]
    statuses = [
        {"ID": str(100 + i), "ENTITY_ID": "DEAL_STAGE", "STATUS_ID": stage, "SORT": str(i * 10), "SEMANTICS": semantics}
        for i, (stage, semantics) in enumerate(stages)
    ]
    statuses += [
        {"ID": str(200 + i), "ENTITY_ID": "STATUS", "STATUS_ID": stage, "SORT": str(i * 10), "SEMANTICS": semantics}
        for i, (stage, semantics) in enumerate((("NEW", None), ("JUNK", "F"), ("CONVERTED", "S")))
    ]
    statuses.append(
        {"ID": "300", "ENTITY_ID": "DEAL_STAGE_1", "STATUS_ID": "C1:ADOPTED", "SORT": "10", "SEMANTICS": None}
    )
    users = [{"ID": str(i), "ACTIVE": True, "NAME": f"User {i}"} for i in range(1, 4)]
    return {
        "bitrix24.leads": leads,
        "bitrix24.deals": deals,
        "bitrix24.statuses": [Document(row["ID"], row, 0.0, 0.0) for row in statuses],
        "bitrix24.users": [Document(row["ID"], row, 0.0, 0.0) for row in users],
    }


def cio_world() -> dict[str, list[Document]]:
    """A message a day back to 500 days ago, one campaign, the segment of unsubscribed people, 30 people."""
    messages = [
        Document(
            f"msg_{i:03}",
            {
                "id": f"msg_{i:03}",
                "type": "email" if i % 2 else "push",
                "campaign_id": 1 + i % 2,
                "customer_id": f"usr_{i % 30:02}",
                "metrics": {"sent": int(NOW - i * DAY), **({"opened": int(NOW - i * DAY + 60)} if i % 5 == 0 else {})},
                "created": int(NOW - i * DAY),
            },
            NOW - i * DAY,
            NOW - i * DAY,
        )
        for i in range(500)
    ]
    people = [
        Document(
            f"usr_{i:02}",
            {
                "id": f"usr_{i:02}",
                "email": f"u{i}@acme.example",
                "cio_id": f"c{i}",
                "unsubscribed": i % 6 == 0,
                "attributes": {"plan": "team"},
            },
            NOW - 300 * DAY,
            NOW - 300 * DAY,
        )
        for i in range(30)
    ]
    campaigns = [Document(str(i), {"id": i, "name": f"Campaign {i}"}, NOW - 400 * DAY, NOW) for i in (1, 2)]
    segments = [Document("7", {"id": 7, "name": "Unsubscribed", "type": "dynamic"}, NOW - 400 * DAY, NOW)]
    return {
        "customerio.messages": messages,
        "customerio.customers": people,
        "customerio.campaigns": campaigns,
        "customerio.segments": segments,
    }
