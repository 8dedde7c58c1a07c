"""Each destination against the sandbox's vendor, which answers and refuses as the vendor does."""

from __future__ import annotations

import json
import logging
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from standardwebhooks.webhooks import Webhook

from activation.actions import Action, State
from activation.deliver import Budget, deliver
from activation.destinations.bitrix24 import Bitrix24
from activation.destinations.customerio import CustomerIo
from activation.destinations.make import Make
from activation.destinations.zendesk import Zendesk
from activation.errors import NotSentError, OutcomeUnknownError, StoppedError
from activation.identifiers import ulid
from activation.ledger import Ledger
from activation.pacing import Retry
from activation.plan import Policy, plan
from activation.transport import Transport
from sandbox.serve import RunningSandbox

SECRET = "whsec_c2FuZGJveC1zaWduaW5nLXNlY3JldC0wMTIz"
HOOK = "sandboxhook0123456789abcdefghijkl"
TICKET = (
    '{"subject":"Exports fail","comment":"Three failed exports","priority":"high","requester_email":"ann@acme.example"}'
)


@pytest.fixture
def customerio(sandbox: RunningSandbox) -> Iterator[Any]:
    made = CustomerIo(f"{sandbox.url}/customerio/track", "sandbox-site", "sandbox-track-key")
    yield made
    made.close()


@pytest.fixture
def bitrix24(sandbox: RunningSandbox) -> Iterator[Any]:
    made = Bitrix24(f"{sandbox.url}/bitrix24/rest/1/sandboxsecret")
    yield made
    made.close()


@pytest.fixture
def zendesk(sandbox: RunningSandbox) -> Iterator[Any]:
    made = Zendesk(f"{sandbox.url}/zendesk", "ops@sandbox.example", "sandbox-zendesk-token")
    yield made
    made.close()


@pytest.fixture
def make(sandbox: RunningSandbox, time: Any) -> Iterator[Any]:
    made = Make(f"{sandbox.url}/make/{HOOK}", SECRET, time)
    yield made
    made.close()


@pytest.fixture
def stage(action: Any) -> Any:
    """Makes a stage change of a deal."""

    def made(deal: Any, stage: Any = "EXECUTING", **fields: Any) -> Any:
        payload = {"deal_id": str(deal), "fields": {"stageId": stage, **fields}}
        return action(int(deal), destination="bitrix24", object="deal_stages", payload=json.dumps(payload))

    return made


@pytest.fixture
def ticket(action: Any) -> Any:
    return lambda number=1, payload=TICKET: action(number, destination="zendesk", object="tickets", payload=payload)


@pytest.fixture
def webhook(action: Any) -> Any:
    payload = '{"type":"customer.at_risk","timestamp":"2026-11-01T05:00:00Z","data":{"customer_id":"c_1"}}'
    return lambda number=1: action(number, destination="make", object="webhooks", payload=payload)


@pytest.fixture
def task(action: Any) -> Any:
    """Makes a task for the person behind the customer."""

    def made(number: int, **values: Any) -> Action:
        fields = {
            "TITLE": "Call Acme & Co",
            "DESCRIPTION": "What happened:\nnobody came; 100 % = silence",
            "RESPONSIBLE_ID": "1",
            "UF_CRM_TASK": ["D_7"],
        }
        payload = json.dumps({"task": fields | values})
        return action(number, destination="bitrix24", object="tasks", payload=payload)

    return made


@pytest.fixture
def fault(sandbox: RunningSandbox) -> Any:
    def add(**rule: Any) -> None:
        requests.post(f"{sandbox.url}/_sandbox/faults", json=[rule], timeout=60).raise_for_status()

    return add


def inbox(sandbox: RunningSandbox, vendor: Any) -> Any:
    return requests.get(f"{sandbox.url}/_sandbox/inbox", params={"vendor": vendor}, timeout=60).json()


def deal(sandbox: RunningSandbox, number: Any) -> Any:
    return sandbox.world.store.get("bitrix24.deals", str(number))


