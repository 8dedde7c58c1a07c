from __future__ import annotations

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import requests
import standardwebhooks

from sandbox import serve
from sandbox.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Sandbox

MESSAGE = {"type": "customer.adopted", "timestamp": "2026-11-01T06:00:00Z", "data": {"customer_id": "c_1"}}


def test_the_hook_accepts_and_keeps_headers_and_raw_body_for_verification(sandbox: Sandbox) -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
    signer = standardwebhooks.Webhook(secret)
    raw = json.dumps(MESSAGE)
    sent_at = datetime.now(UTC)
    headers = {
        "webhook-id": "action-1",
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": signer.sign("action-1", sent_at, raw),
        "content-type": "application/json",
    }
    answer = sandbox.hook(data=raw, headers=headers)
    assert (answer.status_code, answer.text) == (200, "Accepted")
    assert answer.headers["content-type"].startswith("text/plain")
    (entry,) = sandbox.inbox("make")
    assert (entry["kind"], entry["idempotency_key"], entry["body"]["body"]) == ("webhook", "action-1", MESSAGE)
    assert signer.verify(entry["body"]["raw"], entry["body"]["headers"]) == MESSAGE


def test_a_scenario_with_a_response_acknowledges_the_webhook_id(sandbox: Sandbox) -> None:
    sandbox.admin("PUT", "/make", json={"has_response": True})
    assert sandbox.hook(json=MESSAGE, headers={"webhook-id": "action-2"}).json() == {"ack": "action-2"}


def test_a_scenario_that_is_off_accepts_until_its_queue_is_full(sandbox: Sandbox) -> None:
    sandbox.limit(make_queue=2)
    sandbox.admin("PUT", "/make", json={"is_on": False, "has_response": True})
    answers = [sandbox.hook(json=MESSAGE) for _ in range(3)]
    assert [(answer.status_code, answer.text) for answer in answers] == [
        (200, "Accepted"),
        (200, "Accepted"),
        (400, "Queue is full"),
    ]
    assert [entry["kind"] for entry in sandbox.inbox("make")] == ["queued_webhook"] * 2
    assert sandbox.admin("PUT", "/make", json={"is_on": True}).json()["queued"] == 0
    assert "ack" in sandbox.hook(json=MESSAGE).json()


def test_a_hook_that_is_gone_or_unknown_answers_410(sandbox: Sandbox) -> None:
    unknown = requests.post(f"{sandbox.url}/make/someotherhook", json={}, timeout=60)
    assert (unknown.status_code, unknown.text) == (410, "Webhook not found.")
    sandbox.admin("PUT", "/make", json={"is_gone": True})
    assert sandbox.hook(json=MESSAGE).status_code == 410
    assert sandbox.admin("PUT", "/make", json={"is_on": "no"}).status_code == 400


def test_the_hook_takes_300_requests_in_ten_seconds(sandbox: Sandbox) -> None:
    sandbox.limit(make_per_ten_seconds=300)
    assert {sandbox.hook(json={}).status_code for _ in range(300)} == {200}
    refused = sandbox.hook(json={})
    assert (refused.status_code, refused.text) == (429, "Too many requests")
    sandbox.clock.seconds += 10.1
    assert sandbox.hook(json={}).status_code == 200


def test_a_body_may_have_five_megabytes_and_need_not_be_json(sandbox: Sandbox) -> None:
    assert sandbox.hook(data=b"x" * (5 * 1024 * 1024 + 1)).status_code == 413
    assert sandbox.hook(data=b"plain words").status_code == 200
    assert sandbox.inbox("make")[0]["body"]["body"] == "plain words"


def test_a_hook_with_an_api_key_refuses_without_it(data_dir: Path) -> None:
    credentials = replace(serve.Credentials(), make_api_key="make-key")
    with serve.start(data_dir, limits=Limits.off(), credentials=credentials) as running:
        address = f"{running.url}/make/{credentials.make_hook}"
        wrong = requests.post(address, json={}, headers={"x-make-apikey": "other"}, timeout=60)
        right = requests.post(address, json={}, headers={"x-make-apikey": "make-key"}, timeout=60)
    assert (wrong.status_code, right.status_code) == (401, 200)


def test_the_chat_answers_ok_and_keeps_the_message(sandbox: Sandbox) -> None:
    answer = requests.post(f"{sandbox.url}/chat/services/T0/B0/sandbox", json={"text": "Gate failed"}, timeout=60)
    assert (answer.status_code, answer.text) == (200, "ok")
    assert [entry["body"] for entry in sandbox.inbox("chat")] == [{"text": "Gate failed"}]


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("T0/B0/sandbox", b"{", 400, "invalid_payload"),
        ("T0/B0/sandbox", b"[]", 400, "invalid_payload"),
        ("T0/B0/sandbox", b"{}", 400, "no_text"),
        ("T0/B0/wrong", b'{"text": "x"}', 403, "invalid_token"),
        ("T0/B9/sandbox", b'{"text": "x"}', 404, "no_service"),
        ("T0", b'{"text": "x"}', 404, "no_service"),
        ("T9/B0/sandbox", b'{"text": "x"}', 404, "no_team"),
    ],
)
def test_the_chat_refuses_in_plain_words(sandbox: Sandbox, path: str, body: bytes, status: int, text: str) -> None:
    answer = requests.post(f"{sandbox.url}/chat/services/{path}", data=body, timeout=60)
    assert (answer.status_code, answer.text) == (status, text)
    assert sandbox.inbox("chat") == []


def test_the_chat_takes_one_message_a_second(sandbox: Sandbox) -> None:
    sandbox.limit(chat_per_second=1)
    address = f"{sandbox.url}/chat/services/T0/B0/sandbox"
    assert requests.post(address, json={"text": "1"}, timeout=60).status_code == 200
    refused = requests.post(address, json={"text": "2"}, timeout=60)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    sandbox.clock.seconds += 1.01
    assert requests.post(address, json={"text": "3"}, timeout=60).status_code == 200
