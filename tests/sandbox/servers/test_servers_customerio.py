from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import customerio
import jsonschema
import pytest
import requests

if TYPE_CHECKING:
    from .conftest import Sandbox

NOW = 1_793_512_800
DAY = 86_400
ULID = "01JBG2M7QK5Z8X3V6T9R4W1Y0E"
# the vendor's own description of its Track API, where somebody has put it
OPENAPI = Path(os.environ.get("CUSTOMERIO_TRACK_OPENAPI", "contracts/customerio-track-openapi.json"))


def person(action: str, **fields: Any) -> dict[str, Any]:
    return {"type": "person", "identifiers": {"id": "usr_01"}, "action": action, **fields}


def attributes(sandbox: Sandbox, person_id: str) -> dict[str, str]:
    return sandbox.app_api(f"/v1/customers/{person_id}/attributes").json()["customer"]["attributes"]


def test_messages_come_newest_first_with_a_cursor_that_ends_empty(sandbox: Sandbox) -> None:
    page = sandbox.app_api("/v1/messages", limit=100).json()
    seen = [row["id"] for row in page["messages"]]
    while page["next"]:
        page = sandbox.app_api("/v1/messages", limit=100, start=page["next"]).json()
        seen += [row["id"] for row in page["messages"]]
    assert seen == [f"msg_{i:03}" for i in range(184)]


def test_a_list_covers_six_months_or_at_most_twelve_before_its_end(sandbox: Sandbox) -> None:
    def count(**query: Any) -> int:
        return len(sandbox.app_api("/v1/messages", limit=5000, **query).json()["messages"])

    assert count() == 184
    assert count(start_ts=NOW - 10 * DAY) == 11
    assert count(start_ts=NOW - 499 * DAY) == 367
    assert count(start_ts=NOW - 499 * DAY, end_ts=NOW - 367 * DAY) == 133


def test_messages_filter_by_campaign_type_and_what_happened(sandbox: Sandbox) -> None:
    def rows(**query: Any) -> list[dict[str, Any]]:
        return sandbox.app_api("/v1/messages", limit=1000, start_ts=NOW - 20 * DAY, **query).json()["messages"]

    assert {row["campaign_id"] for row in rows(campaign_id=2)} == {2}
    assert {row["type"] for row in rows(type="push")} == {"push"}
    assert [row["id"] for row in rows(metric="opened")] == ["msg_000", "msg_005", "msg_010", "msg_015", "msg_020"]
    assert sandbox.app_api("/v1/messages", metric="liked").status_code == 400
    assert sandbox.app_api("/v1/messages", start="%%%").status_code == 400


def test_campaign_metrics_count_its_messages_per_day(sandbox: Sandbox) -> None:
    series = sandbox.app_api("/v1/campaigns/2/metrics", period="days", steps=4).json()["metric"]["series"]
    assert series["sent"] == [1, 0, 1, 0]
    assert series["opened"] == [0, 0, 0, 0]
    assert sandbox.app_api("/v1/campaigns/9/metrics").status_code == 404
    assert [row["id"] for row in sandbox.app_api("/v1/campaigns").json()["campaigns"]] == [1, 2]


def test_the_segment_of_the_unsubscribed_pages_through_its_members(sandbox: Sandbox) -> None:
    assert sandbox.app_api("/v1/segments").json()["segments"][0]["id"] == 7
    assert sandbox.app_api("/v1/segments/7/customer_count").json() == {"count": 5}
    page = sandbox.app_api("/v1/segments/7/membership", limit=3).json()
    assert page["ids"] == ["usr_00", "usr_06", "usr_12"]
    assert page["identifiers"][1] == {"id": "usr_06", "email": "u6@acme.example", "cio_id": "c6"}
    rest = sandbox.app_api("/v1/segments/7/membership", limit=3, start=page["next"]).json()
    assert (rest["ids"], rest["next"]) == (["usr_18", "usr_24"], "")
    sandbox.track("PUT", "/api/v1/customers/usr_01", json={"unsubscribed": True})
    assert sandbox.app_api("/v1/segments/7/customer_count").json() == {"count": 6}


