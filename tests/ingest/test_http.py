from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ingest import bitrix24, stripe
from ingest.errors import CredentialsError, VendorRefusalError, VendorUnavailableError
from ingest.http import Pace, Patience, VendorSession, Waiting, judge_by_status

GOOD = (200, {}, b'{"ok": true}')
Answer = tuple[int, dict[str, str], bytes]


@dataclass
class FakeTime:
    """Time that passes only by sleeping."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Scripted:
    """A server that gives prepared answers, the last one for ever."""

    answers: list[Answer] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server() -> Iterator[Scripted]:
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            script.seen.append(self.path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))  # hanging up on what is unread is a reset
            status, headers, body = script.answers[min(len(script.seen), len(script.answers)) - 1]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "Content-Length" not in headers:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the base class's naming

        def log_message(self, *_: Any) -> None:
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield script
    running.shutdown()
    running.server_close()
    thread.join()


def session(url: str, time: FakeTime, judge: Any = judge_by_status, **patience: Any) -> VendorSession:
    return VendorSession(
        "Vendor",
        url,
        judge=judge,
        patience=Patience(**patience),
        credentials_hint="Check the key.",
        waiting=Waiting(time.clock, time.sleep, random.Random(7)),
    )


def test_retry_after_is_honoured_in_full_even_beyond_our_own_cap(server: Scripted) -> None:
    server.answers = [(429, {"Retry-After": "120"}, b"{}"), GOOD]
    time = FakeTime()
    assert session(server.url, time, cap=30.0).fetch("/list") == {"ok": True}
    assert time.slept == [120.0]


def test_retry_after_as_a_date_is_read_against_the_servers_own_clock(server: Scripted) -> None:
    headers = {"Retry-After": "Wed, 21 Oct 2026 07:28:45 GMT", "Date": "Wed, 21 Oct 2026 07:28:00 GMT"}
    answered = VendorSession("Vendor", server.url)
    response = type("Response", (), {"headers": headers, "status_code": 429})
    verdict = judge_by_status(response, {})  # type: ignore[arg-type]
    assert verdict.after == 45.0  # type: ignore[union-attr]
    answered.close()


def test_a_wait_beyond_our_patience_leaves_the_vendor_alone_and_says_so(server: Scripted) -> None:
    server.answers = [(429, {"Retry-After": "3600"}, b"{}")]
    time = FakeTime()
    with pytest.raises(VendorUnavailableError, match="asks to come back in 3,600 s"):
        session(server.url, time, longest_wait=600.0).fetch("/list")
    assert len(server.seen) == 1
    assert time.slept == []


def test_without_a_named_wait_retries_are_jittered_below_a_doubling_bound(server: Scripted) -> None:
    server.answers = [(503, {}, b"{}")] * 4 + [GOOD]
    time = FakeTime()
    session(server.url, time, base=1.0, cap=3.0).fetch("/list")
    assert len(time.slept) == 4
    assert all(0 <= pause <= bound for pause, bound in zip(time.slept, (1, 2, 3, 3), strict=True))
    assert len(set(time.slept)) == 4


def test_a_wait_one_thread_was_asked_for_holds_all_threads(server: Scripted) -> None:
    server.answers = [(429, {"Retry-After": "50"}, b"{}"), GOOD]
    time = FakeTime()
    shared = session(server.url, time)
    shared._not_before = time.now + 50
    shared.fetch("/other")
    assert time.slept[0] == 50


def test_a_truncated_body_is_asked_for_again(server: Scripted) -> None:
    server.answers = [(200, {"Content-Length": "500"}, b'{"data": [1'), GOOD]
    assert session(server.url, FakeTime()).fetch("/list") == {"ok": True}


def test_malformed_json_is_asked_for_again_and_then_reported(server: Scripted) -> None:
    server.answers = [(200, {}, b'{"data": [1,,]')]
    with pytest.raises(VendorUnavailableError, match="sends an answer that is no JSON at /list, 3 times in a row"):
        session(server.url, FakeTime(), attempts=3).fetch("/list")
    assert len(server.seen) == 3


def test_a_server_that_never_answers_is_given_up_with_a_sentence() -> None:
    unreachable = session("http://127.0.0.1:9/secret", FakeTime(), attempts=2)
    with pytest.raises(VendorUnavailableError) as given_up:
        unreachable.fetch("/list")
    assert "secret" not in str(given_up.value)
    with pytest.raises(VendorUnavailableError):
        unreachable.fetch("/other")
    assert unreachable.requests_made == 2, "what one thread found out, another need not try"


def test_bad_credentials_are_refused_at_once_and_name_the_setting(server: Scripted) -> None:
    server.answers = [(401, {}, b'{"error": "Unauthorized"}')]
    with pytest.raises(CredentialsError, match=r"refuses the request with HTTP 401 .* Check the key\."):
        session(server.url, FakeTime()).fetch("/list")
    assert len(server.seen) == 1


def test_a_link_to_another_address_is_not_followed(server: Scripted) -> None:
    own = session(server.url, FakeTime())
    with pytest.raises(VendorRefusalError, match="not its own"):
        own.get("http://127.0.0.1:9/elsewhere")
    assert server.seen == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": "INVALID_CREDENTIALS", "error_description": "Invalid"}',
        b'{"result": {"result": [], "result_error": {"p0": {"error": "ACCESS_DENIED"}}}}',
    ],
)
def test_bitrix_errors_inside_an_answer_of_200_are_errors(server: Scripted, body: bytes) -> None:
    server.answers = [(200, {}, body)]
    with pytest.raises(VendorRefusalError, match=r"INVALID_CREDENTIALS|ACCESS_DENIED"):
        session(server.url, FakeTime(), bitrix24.judge).fetch("batch", body={})


def test_bitrix_limits_are_waited_out_in_the_portals_own_time(server: Scripted) -> None:
    reset = b'{"error": "OPERATION_TIME_LIMIT", "time": {"finish": 1000.0, "operating_reset_at": 1042}}'
    server.answers = [
        (503, {}, b'{"error": "QUERY_LIMIT_EXCEEDED"}'),
        (429, {}, reset),
        (200, {}, b'{"result": {"result": {}, "result_error": {"p0": {"error": "OPERATION_TIME_LIMIT"}}}}'),
        (200, {}, b'{"result": {"result": {}, "result_error": []}}'),
    ]
    time = FakeTime()
    session(server.url, time, bitrix24.judge).fetch("batch", body={})
    assert 42.0 in time.slept
    assert len(server.seen) == 4


def test_a_manual_block_of_the_portal_stops_at_once(server: Scripted) -> None:
    server.answers = [(503, {}, b'{"error": "OVERLOAD_LIMIT"}')]
    with pytest.raises(VendorRefusalError, match="OVERLOAD_LIMIT"):
        session(server.url, FakeTime(), bitrix24.judge).fetch("batch", body={})
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (500, {}, b"oops"),
        (401, {}, b'{"error": "NO_AUTH_FOUND", "error_description": "at /rest/1/topsecret/batch"}'),
        (200, {}, b"<html>"),
        (200, {}, b'{"error": "X Y topsecret"}'),
        (302, {"Location": "http://127.0.0.1:9/rest/1/topsecret"}, b"{}"),
    ],
)
def test_no_message_carries_the_secret_of_the_url(server: Scripted, answer: Answer) -> None:
    server.answers = [answer]
    with pytest.raises(Exception) as failure:  # noqa: PT011 - any of ours
        session(f"{server.url}/rest/1/topsecret", FakeTime(), bitrix24.judge, attempts=2).fetch("batch", body={})
    seen: BaseException | None = failure.value
    while seen is not None:
        assert "topsecret" not in str(seen)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)


def test_stripe_says_itself_whether_trying_again_helps(server: Scripted) -> None:
    server.answers = [(409, {"Stripe-Should-Retry": "true"}, b"{}"), GOOD]
    session(server.url, FakeTime(), stripe.judge).fetch("/v1/x")
    server.answers = [(500, {"Stripe-Should-Retry": "false"}, b"{}")]
    with pytest.raises(VendorRefusalError):
        session(server.url, FakeTime(), stripe.judge).fetch("/v1/x")


def test_characters_that_utf8_cannot_carry_do_not_spoil_the_page(server: Scripted) -> None:
    server.answers = [(200, {}, b'{"data": ["\\ud800", "fine"]}')]
    assert session(server.url, FakeTime()).fetch("/list")["data"][1] == "fine"


def test_numbers_and_bytes_that_are_no_json_spoil_no_more_than_their_record(server: Scripted) -> None:
    server.answers = [
        (200, {}, b"\xef\xbb\xbf[NaN, -Infinity, 1e999, " + b"9" * 5_000 + b', "\xff", -9223372036854775808]')
    ]
    found = session(server.url, FakeTime()).fetch("/list")
    assert found == ["NaN", "-Infinity", "1e999", "9" * 5_000, "\udcff", -(2**63)]


def test_pace_never_lets_more_through_than_the_window_allows() -> None:
    time = FakeTime()
    pace = Pace(10, 60.0, time.clock, time.sleep)
    starts = []
    for _ in range(35):
        pace.wait()
        starts.append(time.now)
    for first in range(25):
        assert starts[first + 10] - starts[first] >= 60.0
    assert time.now - 1000.0 <= 181.0, "no longer than the limit makes it"
