"""Requests to vendors that survive what vendors do, and that never tell anybody a secret.

One `VendorSession` per source: it paces requests under the vendor's limit, tries again what can succeed later, and
looks into the body, because some vendors report errors in an answer of status 200. Waiting times the vendor names are
honoured in full; where it names none they are exponential with full jitter. Messages carry the vendor, the path and the
vendor's own error code, never the URL: it may hold a secret, as Bitrix24's does.
"""

from __future__ import annotations

import email.utils
import json
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import requests

from ingest.errors import CredentialsError, SourceError, VendorRefusalError, VendorUnavailableError

Clock = Callable[[], float]
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to keep asking; times in seconds.

    `attempts` is for answers that do not come or are broken, `limited_attempts` for a vendor that says "too fast",
    which is cured by waiting. A vendor that names a time beyond `longest_wait` is left alone until the next run.
    """

    attempts: int = 5
    limited_attempts: int = 12
    base: float = 0.5
    cap: float = 30.0
    longest_wait: float = 600.0
    connect_timeout: float = 5.0
    read_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """How time passes for a session: a test replaces all three and waits for nothing."""

    clock: Clock = time.monotonic
    sleep: Sleep = time.sleep
    # jitter, not a secret
    rng: random.Random = field(default_factory=random.Random)


@dataclass(frozen=True, slots=True)
class Retry:
    """The answer is no answer yet. `after` is the wait in seconds the vendor asked for, None where it named none."""

    reason: str
    after: float | None = None
    limited: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The vendor says no, and will say it again."""

    reason: str


# None: the answer is good
Verdict = Retry | Refusal | None
Judge = Callable[[requests.Response, Any], Verdict]


def retry_after(response: requests.Response) -> float | None:
    """Seconds the server asked to wait: `Retry-After` as a number, or as a date against the server's own clock."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    then = email.utils.parsedate_tz(value)
    now = email.utils.parsedate_tz(response.headers.get("Date", ""))
    if then is None or now is None:
        return None
    return max(email.utils.mktime_tz(then) - email.utils.mktime_tz(now), 0.0)


def judge_by_status(response: requests.Response, body: Any) -> Verdict:
    """What the status says where a vendor has no signals of its own."""
    status = response.status_code
    if status < 300:
        return None
    if status == 429:
        return Retry("asks for fewer requests (HTTP 429)", retry_after(response), limited=True)
    if status in (408, 409, 425) or status >= 500:
        return Retry(f"answers HTTP {status}", retry_after(response))
    return Refusal(f"refuses the request with HTTP {status}{error_code(body)}")


def error_code(body: Any) -> str:
    """The vendor's short error code for a message, in parentheses; free text is left out, it may quote data."""
    error = body.get("error") if isinstance(body, Mapping) else None
    if isinstance(error, Mapping):
        error = error.get("code") or error.get("type")
    return f" ({error})" if isinstance(error, str) and error.replace("_", "").replace(".", "").isalnum() else ""


@dataclass(slots=True)
class Pace:
    """At most `limit` requests in any `seconds`, over all threads; `wait` blocks until one more fits."""

    limit: int
    seconds: float
    clock: Clock = time.monotonic
    sleep: Sleep = time.sleep
    _started: deque[float] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def wait(self) -> None:
        """Take a place in the window, sleeping until there is one."""
        while True:
            with self._lock:
                now = self.clock()
                while self._started and self._started[0] <= now - self.seconds:
                    self._started.popleft()
                if len(self._started) < self.limit:
                    self._started.append(now)
                    return
                pause = self._started[0] + self.seconds - now
            self.sleep(max(pause, 0.001))