@pytest.fixture
def sync(ledger: Ledger, time: Any, rng: random.Random) -> Any:
    """Plans and delivers; gives back the tally, or None if there was nothing to send."""

    def go(destination: Any, wanted: list[Action]) -> Any:
        policies = {destination.name: Policy(live=True, resends_changes=destination.resends_changes)}
        planned = plan(wanted, ledger.snapshot(), policies, time.now())
        budget = Budget(600, Retry(base=0.01, cap=0.02))
        tallies = deliver(planned, {destination.name: destination}, ledger, time, budget, rng=rng)
        return tallies[0] if tallies else None

    return go


# Customer.io


def test_customerio_gets_events_under_our_ulid(sandbox: RunningSandbox, customerio: CustomerIo, action: Any) -> None:
    sent = [action(number) for number in range(1, 4)]
    outcomes = customerio.send(sent)
    assert [outcome.state for outcome in outcomes] == [State.ACKNOWLEDGED] * 3
    assert [outcome.vendor_reference for outcome in outcomes] == [
        ulid(each.occurred_at, each.action_id) for each in sent
    ]
    assert len(inbox(sandbox, "customerio")) >= 1


def test_customerio_refuses_single_events_and_takes_the_others(customerio: CustomerIo, action: Any) -> None:
    bad = action(2, payload=json.dumps({"user_id": "u" * 200, "event_name": "greet", "attributes": {}}))
    outcomes = customerio.send([action(1), bad, action(3)])
    assert [outcome.state for outcome in outcomes] == [State.ACKNOWLEDGED, State.REJECTED, State.ACKNOWLEDGED]
    assert outcomes[1].status_code in {200, 207}
    assert outcomes[1].reason


@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ({"event_name": "greet"}, "neither user_id nor email"),
        ({"user_id": "u"}, "event_name has 1 to"),
        ({"user_id": "u", "event_name": "n" * 101}, "event_name has 1 to"),
        ({"user_id": "u", "event_name": "greet", "attributes": {"a": "x" * 33_000}}, "Customer.io takes"),
    ],
)
def test_what_customerio_could_never_take_is_not_sent_and_does_not_spoil_the_batch(
    customerio: CustomerIo, action: Any, payload: str, word: Any
) -> None:
    outcomes = customerio.send([action(1), action(2, payload=json.dumps(payload))])
    assert [outcome.state for outcome in outcomes] == [State.ACKNOWLEDGED, State.REJECTED]
    assert word in outcomes[1].reason


def test_an_address_does_when_there_is_no_user(customerio: CustomerIo, action: Any) -> None:
    payload = json.dumps({"email": "ann@acme.example", "event_name": "greet", "attributes": {}})
    assert customerio.send([action(1, payload=payload)])[0].state is State.ACKNOWLEDGED


def test_an_event_whose_answer_was_lost_counts_once(
    sandbox: RunningSandbox,
    customerio: CustomerIo,
    action: Any,
    fault: Any,
    sync: Any,
) -> None:
    fault(vendor="customerio", path="/api/v2/batch", kind="reset_after_commit", times=1)
    tally = sync(customerio, [action(1)])
    assert tally.acknowledged == 1
    assert tally.requests >= 2
    assert [item["kind"] for item in inbox(sandbox, "customerio")] == ["event", "repeated_event"]


# Bitrix24


def test_bitrix24_moves_deals_in_one_batch(sandbox: RunningSandbox, bitrix24: Bitrix24, stage: Any) -> None:
    outcomes = bitrix24.send([stage(number, ufCrmLifecycleState="adopted") for number in range(1, 51)])
    assert {outcome.state for outcome in outcomes} == {State.ACKNOWLEDGED}
    assert {deal(sandbox, number)["stageId"] for number in range(1, 51)} == {"EXECUTING"}
    assert deal(sandbox, 51)["stageId"] == "NEW"


def test_a_bad_command_fails_alone_though_the_answer_is_200(
    sandbox: RunningSandbox, bitrix24: Bitrix24, stage: Any
) -> None:
    outcomes = bitrix24.send([stage(1), stage(9999), stage(2)])
    assert [outcome.state for outcome in outcomes] == [State.ACKNOWLEDGED, State.REJECTED, State.ACKNOWLEDGED]
    assert "NOT_FOUND" in outcomes[1].reason
    assert deal(sandbox, 2)["stageId"] == "EXECUTING"


