"""What is different from the version before, and which closed months were restated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb

from dashboard.content import Column, Section, Table, Value
from dashboard.wording import several

if TYPE_CHECKING:
    from dashboard.content import Kind
    from dashboard.published import Published, Row

RESTATED = """
    select month, customer_id, old_mrr, new_mrr, difference, cause, published_at
    from marts.mrr_restatements order by published_at desc, month desc, customer_id limit 20
"""
AS_OF = "select max(as_of) from {catalog}.marts.publish_log where outcome = 'published'"
DEFINITIONS = "select max(definition_version) from {catalog}.marts.customer_lifecycle"
CLOSED = " from {catalog}.marts.revenue_metrics where not is_open_month order by month desc limit 1"
MRR = "MRR, USD"
KEY_FIGURES: dict[str, tuple[Kind, str]] = {
    "customers": ("count", "select count(*) from {catalog}.marts.customer_lifecycle"),
    "paying customers": ("count", "select count(*) from {catalog}.marts.customer_lifecycle where mrr > 0"),
    MRR: ("money", "select sum(mrr) from {catalog}.marts.customer_lifecycle"),
    "net retention, 12 months": ("share", "select nrr_12m" + CLOSED),
    "gross retention, 12 months": ("share", "select grr_12m" + CLOSED),
    "lifetime value, all channels, USD": (
        "dollars",
        "select ltv from {catalog}.marts.channel_economics where channel = 'all'",
    ),
    "acquisition cost, all channels, USD": (
        "dollars",
        "select cac from {catalog}.marts.channel_economics where channel = 'all'",
    ),
    "customers at risk": (
        "count",
        "select count(*) from {catalog}.marts.customer_lifecycle where lifecycle_state = 'at_risk'",
    ),
    "actions permitted": (
        "count",
        "select count(*) from {catalog}.marts.action_decisions where decision = 'permitted'",
    ),
}


def section(published: Published) -> Section:
    """The figures that people quote, before and now."""
    rows = _compared(published)
    return Section(
        "changes",
        "What changed since the last publication?",
        _told(published, rows),
        Table(
            [
                Column("figure", "Figure"),
                Column("before", "Before", "money"),
                Column("now", "Now", "money"),
                Column("change", "Change", "money"),
            ],
            rows,
        ),
        ["publish_log", "customer_lifecycle", "revenue_metrics", "channel_economics", "action_decisions"],
        note="Changes in a share are in percentage points.",
        is_list=True,
    )


def in_short(published: Published) -> str:
    """In a line: by how much MRR moved since the last publication, and how many other figures did."""
    if not published.has_previous:
        return "nothing to compare with yet: only one version is kept"
    rows = _compared(published)
    moved = sum(1 for row in rows if row["change"].raw)
    by = next(row["change"].raw for row in rows if row["figure"] == MRR)
    since = Value(_first(published, AS_OF, "previous"), "instant").shown
    return f"MRR {'unchanged' if not by else f'{by:+,.2f} USD'}, {moved} of {len(rows)} key figures moved since {since}"


def _compared(published: Published) -> list[Row]:
    rows: list[Row] = []
    for label, (kind, question) in KEY_FIGURES.items():
        now = _first(published, question, "now")
        before = _first(published, question, "previous") if published.has_previous else None
        changed = None if before is None or now is None else now - before
        rows.append(
            {"figure": label, "before": Value(before, kind), "now": Value(now, kind), "change": Value(changed, kind)}
        )
    return rows


def _told(published: Published, rows: list[Row]) -> str:
    if not published.has_previous:
        return "Only one version is kept, so there is nothing to compare with yet."
    moved = sum(1 for row in rows if row["change"].raw)
    as_of, definitions = (_first(published, question, "previous") for question in (AS_OF, DEFINITIONS))
    same = (
        "under the same definitions"
        if definitions == _first(published, DEFINITIONS, "now")
        else "and definitions were changed in between: what moved may be a rule and not a customer"
    )
    return f"{moved} of {len(rows)} key figures moved since {Value(as_of, 'instant').shown}, {same}."


def _first(published: Published, question: str, catalog: str) -> Any:
    """The first value of an answer; none if there is none, or an earlier version does not have the column yet."""
    try:
        found = published.rows(question.format(catalog=catalog))
    except (duckdb.CatalogException, duckdb.BinderException):
        if catalog == "now":
            raise
        return None
    return next(iter(found[0].values())) if found else None


def restated(published: Published) -> Section:
    """What was true of a closed month and is not any more."""
    rows = published.rows(RESTATED)
    return Section(
        "restated",
        "Which closed months were restated?",
        f"The latest {several(len(rows), 'correction')} to closed months."
        if rows
        else "No closed month has been restated.",
        Table(
            [
                Column("month", "Month", "date"),
                Column("customer_id", "Customer"),
                Column("old_mrr", "Was, USD", "money"),
                Column("new_mrr", "Is, USD", "money"),
                Column("difference", "Difference, USD", "money"),
                Column("cause", "Cause"),
            ],
            rows,
        ),
        ["mrr_restatements"],
        is_list=True,
        is_wide=True,
    )