def test_the_app_api_takes_ten_requests_a_second_and_its_own_key_only(sandbox: Sandbox) -> None:
    sandbox.limit(customerio_app_per_second=10)
    answers = [sandbox.app_api("/v1/campaigns") for _ in range(11)]
    assert [answer.status_code for answer in answers] == [200] * 10 + [429]
    assert "Retry-After" not in answers[-1].headers
    sandbox.clock.seconds += 1.01
    assert sandbox.app_api("/v1/campaigns").status_code == 200
    address = f"{sandbox.url}/customerio/app/v1/campaigns"
    wrong = requests.get(address, headers={"Authorization": "Bearer sandbox-track-key"}, timeout=60)
    assert (wrong.status_code, wrong.json()["errors"][0]["detail"]) == (401, "unauthorized")


def test_the_track_api_takes_its_own_credentials_only_and_has_its_own_limit(sandbox: Sandbox) -> None:
    sandbox.limit(customerio_track_per_second=2)
    assert sandbox.track("GET", "/api/v1/accounts/region").json()["region"] == "us"
    wrong = requests.get(
        f"{sandbox.url}/customerio/track/api/v1/accounts/region", auth=("sandbox-site", "sandbox-app-key"), timeout=60
    )
    assert (wrong.status_code, wrong.json()) == (401, {"meta": {"error": "Unauthorized request"}})
    assert sandbox.track("GET", "/api/v1/accounts/region").status_code == 200
    assert sandbox.track("GET", "/api/v1/accounts/region").status_code == 429


def test_a_suppressed_person_is_gone_and_does_not_come_back_before_somebody_says_so(sandbox: Sandbox) -> None:
    def post(**operation: Any) -> None:
        answer = sandbox.track("POST", "/api/v2/entity", json={"type": "person", **operation})
        assert (answer.status_code, answer.json()) == (200, {}), "whatever becomes of it"

    def is_there(name: str) -> bool:
        return sandbox.app_api(f"/v1/customers/{name}/attributes").status_code == 200

    email = sandbox.app_api("/v1/customers/usr_02/attributes").json()["customer"]["attributes"]["email"]
    post(identifiers={"id": "usr_02"}, action="suppress")
    post(identifiers={"id": "usr_02"}, action="identify", attributes={"plan": "team"})
    post(identifiers={"email": email.upper()}, action="event", name="adopted")
    assert [entry["kind"] for entry in sandbox.inbox("customerio")] == ["suppress", "ignored", "ignored"]
    assert not is_there("usr_02")
    post(identifiers={"email": email}, action="unsuppress")
    assert not is_there("usr_02")
    post(identifiers={"id": "usr_02"}, action="identify", attributes={"plan": "team"})
    assert attributes(sandbox, "usr_02")["plan"] == "team"
    post(identifiers={"cio_id": "nobodys"}, action="identify", attributes={"email": "x@acme.example"})
    assert sandbox.app_api("/v1/customers", email="x@acme.example").json() == {"results": []}


def test_identify_creates_updates_and_removes_attributes(sandbox: Sandbox) -> None:
    answer = sandbox.track("PUT", "/api/v1/customers/usr_new", json={"email": "new@acme.example", "seats": 3})
    assert (answer.status_code, answer.json()) == (200, {})
    expected = {"id": "usr_new", "email": "new@acme.example", "seats": "3"}
    assert attributes(sandbox, "usr_new") == expected
    sandbox.track("PUT", "/api/v1/customers/new@acme.example", json={"seats": "", "plan": "team"})
    assert attributes(sandbox, "usr_new") == {"id": "usr_new", "email": "new@acme.example", "plan": "team"}
    sandbox.track("PUT", "/api/v1/customers/usr_ghost", json={"plan": "team", "_update": True})
    assert sandbox.app_api("/v1/customers/usr_ghost/attributes").status_code == 404
    assert sandbox.app_api("/v1/customers", email="NEW@acme.example").json()["results"][0]["id"] == "usr_new"
    sandbox.track("DELETE", "/api/v1/customers/usr_new")
    assert sandbox.app_api("/v1/customers/usr_new/attributes").status_code == 404


