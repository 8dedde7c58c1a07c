"""For how long ours and the company's own reports have agreed, and what explains where they did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard import charts, drawing
from dashboard.content import Column, Section, Table, Value
from dashboard.wording import count, plain, several

if TYPE_CHECKING:
    from dashboard.published import Published, Row

STREAKS = """
    select
        metric, grain, metric || ', by ' || grain as name, last_period as period, streak, required_periods, is_ready,
        broken_period, broken_status as status, broken_unexplained as unexplained, broken_tolerance as tolerance,
        restated_periods, unit
    from marts.validation_streaks order by streak / required_periods, name
"""
ITEMS = """
    select
        item_type, count(*) as items, sum(abs(amount)) filter (where unit = 'USD') as dollars,
        count(*) filter (where disposition = 'open') as open_items,
        max(age_days) filter (where disposition = 'open') as oldest,
        count(*) filter (where is_report_error) as report_errors
    from marts.reconciliation_items group by all order by item_type
"""
ERRORS = """
    select
        period, metric || ', by ' || grain as name, origin, nullif(amount, 0) as amount, unit, disposition, evidence,
        prepared_by
    from marts.reconciliation_items where is_report_error
    order by period desc, name, origin limit 20
"""


def sections(published: Published, streaks: list[Row]) -> list[Section]:
    """How long each metric has agreed, what the differences consist of, and which reports were wrong."""
    items, errors = (published.rows(query) for query in (ITEMS, ERRORS))
    enough = sum(1 for row in streaks if row["is_ready"])
    wrong = sum(row["report_errors"] for row in items)
    unexplained = sum(row["items"] for row in items if row["item_type"] == "unexplained")
    return [
        Section(
            "validation",
            "For how long have these numbers agreed with the company's own reports?",
            f"{enough} of {several(len(streaks), 'metric')} have agreed for as long as going live requires."
            if any(row["period"] for row in streaks)
            else "No report has been compared yet: `lifecycle go-live status` says what is missing.",
            Table(
                [
                    Column("name", "Metric"),
                    Column("streak", "In a row", "count"),
                    Column("required_periods", "Needed", "count"),
                    Column("period", "Judged up to", "date"),
                    Column("restated_periods", "Restated", "count"),
                    Column("broken_period", "Last break", "date"),
                    Column("status", "Then"),
                    Column("unexplained", "Unexplained", "money"),
                    Column("tolerance", "Tolerated", "money"),
                    Column("unit", "Unit"),
                ],
                [{**row, **_in_unit(row, "unexplained", "tolerance"), "name": plain(row["name"])} for row in streaks],
            ),
            ["validation_streaks"],
            charts.bars(_progress(streaks), width=drawing.FULL, highest=1) if streaks else None,
            "A period that did not agree when it was due remains a break, even if the figure is corrected later: the"
            " count starts again. One that agreed and moved after it was closed is restated, and breaks no streak.",
            is_wide=True,
            is_list=True,
        ),
        Section(
            "reconciling-items",
            "What do the differences consist of?",
            f"{several(unexplained, 'difference is', 'differences are')} unexplained."
            if unexplained
            else ("Every difference is explained." if items else "There are no differences."),
            Table(
                [
                    Column("item_type", "Kind"),
                    Column("items", "Items", "count"),
                    Column("dollars", "In USD", "money"),
                    Column("open_items", "Open", "count"),
                    Column("oldest", "Oldest, days", "count"),
                ],
                [{**row, "item_type": plain(row["item_type"])} for row in items],
            ),
            ["reconciliation_items"],
            is_list=True,
        ),
        Section(
            "report-errors",
            "What did the company's own reports get wrong?",
            f"{several(wrong, 'mistake was', 'mistakes were')} found in them."
            if wrong
            else "No mistake was found in them.",
            Table(
                [
                    Column("name", "Metric"),
                    Column("period", "Period", "date"),
                    Column("amount", "Off by", "money"),
                    Column("unit", "Unit"),
                    Column("disposition", "Now"),
                    Column("evidence", "What shows it"),
                    Column("prepared_by", "Prepared by"),
                ],
                [{**row, **_in_unit(row, "amount"), "name": plain(row["name"])} for row in errors],
            ),
            ["reconciliation_items"],
            is_wide=True,
            is_list=True,
        ),
    ]


def _progress(streaks: list[Row]) -> list[Row]:
    """How far each metric is on its way to going live, as bars that end at 100 %."""
    return [
        {
            "label": plain(row["name"]),
            "value": min(row["streak"] / row["required_periods"], 1),
            "shown": f"{count(row['streak'])} of {count(row['required_periods'])} {row['grain']}s",
            "colour": "var(--accent)" if row["is_ready"] else "var(--neutral)",
            "said": f"{plain(row['name'])}: {count(row['streak'])} in a row of {count(row['required_periods'])} needed",
        }
        for row in streaks
    ]


def _in_unit(row: Row, *names: str) -> Row:
    """Money to the cent, people as they are counted; tolerances of people may be fractions."""
    return {
        name: Value(row[name], "money" if row["unit"] == "USD" or row[name] != int(row[name] or 0) else "count")
        for name in names
    }
