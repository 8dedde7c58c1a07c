"""Each kind of fault as it shows on the wire, seen through a plain socket or an ordinary client."""

from __future__ import annotations

import json
import socket
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.faults import Fault, Faults, is_held_back, row_lists

if TYPE_CHECKING:
    from .conftest import Sandbox

NOW = 1_793_512_800
DAY = 86_400
TICKET = {"ticket": {"comment": {"body": "Help"}}}


def statuses(sandbox: Sandbox, times: int) -> list[int]:
    return [sandbox.stripe("/v1/prices").status_code for _ in range(times)]


@pytest.mark.parametrize(
    ("vendor", "path", "status", "marker"),
    [
        ("stripe", "/stripe/v1/customers", 429, "invalid_request_error"),
        ("stripe", "/stripe/v1/customers", 500, "api_error"),
        ("zendesk", "/zendesk/api/v2/organizations.json", 429, "APIRateLimitExceeded"),
        ("zendesk", "/zendesk/api/v2/organizations.json", 502, "InternalError"),
        ("bitrix24", "/bitrix24/rest/1/sandboxsecret/profile", 503, "QUERY_LIMIT_EXCEEDED"),
        ("bitrix24", "/bitrix24/rest/1/sandboxsecret/profile", 429, "OPERATION_TIME_LIMIT"),
        ("customerio", "/customerio/app/v1/campaigns", 429, "Too many requests"),
        ("make", "/make/sandboxhook0123456789abcdefghijkl", 500, "Scenario failed to complete."),
        ("chat", "/chat/services/T0/B0/sandbox", 500, "server_error"),
    ],
)
def test_a_status_is_worded_as_the_vendor_does(
    sandbox: Sandbox, vendor: str, path: str, status: int, marker: str
) -> None:
    sandbox.fault(vendor, "status", status=status)
    answer = requests.post(f"{sandbox.url}{path}", timeout=60)
    assert answer.status_code == status
    assert marker in answer.text
    assert "Retry-After" not in answer.headers


def test_a_status_can_tell_when_to_come_back_and_ends_after_its_times(sandbox: Sandbox) -> None:
    sandbox.fault("stripe", "status", status=429, retry_after=2, times=2)
    first = sandbox.stripe("/v1/prices")
    assert (first.status_code, first.headers["Retry-After"]) == (429, "2")
    assert statuses(sandbox, 2) == [429, 200]
    assert sandbox.admin("GET", "/faults").json()[0]["hits"] == 2


def test_a_rule_can_wait_and_be_removed(sandbox: Sandbox) -> None:
    sandbox.fault("stripe", "status", status=500, skip=1)
    assert statuses(sandbox, 3) == [200, 500, 500]
    sandbox.admin("DELETE", "/faults")
    assert statuses(sandbox, 1) == [200]


def test_a_rule_hits_its_path_and_method_only(sandbox: Sandbox) -> None:
    sandbox.fault("zendesk", "status", path="/api/v2/tickets", method="POST", status=500)
    assert sandbox.create_ticket(TICKET).status_code == 500
    assert sandbox.zendesk("/tickets.json").status_code == 200
    assert sandbox.zendesk("/organizations.json").status_code == 200
    sandbox.fault("customerio/track", "status", status=500)
    assert sandbox.track("GET", "/api/v1/accounts/region").status_code == 500
    assert sandbox.app_api("/v1/campaigns").status_code == 200
    sandbox.fault("bitrix24", "status", path="/crm.item.list", status=500)
    assert sandbox.bitrix("crm.item.list", entityTypeId=1).status_code == 500
    assert sandbox.bitrix("profile").status_code == 200


def test_chance_is_seeded() -> None:
    def hits(seed: int) -> list[bool]:
        faults = Faults([Fault("stripe", "status", probability=0.3)], seed=seed)
        return [faults.hit("stripe", "GET", "/v1/prices") is not None for _ in range(400)]

    assert hits(1) == hits(1)
    assert hits(1) != hits(2)
    assert 80 < sum(hits(1)) < 160


