"""Whether the numbers have agreed with the company's own reports for long enough to send anything for real.

The evidence is in the published file (`validation_verdicts`, `reconciliation`), the decisions are in the record
(`lifecycle/go_live_record.py`). Real is a destination whose address is not on this machine; what is on this machine
(the sandbox) is never held back.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from lifecycle import go_live_record as record
from lifecycle import settings
from lifecycle.go_live_record import Entry, GoLiveError, NotYetError, Standing

if TYPE_CHECKING:
    from lifecycle.settings import Places

METRICS = settings.PROJECT_DIR / "seeds" / "validation" / "validation_metrics.csv"


@dataclass(frozen=True, slots=True)
class Break:
    """A period that did not agree, as it was decided. Figures in the metric's own unit."""

    metric: str
    grain: str
    period: date
    status: str
    unexplained: str
    tolerance: str
    judged_at: datetime

    def __str__(self) -> str:
        what = f"{self.metric} of {_shown(self.period, self.grain)}"
        if self.status == "not filed":
            return f"{what} was not reported in time"
        return f"{what} differs by {self.unexplained} that nobody explains, {self.tolerance} would be tolerated"


@dataclass(frozen=True, slots=True)
class Streak:
    """How long one metric has agreed. `last_period` is the last one judged, `gap` one that nobody judged in time."""

    metric: str
    grain: str
    periods: int
    required: int
    last_period: date | None
    last_break: Break | None
    gap: date | None = None

    @property
    def is_long_enough(self) -> bool:
        """Whether this metric stands in nobody's way."""
        return self.periods >= self.required and self.gap is None


@dataclass(frozen=True, slots=True)
class Status:
    """Everything that `lifecycle go-live status` says. `version` is the one that serves."""

    standing: Standing
    streaks: list[Streak]
    as_of: datetime | None
    version: str | None

    @property
    def missing(self) -> list[Streak]:
        """What still stands in the way of an approval."""
        return [streak for streak in self.streaks if not streak.is_long_enough]


def read(places: Places) -> list[Entry]:
    """Every decision, the oldest first.

    Raises:
        GoLiveError: if the record was tampered with.
    """
    return record.read(places.go_live)


def standing(places: Places, as_of: datetime) -> Standing:
    """What the record says for a run at `as_of`.

    Raises:
        GoLiveError: if the record was tampered with.
    """
    return record.standing(record.read(places.go_live), today(as_of))


def today(as_of: datetime) -> date:
    """The day on which an override is looked at: numbers that are old do not make it last longer."""
    if settings.CLOCK.find() == "system":
        return max(as_of.date(), datetime.now(UTC).date())
    return as_of.date()


def status(places: Places) -> Status:
    """The record and the evidence as published now.

    Raises:
        GoLiveError: if the record was tampered with.
    """
    path = places.complete_file.resolve()
    required = _required()
    if not path.exists():
        nothing = [Streak(metric, grain, 0, number, None, None) for (metric, grain), number in required.items()]
        return Status(record.standing(record.read(places.go_live), date.min), nothing, None, None)
    with duckdb.connect(str(path), read_only=True) as connection:
        as_of = _as_of(connection)
        streaks = [_streak(connection, metric, grain, number) for (metric, grain), number in required.items()]
    return Status(standing(places, as_of), streaks, as_of, path.parent.name)


def approve(places: Places, *, by: str, evidence: str) -> Entry:
    """Go live on the evidence of the streaks; the caller holds the run's lock.

    Raises:
        NotYetError: if a metric has not agreed for long enough; the message names each.
        GoLiveError: if nothing is published, a name or the evidence is missing, or the record was tampered with.
    """
    _require(by=by, evidence=evidence)
    found = status(places)
    if found.as_of is None:
        raise GoLiveError("Nothing is published yet, so there is nothing to approve: `lifecycle run` comes first.")
    if found.missing:
        reasons = "; ".join(_why_not(streak) for streak in found.missing)
        raise NotYetError(
            f"The numbers have not agreed for long enough: {reasons}. An override needs a name, a reason and an end"
            " date: `lifecycle go-live override --help`."
        )
    entry = Entry(record.APPROVED, f"{found.as_of}", by, evidence, evidence=_evidence(places, found))
    return record.append(places.go_live, entry)


def override(places: Places, *, by: str, reason: str, until: date) -> Entry:
    """Go live until a day whatever the figures say; the caller holds the run's lock.

    Raises:
        GoLiveError: if a name or reason is missing, or the end is not ahead.
    """
    _require(by=by, reason=reason)
    found = status(places)
    day = today(found.as_of) if found.as_of else datetime.now(UTC).date()
    if until < day:
        raise GoLiveError(f"The override would end on {until}, before today ({day}); give an end that is ahead.")
    missing = {"missing": [_why_not(streak) for streak in found.missing], "version": found.version}
    entry = Entry(record.OVERRIDDEN, f"{found.as_of or ''}", by, reason, until=str(until), evidence=missing)
    return record.append(places.go_live, entry)


def withdraw(places: Places, *, by: str, reason: str) -> Entry:
    """Take an override or an approval back; the caller holds the run's lock.

    Raises:
        GoLiveError: if there is nothing to take back.
    """
    _require(by=by, reason=reason)
    found = status(places)
    if not found.standing.is_live or found.standing.entry is None:
        raise GoLiveError("Real destinations are in shadow mode already; there is nothing to withdraw.")
    return record.append(places.go_live, Entry(record.WITHDRAWN, f"{found.as_of or ''}", by, reason))


