"""Where records go that cannot be loaded as what their column says: aside, whole, with a reason.

A loader that coerces leaves a null and says nothing; a loader that refuses stops at the first bad row of a million.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from ingest.forgotten import Forgotten

# longer payloads are cut: the quarantine explains a row, it does not archive it
PAYLOAD_LIMIT = 20_000


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that was not loaded, and why. `occurrence` tells identical records of one extraction apart."""

    source: str
    table_name: str
    location: str
    record_key: str | None
    reason: str
    payload: str
    occurrence: int

    @property
    def quarantine_id(self) -> str:
        """The same record set aside again has the same id, so reading it twice does not count it twice."""
        parts = (
            self.source,
            self.table_name,
            self.record_key or "",
            self.reason,
            self.payload,
            str(self.occurrence),
        )
        return hashlib.md5("\x1f".join(parts).encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Quarantine:
    """What one extraction set aside."""

    source: str
    forgotten: Forgotten = field(default_factory=Forgotten)
    rejected: list[Rejected] = field(default_factory=list)
    _seen: Counter[tuple[str, str | None, str, str]] = field(default_factory=Counter)

    def add(self, table_name: str, *, location: str, record_key: str | None, reason: str, payload: Any) -> None:
        """Set one record aside. `payload` is the record as received; anything that is no text is written as JSON."""
        text = payload if isinstance(payload, str) else as_json_text(payload)
        text = text.encode("utf-8", "backslashreplace").decode("utf-8")[:PAYLOAD_LIMIT]
        if self.forgotten.scrub_text(text) != text:  # a record that cannot be read cannot be scrubbed with certainty
            text = '{"forgotten": true}'
            reason = self.forgotten.scrub_text(reason)
            record_key = self.forgotten.scrub_text(record_key) if record_key else None
        identity = (table_name, record_key, reason, text)
        self.rejected.append(
            Rejected(self.source, table_name, location, record_key, reason, text, self._seen[identity])
        )
        self._seen[identity] += 1


def as_json_text(value: Any) -> str:
    """JSON text of a value, also when it holds characters that UTF-8 cannot carry (they are escaped)."""
    try:
        return orjson.dumps(value, default=str).decode()
    except TypeError:
        # lone surrogates and integers beyond 64 bits
        pass
    try:
        return json.dumps(value, default=str)
    except RecursionError:
        return '"nested too deeply to be kept"'
