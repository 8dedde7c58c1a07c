"""What a customer is worth and what it cost, by the channel that brought it, and when its cost is back."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dashboard import charts, drawing
from dashboard.content import Column, Section, Table
from dashboard.wording import count, interval, plain, several, share, written

if TYPE_CHECKING:
    from dashboard.content import Kind
    from dashboard.published import Published, Row

CHANNELS = "select * from marts.channel_economics order by channel = 'all' desc, ltv_cac desc nulls last, channel"
PAYBACK = """
    select
        cohort_month, strftime(cohort_month, '%b %Y') as cohort, month_of_tenure, cohort_customers,
        cumulative_margin_per_customer, paid_back_share, is_complete
    from marts.payback_curves
    where channel = 'all' and cohort_month >= (select min(month) from marts.revenue_metrics)
    order by cohort_month, month_of_tenure
"""
CUT = Decimal(4)  # times the spend; what is far past its payback would flatten the months that are not


def worth(channels: list[Row]) -> Section:
    """LTV beside CAC."""
    return _section(
        "worth",
        "What is a customer worth, and what did it cost to win, by channel?",
        channels,
        {"ltv": "var(--accent)", "cac": "var(--loss-1)"},
        "dollars",
        "is worth the most",
        [
            Column("ltv", "LTV, USD", "dollars", is_estimate=True),
            Column("cac", "CAC, USD", "dollars", is_estimate=True),
            Column("ltv_pooled", "LTV pooled, USD", "dollars"),
            Column("spend", "Spend, USD", "money"),
            Column("new_customers", "New customers", "count"),
        ],
        f"{_assumed(channels)} Lines are 95% intervals; dotted with a hollow dot, there is too little to decide by."
        " Logarithmic scale.",
    )


def ratio(channels: list[Row]) -> Section:
    """LTV over CAC."""
    return _section(
        "ratio",
        "How many times over does each channel earn back its cost?",
        channels,
        {"ltv_cac": "var(--accent)"},
        "ratio",
        "returns the most on its cost",
        [
            Column("ltv_cac", "LTV : CAC", "ratio", is_estimate=True),
            Column("payback_months", "Payback, months", "days", is_estimate=True),
            Column("cohort_weeks", "Weeks compared", "count"),
        ],
        "Left of the dashed line, a channel costs more than it brings in. Lines are 95% intervals, resampled by week;"
        " dotted with a hollow dot, there is too little to decide by.",
    )


def _section(
    anchor: str,
    title: str,
    channels: list[Row],
    colours: dict[str, str],
    kind: Kind,
    verb: str,
    columns: list[Column],
    note: str,
) -> Section:
    """Estimates by channel, one a key of `colours`; the first decides which channels are shown and which is named."""
    first = next(iter(colours))
    known = [row for row in channels if row[first] is not None]
    drawn = [_interval_row(row, name, kind) for row in known for name in colours if row[name] is not None]
    return Section(
        anchor,
        title,
        _best(known, first, kind, verb),
        Table([Column("channel", "Channel"), *columns, Column("reliability", "Reliability")], channels),
        ["channel_economics"],
        charts.intervals(
            drawn,
            kind,
            colours={_symbol(name): colour for name, colour in colours.items()},
            reference=1 if kind == "ratio" else None,  # what just earns its cost back
            logarithmic=True,
        )
        if drawn
        else None,
        note,
    )


def _assumed(channels: list[Row]) -> str:
    """What a lifetime value is of, for who reads the picture alone."""
    everybody = next((row for row in channels if row["channel"] == "all" and row["ltv_horizon_months"]), None)
    if everybody is None:
        return ""
    return (
        f"LTV is the margin of {several(everybody['ltv_horizon_months'], 'month')}, discounted at"
        f" {share(everybody['annual_discount_rate'])} a year; CAC is fully loaded."
    )


def _symbol(name: str) -> str:
    return name.upper().replace("_", ":")


def _best(rows: list[Row], name: str, kind: Kind, verb: str) -> str:
    """Only what can be decided by is named: the highest of many shaky numbers is the shakiest."""
    named = [row for row in rows if row["channel"] not in {"all", "unknown"} and row["is_reliable"]]
    if not named:
        return "No channel has enough customers to decide by yet."
    best = max(named, key=lambda row: (row[name], row["channel"]))
    told = f"{written(best[name], kind)} {_unit(kind)} ({interval(best, name, kind)})"
    return f"Of the channels with enough customers to decide by, {plain(best['channel'])} {verb}: {told}."


def _interval_row(row: Row, name: str, kind: Kind) -> Row:
    label = "all channels" if row["channel"] == "all" else plain(row["channel"])
    return {
        "label": label,
        "series": _symbol(name),
        "value": row[name],
        "low": row[f"{name}_low"],
        "high": row[f"{name}_high"],
        "is_weak": not row["is_reliable"],
        "said": f"{label}, {_symbol(name)}: {written(row[name], kind)} {_unit(kind)}, {interval(row, name, kind)},"
        f" n = {count(row[f'{name}_n'])}" + ("" if row["is_reliable"] else ", too little to decide by"),
    }


def _unit(kind: Kind) -> str:
    return "USD" if kind == "dollars" else "times"


def payback(published: Published) -> Section:
    """How much of a month's spend is back, month after month."""
    cohorts = published.rows(PAYBACK)
    ends: dict[str, Row] = {row["cohort"]: row for row in cohorts}
    known = [row for row in cohorts if row["paid_back_share"] is not None]
    seen = {row["cohort"]: row for row in known if row["paid_back_share"] <= CUT}
    names = list(ends)
    marked = {names[0], names[len(names) // 2], names[-1]} if names else set()
    rows = [
        {
            "x": row["month_of_tenure"],
            "value": row["paid_back_share"],
            "series": row["cohort"],
            "is_marked": row["cohort"] in marked,
            "is_last": row is seen.get(row["cohort"]),  # a month that begins above the cut has no end to name
            "said": f"acquired {row['cohort']}, month {row['month_of_tenure']}:"
            f" {share(row['paid_back_share'])} of the spend is back",
        }
        for row in known
    ]
    is_cut = any(row["paid_back_share"] > CUT for row in known)
    paid = sum(1 for row in ends.values() if row["paid_back_share"] is not None and row["paid_back_share"] >= 1)
    return Section(
        "payback",
        "When does a month's spend come back?",
        f"{paid} of {several(len(ends), 'acquisition month')} have earned back everything that was spent."
        if ends
        else "No acquisition month is over yet.",
        Table(
            [
                Column("cohort", "Acquired"),
                Column("cohort_customers", "Customers", "count"),
                Column("month_of_tenure", "Months observed", "count"),
                Column("cumulative_margin_per_customer", "Margin per customer, USD", "money"),
                Column("paid_back_share", "Spend that is back", "share"),
            ],
            list(ends.values()),
        ),
        ["payback_curves"],
        charts.curves(
            rows,
            "months since acquisition",
            "share",
            reference=1,
            highest=float(CUT) if is_cut else None,
            width=drawing.FULL,
        )
        if rows
        else None,
        "One line per acquisition month; the dashed line is what was spent"
        + (f"; cut off at {CUT} times the spend." if is_cut else "."),
        is_wide=True,
    )
