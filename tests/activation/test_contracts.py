"""What we send and what we read, held against the vendors' own words: descriptions, clients, recorded answers."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import b24pysdk
import customerio as official_customerio
import jsonschema
import pytest
import requests

from activation.actions import Outcome, State
from activation.destinations.bitrix24 import Bitrix24
from activation.destinations.customerio import CustomerIo
from activation.destinations.make import Make
from activation.destinations.zendesk import Zendesk
from activation.errors import BatchRejectedError, LimitedError, OutcomeUnknownError, StoppedError
from activation.identifiers import milliseconds, ulid
from benchmarks.vendors import SECRET, actions_for

if TYPE_CHECKING:
    from collections.abc import Iterator

# the vendors' own descriptions of their interfaces, where somebody has put them
OPENAPI = Path(os.environ.get("CUSTOMERIO_TRACK_OPENAPI", "contracts/customerio-track-openapi.json"))
METHODS = Path(os.environ.get("BITRIX24_METHODS", "contracts/bitrix24"))


class Recorder:
    """A server that keeps what it is sent and answers what it was told to."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, dict[str, str], bytes]] = []
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                recorder.seen.append((self.path, headers, json.loads(body)))
                status, extra, answer = recorder.answers.pop(0)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(answer)), **extra}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: Any) -> None:
                """Nothing is to be said."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def answer(self, status: int, body: Any, **headers: str) -> None:
        text = body if isinstance(body, str) else json.dumps(body)
        self.answers.append((status, {name.replace("_", "-"): value for name, value in headers.items()}, text.encode()))


@pytest.fixture
def vendor() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    recorder.server.shutdown()
    recorder.server.server_close()


def states(outcomes: Any) -> list[State]:
    return [outcome.state for outcome in outcomes]


# Descriptions


@pytest.mark.skipif(not OPENAPI.exists(), reason="set CUSTOMERIO_TRACK_OPENAPI to the vendor's OpenAPI file")
def test_our_batch_is_one_that_customerio_describes(vendor: Recorder, action: Any) -> None:
    vendor.answer(200, {})
    by_address = action(4, payload='{"email":"ann@acme.example","event_name":"greet","attributes":{"a":[1,null]}}')
    CustomerIo(vendor.url, "site", "key").send([*actions_for("customerio", range(1, 4)), by_address])
    ((path, headers, body),) = vendor.seen
    description = json.loads(OPENAPI.read_text())
    operation = description["paths"][path]["post"]
    (kind,) = operation["requestBody"]["content"]
    assert headers["content-type"] == kind
    schema = operation["requestBody"]["content"][kind]["schema"]
    validator = jsonschema.Draft202012Validator({**schema, "components": description["components"]})
    validator.validate(body)
    event = {"$ref": "#/components/schemas/person_event", "components": description["components"]}
    for entity in body["batch"]:
        jsonschema.Draft202012Validator(event).validate(entity)
    # and the description does say something: without its name an event is none
    del body["batch"][0]["name"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(event).validate(body["batch"][0])


@pytest.mark.skipif(not METHODS.is_dir(), reason="set BITRIX24_METHODS to the folder of the vendor's descriptions")
def test_our_commands_are_ones_that_bitrix24_describes(vendor: Recorder, action: Any) -> None:
    vendor.answer(200, {"result": {"result": {}, "result_error": {}, "result_time": {}}})
    task = action(9, payload='{"task":{"TITLE":"Call","RESPONSIBLE_ID":"7"}}')
    Bitrix24(f"{vendor.url}/rest/1/secret").send([*actions_for("bitrix24", range(1, 3)), task])
    ((_, _, body),) = vendor.seen
    assert len(body["cmd"]) == 3
    for command in body["cmd"].values():
        method, _, query = command.partition("?")
        described = json.loads((METHODS / f"{method}.json").read_text())
        given = {name.partition("[")[0] for name, _ in parse_qsl(query, keep_blank_values=True)}
        assert given <= {each["name"] for each in described["params"]}
        assert {each["name"] for each in described["params"] if each["required"]} <= given
        known = {each["name"] for part in described["defs"].values() for each in part.get("fields", ())}
        fields = {name[len("fields[") : -1] for name, _ in parse_qsl(query) if name.startswith("fields[")}
        if known:  # of a task the description leaves the fields open
            assert {each for each in fields if not each.lower().startswith("uf")} <= known


# Clients


class Redirected(requests.adapters.HTTPAdapter):
    """The official clients speak with the vendors' hosts only, so their transport is pointed at the recorder."""

    def __init__(self, host: str, url: str) -> None:
        super().__init__()
        self._host, self._url = host, url

    def send(self, request: requests.PreparedRequest, **arguments: Any) -> requests.Response:  # type: ignore[override]
        request.url = str(request.url).replace(self._host, self._url)
        return super().send(request, **arguments)