def test_an_event_lands_in_the_inbox_once_per_ulid(sandbox: Sandbox) -> None:
    event = {"name": " adopted ", "id": ULID, "timestamp": NOW, "data": {"state": "adopted"}}
    for _ in range(2):
        assert sandbox.track("POST", "/api/v1/customers/usr_01/events", json=event).status_code == 200
    again = person("event", name="adopted", id=ULID, attributes={"state": "other"})
    assert sandbox.track("POST", "/api/v2/entity", json=again).status_code == 200
    entries = sandbox.inbox("customerio")
    assert [entry["kind"] for entry in entries] == ["event", "repeated_event", "repeated_event"]
    assert entries[0]["body"] == person(
        "event", name="adopted", id=ULID, timestamp=NOW, attributes={"state": "adopted"}
    )


@pytest.mark.parametrize(
    ("operation", "field"),
    [
        (person("event"), "name"),
        (person("event", name="x", id="usr_01"), "id"),
        (person("event", name="n" * 101), "name"),
        (person("event", name="x", timestamp="today"), "timestamp"),
        (person("dance"), "action"),
        (person("identify", attributes={"a": "v" * 1001}), "attributes.a"),
        ({"identifiers": {"id": "1"}, "action": "identify"}, "type"),
        ({"type": "person", "action": "identify"}, "identifiers"),
        ({"type": "person", "action": "identify", "identifiers": {"id": "1", "email": "a@b.c"}}, "identifiers"),
        ({"type": "person", "action": "identify", "identifiers": {"email": "nobody"}}, "identifiers.email"),
    ],
)
def test_a_wrong_operation_is_refused_with_the_field_at_fault(
    sandbox: Sandbox, operation: dict[str, Any], field: str
) -> None:
    answer = sandbox.track("POST", "/api/v2/entity", json=operation)
    assert answer.status_code == 400
    (problem,) = answer.json()["errors"]
    assert problem["field"] == field
    assert set(problem) == {"reason", "field", "message"}
    assert sandbox.inbox("customerio") == []


def test_a_batch_takes_the_good_and_names_the_bad(sandbox: Sandbox) -> None:
    operations = [
        person("event", name="one", id=ULID),
        person("event", name="two", id="not a ulid"),
        person("identify", attributes={"state": "adopted"}),
        person("event", name="four", attributes={"text": "x" * 33_000}),
    ]
    answer = sandbox.track("POST", "/api/v2/batch", json={"batch": operations})
    assert answer.status_code == 207
    problems = answer.json()["errors"]
    assert [(problem["batch_index"], problem["field"]) for problem in problems] == [(1, "id"), (3, "")]
    assert [entry["kind"] for entry in sandbox.inbox("customerio")] == ["event", "identify"]
    assert attributes(sandbox, "usr_01")["state"] == "adopted"
    good = sandbox.track("POST", "/api/v2/batch", json={"batch": [person("event", name="three")]})
    assert (good.status_code, good.json()) == (200, {})


def test_a_batch_that_is_wrong_as_a_whole_takes_nothing(sandbox: Sandbox) -> None:
    many = {"batch": [person("event", name="x", attributes={"text": "y" * 30_000})] * 18}
    requests_ = [{"json": many}, {"json": {"batch": []}}, {"json": [1]}, {"data": b'{"batch": ['}]
    for arguments in requests_:
        answer = sandbox.track("POST", "/api/v2/batch", **arguments)
        assert (answer.status_code, len(answer.json()["errors"])) == (400, 1)
    assert sandbox.inbox("customerio") == []


