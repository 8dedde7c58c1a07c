"""Misbehaviour on demand: what the vendors' machines and the network between do on a bad day.

A rule says which requests it hits and what happens to them. Rules are tried in the order they were added; the first
that matches and still has times left acts. What acts on the wire (a lost answer, a cut body, a reset) is done here
around the vendor's application; what concerns rows (duplicates at page borders, rows that show up late, rows out of
order) rewrites the page that the vendor answered, or, for late rows, hides them from the query.
"""

from __future__ import annotations

import asyncio
import dataclasses
import fnmatch
import json
import random
import socket
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

Kind = Literal[
    "status",
    "timeout",
    "slow_body",
    "reset_before_commit",
    "reset_after_commit",
    "truncated_body",
    "malformed_json",
    "oversized_body",
    "empty_body",
    "wrong_content_type",
    "duplicate_at_page_border",
    "late_rows",
    "out_of_order",
    "silo_down",
]
VENDORS = ("stripe", "zendesk", "bitrix24", "customerio", "make", "chat")
# the phase decides whether the vendor does its work; for every other kind the kind itself does
PHASED = frozenset({"status", "timeout", "wrong_content_type"})
ROW_KEYS = ("data", "tickets", "users", "organizations", "satisfaction_ratings", "messages", "identifiers")
ENDLESS_MEGABYTES = 8
REFUSED = frozenset({"reset_before_commit", "silo_down"})


@dataclass(slots=True)
class Fault:
    """One rule.

    `path` is the vendor's own path ("/v1/invoices", "/api/v2/batch"; for Bitrix24 "/" and the method), as a prefix on
    path borders or, with a `*`, as a glob; empty means every path. `times` counts the requests that were hit, null
    means until the rule is removed; `skip` lets that many matching requests pass first. `phase` "after" means that the
    vendor has done its work before the fault shows. `retry_after` is in seconds and sent as a header; null sends none.
    `seconds` is the length of a slow body or, for late rows, the age (world seconds) up to which a row can be held
    back. `share` is the part of those rows that is held back.

    Raises:
        ValueError: if a field is unknown to the vendors or out of range; the sentence names the field.
    """

    vendor: str
    kind: Kind
    path: str = ""
    method: str = ""
    status: int = 503
    retry_after: float | None = None
    times: int | None = None
    probability: float = 1.0
    phase: Literal["before", "after"] = "before"
    skip: int = 0
    seconds: float = 5.0
    share: float = 0.5
    hits: int = 0

    def __post_init__(self) -> None:
        base = self.vendor.split("/")[0]
        if base not in VENDORS:
            raise ValueError(f"A fault needs a vendor out of {', '.join(VENDORS)}, got {self.vendor!r}.")
        if self.kind not in get_args(Kind):
            raise ValueError(f"A fault needs a kind out of {', '.join(get_args(Kind))}, got {self.kind!r}.")
        if self.phase not in ("before", "after"):
            raise ValueError(f"A fault's phase is 'before' or 'after', got {self.phase!r}.")
        if not 0.0 < self.probability <= 1.0 or not 0.0 < self.share <= 1.0:
            raise ValueError("A fault's probability and share lie in (0, 1].")
        if self.times is not None and self.times < 1:
            raise ValueError(f"A fault's times is a positive number or null, got {self.times}.")
        if not 400 <= self.status <= 599:
            raise ValueError(f"A fault's status is an HTTP error (400-599), got {self.status}.")
        if self.seconds < 0 or self.skip < 0:
            raise ValueError("A fault's seconds and skip are not negative.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Fault:
        """A rule from JSON.

        Raises:
            TypeError: if a field has the wrong type.
            ValueError: if a field is unknown, missing or out of range.
        """
        if not isinstance(values, dict):
            raise TypeError("A fault is an object of field names and values.")
        known = {item.name for item in dataclasses.fields(cls)} - {"hits"}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"Unknown field {unknown[0]!r} in a fault; known are {', '.join(sorted(known))}.")
        if "vendor" not in values or "kind" not in values:
            raise ValueError("A fault needs at least vendor and kind.")
        for name in ("vendor", "kind", "path", "method", "phase"):
            if not isinstance(values.get(name, ""), str):
                raise TypeError(f"A fault's {name} is text, got {values[name]!r}.")
        return cls(**values)

    def matches(self, vendor: str, method: str, path: str) -> bool:
        """Whether a request of this vendor falls under the rule, times and probability aside.

        `vendor` is the mount ("customerio/track"); a rule for "customerio" covers both of its APIs.
        """
        if vendor != self.vendor and not vendor.startswith(self.vendor + "/"):
            return False
        if self.method and self.method.upper() != method:
            return False
        if "*" in self.path:
            return fnmatch.fnmatchcase(path, self.path)
        wanted = self.path.rstrip("/")
        return not wanted or path == wanted or path.startswith((wanted + "/", wanted + "."))


