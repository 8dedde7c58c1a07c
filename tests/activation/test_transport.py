"""What goes over the wire, and what comes back when it is not what was hoped for."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from activation.addresses import checked_addresses, is_public
from activation.errors import BatchRejectedError, LimitedError, NotSentError, OutcomeUnknownError, StoppedError
from activation.transport import REASON_LENGTH, Redactor, Transport, parse_retry_after
from activation.wire import ANSWER_BYTES, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NOW = datetime(2026, 11, 1, 6, tzinfo=UTC)


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], Transport]]:
    """A server that answers every connection with these bytes and hangs up."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(answer: bytes) -> Transport:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    try:
                        client.sendall(answer)
                    except OSError:
                        continue

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        return Transport(f"http://127.0.0.1:{listener.getsockname()[1]}", secrets=("hunter2",))

    yield start
    for listener in listeners:
        with contextlib.suppress(OSError):  # closing alone wakes nobody who waits for a connection, on Linux
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers])
    return head.encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", OutcomeUnknownError),
        (b"nonsense\r\n\r\n", OutcomeUnknownError),
        (http("200 OK", b"{}")[:-1], OutcomeUnknownError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", OutcomeUnknownError),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * (ANSWER_BYTES + 70_000), OutcomeUnknownError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", OutcomeUnknownError),
        (b"HTTP/1.1 200 OK\r\n" + b"X-Pad: 1\r\n" * 300 + b"\r\n", OutcomeUnknownError),
        (http("503 Busy", b"hunter2 ann@acme.example"), OutcomeUnknownError),
        (http("408 Timeout"), OutcomeUnknownError),
        (http("429 Slow", b"{}", "Retry-After: 7"), LimitedError),
        (http("401 No", b"hunter2"), StoppedError),
        (http("404 Not Found", b"<html>hunter2</html>"), StoppedError),
        (http("302 Elsewhere", b"", "Location: http://169.254.169.254/"), StoppedError),
    ],
)
def test_an_answer_that_is_none_says_whether_the_request_can_have_arrived(
    answering: Any, answer: bytes, error: type[Exception]
) -> None:
    transport = answering(answer)
    with pytest.raises(error) as said:
        transport.post("/x", b'{"email":"bob@acme.example"}')
    transport.close()
    for private in ("hunter2", "@acme.example"):
        assert private not in repr(said.value)


def test_what_the_vendor_asks_for_reaches_the_courier(answering: Any) -> None:
    with pytest.raises(LimitedError) as said:
        answering(http("429 Slow", b"{}", "Retry-After: 7")).post("/x", b"{}")
    assert said.value.retry_after == 7


def test_a_date_to_come_back_at_is_on_the_vendors_clock(answering: Any) -> None:
    dates = ("Date: Sun, 01 Nov 2020 06:00:00 GMT", "Retry-After: Sun, 01 Nov 2020 06:02:00 GMT")
    with pytest.raises(LimitedError) as said:
        answering(http("429 Slow", b"", *dates)).post("/x", b"{}")
    assert said.value.retry_after == 120


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None), ("7", 7.0), ("1.5", 1.5), ("-3", 0.0), ("soon", None), ("inf", None), ("nan", None),
        ("Sun, 01 Nov 2026 06:02:00 GMT", 120.0), ("Sun, 01 Nov 2026 05:00:00 GMT", 0.0),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date_or_nothing(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.1.2.3", "224.0.0.1",
        "255.255.255.255", "::1", "fe80::1%eth0", "fc00::1", "::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
    ],
)  # fmt: skip
def test_a_name_that_leads_into_a_private_network_is_refused_unless_that_is_allowed(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    assert not is_public(address)
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("93.184.215.14", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: found)
    with pytest.raises(StoppedError, match="private network"):
        checked_addresses("hook.example", 443, allow_private=False)
    assert address in checked_addresses("hook.example", 443, allow_private=True)


def test_the_address_that_was_checked_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that resolves to something harmless first and to the metadata service later gets nowhere."""
    answers = iter(["93.184.215.14", "169.254.169.254"])
    tried: list[Any] = []

    def resolve(*_args: Any, **_kwargs: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), 443))]

    def connect(address: Any, *_args: Any) -> Any:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket, "create_connection", connect)
    transport = Transport("https://hook.example", secrets=())
    with pytest.raises(NotSentError):
        transport.post("/x", b"{}")
    assert tried == [("93.184.215.14", 443)]


def test_a_name_that_is_none_surely_got_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: Any, **_kwargs: Any) -> Any:
        raise socket.gaierror(-2, "Name or service not known: secret.example")

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    with pytest.raises(NotSentError, match=r"cannot be resolved \(gaierror\)"):
        Transport("https://secret.example", secrets=()).post("/x", b"{}")


def test_words_are_short_and_hold_neither_secrets_nor_addresses() -> None:
    said = Redactor(("s3cret", "s3cret-longer"))("s3cret-longer s3cret to ann.b+c@acme.co.uk " + "x" * 9_999)
    assert said.startswith("[secret] [secret] to [address] ")
    assert len(said) == REASON_LENGTH
    # a page that was zipped all the same, colours for a terminal, a line that runs backwards, an address in a query
    assert Redactor(())("\x1f\x8b\x00\x00 \x1b[31mno\u202e to=ann%40acme.example") == "[31mno to=[address]"


@pytest.mark.parametrize(
    ("answer", "body", "is_reusable"),
    [
        (http("200 OK", b"{}"), b"{}", True),
        (http("100 Continue")[:-2] + b"\r\n" + http("201 Made", b"{}"), b"{}", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n", b"{}", True),
        (http("200 OK", b"{}", "Connection: close"), b"{}", False),
        (http("204 No Content"), b"", True),
        (http("200 OK", b"{}") + http("200 OK", b"of whom?"), b"{}", False),
    ],
)
def test_an_answer_is_read_to_its_end_and_not_beyond(answer: bytes, body: bytes, is_reusable: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(socket.create_connection(listener.getsockname(), 5))
        other, _ = listener.accept()
        with other:
            other.sendall(answer)
            found, again = wire.exchange(b"GET / HTTP/1.1\r\n\r\n")
        wire.close()
    assert (found.body, again, found.status // 100) == (body, is_reusable, 2)


@pytest.mark.parametrize("value", ["a\r\nX-Admin: 1", "a\nb", "ключ"])
def test_what_cannot_stand_in_a_head_is_refused_before_anything_leaves(answering: Any, value: str) -> None:
    transport = answering(http("200 OK", b"{}"))
    with pytest.raises(BatchRejectedError) as said:
        transport.post("/x", b"{}", {"Idempotency-Key": value})
    with pytest.raises(BatchRejectedError):
        transport.get("/x " + value)
    assert value not in str(said.value)
    assert not transport._idle  # no connection came about
    with pytest.raises(ValueError, match="head"):
        Transport("http://127.0.0.1:9", secrets=(), headers={"x-make-apikey": value})


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate, and is not installed here")
def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for _ in range(2):
                client, _ = listener.accept()
                with client, contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as secured:
                    seen.append(secured.recv(65536))
                    secured.sendall(http("200 OK", b"{}"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        address = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(NotSentError, match="SSLCertVerificationError"):
            Transport(address, secrets=()).post("/x", b'{"email":"ann@acme.example"}')
        trusting = Transport(address, secrets=())
        assert trusting._tls is not None
        trusting._tls.load_verify_locations(certificate)
        assert trusting.post("/x", b"{}").status_code == 200
        trusting.close()
        thread.join(10)
    assert len(seen) == 1