def test_customerio_gets_what_its_own_client_would_send(vendor: Recorder) -> None:
    sent = actions_for("customerio", range(1, 3))
    vendor.answer(200, {})
    vendor.answer(200, {})
    CustomerIo(vendor.url, "site", "key").send(sent)
    official = official_customerio.CustomerIO("site", "key", retries=0)
    official.http.mount("https://", Redirected("https://track.customer.io", vendor.url))
    official.batch(
        [
            {
                "type": "person",
                "identifiers": {"id": each.body["user_id"]},
                "action": "event",
                "name": each.body["event_name"],
                "id": ulid(each.occurred_at, each.action_id),
                "timestamp": milliseconds(each.occurred_at) // 1000,
                "attributes": each.body["attributes"],
            }
            for each in sent
        ]
    )
    ours, theirs = vendor.seen
    assert (ours[0], ours[2]) == (theirs[0], theirs[2])
    for header in ("authorization", "content-type"):
        assert ours[1][header] == theirs[1][header]


def test_bitrix24_gets_what_its_own_client_would_send(vendor: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = {"result": {"result": {}, "result_error": {}, "result_time": {}, "result_total": {}, "result_next": {}}}
    vendor.answer(200, answer)
    vendor.answer(200, {**answer, "time": {"start": 1.0, "finish": 1.0, "duration": 0.0, "processing": 0.0}})
    (change,) = actions_for("bitrix24", range(1, 2))
    Bitrix24(f"{vendor.url}/rest/1/secret").send([change])
    session = requests.Session()
    session.mount("https://", Redirected("https://portal.example", vendor.url))
    monkeypatch.setattr(requests, "request", session.request)
    monkeypatch.setattr(requests, "post", session.post)
    monkeypatch.setattr(requests.Session, "get_adapter", lambda _self, url: session.adapters["https://"])  # noqa: ARG005
    token = b24pysdk.BitrixWebhook(domain="portal.example", webhook_token="1/secret")
    fields = change.body["fields"]
    params = {"entityTypeId": 2, "id": change.body["deal_id"], "fields": fields}
    token.call_batch({"a0": ("crm.item.update", params)}, halt=False)
    ours, theirs = vendor.seen
    assert ours[0].removesuffix(".json") == theirs[0].removesuffix(".json")
    commands = [seen[2]["cmd"]["a0"].partition("?") for seen in (ours, theirs)]
    assert commands[0][0] == commands[1][0].removesuffix(".json")
    assert sorted(parse_qsl(commands[0][2])) == sorted(parse_qsl(commands[1][2]))
    assert int(ours[2]["halt"]) == int(theirs[2]["halt"]) == 0


# Answers, in the shapes that the vendors' documentation and clients record


def test_customerio_refuses_single_events_inside_200_and_207_and_whole_batches_with_400(vendor: Recorder) -> None:
    sent = actions_for("customerio", range(1, 4))
    error = {"batch_index": 1, "reason": "invalid", "field": "id", "message": "id must be a valid ULID"}
    for status in (207, 200):
        vendor.answer(status, {"errors": [error]})
        outcomes = CustomerIo(vendor.url, "site", "key").send(sent)
        assert states(outcomes) == [State.ACKNOWLEDGED, State.REJECTED, State.ACKNOWLEDGED]
        assert "id must be a valid ULID" in outcomes[1].reason
    vendor.answer(400, {"errors": [{"reason": "required", "field": "batch", "message": "batch is required"}]})
    with pytest.raises(BatchRejectedError, match="batch is required"):
        CustomerIo(vendor.url, "site", "key").send(sent)
    vendor.answer(401, {"meta": {"error": "Unauthorized request"}})
    with pytest.raises(StoppedError):
        CustomerIo(vendor.url, "site", "key").send(sent)
    vendor.answer(207, {"errors": [{"reason": "invalid", "message": "which one?"}]})
    with pytest.raises(OutcomeUnknownError):
        CustomerIo(vendor.url, "site", "key").send(sent)


TIME = {
    "start": 1724.1,
    "finish": 1724.9,
    "duration": 0.8,
    "processing": 0.5,
    "operating_reset_at": 2324,
    "operating": 0.5,
}


def test_bitrix24_says_the_fate_of_each_command_inside_200(vendor: Recorder) -> None:
    sent = actions_for("bitrix24", range(1, 4))
    item = {"id": 1, "stageId": "EXECUTING", "ufCrmLifecycleState": "adopted"}
    result: dict[str, Any] = {
        "result": {"a0": {"item": item}},
        "result_error": {
            "a1": {"error": "NOT_FOUND", "error_description": "Элемент не найден"},
            "a2": {
                "error": "OPERATION_TIME_LIMIT",
                "error_description": "Method is blocked due to operation time limit.",
            },
        },
        "result_total": [],
        "result_next": [],
        "result_time": {"a0": TIME},
    }
    vendor.answer(200, {"result": result, "time": TIME})
    outcomes = Bitrix24(f"{vendor.url}/rest/1/secret").send(sent)
    assert states(outcomes) == [State.ACKNOWLEDGED, State.REJECTED, State.WAITING]
    assert outcomes[2].retry_after == pytest.approx(2324 - 1724.9)
    # what is no figure teaches nothing, and costs nobody the answer
    odd = {"operating": None, "processing": "soon"}
    vendor.answer(200, {"result": {"result": {"a0": {"item": item}}, "result_time": {"a0": odd}}})
    assert states(Bitrix24(f"{vendor.url}/rest/1/secret").send(sent[:1])) == [State.ACKNOWLEDGED]
    # PHP writes an empty map as a list
    vendor.answer(200, {"result": {"result": [], "result_error": [], "result_time": []}, "time": TIME})
    assert states(Bitrix24(f"{vendor.url}/rest/1/secret").send(sent)) == [State.UNKNOWN] * 3
    for status, code, expected in (
        (503, "QUERY_LIMIT_EXCEEDED", LimitedError),
        (503, "OVERLOAD_LIMIT", StoppedError),
        (429, "OPERATION_TIME_LIMIT", LimitedError),
        (401, "expired_token", StoppedError),
        (403, "insufficient_scope", StoppedError),
        (402, "PAYMENT_REQUIRED", StoppedError),
        (400, "ACCESS_DENIED", StoppedError),
        (404, "ERROR_METHOD_NOT_FOUND", StoppedError),
        (400, "ERROR_BATCH_LENGTH_EXCEEDED", BatchRejectedError),
        (500, "INTERNAL_SERVER_ERROR", OutcomeUnknownError),
    ):
        vendor.answer(status, {"error": code, "error_description": "secret words"})
        with pytest.raises(expected) as said:
            Bitrix24(f"{vendor.url}/rest/1/secret").send(sent)
        assert "[secret] words" in str(said.value)


def test_bitrix24_batches_shrink_to_the_run_time_that_is_left(vendor: Recorder) -> None:
    portal = Bitrix24(f"{vendor.url}/rest/1/secret", operating_seconds=480.0)
    sent = actions_for("bitrix24", range(1, 2))
    item = {"id": 1, "stageId": "EXECUTING", "ufCrmLifecycleState": "adopted"}

    def rest_after(processing: float, operating: float) -> float:
        time = {**TIME, "processing": processing, "operating": operating}
        answer = {"result": {"a0": {"item": item}}, "result_error": [], "result_time": {"a0": time}}
        vendor.answer(200, {"result": answer, "time": time})
        return portal.send(sent)[0].rest

    assert (rest_after(0.5, 10.0), portal.batch_size) == (0.0, 50)
    assert (rest_after(1.5, 10.0), portal.batch_size) == (0.0, 30), "more would be cut off after 60 seconds"
    assert (rest_after(1.5, 450.0), portal.batch_size) == (0.0, 20), "more would run into the refusal"
    assert rest_after(1.5, 479.5) == pytest.approx(2324 - 1724.9)
    quota = portal.quota
    assert quota is not None
    assert (quota.seconds, quota.cost) == (480.0, 1.5)


def test_zendesk_answers_a_ticket_and_refusals_with_details(vendor: Recorder) -> None:
    (sent,) = actions_for("zendesk", range(1, 2))

    def send() -> Outcome:
        return Zendesk(vendor.url, "ops@acme.example", "token").send([sent])[0]

    limits = {"X_Rate_Limit": "700", "X_Rate_Limit_Remaining": "699", "ratelimit_reset": "41"}
    vendor.answer(201, {"ticket": {"id": 35436, "url": "https://x/35436.json"}}, x_idempotency_lookup="miss", **limits)
    assert send() == Outcome.acknowledged("35436", 201)
    vendor.answer(
        201, {"ticket": {"id": 35436}}, x_idempotency_lookup="hit", **{**limits, "X_Rate_Limit_Remaining": "0"}
    )
    assert send() == Outcome.acknowledged("35436", 201, "It was there already.", 41.0)
    details = {
        "base": [{"description": "Description: cannot be blank", "error": "BlankValue", "field_key": "description"}]
    }
    vendor.answer(422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details})
    refused = send()
    said = "RecordInvalid Record validation errors Description: cannot be blank"
    assert (refused.state, refused.reason) == (State.REJECTED, said)
    vendor.answer(400, {"error": "IdempotentRequestError", "description": "Request parameters don't match the key"})
    assert send().state is State.UNKNOWN  # there is a ticket under this key already, or was one
    vendor.answer(409, {"error": "Conflict", "description": "A request with this key is at work"})
    assert send().state is State.UNKNOWN
    vendor.answer(503, {"error": "busy"}, Retry_After="120")
    with pytest.raises(OutcomeUnknownError) as busy:
        send()
    assert busy.value.retry_after == 120
    vendor.answer(429, "Number of allowed API requests per minute exceeded", Retry_After="93")
    with pytest.raises(LimitedError) as limited:
        send()
    assert limited.value.retry_after == 93
    path, headers, body = vendor.seen[0]
    assert (path, headers["idempotency-key"]) == ("/api/v2/tickets.json", sent.action_id)
    assert body["ticket"]["external_id"] == sent.action_id
    assert body["ticket"]["comment"]["public"] is False


