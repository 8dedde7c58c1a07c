"""HTTP to a vendor: TLS, time limits, pinned addresses, and errors that say whether the request can have arrived.

One connection per request in flight, kept open; see `wire` for what goes over it.

Nothing raised here carries a payload, a header or a URL: an answer's words pass through `Redactor`, which takes out the
secrets it was given and everything that looks like an e-mail address. Bitrix24 keeps its secret in the URL, so the
exceptions of the libraries below are never chained.
"""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from base64 import b64encode
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import httptools
import orjson

from activation.addresses import checked_addresses, is_loopback
from activation.errors import BatchRejectedError, LimitedError, NotSentError, OutcomeUnknownError, StoppedError
from activation.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Redactor", "Reply", "Transport", "is_loopback", "parse_retry_after", "words"]

CONNECT_SECONDS = 3.05
READ_SECONDS = 15.0
RESOLVED_SECONDS = 60.0  # how long a checked address is good for new connections
UNFIT = re.compile(r"[^\x20-\x7e]")  # in a request's head it could end the line, and begin another one
EMAIL = re.compile(r"[\w.+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
# nobody sees these: they steer terminals, turn a line's direction, and PostgreSQL takes no text with the first of them
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
REASON_LENGTH = 300


class Redactor:
    """Makes a vendor's words fit for a log: without our secrets, without anybody's address, and short."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without what must not be in a log."""
        text = UNSEEN.sub(" ", text[: 20 * REASON_LENGTH])
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        text = " ".join(EMAIL.sub("[address]", text).split())
        return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 1] + "…"


@dataclass(frozen=True, slots=True)
class Reply:
    """A vendor's answer. `data` is the parsed JSON, or None if it is something else; headers are in lower case."""

    status_code: int
    headers: Mapping[str, str]
    body: bytes
    data: Any

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", errors="replace")

    @property
    def retry_after(self) -> float | None:
        """Seconds the vendor asked us to stay away, if it did."""
        # a date is on the vendor's clock, which need not agree with ours
        now = _moment(self.headers.get("date", "")) or datetime.now(UTC)
        return parse_retry_after(self.headers.get("retry-after"), now)