@pytest.mark.parametrize(("phase", "created"), [("before", 0), ("after", 1)])
def test_the_phase_decides_whether_the_vendor_has_done_its_work(sandbox: Sandbox, phase: str, created: int) -> None:
    sandbox.fault("zendesk", "status", method="POST", status=502, phase=phase, times=1)
    assert sandbox.create_ticket(TICKET, key="k").status_code == 502
    assert len(sandbox.inbox("zendesk")) == created
    retried = sandbox.create_ticket(TICKET, key="k")
    assert retried.headers["x-idempotency-lookup"] == ("hit" if created else "miss")
    assert len(sandbox.inbox("zendesk")) == 1


@pytest.mark.parametrize(("phase", "created"), [("before", 0), ("after", 1)])
def test_a_timeout_never_answers(sandbox: Sandbox, phase: str, created: int) -> None:
    sandbox.fault("zendesk", "timeout", method="POST", phase=phase)
    address = f"{sandbox.url}/zendesk/api/v2/tickets"
    with pytest.raises(requests.exceptions.ReadTimeout):
        requests.post(address, json=TICKET, auth=sandbox.zendesk_auth, timeout=(60, 0.3))
    # the vendor may not even have begun; it counts the request once it knows that nobody waits for it any more
    assert any(sandbox.admin("GET", "/requests").json() for _ in range(10_000))
    assert len(sandbox.inbox("zendesk")) == created


@pytest.mark.parametrize(("kind", "created"), [("reset_before_commit", 0), ("reset_after_commit", 1)])
def test_a_reset_is_a_real_reset_on_the_connection(sandbox: Sandbox, kind: str, created: int) -> None:
    sandbox.fault("chat", kind)
    address = urlsplit(sandbox.url)
    body = b'{"text": "x"}'
    head = f"POST /chat/services/T0/B0/sandbox HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
        connection.sendall(head.encode() + body)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert len(sandbox.inbox("chat")) == created


def test_a_slow_body_comes_whole_but_late(sandbox: Sandbox) -> None:
    expected = sandbox.stripe("/v1/customers").json()
    sandbox.fault("stripe", "slow_body", seconds=0.3)
    started = time.perf_counter()
    answer = sandbox.stripe("/v1/customers")
    assert time.perf_counter() - started >= 0.3
    assert answer.json() == expected


def test_a_truncated_body_ends_before_its_length(sandbox: Sandbox) -> None:
    sandbox.fault("stripe", "truncated_body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        sandbox.stripe("/v1/customers")


def test_malformed_json_has_the_right_length_and_type_and_no_sense(sandbox: Sandbox) -> None:
    whole = sandbox.stripe("/v1/customers")
    sandbox.fault("stripe", "malformed_json")
    answer = sandbox.stripe("/v1/customers")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert len(answer.content) == len(whole.content)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        answer.json()


def test_a_silo_that_is_down_answers_with_its_gateways_page_on_every_path(sandbox: Sandbox) -> None:
    sandbox.fault("customerio", "silo_down")
    answers = [sandbox.app_api("/v1/campaigns"), sandbox.track("GET", "/api/v1/accounts/region")]
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.headers["content-type"] for answer in answers} == {"text/html"}
    assert statuses(sandbox, 1) == [200]


def test_rows_repeat_at_page_borders_and_nowhere_else(sandbox: Sandbox) -> None:
    sandbox.fault("stripe", "duplicate_at_page_border")
    first = [row["id"] for row in sandbox.stripe("/v1/customers", ("limit", 3)).json()["data"]]
    second = sandbox.stripe("/v1/customers", ("limit", 3), ("starting_after", first[-1])).json()["data"]
    assert first == ["cus_0249", "cus_0248", "cus_0247"]
    assert [row["id"] for row in second] == ["cus_0247", "cus_0246", "cus_0245", "cus_0244"]
    assert sandbox.stripe("/v1/prices").json()["data"][0]["id"] == "price_1"


def test_rows_repeat_between_the_pages_of_a_batch(sandbox: Sandbox) -> None:
    sandbox.fault("bitrix24", "duplicate_at_page_border")
    result = sandbox.batch(["crm.item.list?entityTypeId=1", "crm.item.list?entityTypeId=1&start=50"])["result"]
    assert [row["id"] for row in result[1]["items"]][:3] == [50, 51, 52]
    exported = [sandbox.zendesk("/organizations.json", **{"page[size]": 2}).json() for _ in range(2)]
    assert len(exported[1]["organizations"]) == 2


