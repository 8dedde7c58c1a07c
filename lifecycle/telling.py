"""What the team is told of a run, by the way it ended: published, held back by the gate, or not able to go on.

Each ends in one digest (lifecycle/alerts.py decides what of it is news) and is noted for the dead man's switch.
"""

from __future__ import annotations

import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from lifecycle import alerts, last_run
from lifecycle.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.gate import Verdict
    from lifecycle.run import Summary
    from lifecycle.settings import Places


def published(places: Places, summary: Summary) -> str:
    """Tell what did not go well in a run that published, and what is over; the sentence for the terminal."""
    found = [
        alerts.Trouble(f"silo:{source.source}", f"{source.source} gave nothing: {(source.error or '').rstrip('.')}")
        for source in summary.failed_sources
    ]
    found += [
        alerts.Trouble(
            f"destination:{tally.destination}",
            f"{tally.destination}: {tally.rejected} rejected, {tally.unknown} unknown, {tally.waiting} waiting"
            + (f", stopped: {tally.stopped.rstrip('.')}" if tally.stopped else "")
            + (f" ({tally.commonest_reason.rstrip('.')})" if tally.commonest_reason and not tally.stopped else ""),
        )
        for tally in (summary.activation.tallies if summary.activation else ())
        if not tally.is_clean
    ]
    found += [
        alerts.Trouble(f"alarm:{re.sub(r'[0-9]+', '#', alarm)}", alarm.rstrip("."))
        for alarm in (summary.activation.alarms if summary.activation else ())
    ]
    found += [alerts.Trouble(f"go-live:{re.sub(r'[0-9]+', '#', said)}", said.rstrip(".")) for said in summary.breaks]
    noted = _found(summary.verdict) if summary.verdict else []
    # a silo that is down is already said, with the vendor's own words
    noted = [each for each in noted if not each.key.startswith("gate:silo_answered ")]
    headline = f"Customer lifecycle, {summary.run_id}: published."
    told = alerts.digest(places, "run", headline, [*found, *noted], settles="start")
    last_run.note_end(places, summary.run_id, has_published=True)
    text = "; ".join(trouble.text for trouble in found)
    return " ".join(part for part in (f"{text}." if text else "", told, alerts.beat()) if part)


def held_back(places: Places, run_id: str, verdict: Verdict, goes_on: str) -> str:
    """Tell which checks kept a run from being published; `goes_on` says what serves. The sentence for the terminal."""
    headline = f"Customer lifecycle, {run_id}: nothing was published, {goes_on}."
    told = alerts.digest(places, "run", headline, _found(verdict), settles="start")
    last_run.note_end(places, run_id, has_published=False)
    return told


@contextmanager
def failures(places: Places, run_id: str, command: str) -> Iterator[None]:
    """Tell the team of a whole run that could not go on, and let the error pass."""
    try:
        yield
    except Exception as error:
        if command == "run":
            # the text of a library's error may hold data; of our own ones it is a sentence made to be shown
            ours = type(error).__module__.split(".")[0] in {"lifecycle", "ingest", "activation", "sandbox"}
            trouble = alerts.Trouble("run:failed", str(error) if ours else f"It ended with {type(error).__name__}.")
            headline = f"Customer lifecycle, {run_id}: the run could not go on."
            with suppress(ConfigurationError):  # that alerts are set up wrongly is what the run ends with
                alerts.digest(places, "start", headline, [trouble])
            last_run.note_end(places, run_id, has_published=False)
        raise


def _found(verdict: Verdict) -> list[alerts.Trouble]:
    """What the gate has to tell: what blocks first, then what it flagged and set aside."""
    said = {"block": "BLOCKED", "warn": "flagged", "quarantine": "set aside", "skip": "not looked at"}
    causes = [check for check in verdict.blocking if check.outcome != "skip"] or verdict.blocking
    return [
        alerts.Trouble(
            f"gate:{check.name}",
            f"{said[check.outcome]}: {check.name}, for {check.owner}"
            + (f" ({check.message})" if check.message else ""),
        )
        for check in [*causes, *verdict.warnings]
    ]