class Faults:
    """The rules in force. One event loop uses it; chance is seeded, so a run can be repeated."""

    def __init__(self, rules: Iterable[Fault] = (), seed: int = 1) -> None:
        self.rules: list[Fault] = list(rules)
        self._chance = random.Random(seed)
        # last row seen per vendor path, repeated at the head of the next page by duplicate_at_page_border
        self._border_rows: dict[str, Any] = {}

    def add(self, rules: Iterable[Fault]) -> None:
        """Put rules behind those in force."""
        self.rules.extend(rules)

    def clear(self) -> None:
        """Behave again."""
        self.rules.clear()
        self._border_rows.clear()

    def hit(self, vendor: str, method: str, path: str) -> Fault | None:
        """The rule that acts on this request, with its count already taken."""
        return next((rule for rule in self.rules if rule.matches(vendor, method, path) and self._strikes(rule)), None)

    def _strikes(self, rule: Fault) -> bool:
        if rule.skip:
            rule.skip -= 1
            return False
        if rule.times is not None and rule.hits >= rule.times:
            return False
        if rule.probability < 1.0 and self._chance.random() >= rule.probability:
            return False
        rule.hits += 1
        return True

    def repeat_border_rows(self, key: str, pages: list[list[Any]]) -> None:
        """Put the last row of the page before in front of each page that continues it."""
        for page in pages:
            if not page:
                continue
            last = page[-1]
            before = self._border_rows.get(key)
            if before is not None:
                page.insert(0, before)
            self._border_rows[key] = last

    def shuffle_rows(self, pages: list[list[Any]]) -> None:
        """Change the order inside each page, but for the last row: it is what cursors are made from."""
        for page in pages:
            head = page[:-1]
            self._chance.shuffle(head)
            page[:-1] = head


def is_held_back(row_id: str, share: float) -> bool:
    """Whether late_rows hides this row: a fixed part of all ids, the same on every request."""
    return zlib.crc32(row_id.encode()) % 10_000 < share * 10_000


def row_lists(body: Any) -> list[list[Any]]:
    """Every page of rows inside a list answer of any of the vendors, outermost first.

    A page is a list of objects that carry an id, found at the top level, under Stripe's `data`, under Bitrix24's
    `result.items` or, for its batch, under each command's result.
    """
    if not isinstance(body, dict):
        return []
    result = body.get("result")
    holders = [body.get(key) for key in ROW_KEYS]
    if isinstance(result, dict):
        holders.append(result.get("items"))
        commands = result.get("result")
        answers = commands.values() if isinstance(commands, dict) else commands or []
        holders.extend(answer.get("items") for answer in answers if isinstance(answer, dict))
    else:
        holders.append(result)
    return [rows for rows in holders if isinstance(rows, list)]


class Recorder:
    """Takes an application's whole answer before anything reaches the wire."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def send(self, message: Message) -> None:
        """An ASGI `send` that keeps instead of sending."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")