def test_a_field_that_the_portal_drops_in_silence_is_a_refusal(bitrix24: Bitrix24, stage: Any) -> None:
    (outcome,) = bitrix24.send([stage(1, ufCrmNoSuchField="x")])
    assert outcome.state is State.REJECTED
    assert "ufCrmNoSuchField" in outcome.reason


def test_values_with_special_characters_arrive_as_they_are(
    sandbox: RunningSandbox, bitrix24: Bitrix24, stage: Any
) -> None:
    value = "50 % & more = [ok]? Ü #1+1"
    (outcome,) = bitrix24.send([stage(1, ufCrmLifecycleState=value)])
    assert outcome.state is State.ACKNOWLEDGED
    assert deal(sandbox, 1)["ufCrmLifecycleState"] == value


def test_an_incomplete_stage_change_is_refused_here(bitrix24: Bitrix24, action: Any) -> None:
    actions = [action(1, payload='{"deal_id":null,"fields":{"stageId":"NEW"}}'), action(2, payload='{"deal_id":1}')]
    assert [outcome.state for outcome in bitrix24.send(actions)] == [State.REJECTED] * 2


def test_a_lost_answer_is_resolved_by_reading_the_deal_back(
    sandbox: RunningSandbox, bitrix24: Bitrix24, stage: Any, fault: Any, sync: Any
) -> None:
    fault(vendor="bitrix24", path="/batch", kind="reset_after_commit", times=1)
    tally = sync(bitrix24, [stage(1)])
    assert tally.acknowledged == 1
    updates = [item for item in inbox(sandbox, "bitrix24") if item["kind"] == "crm.item.update"]
    assert len(updates) == 1
    assert [found.state for found in bitrix24.resolve([stage(1), stage(2), stage(9999)])] == [
        State.ACKNOWLEDGED,
        State.WAITING,
        State.WAITING,
    ]


def test_a_task_reaches_the_person_who_looks_after_the_customer(
    sandbox: RunningSandbox, bitrix24: Bitrix24, task: Any, stage: Any
) -> None:
    outcomes = bitrix24.send([task(1), stage(1), task(2, RESPONSIBLE_ID="")])
    assert [outcome.state for outcome in outcomes] == [State.ACKNOWLEDGED, State.ACKNOWLEDGED, State.REJECTED]
    (kept,) = sandbox.world.rows.select("bitrix24.tasks", order="id_number")
    found = kept.parsed()
    assert (found["title"], found["responsibleId"]) == ("Call Acme & Co", "1")
    assert found["description"] == "What happened:\nnobody came; 100 % = silence"
    assert found["ufCrmTask"] == ["D_7"]
    assert str(found["id"]) == outcomes[0].vendor_reference


def test_a_task_whose_answer_was_lost_is_added_once(
    sandbox: RunningSandbox, bitrix24: Bitrix24, task: Any, fault: Any, sync: Any
) -> None:
    fault(vendor="bitrix24", path="/batch", kind="reset_after_commit", times=1)
    assert sync(bitrix24, [task(1)]).acknowledged == 1
    assert len(sandbox.world.rows.select("bitrix24.tasks", order="id_number")) == 1
    assert [found.state for found in bitrix24.resolve([task(1), task(2)])] == [State.ACKNOWLEDGED, State.WAITING]
    assert bitrix24.order_key(task(1)) is None


def test_a_full_bucket_at_bitrix24_is_waited_for(bitrix24: Bitrix24, stage: Any, fault: Any, sync: Any) -> None:
    fault(vendor="bitrix24", path="/batch", kind="status", status=503, times=2)
    assert sync(bitrix24, [stage(1)]).acknowledged == 1


# Zendesk


def test_zendesk_gets_an_internal_ticket_under_our_id(sandbox: RunningSandbox, zendesk: Zendesk, ticket: Any) -> None:
    sent = ticket()
    (outcome,) = zendesk.send([sent])
    assert outcome.state is State.ACKNOWLEDGED
    stored = sandbox.world.store.get("zendesk.tickets", outcome.vendor_reference)
    assert stored["external_id"] == sent.action_id
    (delivered,) = inbox(sandbox, "zendesk")
    assert '"public": false' in json.dumps(delivered["body"])


def test_the_same_ticket_twice_is_one_ticket(sandbox: RunningSandbox, zendesk: Zendesk, ticket: Any) -> None:
    first, second = zendesk.send([ticket()])[0], zendesk.send([ticket()])[0]
    assert first.vendor_reference == second.vendor_reference
    assert second.reason == "It was there already."
    assert sandbox.world.store.count("zendesk.tickets") == 1


