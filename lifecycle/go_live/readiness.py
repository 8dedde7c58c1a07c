"""Whether the numbers have agreed with the company's own reports for long enough to send anything for real.

The criteria and the evidence are in the published file (`validation_streaks`, `validation_verdicts`), the decisions are
in the record (`lifecycle/go_live/record.py`). Real is a destination whose address is not on this machine; what is on
this machine (the sandbox) is never held back.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import duckdb

from lifecycle import settings
from lifecycle.go_live import record
from lifecycle.go_live.record import Entry, GoLiveError, NotYetError, Standing

if TYPE_CHECKING:
    from lifecycle.settings import Places


@dataclass(frozen=True, slots=True)
class Break:
    """A period that did not agree, as it was decided. Figures in the metric's own unit.

    `pattern` is how the figures of now differ, where that is another definition rather than a slip.
    """

    metric: str
    grain: str
    period: date
    status: str
    unexplained: str
    tolerance: str
    judged_at: datetime
    pattern: str | None = None

    def __str__(self) -> str:
        what = f"{self.metric} of {_shown(self.period, self.grain)}"
        if self.status == "not filed":
            return f"{what} was not reported in time"
        seen = f" ({self.pattern})" if self.pattern else ""
        return f"{what} differs by {self.unexplained} that nobody explains, {self.tolerance} would be tolerated{seen}"


@dataclass(frozen=True, slots=True)
class Streak:
    """How long one metric has agreed, and whether that suffices (`is_ready`).

    `last_period` is the last one judged, `gap` one that nobody judged in time, `restated` the first of those that
    agreed when they were closed and would not now.
    """

    metric: str
    grain: str
    periods: int
    required: int
    last_period: date | None
    gap: date | None
    restated_periods: int
    restated: date | None
    is_ready: bool
    last_break: Break | None


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
        return [streak for streak in self.streaks if not streak.is_ready]

    @property
    def may_be_approved(self) -> bool:
        """Whether there is a publication, and nothing in it that stands in the way."""
        return self.version is not None and not self.missing


def read(places: Places) -> list[Entry]:
    """Every decision, the oldest first.

    Raises:
        GoLiveError: if the record was tampered with.
    """
    return record.read(places.go_live)


def standing(places: Places, as_of: datetime) -> Standing:
    """What the record says for a run at `as_of`, and what was published since it was written.

    A breach counts from the version on that shows it: a run that was killed, or published without the rest of the job,
    came to write nothing down.

    Raises:
        GoLiveError: if the record was tampered with.
    """
    entries = record.read(places.go_live)
    breach = _breach(places, entries, "", as_of)
    return record.standing([*entries, breach] if breach else entries, today(as_of))


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
    if not path.exists():
        return Status(record.standing(record.read(places.go_live), date.min), [], None, None)
    with duckdb.connect(str(path), read_only=True) as connection:
        as_of = _as_of(connection)
        streaks = [_streak(row) for row in connection.execute(_STREAKS).fetchall()]
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

    If going live was approved before, this breach is written down and real destinations are back in shadow mode; so is
    one that an earlier run published and did not come to write down. A closed period that moved is only told.
    """
    entries = record.read(places.go_live)
    approval = _approval(entries, as_of)
    broken = _broken(places, min(as_of, datetime.fromisoformat(approval.as_of)) if approval else as_of)
    with duckdb.connect(str(places.complete_file.resolve()), read_only=True) as connection:
        restated = connection.execute(_RESTATED_SINCE, [as_of]).fetchall()
    told = [
        f"validation: {metric} of {_shown(period, grain)} agreed when it was closed and would not any more; give the"
        " reason in seeds/validation/reconciling_items.csv"
        for metric, grain, period in restated
    ]
    if not broken:
        return told
    sentences = [f"validation: {each}" for each in broken] + told
    breach = _breach(places, entries, run_id, as_of)
    if breach is not None:
        record.append(places.go_live, breach)
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
                "restated_periods": each.restated_periods,
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