def test_a_number_that_few_can_read_leaves_as_it_is_and_spoils_no_neighbour(vendor: Recorder, time: Any) -> None:
    most = 2**70
    adapters: list[Any] = [
        CustomerIo(vendor.url, "site", "key"),
        Make(f"{vendor.url}/hook", SECRET, time),
        Zendesk(vendor.url, "ops@acme.example", "token"),
    ]
    for adapter in adapters:
        (known,) = actions_for(adapter.name, range(1, 2))
        body = {**json.loads(known.payload), "attributes": {"n": most}, "data": {"n": most}, "custom_fields": [most]}
        vendor.answer(200, {"ticket": {"id": 1}})
        (outcome,) = adapter.send([known._replace(payload=json.dumps(body))])
        adapter.close()
        assert outcome.state is State.ACKNOWLEDGED
        assert str(most) in json.dumps(vendor.seen[-1][2])


def test_bitrix24_gets_values_as_its_portal_writes_them(vendor: Recorder) -> None:
    (known,) = actions_for("bitrix24", range(1, 2))
    fields = {"ufA": None, "ufB": True, "ufC": {"VALUE": "x"}, "ufD": ["a", False], "ufE": 1.5}
    sent = known._replace(payload=json.dumps({"deal_id": 7, "fields": fields}))
    portal = Bitrix24(f"{vendor.url}/rest/1/secret")
    item = {"id": 7, "ufA": None, "ufB": "Y", "ufC": None, "ufD": None, "ufE": "1.5"}
    vendor.answer(200, {"result": {"result": {"a0": {"item": item}}}})
    assert states(portal.send([sent])) == [State.ACKNOWLEDGED]
    (command,) = vendor.seen[0][2]["cmd"].values()
    query = dict(parse_qsl(command.partition("?")[2], keep_blank_values=True))
    assert {name: value for name, value in query.items() if "fields" in name} == {
        "fields[ufA]": "", "fields[ufB]": "Y", "fields[ufC][VALUE]": "x", "fields[ufD][0]": "a", "fields[ufD][1]": "N",
        "fields[ufE]": "1.5",
    }  # fmt: skip
    simple = sent._replace(payload='{"deal_id": 7, "fields": {"ufA": null, "ufB": true}}')
    vendor.answer(200, {"result": {"result": {"a0": {"item": item}}}})
    assert states(portal.resolve([simple])) == [State.ACKNOWLEDGED]
    # a read-back that was turned away says nothing, and one that found nothing does; a fault says nothing either
    codes = {f"a{place}": {"error": code} for place, code in enumerate(("OPERATION_TIME_LIMIT", "NOT_FOUND"))}
    vendor.answer(200, {"result": {"result": [], "result_error": codes}})
    assert states(portal.resolve([simple, simple])) == [State.UNKNOWN, State.WAITING]
    vendor.answer(200, {"result": {"result": [], "result_error": {"a0": {"error": "INTERNAL_SERVER_ERROR"}}}})
    assert states(portal.send([simple])) == [State.UNKNOWN]
    portal.close()