def test_v1_refuses_in_its_own_envelope(sandbox: Sandbox) -> None:
    answer = sandbox.track("POST", "/api/v1/customers/usr_01/events", json={"data": {}})
    assert (answer.status_code, answer.json()) == (400, {"meta": {"errors": ["name is required"]}})
    assert sandbox.track("PUT", "/api/v1/customers/usr_01", data=b"{").json() == {
        "meta": {"errors": ["malformed JSON"]}
    }
    assert sandbox.track("GET", "/api/v3/nothing").status_code == 404


def test_the_official_client_works_and_sees_the_vendors_errors(sandbox: Sandbox) -> None:
    class ToSandbox(requests.adapters.HTTPAdapter):
        """The client only speaks https with the vendor's host, so its transport is pointed at the sandbox."""

        def send(self, request: requests.PreparedRequest, **arguments: Any) -> requests.Response:  # type: ignore[override]
            request.url = request.url.replace("https://track.customer.io", f"{sandbox.url}/customerio/track")
            return super().send(request, **arguments)

    def client(key: str) -> customerio.CustomerIO:
        made = customerio.CustomerIO("sandbox-site", key, retries=0)
        made.http.mount("https://", ToSandbox())
        return made

    with client("sandbox-track-key") as official:
        official.identify("usr_02", plan="business")
        official.track("usr_02", "adopted", {"seats": 4}, id=ULID, timestamp=NOW)
        official.suppress("usr_04")
        official.merge_customers(customerio.ID if hasattr(customerio, "ID") else "id", "usr_02", "id", "usr_03")
        answer = official.batch([person("event", name="one"), person("event")])
        with pytest.raises(customerio.CustomerIOException, match="400"):
            official.track("usr_02", "adopted", id="usr_02")
    assert answer.status_code == 207
    assert attributes(sandbox, "usr_02")["plan"] == "business"
    assert sandbox.app_api("/v1/customers/usr_03/attributes").status_code == 404
    kinds = [entry["kind"] for entry in sandbox.inbox("customerio")]
    assert kinds == ["identify", "event", "suppress", "merge", "event"]
    with client("wrong") as stranger, pytest.raises(customerio.CustomerIOException, match="401"):
        stranger.identify("usr_02", plan="free")


@pytest.mark.skipif(not OPENAPI.exists(), reason="set CUSTOMERIO_TRACK_OPENAPI to the vendor's OpenAPI file")
def test_what_the_sandbox_takes_and_answers_agrees_with_the_vendors_description(sandbox: Sandbox) -> None:
    description = json.loads(OPENAPI.read_text())

    def validate(instance: Any, schema: dict[str, Any]) -> None:
        jsonschema.Draft202012Validator({**schema, "components": description["components"]}).validate(instance)

    operations = [
        person("identify", attributes={"plan": "team"}, timestamp=NOW),
        person("event", name="adopted", id=ULID, timestamp=NOW, attributes={"seats": 3}),
        person("suppress"),
        person("delete"),
    ]
    for operation in operations:
        validate(operation, {"$ref": "#/components/schemas/person_operations"})
        assert sandbox.track("POST", "/api/v2/entity", json=operation).status_code == 200
    batch = description["paths"]["/api/v2/batch"]["post"]["responses"]
    partial = sandbox.track("POST", "/api/v2/batch", json={"batch": [person("event")]})
    validate(partial.json(), batch["207"]["content"]["application/json"]["schema"])
    refused = sandbox.track("POST", "/api/v2/batch", json={})
    validate(refused.json(), batch["400"]["content"]["application/json"]["schema"])
    region = description["paths"]["/api/v1/accounts/region"]["get"]["responses"]["200"]
    schema = region["content"]["application/json"]["schema"]
    # our own address stands where the vendor's two hosts are
    del schema["properties"]["url"]["enum"]
    validate(sandbox.track("GET", "/api/v1/accounts/region").json(), schema)
    served = {"/api/v1/accounts/region", "/api/v1/customers/{identifier}", "/api/v1/customers/{identifier}/events"}
    assert served | {"/api/v2/entity", "/api/v2/batch"} <= set(description["paths"])
