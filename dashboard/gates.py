"""What was checked before the numbers went out, what did not simply pass, and which versions went out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard.content import Column, Section, Table
from dashboard.wording import count, plain, several

if TYPE_CHECKING:
    from dashboard.published import Published

CHECKS = """
    select
        family,
        count(*) as checks,
        count(*) filter (where outcome = 'pass') as passed,
        count(*) filter (where outcome = 'warn') as flagged,
        count(*) filter (where outcome = 'quarantine') as set_aside,
        count(*) filter (where outcome = 'accepted') as accepted
    from marts.gate_results where run_id = $run_id
    group by all order by passed < checks desc, family
"""
# the same check of several tables is one row: it has one owner, one reason and one remedy
NOTICED = """
    select
        check_id, count(*) as findings, owner, severity, severity_reason, outcome, remedy,
        string_agg(message, '; ' order by check_name) as message
    from marts.gate_results where run_id = $run_id and outcome <> 'pass'
    group by all order by outcome, check_id
"""
HISTORY = """
    select
        version, outcome, reason, gates_passed, gates_warned, gates_failed, published_tables, published_rows, as_of,
        published_at
    from marts.publish_log order by published_at desc limit 20
"""


def sections(published: Published, run_id: str) -> list[Section]:
    """What was checked, by family; and every check that did not simply pass, with who answers for it and why."""
    families = published.rows(CHECKS, {"run_id": run_id})
    noticed = published.rows(NOTICED, {"run_id": run_id})
    total = sum(row["checks"] for row in families)
    unsettled = sum(row["findings"] for row in noticed)
    return [
        Section(
            "checks",
            "What was checked before these numbers went out?",
            f"{several(total, 'check')}; {count(unsettled)} did not pass outright."
            if noticed
            else f"All {count(total)} checks passed.",
            Table(
                [
                    Column("family", "Family"),
                    Column("checks", "Checks", "count"),
                    Column("passed", "Passed", "count"),
                    Column("flagged", "Flagged", "count"),
                    Column("set_aside", "Rows set aside", "count"),
                    Column("accepted", "Accepted", "count"),
                ],
                families,
            ),
            ["gate_results"],
            note="A blocking check that fails keeps the numbers from going out, so none of those failed.",
            is_list=True,
        ),
        Section(
            "noticed",
            "What did not pass outright, and who is looking into it?",
            f"{several(unsettled, 'check')}, owned by {', '.join(sorted({plain(row['owner']) for row in noticed}))}."
            if noticed
            else "Everything passed.",
            Table(
                [
                    Column("check_id", "Check"),
                    Column("findings", "Findings", "count"),
                    Column("owner", "Owner"),
                    Column("outcome", "Outcome"),
                    Column("message", "Found"),
                    Column("severity", "At worst"),
                    Column("severity_reason", "Because"),
                    Column("remedy", "What to do"),
                ],
                noticed,
            ),
            ["gate_results", "quality_findings"],
            is_list=True,
            is_wide=True,
        ),
    ]


def history(published: Published) -> Section:
    """The last runs, newest first: what was published and what was refused."""
    rows = published.rows(HISTORY)
    refused = sum(1 for row in rows if row["outcome"] != "published")
    return Section(
        "history",
        "Which versions went out, and which were held back?",
        f"{refused} of the last {len(rows)} runs did not publish."
        if refused
        else "Every run on record was published."
        if len(rows) > 1
        else "This is the first version.",
        Table(
            [
                Column("published_at", "When", "instant"),
                Column("as_of", "As of", "instant"),
                Column("outcome", "Outcome"),
                Column("gates_passed", "Passed", "count"),
                Column("gates_warned", "Warned", "count"),
                Column("gates_failed", "Failed", "count"),
                Column("published_rows", "Rows", "count"),
                Column("reason", "Reason"),
            ],
            rows,
        ),
        ["publish_log"],
        is_list=True,
        is_wide=True,
    )
