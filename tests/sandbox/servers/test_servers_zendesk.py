from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

if TYPE_CHECKING:
    from .conftest import Sandbox

NOW = 1_793_512_800
DAY = 86_400
EXPORT = "/incremental/tickets/cursor.json"
TICKET = {
    "ticket": {
        "subject": "Exports keep failing",
        "comment": {"body": "Three failed exports within an hour.", "public": False},
        "requester": {"name": "Ada", "email": "U3@acme.example"},
        "external_id": "action-1",
        "priority": "high",
        "tags": ["lifecycle", "escalation"],
    }
}


def export(sandbox: Sandbox, **query: Any) -> dict[str, Any]:
    answer = sandbox.zendesk(EXPORT, **query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_an_export_gives_every_ticket_once_in_the_order_of_change(sandbox: Sandbox) -> None:
    page = export(sandbox, start_time=0, per_page=50)
    seen = [row["id"] for row in page["tickets"]]
    while not page["end_of_stream"]:
        page = sandbox.zendesk(page["after_url"]).json()
        seen += [row["id"] for row in page["tickets"]]
    assert seen == list(range(1, 120))
    assert page["before_cursor"] is None


def test_the_last_minute_is_left_out_until_it_has_passed(sandbox: Sandbox) -> None:
    page = export(sandbox, start_time=0)
    assert page["end_of_stream"] is True
    assert 120 not in [row["id"] for row in page["tickets"]]
    sandbox.store.set_now(NOW + 31)
    following = export(sandbox, cursor=page["after_cursor"])
    assert [row["id"] for row in following["tickets"]] == [120]
    empty = export(sandbox, cursor=following["after_cursor"])
    assert (empty["tickets"], empty["after_cursor"]) == ([], following["after_cursor"])


def test_a_cursor_at_the_end_of_the_stream_finds_what_comes_later(sandbox: Sandbox) -> None:
    end = export(sandbox, start_time=NOW - 3600, per_page=1000)
    assert [row["id"] for row in end["tickets"]] == [119]
    created = sandbox.create_ticket(TICKET).json()["ticket"]
    assert export(sandbox, cursor=end["after_cursor"])["tickets"] == []
    sandbox.store.set_now(NOW + 60)
    assert [row["id"] for row in export(sandbox, cursor=end["after_cursor"])["tickets"]] == [120, created["id"]]


def test_the_start_counts_the_systems_changes_not_only_the_agents(sandbox: Sandbox) -> None:
    tickets = export(sandbox, start_time=NOW - 2 * DAY)["tickets"]
    assert [row["id"] for row in tickets] == [118, 119]
    assert tickets[0]["updated_at"] < "2026-09-01"
    without_deleted = export(sandbox, start_time=NOW - 2 * DAY, exclude_deleted="true")["tickets"]
    assert [row["id"] for row in without_deleted] == [119]


def test_the_start_is_inclusive_and_ties_are_not_lost_at_page_borders(sandbox: Sandbox) -> None:
    first_second = NOW - 90 * DAY + 600
    page = export(sandbox, start_time=first_second, per_page=2)
    assert [row["id"] for row in page["tickets"]] == [3, 4]
    assert [row["id"] for row in export(sandbox, cursor=page["after_cursor"], per_page=2)["tickets"]] == [5, 6]


def test_metric_sets_come_inside_the_tickets_when_included(sandbox: Sandbox) -> None:
    page = export(sandbox, start_time=0, include="metric_sets", per_page=3)
    assert [row["metric_set"]["reopens"] for row in page["tickets"]] == [1, 0, 1]
    assert "include=metric_sets" in page["after_url"]
    assert "metric_set" not in export(sandbox, start_time=0, per_page=3)["tickets"][0]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"start_time": NOW - 59}, "StartTimeTooRecent"),
        ({"start_time": "soon"}, "InvalidParameter"),
        ({}, "MissingParameter"),
        ({"cursor": "made up"}, "InvalidPaginationParameter"),
    ],
)
def test_a_wrong_start_is_refused(sandbox: Sandbox, query: dict[str, Any], name: str) -> None:
    answer = sandbox.zendesk(EXPORT, **query)
    assert (answer.status_code, answer.json()["error"]) == (400, name)