def review(places: Places, run_id: str, as_of: datetime) -> list[str]:
    """Look at what a run has just published: periods that it judged and that did not agree, in words.

    If going live was approved before, this breach is written down and real destinations are back in shadow mode.
    """
    with duckdb.connect(str(places.complete_file.resolve()), read_only=True) as connection:
        broken = [Break(*row) for row in connection.execute(_BROKEN_SINCE, [as_of]).fetchall()]
    if not broken:
        return []
    sentences = [f"validation: {each}" for each in broken]
    before = standing(places, as_of)
    if before.entry is not None and before.entry.kind == record.APPROVED:
        found = {"run_id": run_id, "version": places.complete_file.resolve().parent.name}
        reason = "; ".join(str(each) for each in broken)
        record.append(places.go_live, Entry(record.BREACHED, f"{as_of}", "the run", reason, evidence=found))
        if not standing(places, as_of).is_live:
            sentences.append("validation: real destinations are back in shadow mode until somebody approves again")
    return sentences


def as_json(found: Status) -> dict[str, Any]:
    """The status for programs."""
    return {
        "is_live": found.standing.is_live,
        "reason": found.standing.reason,
        "as_of": str(found.as_of) if found.as_of else None,
        "version": found.version,
        "streaks": [
            {
                "metric": each.metric,
                "grain": each.grain,
                "streak": each.periods,
                "required": each.required,
                "last_period": str(each.last_period) if each.last_period else None,
                "gap": str(each.gap) if each.gap else None,
                "last_break": {
                    **asdict(each.last_break),
                    "period": str(each.last_break.period),
                    "judged_at": str(each.last_break.judged_at),
                }
                if each.last_break
                else None,
            }
            for each in found.streaks
        ],
    }


_BREAK_COLUMNS = (
    "metric, grain, period, status, coalesce(cast(unexplained as varchar), ''), cast(tolerance as varchar), judged_at"
)
_BROKEN_SINCE = (
    f"select {_BREAK_COLUMNS} from marts.validation_verdicts"
    " where not is_within and judged_at >= ? order by period, metric, grain"
)
_LAST_BREAK = (
    f"select {_BREAK_COLUMNS} from marts.validation_verdicts"
    " where metric = ? and grain = ? and not is_within order by period desc limit 1"
)
_LAST = (
    "select streak, period from marts.validation_verdicts where metric = ? and grain = ? order by period desc limit 1"
)
# the first period after the last judged one whose time to be judged has run out
_GAP = (
    "select min(period) from marts.reconciliation"
    " where metric = ? and grain = ? and period > ? and judged_until < cast(as_of as date)"
)
_ROW_OF_PERIODS = (
    "select metric, grain, period, run_id, fingerprint from marts.validation_verdicts as verdicts"
    " where period > (select coalesce(max(period), date '1900-01-01') from marts.validation_verdicts as broken"
    " where broken.metric = verdicts.metric and broken.grain = verdicts.grain and broken.streak = 0) order by all"
)


def _required() -> dict[tuple[str, str], int]:
    """How many periods in a row each metric needs, by metric and grain, as the criteria say."""
    with METRICS.open(encoding="utf-8", newline="") as file:
        return {(row["metric"], row["grain"]): int(row["required_periods"]) for row in csv.DictReader(file)}


def _as_of(connection: duckdb.DuckDBPyConnection) -> datetime:
    found = connection.execute("select max(as_of) from marts.publish_log where outcome = 'published'").fetchall()
    as_of: datetime = found[0][0]
    return as_of


def _streak(connection: duckdb.DuckDBPyConnection, metric: str, grain: str, required: int) -> Streak:
    last = connection.execute(_LAST, [metric, grain]).fetchone()
    if last is None:
        return Streak(metric, grain, 0, required, None, None)
    periods, period = last
    broken = connection.execute(_LAST_BREAK, [metric, grain]).fetchone()
    gap = connection.execute(_GAP, [metric, grain, period]).fetchall()[0][0]
    return Streak(metric, grain, periods, required, period, Break(*broken) if broken else None, gap)


def _evidence(places: Places, found: Status) -> dict[str, Any]:
    """What an approval rests on: the version, the runs that judged, and a digest over every reconciled figure."""
    with duckdb.connect(str(places.complete_file.resolve()), read_only=True) as connection:
        rows = connection.execute(_ROW_OF_PERIODS).fetchall()
    digest = hashlib.sha256("\n".join("|".join(str(value) for value in row) for row in rows).encode()).hexdigest()
    return {
        "version": found.version,
        "streaks": {f"{each.metric} by {each.grain}": each.periods for each in found.streaks},
        "first_period": str(min(row[2] for row in rows)),
        "last_period": str(max(row[2] for row in rows)),
        "run_ids": sorted({str(row[3]) for row in rows}),
        "figures": len(rows),
        "fingerprint": digest,
        "criteria": hashlib.sha256(METRICS.read_bytes()).hexdigest(),
    }


def _require(**given: str) -> None:
    empty = [name for name, value in given.items() if not value.strip()]
    if empty:
        raise GoLiveError(f"A decision needs {' and '.join(empty)}: give --{empty[0]}.")


def _why_not(streak: Streak) -> str:
    name = f"{streak.metric} by {streak.grain}"
    if streak.last_period is None:
        return f"{name} was never judged"
    if streak.gap is not None:
        return f"{name} was not judged in time for {_shown(streak.gap, streak.grain)}"
    since = f" since {streak.last_break}" if streak.last_break else ""
    return f"{name} agreed {streak.periods} of {streak.required} in a row{since}"


def _shown(period: date, grain: str) -> str:
    return f"{period:%Y-%m}" if grain == "month" else str(period)
