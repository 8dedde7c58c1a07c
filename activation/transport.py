"""HTTP to a vendor: TLS, time limits, and errors that say whether the request can have arrived.

Nothing raised here carries a payload, a header or a URL: an answer's words pass through `Redactor`, which takes out the
secrets it was given and everything that looks like an e-mail address. Bitrix24 keeps its secret in the URL, and the
HTTP library puts URLs into its exceptions, so those are never chained.
"""

from __future__ import annotations

import ipaddress
import json
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError, SSLError

if TYPE_CHECKING:
    from collections.abc import Mapping

CONNECT_SECONDS = 3.05
READ_SECONDS = 15.0
ANSWER_SECONDS = 30.0  # a body that drips arrives within this or not at all
ANSWER_BYTES = 4_000_000
EMAIL = re.compile(r"[\w.+'-]+@[\w-]+(?:\.[\w-]+)+")
REASON_LENGTH = 300


class NotSentError(Exception):
    """The request surely did not arrive: no connection, no TLS, no name."""


class OutcomeUnknownError(Exception):
    """The request may have arrived: the answer was lost, late, unreadable, or a server error."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class LimitedError(Exception):
    """The vendor turned the request away for now. `retry_after` is what it asked for, in seconds, if it did."""

    def __init__(self, message: str, status_code: int, retry_after: float | None) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.retry_after = retry_after


class StoppedError(Exception):
    """Nothing more may go to this destination in this run: wrong credentials, or the endpoint is gone."""

    def __init__(self, message: str, status_code: int | None = None) -> None:
        super().__init__(message)
        self.status_code = status_code


class BatchRejectedError(Exception):
    """The vendor refused the request as a whole and did none of it; one item may be to blame for the others."""

    def __init__(self, message: str, status_code: int) -> None:
        super().__init__(message)
        self.status_code = status_code


class Redactor:
    """Makes a vendor's words fit for a log: without our secrets, without anybody's address, and short."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = sorted((secret for secret in secrets if secret), key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without what must not be in a log."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        text = " ".join(EMAIL.sub("[address]", text).split())
        return text if len(text) <= REASON_LENGTH else text[: REASON_LENGTH - 1] + "…"


@dataclass(frozen=True, slots=True)
class Reply:
    """A vendor's answer. `data` is the parsed JSON, or None if the body is something else."""

    status_code: int
    headers: Mapping[str, str]
    text: str
    data: Any

    @property
    def retry_after(self) -> float | None:
        """Seconds the vendor asked us to stay away, if it did."""
        return parse_retry_after(self.headers.get("Retry-After"), datetime.now(UTC))


class Transport:
    """One vendor's connection pool.

    `secrets` are the strings that must never leave it. `auth` is HTTP Basic, if the vendor uses it.

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
    ) -> None:
        self.redact = Redactor(secrets)
        if urlsplit(base_url).scheme != "https" and not is_loopback(base_url):
            raise ValueError("A destination's address begins with https://; plain http is for this machine only.")
        self._base_url = base_url.rstrip("/")
        self._read_seconds = read_seconds
        self._session = requests.Session()
        self._session.trust_env = False  # a .netrc or proxy variable must not reroute somebody's customers
        self._session.auth = auth
        self._session.headers.update({"User-Agent": "customer-lifecycle", **(headers or {})})
        self._session.mount("https://", HTTPAdapter(pool_maxsize=4, max_retries=0))
        self._session.mount("http://", HTTPAdapter(pool_maxsize=4, max_retries=0))

    def close(self) -> None:
        """Drop the connections."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str] | None = None) -> Reply:
        """A read. See `post` for what it raises."""
        return self._exchange("GET", path, None, None, params)

    def post(self, path: str, body: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """Send JSON bytes and read the answer, whatever its status below 500 (429 excepted).

        Raises:
            NotSentError: no connection came about.
            OutcomeUnknownError: no usable answer: time-out, reset, 408, 5xx, a body that breaks off.
            LimitedError: 429.
            StoppedError: 401, 403 or a redirect.
        """
        return self._exchange("POST", path, body, {"Content-Type": "application/json", **(headers or {})}, None)

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str] | None,
        params: Mapping[str, str] | None,
    ) -> Reply:
        try:
            response = self._session.request(
                method,
                self._base_url + path,
                data=body,
                headers=headers,
                params=params,
                timeout=(CONNECT_SECONDS, self._read_seconds),
                allow_redirects=False,
                stream=True,
            )
            with response:
                reply = _read(response)
        except requests.RequestException as error:
            raise _classified(error) from None
        return self._checked(reply)

    def _checked(self, reply: Reply) -> Reply:
        status = reply.status_code
        if status == 429:
            raise LimitedError(self.redact(f"Too many requests. {_words(reply)}"), status, reply.retry_after)
        if status in {401, 403}:
            raise StoppedError(self.redact(f"It refused our credentials or rights. {_words(reply)}"), status)
        if 300 <= status < 400:
            raise StoppedError("It redirected us elsewhere, which we do not follow with customers' data.", status)
        if status == 408 or status >= 500:
            raise OutcomeUnknownError(self.redact(f"Server error {status}. {_words(reply)}"), status)
        return reply


def is_loopback(url: str) -> bool:
    """Whether the address is this machine, by name or number."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_retry_after(value: str | None, now: datetime) -> float | None:
    """Seconds from a Retry-After header, which is a number or an HTTP date; None if there is none to understand."""
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - now).total_seconds(), 0.0)
    except (TypeError, ValueError):
        return None


def _read(response: requests.Response) -> Reply:
    deadline = time.monotonic() + ANSWER_SECONDS
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_content(65536):
        chunks.append(chunk)
        size += len(chunk)
        if size > ANSWER_BYTES or time.monotonic() > deadline:
            raise OutcomeUnknownError("The answer was too long or too slow to be read.", response.status_code)
    text = b"".join(chunks).decode("utf-8", errors="replace")
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    return Reply(response.status_code, response.headers, text, data)


def _classified(error: requests.RequestException) -> NotSentError | OutcomeUnknownError:
    """Which of the two it was. Only the kind of the error is kept: its text may hold the address with the secret."""
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError):
        return NotSentError(f"No connection ({type(error).__name__}).")
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    if isinstance(error, requests.exceptions.ConnectionError) and isinstance(
        reason, NewConnectionError | ConnectTimeoutError | SSLError
    ):
        return NotSentError(f"No connection ({type(reason).__name__}).")
    return OutcomeUnknownError(f"The connection failed after the request had left ({type(error).__name__}).")


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
