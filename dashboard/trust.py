"""For everybody who has to rely on the rest: how fresh, how checked, how sure, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard import certainty, changes, freshness, gates, validation
from dashboard.content import Page, Tile, Value
from dashboard.wording import count, plain

if TYPE_CHECKING:
    from dashboard.published import Published

PUBLISHED = """
    select * from marts.publish_log where outcome = 'published' order by published_at desc limit 1
"""


def page(published: Published) -> Page:
    """The trust page."""
    version = published.row(PUBLISHED)
    silos = published.rows(freshness.SILOS)
    *identities, everything = published.rows(certainty.IDENTITIES)
    streaks = published.rows(validation.STREAKS)
    held_back = published.row(freshness.HELD_BACK)
    is_held_back = held_back["held_back_as_of"] is not None
    stale = sum(1 for row in silos if row["is_stale"])
    agreed, differences, mistakes = validation.sections(published, streaks)
    tiles = [
        Tile(
            "Data through",
            Value(version["data_through_at"], "instant"),
            "",
            f"newer data of {Value(held_back['held_back_as_of'], 'instant').shown} was held back"
            if is_held_back
            else "every silo is complete up to here",
        ),
        Tile("Silos fresh", Value(len(silos) - stale, "count"), f"of {len(silos)}"),
        Tile(
            "Checks passed",
            Value(version["gates_passed"], "count"),
            "",
            f"{version['gates_warned']} warned, {version['gates_failed']} failed",
        ),
        Tile(
            "Records that found a customer",
            Value(everything["matched"], "share"),
            "",
            f"of {count(everything['records'])} records",
        ),
    ]
    if streaks:
        weakest = streaks[0]
        tiles.append(
            Tile(
                "Shortest validation streak",
                Value(weakest["streak"], "count"),
                f"of {weakest['required_periods']} {weakest['grain']}s",
                plain(weakest["metric"]),
            )
        )
    return Page(
        "trust",
        "Trust",
        "How fresh are these numbers, what was checked, how sure are we, and what has changed?",
        tiles,
        [
            *([freshness.held_back_section(published, held_back)] if is_held_back else []),
            freshness.silos_section(silos),
            changes.section(published),
            *gates.sections(published, version["run_id"]),
            agreed,
            differences,
            certainty.identities_section(identities, published.rows(certainty.METHODS)),
            mistakes,
            *certainty.scores(published),
            gates.history(published),
            changes.restated(published),
        ],
    )
