from __future__ import annotations

import json
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests

from sandbox import detached, serve
from sandbox.environment import free_port
from sandbox.faults import Fault
from sandbox.limits import LeakyBucket, Limits, OperatingBudget, SlidingWindow
from sandbox.store import Store

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import HandClock, Sandbox

NOW = 1_793_512_800


@pytest.fixture
def clock(server: Sandbox) -> HandClock:
    return type(server.clock)()


@pytest.fixture
def own_data(tmp_path: Path) -> Path:
    """A data folder with an empty world, for servers of this test's own."""
    (tmp_path / "sandbox").mkdir()
    store = Store(detached.store_path(tmp_path))
    store.set_now(NOW)
    store.close()
    return tmp_path


def test_the_clock_and_the_health_tell_the_worlds_time(sandbox: Sandbox, data_dir: Path) -> None:
    assert sandbox.admin("GET", "/clock").json() == {"now": "2026-11-01T06:00:00Z"}
    health = sandbox.admin("GET", "/health").json()
    assert health == {
        "status": "ok",
        "pid": os.getpid(),
        "data_dir": str(data_dir.resolve()),
        "now": "2026-11-01T06:00:00Z",
    }


def test_advance_runs_the_simulation_on_the_served_data(
    sandbox: Sandbox, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advanced: list[tuple[Path, int]] = []

    def advance(folder: Path, days: int) -> None:
        advanced.append((folder, days))
        sandbox.store.set_now(NOW + days * 86_400)

    monkeypatch.setattr("sandbox.generate.advance", advance)
    answer = sandbox.admin("POST", "/advance", json={"days": 2})
    assert answer.json() == {"now": "2026-11-03T06:00:00Z"}
    assert advanced == [(data_dir, 2)]
    for days in (0, 367, "1", True, None):
        refused = sandbox.admin("POST", "/advance", json={"days": days})
        assert refused.status_code == 400
        assert "whole number" in refused.json()["error"]


def test_requests_are_counted_by_path_and_status_without_secrets_and_ids(sandbox: Sandbox) -> None:
    sandbox.stripe("/v1/prices")
    sandbox.stripe("/v1/prices")
    sandbox.stripe("/v1/nothing")
    sandbox.bitrix("profile")
    sandbox.hook(json={})
    sandbox.app_api("/v1/campaigns")
    sandbox.stripe("/v1/invoices/in_0/lines")
    sandbox.zendesk("/users/1003.json")
    sandbox.zendesk("/tickets/count.json")
    sandbox.track("PUT", "/api/v1/customers/u3@acme.example", json={})
    sandbox.fault("stripe", "reset_before_commit", times=1)
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(f"{sandbox.url}/stripe/v1/prices", timeout=60)
    counts = {
        (row["vendor"], row["method"], row["path"], row["status"]): row["count"]
        for row in sandbox.admin("GET", "/requests").json()
    }
    assert counts == {
        ("stripe", "GET", "/v1/prices", 200): 2,
        ("stripe", "GET", "/v1/nothing", 404): 1,
        ("stripe", "GET", "/v1/prices", 0): 1,
        ("bitrix24", "POST", "/profile", 200): 1,
        ("make", "POST", "/hook", 200): 1,
        ("customerio", "GET", "/v1/campaigns", 200): 1,
        ("stripe", "GET", "/v1/invoices/{id}/lines", 200): 1,
        ("zendesk", "GET", "/api/v2/users/{id}.json", 200): 1,
        ("zendesk", "GET", "/api/v2/tickets/count.json", 200): 1,
        ("customerio", "PUT", "/api/v1/customers/{id}", 200): 1,
    }
    sandbox.admin("DELETE", "/requests")
    assert sandbox.admin("GET", "/requests").json() == []


def test_the_inbox_filters_by_vendor_kind_and_key(sandbox: Sandbox) -> None:
    sandbox.hook(json={"n": 1}, headers={"webhook-id": "a"})
    sandbox.hook(json={"n": 2}, headers={"webhook-id": "b"})
    sandbox.bitrix("crm.item.update", entityTypeId=2, id=1, fields={"title": "x"})

    def found(**query: str) -> list[Any]:
        return [entry["idempotency_key"] for entry in sandbox.admin("GET", "/inbox", params=query).json()]

    assert found() == ["a", "b", None]
    assert found(vendor="make") == ["a", "b"]
    assert found(kind="crm.item.update") == [None]
    assert found(idempotency_key="b") == ["b"]


def test_limits_can_be_read_and_replaced_but_not_invented(sandbox: Sandbox) -> None:
    assert sandbox.admin("PUT", "/limits", json={"stripe_per_second": 7}).json()["stripe_per_second"] == 7
    assert sandbox.admin("GET", "/limits").json() == Limits(stripe_per_second=7).as_mapping()
    assert "Unknown limit" in sandbox.admin("PUT", "/limits", json={"hubspot_per_second": 1}).json()["error"]
    assert "must be positive" in sandbox.admin("PUT", "/limits", json={"make_queue": 0}).json()["error"]
    assert sandbox.admin("PUT", "/limits", json=[1]).status_code == 400


@pytest.mark.parametrize(
    ("vendor", "method", "path", "body"),
    [
        ("bitrix24", "POST", "/rest/1/sandboxsecret/tasks.task.list", {"filter": "x"}),
        ("bitrix24", "POST", "/rest/1/sandboxsecret/crm.item.list", {"entityTypeId": 1, "start": 10**30}),
        (
            "bitrix24",
            "POST",
            "/rest/1/sandboxsecret/crm.item.list",
            {"entityTypeId": 1, "filter": {">id": 10**18 * 99}},
        ),
        (
            "bitrix24",
            "POST",
            "/rest/1/sandboxsecret/crm.item.list",
            {"entityTypeId": 1, "filter": {"title": {"a": [1]}}},
        ),
        (
            "zendesk",
            "POST",
            "/api/v2/tickets",
            {"ticket": {"comment": {"body": "x"}, "priority": {}, "tags": {"a": 1}}},
        ),
        ("zendesk", "GET", "/api/v2/satisfaction_ratings.json?start_time=x", None),
        ("customerio/track", "POST", "/api/v2/entity", {"type": "person", "action": {}, "identifiers": [1]}),
        ("customerio/track", "POST", "/api/v2/batch", {"batch": [None, [], {"type": {}}]}),
        ("_sandbox", "POST", "/faults", [1]),
        ("_sandbox", "POST", "/faults", {"vendor": 1, "kind": 2}),
        ("_sandbox", "PUT", "/make", []),
    ],
)
def test_nonsense_is_refused_or_ignored_but_never_breaks_the_server(
    sandbox: Sandbox, vendor: str, method: str, path: str, body: Any
) -> None:
    auth = {"zendesk": sandbox.zendesk_auth, "customerio/track": sandbox.track_auth}.get(vendor)
    answer = requests.request(method, f"{sandbox.url}/{vendor}{path}", json=body, auth=auth, timeout=60)
    assert 200 <= answer.status_code < 500, answer.text
    assert answer.json() is not None


def test_the_default_limits_are_the_vendors_own() -> None:
    limits = Limits()
    assert (limits.stripe_per_second, limits.stripe_endpoint_per_second) == (100, 25)
    assert (limits.zendesk_per_minute, limits.zendesk_incremental_per_minute) == (400, 10)
    assert (limits.bitrix24_drain_per_second, limits.bitrix24_bucket) == (2.0, 50)
    assert limits.bitrix24_operating_seconds == 480.0
    assert limits.customerio_app_per_second == 10
    assert (limits.make_per_ten_seconds, limits.make_queue) == (300, 667)


def test_a_sliding_window_counts_what_it_took_and_nothing_else(clock: HandClock) -> None:
    window = SlidingWindow(2, 60.0, clock)
    assert [window.take() for _ in range(3)] == [True, True, False]
    clock.seconds += 30
    assert (window.reset_seconds(), window.remaining(), window.allows()) == (30, 0, False)
    clock.seconds += 30
    assert (window.remaining(), window.take()) == (2, True)
    unlimited = SlidingWindow(None, 1.0, clock)
    assert all(unlimited.take() for _ in range(1000))


def test_a_leaky_bucket_never_goes_below_empty(clock: HandClock) -> None:
    bucket = LeakyBucket(2.0, 3, clock)
    clock.seconds += 1_000
    assert [bucket.take() for _ in range(4)] == [True, True, True, False]
    clock.seconds += 0.5
    assert [bucket.take() for _ in range(2)] == [True, False]


def test_an_operating_budget_returns_time_minute_by_minute(clock: HandClock) -> None:
    clock.seconds = 600.0
    budget = OperatingBudget(100.0, clock)
    budget.spend("a", 60.0)
    clock.seconds += 60
    budget.spend("a", 50.0)
    assert (budget.used("a"), budget.allows("a"), budget.allows("b")) == (110.0, False, True)
    assert budget.seconds_until_reset("a") == 540.0
    clock.seconds += 540
    assert (budget.used("a"), budget.allows("a")) == (50.0, True)


def test_a_taken_port_or_a_missing_world_is_said_in_one_sentence(own_data: Path, tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind((detached.HOST, 0))
        other.listen()
        with pytest.raises(detached.ServerError, match=r"cannot be used .* \[sandbox\] url"):
            serve.start(own_data, other.getsockname()[1])
    with pytest.raises(detached.ServerError, match="lifecycle sandbox generate"):
        serve.start(tmp_path / "nowhere")
    assert serve.main(["--data-dir", str(tmp_path / "nowhere")]) == 2
    assert serve.main(["--data-dir", str(own_data), "--limits", '{"x": 1}']) == 2


def test_a_detached_server_is_started_once_found_again_and_stopped(own_data: Path) -> None:
    port = free_port()
    rule = Fault("stripe", "status", status=500, path="/v1/prices")
    limits = Limits(stripe_per_second=5)
    url = detached.ensure_running(own_data, port, limits=limits, faults=[rule])
    try:
        health = detached.health(port)
        assert detached.ensure_running(own_data, port) == url
        assert detached.health(port) == health
        assert health is not None
        assert health["pid"] == detached.recorded(own_data)["pid"] != os.getpid()
        assert requests.get(f"{url}/_sandbox/limits", timeout=60).json()["stripe_per_second"] == 5
        assert requests.get(f"{url}/stripe/v1/prices", timeout=60).status_code == 500
        with pytest.raises(detached.ServerError, match="not of"):
            detached.ensure_running(own_data / "elsewhere", port)
    finally:
        stopped = detached.stop_running(own_data)
    assert stopped
    assert detached.health(port) is None
    left = {path.name for path in (own_data / "sandbox").iterdir()}
    assert left == {"server.log", "silos.sqlite"}, "its process is gone, and with it what a store has only while open"
    assert "The sandbox serves at" in (own_data / "sandbox" / "server.log").read_text()
    assert detached.stop_running(own_data) is False


def test_a_record_of_a_dead_server_is_forgotten_and_no_process_is_touched(own_data: Path) -> None:
    serve.pid_path(own_data).write_text(json.dumps({"pid": os.getpid(), "port": free_port()}))
    assert detached.stop_running(own_data) is False
    assert not serve.pid_path(own_data).exists()


def test_a_server_that_cannot_start_says_why(own_data: Path) -> None:
    with socket.socket() as other:
        other.bind((detached.HOST, 0))
        with pytest.raises(detached.ServerError, match=r"did not start: Port .*server\.log"):
            detached.ensure_running(own_data, other.getsockname()[1])


def test_stopping_does_not_wait_for_requests_that_a_fault_keeps_hanging(own_data: Path) -> None:
    running = serve.start(own_data, limits=Limits.off(), faults=[Fault("stripe", "timeout")])
    with socket.create_connection((detached.HOST, int(running.url.rpartition(":")[2]))) as connection:
        connection.sendall(b"GET /stripe/v1/prices HTTP/1.1\r\nHost: x\r\n\r\n")
        running.stop()  # which raises, if the server goes on