class Transport:
    """One vendor's connections; safe to use from several threads, each request on a connection of its own.

    `secrets` are the strings that must never leave it. `auth` is HTTP Basic, if the vendor uses it. `allow_private`
    permits hosts in private networks; an address on this machine, given as such, is always permitted.

    Raises:
        ValueError: if the address is not https, except on this machine; if it holds what cannot stand there.
    """

    def __init__(
        self,
        base_url: str,
        *,
        secrets: tuple[str, ...],
        auth: tuple[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        read_seconds: float = READ_SECONDS,
        allow_private: bool = False,
    ) -> None:
        self.redact = Redactor(secrets)
        parts = urlsplit(base_url)
        if parts.scheme != "https" and not is_loopback(base_url):
            raise ValueError("A destination's address begins with https://; plain http is for this machine only.")
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._allow_private = allow_private or is_loopback(base_url)
        self._path = _fit(parts.path.rstrip("/"))
        self._read_seconds = read_seconds
        host = f"[{self._host}]" if ":" in self._host else self._host.encode("idna").decode()
        is_usual = self._port == (443 if self._tls else 80)
        given = {
            "Host": host if is_usual else f"{host}:{self._port}",
            "User-Agent": "customer-lifecycle",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            **(headers or {}),
        }
        if auth is not None:
            given["Authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        self._head = _lines(given)
        self._idle: deque[Wire] = deque()  # append and pop are atomic
        self._addresses: tuple[float, list[str]] = (0.0, [])

    def close(self) -> None:
        """Drop the connections."""
        while self._idle:
            self._idle.pop().close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Reply:
        """A read. See `post` for what it raises."""
        return self._exchange(self._begin("GET", path + ("?" + urlencode(params) if params else ""), {}) + b"\r\n")

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send JSON bytes and read the answer, whatever its status below 500 (429 excepted).

        Raises:
            NotSentError: no connection came about.
            OutcomeUnknownError: no usable answer: time-out, reset, 408, 5xx, a body that breaks off.
            LimitedError: 429.
            StoppedError: 401, 402, 403, 407, a redirect, a host in a private network, a 404 that is not the vendor's.
            BatchRejectedError: the path or a header holds what cannot stand there; nothing was sent.
        """
        length = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        return self._exchange(self._begin("POST", path, headers or {}) + length + body)

    def _begin(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        try:
            line = _fit(f"{method} {self._path + path or '/'} HTTP/1.1")
            return line.encode() + b"\r\n" + self._head + _lines(headers)
        except ValueError as error:
            raise BatchRejectedError(str(error), 400) from None

    def _exchange(self, request: bytes) -> Reply:
        wire = self._wire()
        try:
            answer, is_reusable = wire.exchange(request)
        except OutcomeUnknownError:
            wire.close()
            raise
        except (OSError, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            wire.close()
            # only the kind of the error is kept: its text may hold the address with the secret
            raise OutcomeUnknownError(
                f"The connection failed after the request had left ({type(error).__name__})."
            ) from None
        except BaseException:
            wire.close()
            raise
        if is_reusable:
            self._idle.append(wire)
        else:
            wire.close()
        body = answer.body
        try:
            data = orjson.loads(body) if body else None
        except ValueError:
            data = None
        return self._checked(Reply(answer.status, answer.headers, body, data))

    def _wire(self) -> Wire:
        """An open connection: one that is idle and still alive, or a new one.

        Raises:
            NotSentError: if none came about.
            StoppedError: if the host is in a private network.
        """
        while self._idle:
            try:
                wire = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if not wire.has_ended():
                return wire
            wire.close()
        failure = ""
        for address in self._checked_addresses():
            try:
                return self._connected(address)
            except OSError as error:
                failure = type(error).__name__
        raise NotSentError(f"No connection ({failure or 'no address'}).")

    def _connected(self, address: str) -> Wire:
        connected = socket.create_connection((address, self._port), CONNECT_SECONDS)
        try:
            if self._tls is not None:
                # the name stays what the certificate is checked against; the address is the one that was checked
                connected = self._tls.wrap_socket(connected, server_hostname=self._host)
            connected.settimeout(self._read_seconds)
            return Wire(connected)
        except BaseException:
            connected.close()
            raise

    def _checked_addresses(self) -> list[str]:
        until, addresses = self._addresses
        if time.monotonic() >= until:
            addresses = checked_addresses(self._host, self._port, allow_private=self._allow_private)
            self._addresses = (time.monotonic() + RESOLVED_SECONDS, addresses)
        return addresses

    def _checked(self, reply: Reply) -> Reply:
        status = reply.status_code
        if status < 300:
            return reply
        if status == 429:
            raise LimitedError(self.redact(f"Too many requests. {_words(reply)}"), status, reply.retry_after)
        if status in {401, 402, 403, 407}:  # and what is not paid for, and a proxy that lets nobody through
            raise StoppedError(self.redact(f"It refused our credentials or rights. {_words(reply)}"), status)
        if status < 400:
            raise StoppedError("It redirected us elsewhere, which we do not follow with customers' data.", status)
        if status in {404, 405} and not isinstance(reply.data, dict):  # a vendor's own no is a JSON object
            raise StoppedError(self.redact(f"Its address leads to something else. {status} {_words(reply)}"), status)
        if status == 408 or status >= 500:
            said = self.redact(f"Server error {status}. {_words(reply)}")
            raise OutcomeUnknownError(said, status, reply.retry_after)
        return reply


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, which is a number or an HTTP date; None if there is none to understand."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        pass
    else:
        return max(seconds, 0.0) if seconds < 1e9 else None  # neither infinite nor no number
    until = _moment(value)
    return None if until is None else max((until - now).total_seconds(), 0.0)


def _moment(value: str) -> datetime | None:
    """The instant that an HTTP date names, if it is one."""
    try:
        found = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{_fit(name)}: {_fit(value)}\r\n" for name, value in headers.items()).encode()


def _fit(text: str) -> str:
    """The text, if it can stand in a request's head.

    Raises:
        ValueError: if it cannot. The message does not repeat it.
    """
    if UNFIT.search(text):
        raise ValueError("The path or a header would hold what cannot stand in a request's head.")
    return text


def _words(reply: Reply) -> str:
    """What the vendor said, from the places where vendors say it."""
    if not isinstance(reply.data, dict):
        return reply.text if reply.data is None else _plain(reply.data)
    data = reply.data
    for key in ("error_description", "description", "message"):
        if isinstance(data.get(key), str):
            said = " ".join(_plain(data[each]) for each in ("error", key) if data.get(each))
            return f"{said} {_details(data.get('details'))}".strip()
    return _plain(data.get("errors") or data.get("meta") or data.get("error") or "")


def _details(found: Any) -> str:
    """What is wrong with each field, where a vendor says it (Zendesk: lists by field, with a description in each)."""
    if not isinstance(found, dict):
        return _plain(found) if found else ""
    each = [one for group in found.values() if isinstance(group, list) for one in group if isinstance(one, dict)]
    return "; ".join(str(one["description"]) for one in each if one.get("description")) or _plain(found)


def _plain(found: Any) -> str:
    """Text as it is; anything else as JSON, in which an address looks like one."""
    return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)


def words(reply: Reply, redact: Redactor) -> str:
    """What the vendor said, redacted."""
    return redact(_words(reply)) or f"status {reply.status_code}"