def reset_connection(scope: Scope) -> None:
    """Abort the request's TCP connection so that the client sees RST, not an orderly end."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get("sandbox.transport", {}).get("transport")
    if transport is None:
        raise RuntimeError("The server runs without its own protocol class, so it cannot reset connections.")
    raw: socket.socket | None = transport.get_extra_info("socket")
    if raw is not None:
        # linger on with zero seconds makes close() discard what is unsent and answer RST
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def close_connection(scope: Scope) -> None:
    """End the request's TCP connection in order, after what was written so far."""
    transport: asyncio.Transport | None = scope.get("extensions", {}).get("sandbox.transport", {}).get("transport")
    if transport is None:
        raise RuntimeError("The server runs without its own protocol class, so it cannot cut answers short.")
    transport.close()


async def until_disconnected(receive: Receive) -> None:
    """Wait until the client has given up."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return


class FaultyApp:
    """Runs one request through an application under one rule."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self.app = app
        self.faults = faults

    async def act(  # noqa: C901 - one case per kind of fault, nothing nested
        self,
        rule: Fault,
        request: tuple[Scope, Receive, Send],
        border_key: str,
        error_answer: Recorder,
    ) -> None:
        """Answer the request as the rule says. `error_answer` is how this vendor words the rule's status."""
        scope, receive, send = request
        if rule.kind == "late_rows":
            scope["sandbox.late"] = rule
            await self.app(scope, receive, send)
            return
        is_worked_on = rule.phase == "after" if rule.kind in PHASED else rule.kind not in REFUSED
        answer = await self._record(scope, receive) if is_worked_on else Recorder()
        match rule.kind:
            case "status" | "silo_down":
                await _replay(error_answer, send)
            case "timeout":
                await until_disconnected(receive)
            case "reset_before_commit" | "reset_after_commit":
                reset_connection(scope)
                await until_disconnected(receive)
            case "slow_body":
                await _send_slowly(answer, send, rule.seconds)
            case "truncated_body":
                await _send_part(answer, send)
                close_connection(scope)
                await until_disconnected(receive)
            case "malformed_json":
                answer.body = garbled(answer.body)
                await _replay(answer, send)
            case "oversized_body":
                await _send_endlessly(answer, send)
                close_connection(scope)
                await until_disconnected(receive)
            case "empty_body":
                answer.body = b""
                await _replay(answer, send)
            case "wrong_content_type":
                # a proxy's or a captive portal's page; with phase "before" the vendor never saw the request
                answer.status, answer.body = 200, b"<html><body>Please sign in.</body></html>"
                answer.headers = [(b"content-type", b"text/html")]
                await _replay(answer, send)
            case _:
                self._rewrite_rows(answer, rule.kind, border_key)
                await _replay(answer, send)

    async def _record(self, scope: Scope, receive: Receive) -> Recorder:
        answer = Recorder()
        await self.app(scope, receive, answer.send)
        return answer

    def _rewrite_rows(self, answer: Recorder, kind: Kind, border_key: str) -> None:
        if answer.status != 200:
            return
        body = json.loads(answer.body)
        pages = row_lists(body)
        if kind == "duplicate_at_page_border":
            self.faults.repeat_border_rows(border_key, pages)
        else:
            self.faults.shuffle_rows(pages)
        answer.body = json.dumps(body).encode()


def garbled(body: bytes) -> bytes:
    """A body of the same length that no JSON parser accepts: its end is overwritten as if two answers were mixed."""
    if len(body) < 4:
        return b'{"' + b"x" * len(body)
    keep = len(body) * 3 // 4
    return (body[:keep] + b'}{"' + b"\x00" * len(body))[: len(body)]


async def _replay(answer: Recorder, send: Send) -> None:
    headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_slowly(answer: Recorder, send: Send, seconds: float) -> None:
    pieces = 10
    size = max(len(answer.body) // pieces, 1)
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    for start in range(0, len(answer.body), size):
        await send({"type": "http.response.body", "body": answer.body[start : start + size], "more_body": True})
        await asyncio.sleep(seconds / pieces)
    await send({"type": "http.response.body", "body": b""})


async def _send_endlessly(answer: Recorder, send: Send) -> None:
    """Far more than anybody asked for: the answer, and then blanks without an announced end."""
    headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": True})
    for _ in range(ENDLESS_MEGABYTES):
        await send({"type": "http.response.body", "body": b" " * 1_000_000, "more_body": True})


async def _send_part(answer: Recorder, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True})