def test_rows_out_of_order_are_the_same_rows_and_end_alike(sandbox: Sandbox) -> None:
    expected = [row["id"] for row in sandbox.stripe("/v1/customers", ("limit", 50)).json()["data"]]
    sandbox.fault("stripe", "out_of_order")
    shown = [row["id"] for row in sandbox.stripe("/v1/customers", ("limit", 50)).json()["data"]]
    assert shown != expected
    assert sorted(shown) == sorted(expected)
    assert shown[-1] == expected[-1]


def test_late_rows_stay_away_until_the_fault_is_gone(sandbox: Sandbox) -> None:
    def events() -> set[str]:
        return {row["id"] for row in sandbox.stripe("/v1/events", ("limit", 100)).json()["data"]}

    everything = events()
    sandbox.fault("stripe", "late_rows", path="/v1/events", seconds=10 * DAY, share=0.5)
    late = everything - events()
    assert late == {f"evt_{i:02}" for i in range(10) if is_held_back(f"evt_{i:02}", 0.5)}
    assert 0 < len(late) < 10
    sandbox.admin("DELETE", "/faults")
    assert events() == everything


def test_an_export_stops_before_a_late_row_and_finds_it_later(sandbox: Sandbox) -> None:
    def export(**query: Any) -> dict[str, Any]:
        return sandbox.zendesk("/incremental/tickets/cursor.json", **query).json()

    sandbox.fault("zendesk", "late_rows", seconds=95 * DAY, share=0.05)
    early = export(start_time=0)
    first_late = next(i for i in range(1, 120) if is_held_back(str(i), 0.05))
    assert [row["id"] for row in early["tickets"]] == list(range(1, first_late))
    assert early["end_of_stream"] is True
    sandbox.admin("DELETE", "/faults")
    rest = export(cursor=early["after_cursor"])
    assert [row["id"] for row in rest["tickets"]] == list(range(first_late, 120))


def test_late_rows_reach_the_other_silos(sandbox: Sandbox) -> None:
    sandbox.fault("bitrix24", "late_rows", seconds=200 * DAY, share=0.5)
    leads = sandbox.bitrix("crm.item.list", entityTypeId=1).json()["result"]["items"]
    assert [row["id"] for row in leads] == [i for i in range(1, 131) if not is_held_back(str(i), 0.5)][:50]
    sandbox.fault("customerio", "late_rows", seconds=3 * DAY, share=1.0)
    assert sandbox.app_api("/v1/messages").json()["messages"][0]["id"] == "msg_003"


@pytest.mark.parametrize(
    ("rule", "word"),
    [
        ({"vendor": "hubspot", "kind": "status"}, "vendor"),
        ({"vendor": "stripe", "kind": "meteor"}, "kind"),
        ({"vendor": "stripe"}, "vendor and kind"),
        ({"vendor": "stripe", "kind": "status", "status": 200}, "status"),
        ({"vendor": "stripe", "kind": "status", "probability": 0}, "probability"),
        ({"vendor": "stripe", "kind": "status", "times": 0}, "times"),
        ({"vendor": "stripe", "kind": "status", "phase": "during"}, "phase"),
        ({"vendor": "stripe", "kind": "status", "delay": 1}, "delay"),
        ({"vendor": "stripe", "kind": "slow_body", "seconds": -1}, "seconds"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_field(sandbox: Sandbox, rule: dict[str, Any], word: str) -> None:
    answer = sandbox.admin("POST", "/faults", json=[{"vendor": "stripe", "kind": "status"}, rule])
    assert answer.status_code == 400
    assert word in answer.json()["error"]
    assert sandbox.admin("GET", "/faults").json() == []


def test_rows_are_found_in_every_vendors_list() -> None:
    rows = [{"id": 1}]
    assert row_lists({"data": rows}) == [rows]
    assert row_lists({"tickets": rows}) == [rows]
    assert row_lists({"result": rows}) == [rows]
    assert row_lists({"result": {"items": rows}}) == [rows]
    assert row_lists({"result": {"result": {"a": {"items": rows}, "b": {"item": 1}}}}) == [rows]
    assert row_lists({"result": {"result": [{"items": rows}]}}) == [rows]
    assert row_lists(json.loads("[]")) == []
