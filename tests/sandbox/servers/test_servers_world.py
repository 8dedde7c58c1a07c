"""A generated world behind the servers: everything can be read, and what is delivered is there on the next day."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox import serve
from sandbox.generate import generate
from sandbox.limits import Limits
from sandbox.world.parameters import WorldParameters

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STRIPE = ("rk_test_sandbox", "")
ZENDESK = ("ops@sandbox.example/token", "sandbox-zendesk-token")
TRACK = ("sandbox-site", "sandbox-track-key")
ITEM_TYPES = {"leads": 1, "deals": 2, "contacts": 3, "companies": 4}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[serve.RunningSandbox]:
    folder: Path = tmp_path_factory.mktemp("world")
    generate(folder, WorldParameters(customers=40, months=2, events_per_day=50))
    with serve.start(folder, limits=Limits.off()) as found:
        yield found


def get(url: str, **arguments: Any) -> Any:
    answer = requests.get(url, timeout=60, **arguments)
    assert answer.status_code == 200, answer.text
    return answer.json()


def stripe_ids(url: str, name: str) -> list[str]:
    ids: list[str] = []
    query = {"limit": 100, **({"status": "all"} if name == "subscriptions" else {})}
    while True:
        page = get(f"{url}/stripe/v1/{name}", params=query, auth=STRIPE)
        ids += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            return ids
        query["starting_after"] = ids[-1]


def exported(url: str, name: str, cursor: str | None = None) -> tuple[list[dict[str, Any]], str]:
    address = f"{url}/zendesk/api/v2/incremental/{name}/cursor.json"
    page = get(address, params={"cursor": cursor} if cursor else {"start_time": 0}, auth=ZENDESK)
    assert page["end_of_stream"]
    return page[name], page["after_cursor"]


def bitrix(url: str, method: str, **params: Any) -> Any:
    answer = requests.post(f"{url}/bitrix24/rest/1/sandboxsecret/{method}", json=params, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def bitrix_ids(url: str, entity_type: int) -> list[int]:
    ids: list[int] = []
    while True:
        wanted = {">id": ids[-1] if ids else 0}
        page = bitrix(url, "crm.item.list", entityTypeId=entity_type, filter=wanted, start=-1)["items"]
        if not page:
            return ids
        ids += [row["id"] for row in page]


def test_everything_that_the_world_holds_can_be_read_once(running: serve.RunningSandbox) -> None:
    url, store = running.url, running.world.store
    for name in ("customers", "products", "prices", "coupons", "subscriptions", "invoices", "refunds", "events"):
        ids = stripe_ids(url, name)
        assert len(ids) == len(set(ids)) == store.count(f"stripe.{name}"), name
    for name in ("tickets", "users"):
        rows, _ = exported(url, name)
        assert len(rows) == store.count(f"zendesk.{name}"), name
    for name, entity_type in ITEM_TYPES.items():
        ids_ = bitrix_ids(url, entity_type)
        assert len(ids_) == len(set(ids_)) == store.count(f"bitrix24.{name}"), name
    headers = {"Authorization": "Bearer sandbox-app-key"}
    messages = get(f"{url}/customerio/app/v1/messages", params={"limit": 1000}, headers=headers)["messages"]
    assert 0 < len(messages) == store.count("customerio.messages")
    segments = get(f"{url}/customerio/app/v1/segments", headers=headers)["segments"]
    unsubscribed = next(row["id"] for row in segments if row["name"] == "Unsubscribed")
    members = get(f"{url}/customerio/app/v1/segments/{unsubscribed}/membership", headers=headers)["ids"]
    flags = Counter(row.body["unsubscribed"] for row in store.page("customerio.customers", limit=10_000))
    assert len(members) == flags[True]


def test_what_was_delivered_is_there_the_next_day_and_the_next_day_has_news(running: serve.RunningSandbox) -> None:
    url, store = running.url, running.world.store
    before = get(f"{url}/_sandbox/clock")["now"]
    _, ticket_cursor = exported(url, "tickets")
    events = set(stripe_ids(url, "events"))
    deal = bitrix_ids(url, 2)[0]
    person = store.page("customerio.customers", limit=1)[0].id
    ticket = {"subject": "Stuck integration", "comment": {"body": "Look", "public": False}, "external_id": "action-1"}
    ticket |= {"requester": {"email": "nobody.knows@acme.example"}}
    answer = requests.post(f"{url}/zendesk/api/v2/tickets", json={"ticket": ticket}, auth=ZENDESK, timeout=60)
    bitrix(url, "crm.item.update", entityTypeId=2, id=deal, fields={"ufCrmLifecycleState": "adopted"})
    event = {"name": "milestone_reached", "data": {"user_id": person}}
    address = f"{url}/customerio/track/api/v1/customers/{person}/events"
    assert requests.post(address, json=event, auth=TRACK, timeout=60).status_code == 200

    moved = requests.post(f"{url}/_sandbox/advance", json={"days": 1}, timeout=600).json()

    assert (before, moved) == ("2025-07-01T06:00:00Z", {"now": "2025-07-02T06:00:00Z"})
    news, _ = exported(url, "tickets", ticket_cursor)
    assert answer.json()["ticket"]["id"] in [row["id"] for row in news]
    # what was written through the API has the fields of everything else: a vendor's export has one shape
    for name in ("tickets", "ticket_metrics", "users"):
        assert len({frozenset(row.body) for row in store.page(f"zendesk.{name}", limit=10_000)}) == 1, name
    assert len(news) < store.count("zendesk.tickets")
    assert bitrix(url, "crm.item.get", entityTypeId=2, id=deal)["item"]["ufCrmLifecycleState"] == "adopted"
    assert set(stripe_ids(url, "events")) - events
