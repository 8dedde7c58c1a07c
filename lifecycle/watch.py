"""The dead man's switch: is there a run that should have been and was not?

A run that never starts tells nobody. So `lifecycle watch` is started by another scheduler than the run's, needs
neither warehouse nor silos, and looks at what the runs left: when one last came to its end, when one last published.
Time is the machine's, not the world's: a run is late for the people who wait for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from lifecycle import alerts, last_run, settings
from lifecycle.alerts import Trouble
from lifecycle.answering import Json, answering, say

if TYPE_CHECKING:
    from lifecycle.settings import Places


def troubles(places: Places, hours: float, now: datetime) -> list[Trouble]:
    """What is late by more than `hours`."""
    last = last_run.read(places)
    found = []
    if last.ended_at is None:
        found.append(Trouble("watch:run", "No run has ever come to its end here."))
    elif _hours(now, last.ended_at) > hours:
        found.append(
            Trouble(
                "watch:run",
                f"No run has ended for {_hours(now, last.ended_at):.0f} hours (allowed are {hours:g}); the last was"
                f" {last.run_id} at {last.ended_at} UTC. Does the scheduler start it? See `lifecycle doctor`.",
            )
        )
    if last.ended_at is not None and last.published_at is None:
        found.append(Trouble("watch:publication", "Nothing was ever published here. `lifecycle status` says why."))
    elif last.published_at is not None and _hours(now, last.published_at) > hours:
        found.append(
            Trouble(
                "watch:publication",
                f"Nothing was published for {_hours(now, last.published_at):.0f} hours (allowed are {hours:g}); the"
                " numbers that serve are older than that. `lifecycle status` says what holds the newer ones back.",
            )
        )
    return found


def watch(
    hours: Annotated[float | None, typer.Option(help="How long it may be; by default alerts.after_hours.")] = None,
    as_json: Json = False,
) -> None:
    """Alert if no run has ended, or nothing was published, for too long. For a scheduler of its own."""
    with answering(as_json=as_json):
        places = settings.places()
        allowed = float(settings.ALERT_AFTER_HOURS.read()) if hours is None else hours
        found = troubles(places, allowed, _now())
        told = alerts.digest(places, "watch", "Customer lifecycle, watch:", found)
        last = last_run.read(places)
        text = (
            "\n".join(trouble.text for trouble in found) or f"{last.run_id} ended at {last.ended_at} UTC; all is well."
        )
        document = {
            "troubles": [trouble.text for trouble in found],
            "ended_at": None if last.ended_at is None else last.ended_at.isoformat(),
            "published_at": None if last.published_at is None else last.published_at.isoformat(),
        }
        say(document, f"{text} {told}".rstrip(), as_json=as_json)
        if found:
            raise typer.Exit(1)


def _hours(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds() / 3600


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