def test_both_exports_share_ten_requests_a_minute(sandbox: Sandbox) -> None:
    sandbox.limit(zendesk_incremental_per_minute=10)
    paths = [EXPORT, "/incremental/users/cursor.json"] * 5
    assert {sandbox.zendesk(path, start_time=0).status_code for path in paths} == {200}
    sandbox.clock.seconds += 20
    refused = sandbox.zendesk(EXPORT, start_time=0)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "40")
    assert refused.json()["error"] == "APIRateLimitExceeded"
    assert sandbox.zendesk("/organizations.json").status_code == 200
    sandbox.clock.seconds += 40.1
    assert sandbox.zendesk(EXPORT, start_time=0).status_code == 200


def test_the_accounts_limit_shows_in_the_headers_of_every_answer(sandbox: Sandbox) -> None:
    sandbox.limit(zendesk_per_minute=2)
    first, second, third = (sandbox.zendesk("/tickets/count") for _ in range(3))
    assert (first.headers["X-Rate-Limit"], first.headers["X-Rate-Limit-Remaining"]) == ("2", "1")
    assert (second.headers["ratelimit-remaining"], second.headers["ratelimit-reset"]) == ("0", "60")
    assert (third.status_code, third.headers["Retry-After"]) == (429, "60")


def test_lists_page_by_cursor(sandbox: Sandbox) -> None:
    answer = sandbox.zendesk("/organizations.json", **{"page[size]": 100}).json()
    seen = [row["id"] for row in answer["organizations"]]
    while answer["meta"]["has_more"]:
        answer = sandbox.zendesk(answer["links"]["next"]).json()
        seen += [row["id"] for row in answer["organizations"]]
    assert seen == list(range(1, 231))
    assert answer["links"]["next"] is None
    bad = sandbox.zendesk("/organizations.json", **{"page[after]": "xx"})
    assert bad.json()["errors"][0]["code"] == "InvalidPaginationParameter"


def test_organizations_are_exported_by_change_time(sandbox: Sandbox) -> None:
    path, seen, start = "/incremental/organizations.json", [], 0
    for _ in range(20):
        answer = sandbox.zendesk(path, start_time=start, per_page=50).json()
        seen += [row["id"] for row in answer["organizations"]]
        assert answer["count"] == len(answer["organizations"])
        if answer["end_of_stream"]:
            break
        assert answer["end_time"] > start
        start = answer["end_time"]
    assert answer["end_of_stream"]
    assert set(seen) == set(range(1, 231))
    assert sandbox.zendesk("/organizations/count.json").json()["count"]["value"] == 230
    newest = sandbox.zendesk(path, start_time=answer["end_time"]).json()
    assert 0 < newest["count"] < 230


def test_ratings_filter_by_score_and_time(sandbox: Sandbox) -> None:
    bad = sandbox.zendesk("/satisfaction_ratings.json", score="bad", start_time=NOW - 50 * DAY + 10).json()
    assert [row["id"] for row in bad["satisfaction_ratings"]] == [12, 15, 18, 21, 24, 27, 30]


def test_a_created_ticket_can_be_read_back(sandbox: Sandbox) -> None:
    before = sandbox.zendesk("/tickets/count").json()["count"]["value"]
    answer = sandbox.create_ticket(TICKET)
    assert answer.status_code == 201
    ticket = answer.json()["ticket"]
    assert ticket["id"] == 121
    assert (ticket["requester_id"], ticket["organization_id"], ticket["is_public"]) == (1003, 9, False)
    assert sandbox.zendesk("/tickets/count").json()["count"]["value"] == before + 1
    found = sandbox.zendesk("/tickets", external_id="action-1").json()
    assert ([row["id"] for row in found["tickets"]], found["count"]) == ([121], 1)
    assert sandbox.zendesk("/tickets/121.json").json()["ticket"]["description"].startswith("Three failed")
    assert sandbox.zendesk("/tickets", external_id="action-2").json()["tickets"] == []
    sandbox.store.set_now(NOW + 61)
    exported = export(sandbox, start_time=NOW - 10, include="metric_sets")["tickets"]
    assert exported[0]["metric_set"]["ticket_id"] == 121
    assert [entry["body"]["ticket_id"] for entry in sandbox.inbox("zendesk")] == [121]


def test_an_unknown_requester_becomes_a_user(sandbox: Sandbox) -> None:
    request = {"ticket": {"comment": {"body": "Hello"}, "requester": {"name": "New", "email": "new@else.example"}}}
    ticket = sandbox.create_ticket(request).json()["ticket"]
    assert (ticket["requester_id"], ticket["is_public"], ticket["subject"]) == (1025, True, "Hello")
    again = sandbox.create_ticket(request).json()["ticket"]
    assert (again["id"], again["requester_id"]) == (ticket["id"] + 1, 1025)
    user = sandbox.zendesk("/users/1025.json").json()["user"]
    assert (user["email"], user["role"]) == ("new@else.example", "end-user")