@pytest.mark.parametrize("kind", ["reset_after_commit", "truncated_body", "malformed_json"])
def test_a_ticket_whose_answer_was_lost_is_found_by_its_external_id(
    sandbox: RunningSandbox,
    zendesk: Zendesk,
    ticket: Any,
    fault: Any,
    kind: Any,
    sync: Any,
) -> None:
    fault(vendor="zendesk", path="/api/v2/tickets", method="POST", kind=kind, times=1)
    tally = sync(zendesk, [ticket()])
    assert tally.acknowledged == 1
    assert sandbox.world.store.count("zendesk.tickets") == 1


def test_a_ticket_that_never_arrived_is_sent_again(
    sandbox: RunningSandbox, zendesk: Zendesk, ticket: Any, fault: Any, sync: Any
) -> None:
    fault(vendor="zendesk", path="/api/v2/tickets", method="POST", kind="reset_before_commit", times=1)
    assert sync(zendesk, [ticket()]).acknowledged == 1
    assert sandbox.world.store.count("zendesk.tickets") == 1


@pytest.mark.parametrize(
    ("payload", "word"),
    [('{"subject":"x"}', "needs a subject"), ('{"subject":"x","comment":"y","priority":"huge"}', "priority is one of")],
)
def test_a_ticket_that_cannot_be_is_refused_here(zendesk: Zendesk, ticket: Any, payload: str, word: Any) -> None:
    (outcome,) = zendesk.send([ticket(payload=payload)])
    assert outcome.state is State.REJECTED
    assert word in outcome.reason


# Make


def test_make_gets_a_signed_webhook_under_our_id(sandbox: RunningSandbox, webhook: Any) -> Any:
    class Now:
        def wall(self) -> Any:
            return datetime.now(UTC)

    destination = Make(f"{sandbox.url}/make/{HOOK}", SECRET, Now())
    sent = webhook()
    (outcome,) = destination.send([sent])
    destination.close()
    assert (outcome.state, outcome.vendor_reference) == (State.ACKNOWLEDGED, "queued")
    (delivered,) = inbox(sandbox, "make")
    assert delivered["idempotency_key"] == sent.action_id
    verified = Webhook(SECRET).verify(delivered["body"]["raw"], delivered["body"]["headers"])
    assert verified["data"] == {"customer_id": "c_1", "action_id": sent.action_id}


def test_queued_is_not_done_when_an_acknowledgement_is_required(
    sandbox: RunningSandbox, webhook: Any, time: Any
) -> None:
    strict = Make(f"{sandbox.url}/make/{HOOK}", SECRET, time, require_ack=True)
    assert strict.send([webhook()])[0].state is State.UNKNOWN
    requests.put(f"{sandbox.url}/_sandbox/make", json={"has_response": True}, timeout=60).raise_for_status()
    (outcome,) = strict.send([webhook()])
    strict.close()
    assert (outcome.state, outcome.vendor_reference) == (State.ACKNOWLEDGED, "done")


def test_a_webhook_that_is_gone_stops_the_destination(sandbox: RunningSandbox, make: Make, webhook: Any) -> None:
    requests.put(f"{sandbox.url}/_sandbox/make", json={"is_gone": True}, timeout=60).raise_for_status()
    with pytest.raises(StoppedError, match="The webhook is gone"):
        make.send([webhook()])


def test_a_signing_secret_that_is_none_is_refused_at_once(time: Any) -> None:
    with pytest.raises(ValueError, match="whsec_ followed by"):
        Make("https://hook.example/x", "nonsense", time)


# What they have in common


@pytest.fixture
def wrong(sandbox: RunningSandbox, time: Any) -> Iterator[Any]:
    """Every destination with credentials that the vendor refuses."""
    made = [
        CustomerIo(f"{sandbox.url}/customerio/track", "sandbox-site", "hunter2-secret"),
        Bitrix24(f"{sandbox.url}/bitrix24/rest/1/hunter2-secret"),
        Zendesk(f"{sandbox.url}/zendesk", "ops@sandbox.example", "hunter2-secret"),
        Make(f"{sandbox.url}/make/hunter2-secret", SECRET, time),
    ]
    yield made
    for destination in made:
        destination.close()


