"""What stands at the head of every page: from when the numbers are, whether to trust them, and what has changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dashboard import changes
from dashboard.content import Value
from dashboard.wording import count, several

if TYPE_CHECKING:
    from datetime import datetime

    from dashboard.published import Published, Row

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
class Doubt:
    """What everybody has to know before reading a number, in pieces: an instant is written as the reader's locale does.

    `more` is where the trust page says more, and `anchor` its section.
    """

    headline: str
    pieces: tuple[str | Value, ...]
    more: str
    anchor: str

    @property
    def text(self) -> str:
        """Headline and sentence where no locale is known."""
        return f"{self.headline} {self.sentence}"

    @property
    def sentence(self) -> str:
        """The sentence alone."""
        return "".join(piece.shown if isinstance(piece, Value) else piece for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class Standing:
    """How far the numbers reach, and the reasons to trust or to doubt them. Instants are UTC."""

    as_of: datetime
    data_through_at: datetime
    final_until: datetime | None
    doubts: tuple[Doubt, ...]
    facts: tuple[Fact, ...]


def held_back(as_of: datetime, reason: str) -> Doubt:
    """That newer numbers than these exist, and were kept from being shown."""
    return Doubt(
        "Not the newest numbers.",
        ("The run of ", Value(as_of, "instant"), f" was held back: {reason} What is shown is the last good version."),
        "Which checks, and what to do",
        "held-back",
    )


def doubts(published: Published) -> list[Doubt]:
    """That newer numbers were held back, that a silo is stale."""
    return _doubts(published.row(SILOS))


def _doubts(silos: Row) -> list[Doubt]:
    found = []
    if silos["held_back_as_of"] is not None:
        found.append(held_back(silos["held_back_as_of"], silos["held_back_reason"]))
    if silos["stale"]:
        told = f"{silos['stale']}. Numbers that rest on it end where it stopped."
        found.append(Doubt("Older than it should be:", (told,), "Since when", "silos"))
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
        tuple(_doubts(silos)),
        (
            Fact(checks, "checks", "doubt" if flagged else ""),
            Fact(
                f"{count(agreed['agreed'])} of {metrics} have agreed with the company's own reports for long enough"
                if agreed["metrics"]
                else "not yet compared with the company's own reports",
                "validation",
                "" if agreed["agreed"] == agreed["metrics"] > 0 else "doubt",
            ),
            Fact(changes.in_short(published), "changes", "plain"),
        ),
    )
