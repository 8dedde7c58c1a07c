"""What a customer is worth and what it cost, by the channel that brought it, and when its cost is back."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dashboard import charts
from dashboard.content import Column, Section, Table
from dashboard.wording import count, interval, plain, share, written

if TYPE_CHECKING:
    from dashboard.content import Kind
    from dashboard.published import Published, Row

CHANNELS = "select * from marts.channel_economics order by channel = 'all' desc, ltv_cac desc nulls last, channel"
PAYBACK = """
    select
        cohort_month, strftime(cohort_month, '%b %y') as cohort, month_of_tenure, cohort_customers,
        cumulative_margin_per_customer, paid_back_share, is_complete
    from marts.payback_curves
    where channel = 'all' and cohort_month >= (select min(month) from marts.revenue_metrics)
    order by cohort_month, month_of_tenure
"""
CUT = Decimal(4)  # times the spend; what is far past its payback would flatten the months that are not


def worth(channels: list[Row]) -> Section:
    """LTV beside CAC."""
    known = [row for row in channels if row["ltv"] is not None]
    columns = [
        Column("channel", "Channel"),
        Column("ltv", "LTV, USD", "money", is_estimate=True),
        Column("cac", "CAC, USD", "money", is_estimate=True),
        Column("ltv_pooled", "LTV pooled, USD", "money"),
        Column("spend", "Spend, USD", "money"),
        Column("new_customers", "New customers", "count"),
        Column("reliability", "Reliability"),
    ]
    return Section(
        "worth",
        "What is a customer worth and what did it cost, by the channel that brought it?",
        _best(known, "ltv", "money", "is worth most"),
        Table(columns, channels),
        ["channel_economics"],
        charts.intervals(
            [
                row
                for channel in known
                for name in ("ltv", "cac")
                if channel[name] is not None
                for row in _interval_rows([channel], name, "money", "USD")
            ],
            "money",
            colours={"LTV": "var(--accent)", "CAC": "var(--loss-1)"},
            logarithmic=True,
        ),
        "Bars are 95% intervals; grey ones rest on too little to decide by. Logarithmic scale.",
    )


def ratio(channels: list[Row]) -> Section:
    """LTV over CAC."""
    known = [row for row in channels if row["ltv_cac"] is not None]
    columns = [
        Column("channel", "Channel"),
        Column("ltv_cac", "LTV : CAC", "ratio", is_estimate=True),
        Column("payback_months", "Payback, months", "days", is_estimate=True),
        Column("cohort_weeks", "Weeks compared", "count"),
        Column("reliability", "Reliability"),
    ]
    return Section(
        "ratio",
        "How often does each channel earn its cost back?",
        _best(known, "ltv_cac", "ratio", "returns most on what it costs"),
        Table(columns, channels),
        ["channel_economics"],
        charts.intervals(
            _interval_rows(known, "ltv_cac", "ratio", "times"),
            "ratio",
            colours={"LTV:CAC": "var(--accent)"},
            reference=1,
            logarithmic=True,
        ),
        "Left of the dashed line a channel costs more than it brings. Weeks are the unit of resampling.",
    )


def _best(rows: list[Row], name: str, kind: Kind, verb: str) -> str:
    """Only what can be decided by is named: the highest of many shaky numbers is the shakiest."""
    named = [row for row in rows if row["channel"] not in {"all", "unknown"} and row["is_reliable"]]
    if not named:
        return "No channel has enough customers for an estimate to decide by yet."
    best = max(named, key=lambda row: (row[name], row["channel"]))
    told = f"{written(best[name], kind)} {'USD' if kind == 'money' else 'times'} ({interval(best, name, kind)})"
    return f"{plain(best['channel']).capitalize()} {verb} of those with enough to decide by: {told}."


def _interval_rows(rows: list[Row], name: str, kind: Kind, unit: str) -> list[Row]:
    return [
        {
            "label": "all channels" if row["channel"] == "all" else plain(row["channel"]),
            "series": name.upper().replace("_", ":"),
            "value": row[name],
            "low": row[f"{name}_low"],
            "high": row[f"{name}_high"],
            "is_weak": not row["is_reliable"],
            "said": f"{plain(row['channel'])}, {name.upper().replace('_', ':')}: {written(row[name], kind)} {unit},"
            f" {interval(row, name, kind)},"
            f" n = {count(row[f'{name}_n'])}",
        }
        for row in rows
    ]


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
    paid = sum(1 for row in ends.values() if row["paid_back_share"] is not None and row["paid_back_share"] >= 1)
    return Section(
        "payback",
        "When has a month's spend come back?",
        f"{paid} of {len(ends)} months of acquisition have already earned their whole spend back."
        if ends
        else "No month of acquisition is over yet.",
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
            rows, "months since acquisition", "share", reference=1, highest=float(CUT), width=charts.FULL - 40
        )
        if rows
        else None,
        f"One line per month of acquisition; the dashed line is the spend; cut at {CUT} times the spend.",
        is_wide=True,
    )
