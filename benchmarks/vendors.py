"""The vendors that delivery is measured against: the sandbox with some deals, and actions for each destination."""

from __future__ import annotations

import hashlib
import json
import shutil
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from activation.actions import Action, canonical
from activation.destinations.bitrix24 import Bitrix24
from activation.destinations.customerio import CustomerIo
from activation.destinations.make import Make
from activation.destinations.zendesk import Zendesk
from sandbox.detached import ensure_running, stop_running, store_path
from sandbox.environment import free_port
from sandbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from activation.destinations import Destination
    from activation.pacing import Time
    from sandbox.limits import Limits

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
UNIX = 1793512800.0
SECRET = "whsec_c2FuZGJveC1zaWduaW5nLXNlY3JldC0wMTIz"  # noqa: S105 - opens nothing but the sandbox
HOOK = "sandboxhook0123456789abcdefghijkl"
NAMES = ("customerio", "make", "zendesk", "bitrix24")


def make_world(data_dir: Path, deals: int) -> None:
    """A world in which nothing is but open deals."""
    path = store_path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    store = Store(path)
    store.set_now(UNIX)
    for number, stage in enumerate(("NEW", "EXECUTING", "WON"), start=1):
        status = {"ID": number, "ENTITY_ID": "DEAL_STAGE", "STATUS_ID": stage, "NAME": stage, "SEMANTICS": None}
        store.put("bitrix24.statuses", str(number), status, UNIX, UNIX)
    with store.transaction():
        for number in range(1, deals + 1):
            deal = {
                "id": number,
                "entityTypeId": 2,
                "title": f"Deal {number}",
                "categoryId": 0,
                "stageId": "NEW",
                "stageSemanticId": "P",
                "opportunity": 100.0,
                "closed": "N",
                "ufCrmLifecycleState": None,
            }
            store.put("bitrix24.deals", str(number), deal, UNIX - 86400, UNIX - 86400)
    store.close()


@contextmanager
def vendors(data_dir: Path, deals: int, limits: Limits) -> Iterator[str]:
    """The sandbox in a process of its own; its address."""
    shutil.rmtree(data_dir, ignore_errors=True)
    make_world(data_dir, deals)
    try:
        yield ensure_running(data_dir, free_port(), limits=limits)
    finally:
        stop_running(data_dir)


def connect(url: str, time: Time) -> dict[str, Destination]:
    """The four destinations at the sandbox."""
    return {
        "customerio": CustomerIo(f"{url}/customerio/track", "sandbox-site", "sandbox-track-key"),
        "bitrix24": Bitrix24(f"{url}/bitrix24/rest/1/sandboxsecret"),
        "zendesk": Zendesk(f"{url}/zendesk", "ops@sandbox.example", "sandbox-zendesk-token"),
        "make": Make(f"{url}/make/{HOOK}", SECRET, time),
    }


def payload_for(destination: str, number: int) -> dict[str, Any]:
    """A payload as the models write it for this destination."""
    if destination == "customerio":
        return {"user_id": f"usr_{number}", "event_name": "greet", "attributes": {"n": number, "story": "x" * 150}}
    if destination == "bitrix24":
        return {"deal_id": str(number), "fields": {"stageId": "EXECUTING", "ufCrmLifecycleState": "adopted"}}
    if destination == "zendesk":
        return {"subject": f"Exports fail {number}", "comment": "Three failed exports", "priority": "high"}
    return {"type": "customer.at_risk", "timestamp": "2026-11-01T05:00:00Z", "data": {"customer_id": f"c_{number}"}}


def actions_for(destination: str, numbers: range) -> list[Action]:
    """One action per number; the number decides its id."""
    return [
        Action(
            action_id=hashlib.md5(f"{destination} {number}".encode(), usedforsecurity=False).hexdigest(),
            destination=destination,
            object="objects",
            action="celebrate",
            customer_id=f"c_{number}",
            occurrence_id=f"o_{number}",
            occurred_at=AS_OF - timedelta(hours=1, seconds=number % 3600),
            expires_at=None,
            priority=10,
            payload=canonical(json.dumps(payload_for(destination, number))),
        )
        for number in numbers
    ]


def publish_actions(path: Path, actions: Sequence[Action]) -> None:
    """A published file that wants these."""
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts; create schema activation")
        connection.execute(f"create table marts.customer_lifecycle as select range as id from range({len(actions)})")
        connection.execute(
            "create table activation.act_all (action_id varchar, destination varchar, object varchar, action varchar,"
            " customer_id varchar, occurrence_id varchar, occurred_at timestamp, expires_at timestamp,"
            " priority integer, payload varchar)"
        )
        wanted = pa.Table.from_pylist([each._asdict() for each in actions])
        connection.register("wanted", wanted)
        connection.execute("insert into activation.act_all select * exclude (digest) from wanted")


def arrived(data_dir: Path, since: int = 0) -> dict[str, dict[str, int]]:
    """Per destination how often each thing arrived raw, and how often that had an effect, from the vendors' records.

    Make keeps no ids, so what has an effect there is up to the scenario: it remembers the webhook id, as documented.
    """
    store = Store(store_path(data_dir))
    raw: dict[str, dict[str, int]] = {name: {} for name in NAMES}
    effective: dict[str, dict[str, int]] = {name: {} for name in NAMES}
    seen: set[str] = set()
    for item in store.deliveries():
        if item.id <= since:
            continue
        if item.vendor == "bitrix24":
            key = str(item.body["id"])
            counts = bool(item.body["changed"])
        else:
            key = str(item.idempotency_key or item.body.get("id"))
            counts = item.kind != "repeated_event" and not (item.vendor == "make" and key in seen)
        seen.add(key)
        raw[item.vendor][key] = raw[item.vendor].get(key, 0) + 1
        effective[item.vendor][key] = effective[item.vendor].get(key, 0) + counts
    store.close()
    found: dict[str, dict[str, int]] = {}
    for name in NAMES:
        found[name] = {
            "things": sum(number > 0 for number in effective[name].values()),
            "repeats": sum(raw[name].values()) - len(raw[name]),
            "duplicates": sum(max(number - 1, 0) for number in effective[name].values()),
        }
    return found
