"""What stands at the head of every page: from when the numbers are, whether to trust them, and what has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard import changes
from dashboard.content import Value
from dashboard.wording import count, several

if TYPE_CHECKING:
    from datetime import datetime

    from dashboard.published import Published

PUBLISHED = """
    select as_of, data_through_at, gates_passed, gates_warned, gates_failed
    from marts.publish_log where outcome = 'published' order by published_at desc limit 1
"""
# the youngest instant before which no silo is expected to say anything new, and newer data that the gate held back
SILOS = """
    select
        min(data_is_final_until) as final_until,
        coalesce(string_agg(source, ', ' order by source) filter (where is_stale), '') as stale,
        max(held_back_as_of) filter (where is_held_back) as held_back_as_of,
        max(held_back_reason) filter (where is_held_back) as held_back_reason
    from marts.source_refresh
"""
AGREED = "select count(*) as metrics, count(*) filter (where is_ready) as agreed from marts.validation_streaks"


@dataclass(frozen=True, slots=True)
class Fact:
    """A reason to trust the numbers or to doubt them, and the section of the trust page that says more."""

    text: str
    anchor: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Instants are UTC; `held_back_as_of` is of the newest run that the gate kept from being shown, if there is one."""

    as_of: datetime
    data_through_at: datetime
    final_until: datetime | None
    stale: str
    held_back_as_of: datetime | None
    held_back_reason: str | None
    facts: tuple[Fact, ...]


def doubts(published: Published) -> list[str]:
    """What everybody has to know before reading a number: that newer ones were held back, that a silo is stale."""
    silos = published.row(SILOS)
    found = []
    if silos["held_back_as_of"] is not None:
        when = Value(silos["held_back_as_of"], "instant").shown
        found.append(f"Not the newest numbers: the run of {when} was held back: {silos['held_back_reason']}")
    if silos["stale"]:
        found.append(f"Older than it should be: {silos['stale']}.")
    return found


def read(published: Published) -> Standing:
    """How the published version stands."""
    version, silos, agreed = (published.row(query) for query in (PUBLISHED, SILOS, AGREED))
    flagged = version["gates_warned"] + version["gates_failed"]
    checks = f"{several(version['gates_passed'], 'check')} passed, {count(flagged) if flagged else 'none'} flagged"
    metrics = several(agreed["metrics"], "metric")
    return Standing(
        version["as_of"],
        version["data_through_at"],
        silos["final_until"],
        silos["stale"],
        silos["held_back_as_of"],
        silos["held_back_reason"],
        (
            Fact(checks, "checks", "doubt" if flagged else ""),
            Fact(
                f"{count(agreed['agreed'])} of {metrics} agreed with the company's own reports for long enough"
                if agreed["metrics"]
                else "not yet compared with the company's own reports",
                "validation",
                "" if agreed["agreed"] == agreed["metrics"] > 0 else "doubt",
            ),
            Fact(changes.in_short(published), "changes", "plain"),
        ),
    )