_BROKEN_SINCE = """
    select
        verdicts.metric, verdicts.grain, verdicts.period, verdicts.status,
        coalesce(cast(verdicts.unexplained as varchar), ''), cast(verdicts.tolerance as varchar), verdicts.judged_at,
        reconciled.pattern
    from marts.validation_verdicts as verdicts
    left join marts.reconciliation as reconciled using (metric, grain, period)
    where not verdicts.is_within and verdicts.judged_at >= ?
    order by verdicts.period, verdicts.metric, verdicts.grain
"""
_RESTATED_SINCE = """
    select metric, grain, period from marts.validation_verdicts where restated_at >= ? order by period, metric, grain
"""
_STREAKS = """
    select
        metric, grain, streak, required_periods, last_period, gap_period, restated_periods, restated_period, is_ready,
        broken_period, broken_status, coalesce(cast(broken_unexplained as varchar), ''),
        cast(broken_tolerance as varchar), broken_judged_at
    from marts.validation_streaks order by all
"""
_CRITERIA = """
    select
        metric, grain, definition, unit, tolerance_share, tolerance_absolute, judged_after_days, judged_within_days,
        required_periods, fixed_on, fixed_by
    from marts.validation_streaks order by all
"""
_ROW_OF_PERIODS = """
    select metric, grain, period, run_id, fingerprint from marts.validation_verdicts as verdicts
    where period > (
        select coalesce(max(period), date '1900-01-01') from marts.validation_verdicts as broken
        where broken.metric = verdicts.metric and broken.grain = verdicts.grain and broken.streak = 0
    )
    order by all
"""


def _approval(entries: list[Entry], as_of: datetime) -> Entry | None:
    """The approval that is in force, if that is what real destinations are live by."""
    entry = record.standing(entries, today(as_of)).entry
    return entry if entry is not None and entry.kind == record.APPROVED else None


def _breach(places: Places, entries: list[Entry], run_id: str, as_of: datetime) -> Entry | None:
    """What has to be written down of periods that were published as not agreeing since the approval in force."""
    approval = _approval(entries, as_of)
    broken = _broken(places, datetime.fromisoformat(approval.as_of)) if approval else []
    if not broken:
        return None
    found = {"run_id": run_id, "version": places.complete_file.resolve().parent.name}
    reason = "; ".join(str(each) for each in broken)
    return Entry(record.BREACHED, f"{as_of}", "the run", reason, evidence=found)


def _broken(places: Places, since: datetime) -> list[Break]:
    """Periods that the published version shows as judged since then, and as not agreeing."""
    path = places.complete_file.resolve()
    if not path.exists():
        return []
    with duckdb.connect(str(path), read_only=True) as connection:
        return [Break(*row) for row in connection.execute(_BROKEN_SINCE, [since]).fetchall()]


def _as_of(connection: duckdb.DuckDBPyConnection) -> datetime:
    found = connection.execute("select max(as_of) from marts.publish_log where outcome = 'published'").fetchall()
    as_of: datetime = found[0][0]
    return as_of


def _streak(row: tuple[Any, ...]) -> Streak:
    """A row of `_STREAKS`: what a streak consists of, then its last break."""
    metric, grain, periods, required, last_period, gap, restated_periods, restated, is_ready, *broken = row
    last_break = Break(metric, grain, *broken) if broken[0] is not None else None
    return Streak(metric, grain, periods, required, last_period, gap, restated_periods, restated, is_ready, last_break)


def _evidence(places: Places, found: Status) -> dict[str, Any]:
    """What an approval rests on: the version, the runs that judged, and digests of the figures and of the criteria."""
    with duckdb.connect(str(places.complete_file.resolve()), read_only=True) as connection:
        rows = connection.execute(_ROW_OF_PERIODS).fetchall()
        criteria = connection.execute(_CRITERIA).fetchall()
    return {
        "version": found.version,
        "streaks": {f"{each.metric} by {each.grain}": each.periods for each in found.streaks},
        "first_period": str(min(row[2] for row in rows)),
        "last_period": str(max(row[2] for row in rows)),
        "run_ids": sorted({str(row[3]) for row in rows}),
        "figures": len(rows),
        "fingerprint": _digest(rows),
        "criteria": _digest(criteria),
    }


def _digest(rows: list[tuple[Any, ...]]) -> str:
    return hashlib.sha256("\n".join("|".join(str(value) for value in row) for row in rows).encode()).hexdigest()


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
    if streak.restated is not None and streak.periods >= streak.required:
        return (
            f"{name} was restated: {_shown(streak.restated, streak.grain)} agreed when it was closed and would not any"
            " more, and nobody has accepted a reason"
        )
    since = f" since {streak.last_break}" if streak.last_break else ""
    return f"{name} agreed {streak.periods} of {streak.required} in a row{since}"


def _shown(period: date, grain: str) -> str:
    return f"{period:%Y-%m}" if grain == "month" else str(period)