def test_make_answers_in_plain_words(vendor: Recorder, time: Any) -> None:
    (sent,) = actions_for("make", range(1, 2))

    def send(**how: Any) -> Outcome:
        return Make(f"{vendor.url}/hook", SECRET, time, **how).send([sent])[0]

    vendor.answer(200, "Accepted")
    assert send().state is State.ACKNOWLEDGED
    vendor.answer(200, "Accepted")
    assert send(require_ack=True).state is State.UNKNOWN
    vendor.answer(200, {"ack": sent.action_id})
    assert send(require_ack=True).vendor_reference == "done"
    vendor.answer(200, {"ack": "of another one"})
    assert send(require_ack=True).state is State.UNKNOWN
    vendor.answer(200, "<html>Welcome to the hotel's network</html>")
    assert send().state is State.UNKNOWN
    for status, words, expected in (
        (400, "Queue is full.", LimitedError),
        (429, "Too many requests", LimitedError),
        (410, "Webhook not found.", StoppedError),
        (500, "Scenario failed to complete.", OutcomeUnknownError),
    ):
        vendor.answer(status, words)
        with pytest.raises(expected):
            send()
    vendor.answer(400, "Validation of the data structure failed")
    assert send().state is State.REJECTED
    assert {headers["webhook-id"] for _, headers, _ in vendor.seen} == {sent.action_id}
