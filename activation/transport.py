"""HTTP to a vendor: TLS, time limits, pinned addresses, and errors that say whether the request can have arrived.

The standard library's client, one connection per request in flight, kept open: several times the calls per second of
richer ones, and nothing in it retries, redirects or reads proxies behind our back.

Nothing raised here carries a payload, a header or a URL: an answer's words pass through `Redactor`, which takes out the
secrets it was given and everything that looks like an e-mail address. Bitrix24 keeps its secret in the URL, so the
exceptions of the HTTP library are never chained.
"""

from __future__ import annotations

import http.client
import json
import re
import select
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

import orjson

from activation.addresses import checked_addresses, is_loopback
from activation.errors import LimitedError, NotSentError, OutcomeUnknownError, StoppedError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Redactor", "Reply", "Transport", "is_loopback", "parse_retry_after", "words"]

CONNECT_SECONDS = 3.05
READ_SECONDS = 15.0
ANSWER_SECONDS = 30.0  # a body that drips arrives within this or not at all
ANSWER_BYTES = 4_000_000
RESOLVED_SECONDS = 60.0  # how long a checked address is good for new connections
EMAIL = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
REASON_LENGTH = 300


class Redactor:
    """Makes a vendor's words fit for a log: without our secrets, without anybody's address, and short."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without what must not be in a log."""
        text = text[: 20 * REASON_LENGTH]
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        text = " ".join(EMAIL.sub("[address]", text).split())
        return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 1] + "…"


@dataclass(frozen=True, slots=True)
class Reply:
    """A vendor's answer. `data` is the parsed JSON, or None if the body is something else."""

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
        return parse_retry_after(self.headers.get("Retry-After"), datetime.now(UTC))


class Transport:
    """One vendor's connections; safe to use from several threads, each request on a connection of its own.

    `secrets` are the strings that must never leave it. `auth` is HTTP Basic, if the vendor uses it. `allow_private`
    permits hosts in private networks; an address on this machine, given as such, is always permitted.

    Raises:
        ValueError: if the address is not https, except on this machine.
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
        self._path = parts.path.rstrip("/")
        self._read_seconds = read_seconds
        self._headers = {"User-Agent": "customer-lifecycle", "Accept": "application/json", **(headers or {})}
        if auth is not None:
            self._headers["Authorization"] = "Basic " + b64encode(":".join(auth).encode()).decode()
        self._idle: deque[http.client.HTTPConnection] = deque()  # append and pop are atomic
        self._addresses: tuple[float, list[str]] = (0.0, [])

    def close(self) -> None:
        """Drop the connections."""
        while self._idle:
            self._idle.pop().close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Reply:
        """A read. See `post` for what it raises."""
        return self._exchange("GET", path + ("?" + urlencode(params) if params else ""), None, self._headers)

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send JSON bytes and read the answer, whatever its status below 500 (429 excepted).

        Raises:
            NotSentError: no connection came about.
            OutcomeUnknownError: no usable answer: time-out, reset, 408, 5xx, a body that breaks off.
            LimitedError: 429.
            StoppedError: 401, 403, a redirect, or a host in a private network.
        """
        return self._exchange(
            "POST", path, body, {**self._headers, "Content-Type": "application/json", **(headers or {})}
        )

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        connection = self._connection()
        try:
            connection.request(method, self._path + path or "/", body, dict(headers))
            reply, is_reusable = _read(connection.getresponse())
        except OutcomeUnknownError:
            connection.close()
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            # only the kind of the error is kept: its text may hold the address with the secret
            raise OutcomeUnknownError(
                f"The connection failed after the request had left ({type(error).__name__})."
            ) from None
        except BaseException:
            connection.close()
            raise
        if is_reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return self._checked(reply)

    def _connection(self) -> http.client.HTTPConnection:
        """An open connection: one that is idle and still alive, or a new one.

        Raises:
            NotSentError: if none came about.
            StoppedError: if the host is in a private network.
        """
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was quicker
                break
            if connection.sock is not None and not _has_ended(connection.sock):
                return connection
            connection.close()
        failure = ""
        for address in self._checked_addresses():
            connection = self._to(address)
            try:
                connection.connect()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failure = type(error).__name__
                continue
            connection.sock.settimeout(self._read_seconds)
            return connection
        raise NotSentError(f"No connection ({failure or 'no address'}).")

    def _checked_addresses(self) -> list[str]:
        until, addresses = self._addresses
        if time.monotonic() >= until:
            addresses = checked_addresses(self._host, self._port, allow_private=self._allow_private)
            self._addresses = (time.monotonic() + RESOLVED_SECONDS, addresses)
        return addresses

    def _to(self, address: str) -> http.client.HTTPConnection:
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS, context=self._tls)
            if self._tls
            else http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS)
        )
        # the name stays what the certificate is checked against; the address is the one that was checked before
        connection._create_connection = lambda to, timeout, source: socket.create_connection(  # type: ignore[attr-defined]  # noqa: SLF001 - the library's own seam
            (address, to[1]), timeout, source
        )
        return connection

    def _checked(self, reply: Reply) -> Reply:
        status = reply.status_code
        if status < 300:
            return reply
        if status == 429:
            raise LimitedError(self.redact(f"Too many requests. {_words(reply)}"), status, reply.retry_after)
        if status in {401, 403}:
            raise StoppedError(self.redact(f"It refused our credentials or rights. {_words(reply)}"), status)
        if status < 400:
            raise StoppedError("It redirected us elsewhere, which we do not follow with customers' data.", status)
        if status == 408 or status >= 500:
            raise OutcomeUnknownError(self.redact(f"Server error {status}. {_words(reply)}"), status)
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
    try:
        return max((parsedate_to_datetime(value) - now).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _has_ended(sock: socket.socket) -> bool:
    """Whether an idle connection has something to say: the other side has hung up."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


def _read(response: http.client.HTTPResponse) -> tuple[Reply, bool]:
    """The answer, and whether its connection can carry another request.

    Raises:
        OutcomeUnknownError: if it is too long, too slow or breaks off.
    """
    deadline = time.monotonic() + ANSWER_SECONDS
    expected = response.length
    if expected is not None and expected > ANSWER_BYTES:
        raise OutcomeUnknownError("The answer was too long to be read.", response.status)
    chunks: list[bytes] = []
    size = 0
    while chunk := response.read1(65536):
        chunks.append(chunk)
        size += len(chunk)
        if size > ANSWER_BYTES or time.monotonic() > deadline:
            raise OutcomeUnknownError("The answer was too long or too slow to be read.", response.status)
    if expected is not None and size < expected:
        raise OutcomeUnknownError("The answer broke off.", response.status)
    response.close()  # done with the answer, not with the connection
    body = b"".join(chunks)
    try:
        data = orjson.loads(body) if body else None
    except ValueError:
        data = None
    headers: Any = response.headers  # a mapping of names in any case, though not typed as one
    return Reply(response.status, headers, body, data), not response.will_close


def _words(reply: Reply) -> str:
    """What the vendor said, from the places where vendors say it."""
    if not isinstance(reply.data, dict):
        return reply.text
    data = reply.data
    for key in ("error_description", "description", "message"):
        if isinstance(data.get(key), str):
            return f"{data.get('error', '')} {data[key]}".strip()
    found = data.get("errors") or data.get("meta") or data.get("error") or ""
    return found if isinstance(found, str) else json.dumps(found)


def words(reply: Reply, redact: Redactor) -> str:
    """What the vendor said, redacted."""
    return redact(_words(reply)) or f"status {reply.status_code}"
