"""The record of going live: who decided what, when, on which evidence. Lines are added to it and never changed.

`data/go_live.jsonl` holds one JSON object per line. Each carries the digest of the line before it, and `go_live.last`
beside it that of the last one, so that a line which was changed or taken out is noticed and nothing is sent on the
strength of it.

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
    entries: list[Entry] = []
    previous = ""
    # a machine that stops between a line and its mark leaves the mark of the line before
    last = _last(path)
    is_whole = last == ""
    for number, line in enumerate(_lines(path), start=1):
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
        is_whole = is_whole or previous == last
        entries.append(entry)
    if not is_whole:
        raise GoLiveError(
            f"{path} ends before the line that was written last, or that line was changed; restore it and"
            f" {_mark(path).name} from a backup. Nothing is sent until then."
        )
    return entries


def append(path: Path, entry: Entry) -> Entry:
    """Add a decision and return it as written; it is on the disk when this returns. The caller holds the run's lock."""
    read(path)
    lines = _lines(path)
    written = Entry(
        **{
            **asdict(entry),
            "recorded_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "previous": _digest(lines[-1]) if lines else "",
        }
    )
    line = json.dumps(asdict(written), ensure_ascii=False, sort_keys=True)
    _write(path, "a", line)
    beside = _mark(path).with_suffix(".new")
    _write(beside, "w", _digest(line))
    beside.replace(_mark(path))
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


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _mark(path: Path) -> Path:
    return path.with_suffix(".last")


def _last(path: Path) -> str:
    return "".join(_lines(_mark(path)))


def _write(path: Path, mode: str, line: str) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