def test_wrong_credentials_stop_and_neither_secret_nor_payload_gets_out(
    wrong: Any, action: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    payload = json.dumps(
        {
            "user_id": "usr_private",
            "email": "ann.private@acme.example",
            "event_name": "greet",
            "deal_id": "1",
            "fields": {"stageId": "usr_private"},
            "subject": "usr_private",
            "comment": "usr_private",
            "type": "t",
            "data": {"name": "usr_private"},
        }
    )
    for destination in wrong:
        with pytest.raises(StoppedError) as stopped:
            destination.send([action(1, payload=payload)])
        error = stopped.value
        said = f"{error!r} {error.__cause__} {None if error.__suppress_context__ else error.__context__}"
        for private in ("hunter2-secret", "usr_private", "ann.private@acme.example"):
            assert private not in said
    for private in ("usr_private", "ann.private@acme.example"):
        assert private not in caplog.text


def test_a_host_that_is_not_there_surely_got_nothing_and_the_url_stays_secret(action: Any) -> None:
    destination = Bitrix24("http://127.0.0.1:9/rest/1/hunter2-secret")
    with pytest.raises(NotSentError) as refused:
        destination.send([action(1, payload='{"deal_id":"1","fields":{"stageId":"NEW"}}')])
    destination.close()
    assert "hunter2-secret" not in f"{refused.value!r}"
    assert refused.value.__cause__ is None
    assert refused.value.__context__ is None


def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(ValueError, match="https"):
        Transport("http://track.customer.example", secrets=())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_server_error_leaves_the_outcome_unknown_whether_or_not_it_was_done(
    sandbox: RunningSandbox,
    zendesk: Zendesk,
    ticket: Any,
    fault: Any,
    status: Any,
    phase: Any,
    sync: Any,
) -> None:
    fault(vendor="zendesk", path="/api/v2/tickets", method="POST", kind="status", status=status, times=1, phase=phase)
    with pytest.raises(OutcomeUnknownError):
        zendesk.send([ticket(9)])
    fault(vendor="zendesk", path="/api/v2/tickets", method="POST", kind="status", status=status, times=1, phase=phase)
    tally = sync(zendesk, [ticket(1)])
    assert tally.acknowledged == 1
    assert sandbox.world.store.count("zendesk.tickets") == (2 if phase == "after" else 1)


@pytest.mark.parametrize("vendor", ["customerio", "bitrix24", "zendesk", "make"])
@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 429, "retry_after": 7},
        {"kind": "status", "status": 500, "phase": "after"},
        {"kind": "reset_before_commit"},
        {"kind": "reset_after_commit"},
        {"kind": "truncated_body"},
        {"kind": "malformed_json"},
    ],
    ids=lambda rule: rule["kind"] + str(rule.get("status", "")),
)
def test_every_fault_ends_with_the_action_there_once(
    request: pytest.FixtureRequest, sandbox: RunningSandbox, fault: Any, vendor: str, rule: Any, sync: Any, time: Any
) -> None:
    makers = {"customerio": "action", "bitrix24": "stage", "zendesk": "ticket", "make": "webhook"}
    wanted = request.getfixturevalue(makers[vendor])(1)
    fault(vendor=vendor, times=1, **rule)
    tally = sync(request.getfixturevalue(vendor), [wanted])
    assert (tally.acknowledged, tally.rejected, tally.unknown, tally.waiting) == (1, 0, 0, 0)
    if vendor == "zendesk":
        assert sandbox.world.store.count("zendesk.tickets") == 1
    if vendor == "make":
        assert {item["idempotency_key"] for item in inbox(sandbox, "make")} == {wanted.action_id}
    if rule.get("retry_after"):
        assert sum(time.pauses) >= rule["retry_after"]
    # and once more: nothing leaves
    assert sync(request.getfixturevalue(vendor), [wanted]) is None


def test_bitrix24_never_gets_more_than_50_commands_at_once(bitrix24: Bitrix24, stage: Any, sync: Any) -> None:
    tally = sync(bitrix24, [stage(number) for number in range(1, 61)])
    assert (tally.acknowledged, tally.requests) == (60, 2)
