"""The record of going live: who decided what, when, on which evidence. Lines are added to it and never changed.

`data/go_live.jsonl` holds one JSON object per line. Each carries the digest of the line before it, so that a line which
was changed or taken out is noticed and nothing is sent on the strength of it.

What the last lines say decides: an approval makes real destinations live, a breach after it puts them back, a new
approval is needed then. An override makes them live until its end date whatever the figures say, and can be withdrawn.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

APPROVED, BREACHED, OVERRIDDEN, WITHDRAWN = "approved", "breached", "overridden", "withdrawn"


class GoLiveError(LifecycleError):
    """The record cannot be relied on, or what was asked for is not permitted; the message says why and what to do."""


class NotYetError(GoLiveError):
    """The numbers have not agreed for long enough; the message names every metric that stands in the way."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision. `as_of` is the instant the published numbers stood at, `recorded_at` the machine's clock, UTC.

    `evidence` is what it rests on: for an approval the version, the runs and a digest of the reconciled figures.
    """

    kind: str
    as_of: str
    by: str
    reason: str
    until: str | None = None
    evidence: dict[str, Any] = field(default_factory=dict)
    recorded_at: str = ""
    previous: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether real destinations may get anything, and the sentence that says why."""

    is_live: bool
    reason: str
    entry: Entry | None = None


def read(path: Path) -> list[Entry]:
    """Every decision, the oldest first.

    Raises:
        GoLiveError: if a line is no decision, or was changed or removed after it was written.
    """
    if not path.exists():
        return []
    entries: list[Entry] = []
    previous = ""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = Entry(**json.loads(line))
        except (ValueError, TypeError):
            raise GoLiveError(f"{path}, line {number} is no decision; restore the file from a backup.") from None
        if entry.previous != previous:
            raise GoLiveError(
                f"{path}, line {number} does not follow from the line before it, so one of them was changed or removed;"
                " restore the file from a backup. Nothing is sent until then."
            )
        previous = _digest(line)
        entries.append(entry)
    return entries


def append(path: Path, entry: Entry) -> Entry:
    """Add a decision and return it as written; it is on the disk when this returns. The caller holds the run's lock."""
    read(path)
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    written = Entry(
        **{
            **asdict(entry),
            "recorded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "previous": _digest(lines[-1]) if lines else "",
        }
    )
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(written), ensure_ascii=False, sort_keys=True) + "\n")
        file.flush()
        os.fsync(file.fileno())
    return written


def standing(entries: Sequence[Entry], today: date) -> Standing:
    """What the record says on a day. Pure."""
    approval = override = against = None
    for entry in entries:
        if entry.kind == APPROVED:
            approval = entry
        elif entry.kind == BREACHED:
            approval, against = None, entry
        elif entry.kind == OVERRIDDEN:
            override = entry
        else:
            approval, override, against = None, None, entry
    if approval is not None:
        return Standing(True, f"approved by {approval.by} as of {approval.as_of}", approval)
    if override is not None and override.until and date.fromisoformat(override.until) >= today:
        return Standing(True, f"overridden by {override.by} until {override.until}: {override.reason}", override)
    if override is not None:
        return Standing(False, f"the override by {override.by} ended on {override.until}")
    if against is not None:
        return Standing(False, f"{against.kind} by {against.by}: {against.reason}", against)
    return Standing(False, "nobody has approved going live yet")


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
