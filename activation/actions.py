"""What is to be sent, and what became of it: the nouns that plan, ledger and destinations share."""

from __future__ import annotations

import hashlib
import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

# orjson reads a whole number beyond 64 bits as a float; such a payload takes the slow way and stays what it is
LONG_NUMBER = re.compile(r"\d{17}")
TWO_DIGITS = re.compile(r"\d\d")
DIGITS = bytes.maketrans(b"123456789", b"0" * 9)


def parsed(text: str) -> Any:
    """The JSON, whole numbers as they are however long. Numbers that are none, which DuckDB writes, are read too.

    Raises:
        ValueError: if it is none.
    """
    # among seventeen digits in a row two stand in places that eight divides, next to each other there
    is_plain = TWO_DIGITS.search(text[::8]) is None or LONG_NUMBER.search(text) is None
    return _loaded(text) if is_plain else json.loads(text)


def _loaded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # NaN and Infinity, perhaps
        return json.loads(text)


def all_parsed(texts: Sequence[str]) -> list[Any]:
    """The JSON of each, as `parsed` gives it.

    Raises:
        ValueError: if one is none.
    """
    # looked at together, which takes a fraction of the time
    is_plain = b"0" * 17 not in "".join(texts).encode().translate(DIGITS)
    return list(map(_loaded if is_plain else json.loads, texts))


def written(value: Any) -> bytes:
    """The JSON of what `parsed` gave: orjson writes null for what is no number, and fails at one beyond 64 bits."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def canonical(payload: str) -> str:
    """The payload with sorted keys and no spaces, so that equal meaning has equal bytes.

    Raises:
        ValueError: if the payload is not a JSON object.
    """
    found = parsed(payload)
    if not isinstance(found, dict):
        raise ValueError(f"A payload is a JSON object, got {type(found).__name__}.")  # noqa: TRY004 - bad data, not a bad call
    return json.dumps(found, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Action(NamedTuple):
    """One row of an `act_*` model: one message to one destination. Times are naive UTC.

    `action_id` is a function of action, customer, occurrence and template version, so that it is the same on every
    machine and in every run; it is what makes a repeated send recognisable. `digest` is the md5 of the payload's
    text, where it was computed already; see `payload_hash`.
    """

    action_id: str
    destination: str
    object: str
    action: str
    customer_id: str
    occurrence_id: str
    occurred_at: datetime
    expires_at: datetime | None
    priority: int
    payload: str
    digest: str = ""

    @property
    def body(self) -> dict[str, Any]:
        """The payload, parsed."""
        found: dict[str, Any] = parsed(self.payload)
        return found

    @property
    def payload_hash(self) -> str:
        """md5 of the payload's text. It tells texts apart; whether two of them mean the same, `canonical` tells."""
        return self.digest or hashlib.md5(self.payload.encode(), usedforsecurity=False).hexdigest()

    def means(self, payload: str) -> bool:
        """Whether this payload says the same: key order and white space are not a change."""
        return self.payload == payload or canonical(self.payload) == canonical(payload)


class State(StrEnum):
    """Where a delivery stands in the ledger."""

    PLANNED = "planned"  # wanted, nothing sent yet
    SENDING = "sending"  # intent committed; found without a living owner, it means that a process died here
    ACKNOWLEDGED = "acknowledged"  # the vendor said yes
    REJECTED = "rejected"  # the vendor said no to this payload; sending the same again is pointless
    UNKNOWN = "unknown"  # sent, and nobody knows: resolved before it is sent again
    WAITING = "waiting"  # surely not accepted (limit, refused connection); comes back by itself
    DEAD = "dead"  # tried too often or for too long; a person decides
    DROPPED = "dropped"  # a person decided that this payload is not sent, or its customer was forgotten


OPEN_STATES = (State.PLANNED, State.SENDING, State.UNKNOWN, State.WAITING)
DEAD_LETTERS = (State.REJECTED, State.DEAD)
DOUBT = "Whether it arrived is unknown."  # how the reason of what was given up ends, if that is so


class Outcome(NamedTuple):
    """What one attempt came to. `reason` is one sentence without payload and secrets.

    `retry_after` is how long this action has to wait and `rest` how long the whole destination is to be left alone,
    both in seconds and as the vendor asked.
    """

    state: State
    reason: str = ""
    status_code: int | None = None
    vendor_reference: str | None = None
    retry_after: float | None = None
    rest: float = 0.0

    @classmethod
    def acknowledged(
        cls, reference: str | None, status_code: int | None = None, reason: str = "", rest: float = 0.0
    ) -> Outcome:
        """The vendor has it."""
        return cls(State.ACKNOWLEDGED, reason, status_code, reference, None, rest)

    @classmethod
    def rejected(cls, reason: str, status_code: int | None = None) -> Outcome:
        """The vendor refuses this payload."""
        return cls(State.REJECTED, reason, status_code)

    @classmethod
    def unknown(cls, reason: str, status_code: int | None = None) -> Outcome:
        """It may or may not have arrived."""
        return cls(State.UNKNOWN, reason, status_code)

    @classmethod
    def waiting(
        cls, reason: str, status_code: int | None = None, retry_after: float | None = None, rest: float = 0.0
    ) -> Outcome:
        """It surely did not arrive, and may be sent again."""
        return cls(State.WAITING, reason, status_code, None, retry_after, rest)