def test_the_same_key_within_two_hours_gives_the_first_ticket_again(sandbox: Sandbox) -> None:
    first = sandbox.create_ticket(TICKET, key="k1")
    assert first.headers["x-idempotency-lookup"] == "miss"
    sandbox.store.set_now(NOW + 7199)
    repeat = sandbox.create_ticket(TICKET, key="k1")
    assert (repeat.status_code, repeat.headers["x-idempotency-lookup"]) == (201, "hit")
    assert repeat.json()["ticket"]["id"] == first.json()["ticket"]["id"]
    sandbox.store.set_now(NOW + 7201)
    later = sandbox.create_ticket(TICKET, key="k1")
    assert later.headers["x-idempotency-lookup"] == "miss"
    assert later.json()["ticket"]["id"] == first.json()["ticket"]["id"] + 1
    assert len(sandbox.inbox("zendesk")) == 2
    assert "x-idempotency-lookup" not in sandbox.create_ticket(TICKET).headers


def test_the_same_key_with_another_body_is_refused(sandbox: Sandbox) -> None:
    sandbox.create_ticket(TICKET, key="k1")
    other = {"ticket": TICKET["ticket"] | {"priority": "low"}}
    refused = sandbox.create_ticket(other, key="k1")
    assert (refused.status_code, refused.json()["error"]) == (400, "IdempotentRequestError")
    assert sandbox.create_ticket(TICKET, key="k" * 256).json()["error"] == "IdempotentRequestError"
    assert len(sandbox.inbox("zendesk")) == 1


@pytest.mark.parametrize(
    ("change", "field", "name"),
    [
        ({"comment": {"body": " "}}, "base", "BlankValue"),
        ({"priority": "asap"}, "priority", "InvalidValue"),
        ({"status": "done"}, "status", "InvalidValue"),
        ({"requester": {"email": "nobody"}}, "requester", "InvalidFormat"),
        ({"requester_id": 5}, "requester", "InvalidValue"),
    ],
)
def test_an_invalid_ticket_is_refused_field_by_field(
    sandbox: Sandbox, change: dict[str, Any], field: str, name: str
) -> None:
    answer = sandbox.create_ticket({"ticket": TICKET["ticket"] | change}, key="k1")
    assert answer.status_code == 422
    body = answer.json()
    assert (body["error"], body["description"]) == ("RecordInvalid", "Record validation errors")
    assert [detail["error"] for detail in body["details"][field]] == [name]
    assert sandbox.inbox("zendesk") == []
    assert sandbox.create_ticket(TICKET, key="k1").status_code == 201


def test_a_request_without_a_ticket_is_refused(sandbox: Sandbox) -> None:
    answer = sandbox.create_ticket({"subject": "x"})
    assert (answer.status_code, answer.json()["error"]) == (400, "ParameterMissing")
    address = f"{sandbox.url}/zendesk/api/v2/tickets"
    garbage = requests.post(address, data=b'{"ticket": {', auth=sandbox.zendesk_auth, timeout=60)
    assert garbage.status_code == 400


def test_credentials_are_email_and_token_or_an_oauth_token(sandbox: Sandbox) -> None:
    address = f"{sandbox.url}/zendesk/api/v2/tickets/count"

    def status(**arguments: Any) -> int:
        return requests.get(address, timeout=60, **arguments).status_code

    assert status(auth=("ops@sandbox.example", "sandbox-zendesk-token")) == 401
    assert status(headers={"Authorization": "Basic %%%"}) == 401
    assert status(headers={"Authorization": "Bearer sandbox-zendesk-oauth"}) == 200
    wrong = requests.get(address, auth=("ops@sandbox.example/token", "wrong"), timeout=60)
    assert (wrong.status_code, wrong.json()) == (401, {"error": "Couldn't authenticate you"})
    bearer = requests.get(address, headers={"Authorization": "Bearer wrong"}, timeout=60)
    assert (bearer.status_code, bearer.json()["error"]) == (401, "invalid_token")
    assert sandbox.zendesk("/nothing").json()["error"] == "InvalidEndpoint"
    assert sandbox.zendesk("/users/77.json").json()["error"] == "RecordNotFound"
