"""How fresh each silo is, how much of the last day may still come, and why newer data is not shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard import standing
from dashboard.content import Column, Section, Table

if TYPE_CHECKING:
    from dashboard.published import Published, Row

SILOS = """
    select
        source, latest_status, is_stale, silo_through_at, last_succeeded_as_of,
        cast(minutes_behind / 60.0 as decimal(18, 2)) as hours_behind, expected_completeness_24h,
        expected_completeness_24h_low, expected_completeness_24h_high, expected_completeness_24h_n,
        data_is_final_until, latest_error
    from marts.source_refresh order by source
"""
# newer data that the gate held back while these numbers go on serving
HELD_BACK = """
    select max(held_back_as_of) as held_back_as_of, max(held_back_reason) as held_back_reason
    from marts.source_refresh where is_held_back
"""
BLOCKING = """
    select check_name, owner, message, severity_reason, remedy
    from marts.gate_results
    where outcome = 'block'
        and run_id = (select max_by(run_id, published_at) from marts.publish_log where outcome = 'blocked')
    order by check_name
"""


def held_back_section(published: Published, held_back: Row) -> Section:
    """What keeps newer numbers from being shown."""
    blocking = published.rows(BLOCKING)
    return Section(
        "held-back",
        "Why are these not the newest numbers?",
        standing.held_back(held_back["held_back_as_of"], held_back["held_back_reason"]).sentence,
        Table(
            [
                Column("check_name", "Check"),
                Column("owner", "Owner"),
                Column("message", "Found"),
                Column("severity_reason", "Because"),
                Column("remedy", "What to do"),
            ],
            blocking,
        ),
        ["gate_results", "source_refresh"],
        is_list=True,
        is_wide=True,
    )


def silos_section(silos: list[Row]) -> Section:
    """Up to when each silo has spoken, and from when on nothing more is expected."""
    stale = [row["source"] for row in silos if row["is_stale"]]
    return Section(
        "silos",
        "How fresh is each silo?",
        f"Stale: {', '.join(stale)}." if stale else "Every silo is within its tolerance.",
        Table(
            [
                Column("source", "Silo"),
                Column("latest_status", "Last load"),
                Column("silo_through_at", "Data through", "instant"),
                Column("hours_behind", "Hours behind", "ratio"),
                Column("expected_completeness_24h", "Last 24 hours arrived", "share", is_estimate=True),
                Column("data_is_final_until", "Final until", "instant"),
                Column("latest_error", "Trouble"),
            ],
            silos,
        ),
        ["source_refresh"],
        note="Late records come with later loads: how much of the last 24 hours has arrived is estimated from how late"
        " records have been so far. Silos that are read in full have nothing outstanding.",
        is_list=True,
        is_wide=True,
    )