def parsed_json(content: bytes) -> Any:
    """The JSON value of a body. What is no reason to refuse more than its record passes, for the columns to judge.

    That is bytes and escapes that are no Unicode, as lone surrogates, and NaN, Infinity and numbers that are beyond any
    column, as the text that stood there.

    Raises:
        ValueError: if the body is no JSON, or nested so deeply that it cannot be read.
    """
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        text = content.decode(json.detect_encoding(content), "surrogateescape")
    try:
        return json.loads(text, parse_constant=str, parse_float=_finite, parse_int=_of_64_bits)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _finite(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _of_64_bits(digits: str) -> int | str:
    return int(digits) if len(digits) <= 20 else digits  # a sign and nineteen are the longest that fit


class VendorSession(requests.Session):
    """A `requests` session for one vendor; `fetch` for our own reading, `send` for clients that build on requests."""

    def __init__(
        self,
        vendor: str,
        base_url: str,
        *,
        judge: Judge = judge_by_status,
        pace: Callable[[str], Pace | None] = lambda _path: None,
        patience: Patience | None = None,
        credentials_hint: str = "",
        waiting: Waiting | None = None,
    ) -> None:
        """A session for `vendor` below `base_url`.

        `judge` reads the vendor's signals, `pace` gives the limiter of a path, `credentials_hint` ends the sentence of
        a refusal for bad credentials with the settings to look at.
        """
        super().__init__()
        self.vendor = vendor
        self.base_url = base_url.rstrip("/")
        self.patience = patience or Patience()
        self.requests_made = 0
        self._judge = judge
        self._pace = pace
        self._credentials_hint = credentials_hint
        self._waiting = waiting or Waiting()
        self._not_before = 0.0
        self._given_up: SourceError | None = None
        self._lock = threading.Lock()
        # proxies and .netrc of the machine have no business with these credentials
        self.trust_env = False
        adapter = requests.adapters.HTTPAdapter(pool_connections=4, pool_maxsize=32)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def fetch(self, path: str, *, params: Any = None, body: Any = None) -> Any:
        """The parsed JSON of GET `path`, or of POST when there is a `body`.

        Raises:
            VendorRefusalError: if the vendor says no.
            VendorUnavailableError: if it gave no usable answer.
        """
        request = requests.Request(
            "GET" if body is None else "POST", f"{self.base_url}/{path.lstrip('/')}", params=params, json=body
        )
        return self._answered(self.prepare_request(request), path, {})[1]

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a prepared request with the same pacing, retries and judgement as `fetch`."""
        if not (request.url or "").startswith(self.base_url):
            raise VendorRefusalError(f"{self.vendor} points to an address that is not its own; it was not followed.")
        path = (request.url or "")[len(self.base_url) :].split("?")[0]
        return self._answered(request, path, kwargs)[0]

    def _answered(
        self, request: requests.PreparedRequest, path: str, kwargs: dict[str, Any]
    ) -> tuple[requests.Response, Any]:
        """Ask until there is an answer. Once one thread has given up on the vendor, so do the others."""
        failed = limited = 0
        while True:
            if self._given_up is not None:
                raise self._given_up
            self._hold(path)
            verdict, answer = self._asked(request, kwargs)
            if verdict is None:
                return answer
            if isinstance(verdict, Refusal):
                refusal = self._refused(path, verdict, answer[0])
                if isinstance(refusal, CredentialsError):
                    self._given_up = refusal
                raise refusal
            if verdict.limited:
                limited += 1
            else:
                failed += 1
            if failed >= self.patience.attempts or limited >= self.patience.limited_attempts:
                self._given_up = VendorUnavailableError(
                    f"{self.vendor} {verdict.reason} at {path}, {failed + limited} times in a row."
                )
                raise self._given_up
            self._back_off(path, verdict, failed + limited - 1)

    def _refused(self, path: str, verdict: Refusal, response: requests.Response) -> VendorRefusalError:
        sentence = f"{self.vendor} {verdict.reason} at {path}."
        if response.status_code in (401, 403):
            return CredentialsError(f"{sentence} {self._credentials_hint}".rstrip())
        return VendorRefusalError(sentence)

    def _asked(
        self, request: requests.PreparedRequest, kwargs: dict[str, Any]
    ) -> tuple[Verdict, tuple[requests.Response, Any]]:
        nothing = requests.Response()
        options = {
            **kwargs,
            "timeout": (self.patience.connect_timeout, self.patience.read_timeout),
            "allow_redirects": False,
        }
        with self._lock:
            self.requests_made += 1
        try:
            response = super().send(request, **options)
        except requests.Timeout:
            return Retry(f"does not answer within {self.patience.read_timeout:g} s"), (nothing, None)
        except requests.ConnectionError:
            return Retry("cannot be reached or cuts the connection"), (nothing, None)
        except requests.RequestException as broken:
            return Retry(f"sends a broken answer ({type(broken).__name__})"), (nothing, None)
        try:
            body = parsed_json(response.content)
        except ValueError:
            body = None
            if response.status_code < 300:
                return Retry("sends an answer that is no JSON"), (response, None)
        # clients that build on requests parse as we do, and not once more
        vars(response)["json"] = lambda **_: body
        return self._judge(response, body), (response, body)

    def _hold(self, path: str) -> None:
        """Wait out what the vendor asked of any thread, then this path's own pace."""
        with self._lock:
            pause = self._not_before - self._waiting.clock()
        if pause > 0:
            self._waiting.sleep(pause)
        limiter = self._pace(path)
        if limiter is not None:
            limiter.wait()

    def _back_off(self, path: str, verdict: Retry, attempt: int) -> None:
        if verdict.after is None:
            most = min(self.patience.cap, self.patience.base * 2**attempt)
            self._waiting.sleep(self._waiting.rng.uniform(0.0, most))
            return
        if verdict.after > self.patience.longest_wait:
            raise VendorUnavailableError(
                f"{self.vendor} {verdict.reason} at {path} and asks to come back in {verdict.after:,.0f} s; the next"
                " run will."
            )
        with self._lock:
            self._not_before = max(self._not_before, self._waiting.clock() + verdict.after)
