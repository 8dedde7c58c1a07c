"""Recurring revenue: what moved it, whether it holds, where growth comes from."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dashboard import charts
from dashboard.content import Column, Section, Table
from dashboard.wording import interval, money, several, share

if TYPE_CHECKING:
    from dashboard.published import Row

MONTHS = """
    select *, strftime(month, '%b %Y') as month_name, strftime(month, '%B %Y') as month_spoken
    from marts.revenue_metrics order by month
"""
STEPS = ("new", "reactivation", "expansion", "contraction", "churn")


def bridge(month: Row) -> Section:
    """From one month's end to the next, every movement a step."""
    steps: list[Row] = []
    level = month["opening_mrr"]
    amounts = [(name, month[f"{name}_mrr"]) for name in STEPS] + [("exchange rates", month["fx_mrr"])]
    rows: list[Row] = [{"step": "opening", "amount": level}]
    steps.append(_step("opening", "balance", Decimal(0), level, level))
    for name, amount in amounts:
        steps.append(_step(name, name, level, level + amount, amount))
        rows.append({"step": name, "amount": amount})
        level += amount
    steps.append(_step("closing", "balance", Decimal(0), month["closing_mrr"], month["closing_mrr"]))
    rows.append({"step": "closing", "amount": month["closing_mrr"]})
    lowest, highest = (find(end for step in steps[1:-1] for end in (step["from"], step["to"])) for find in (min, max))
    floor = max(Decimal(0), lowest - (highest - lowest) / 2)
    steps[0]["from"] = steps[-1]["from"] = floor
    rest = month["closing_mrr"] - level
    net = month["net_new_mrr"]
    return Section(
        "bridge",
        f"What moved MRR in {month['month_spoken']}?",
        f"It {'grew' if net >= 0 else 'shrank'} by {money(abs(net))} USD to"
        f" {money(month['closing_mrr'])}"
        + (f"; {money(rest)} of it is not in any step." if rest else ", and the steps add up to it."),
        Table([Column("step", "Step"), Column("amount", "USD", "money")], rows),
        ["revenue_metrics"],
        charts.bridge(steps, floor),
        "The axis does not begin at zero, so that the steps can be seen.",
    )


def _step(name: str, role: str, start: Decimal, end: Decimal, amount: Decimal) -> Row:
    sign = "\N{MINUS SIGN}" if amount < 0 else "+" if amount > 0 and role != "balance" else ""
    return {
        "step": name,
        "role": role,
        "from": start,
        "to": end,
        "top": max(start, end),
        "label": sign + (f"{abs(amount) / 1000:,.1f}k" if abs(amount) >= 1000 else f"{abs(amount):,.0f}"),
        "said": f"{name}: {money(amount)} USD",
    }


def retention(closed: list[Row]) -> Section:
    """Net and gross retention over twelve months, as lines with their bands."""
    rows = [
        {
            "month": row["month_name"],
            "series": series,
            "value": row[f"{name}_12m"],
            "low": row[f"{name}_12m_low"],
            "high": row[f"{name}_12m_high"],
            "said": f"{series}, {row['month_spoken']}: {share(row[f'{name}_12m'])},"
            f" {interval(row, f'{name}_12m', 'share')}",
        }
        for row in closed
        if row["nrr_12m"] is not None
        for name, series in (("nrr", "net"), ("grr", "gross"))
    ]
    last = closed[-1]
    return Section(
        "retention",
        "Does revenue last once it is won?",
        f"Of every dollar that recurred a year earlier, {share(last['nrr_12m'])} recurs today counting expansion,"
        f" and {share(last['grr_12m'])} without it."
        if rows
        else "There is no full year of revenue yet.",
        Table(
            [
                Column("month_name", "Month"),
                Column("nrr_12m", "Net, 12 months", "share", is_estimate=True),
                Column("grr_12m", "Gross, 12 months", "share", is_estimate=True),
                Column("logo_churn", "Customers lost", "share", is_estimate=True),
                Column("quick_ratio", "Quick ratio", "ratio"),
            ],
            closed[::-1],
        ),
        ["revenue_metrics"],
        charts.bands(rows, "share", {"net": "var(--accent)", "gross": "var(--loss-1)"}) if rows else None,
        "Bands are 95% intervals over customers. Closed months only; later corrections are on the trust page.",
    )


def movements(months: list[Row]) -> Section:
    """Every month's movements, one on the other."""
    rows = [
        {
            "month": row["month_name"],
            "movement": name,
            "rank": rank,
            "amount": row["fx_mrr" if name == "exchange rates" else f"{name}_mrr"],
            "said": f"{row['month_spoken']}, {name}: "
            f"{money(row['fx_mrr' if name == 'exchange rates' else f'{name}_mrr'])} USD",
        }
        for row in months
        for rank, name in enumerate((*STEPS, "exchange rates"))
    ]
    columns = [Column("month_name", "Month"), Column("opening_mrr", "Opening", "money")]
    columns += [Column(f"{name}_mrr", name.capitalize(), "money") for name in STEPS]
    columns += [
        Column("fx_mrr", "Exchange rates", "money"),
        Column("closing_mrr", "Closing", "money"),
        Column("mrr_past_due", "Past due", "money"),
        Column("mrr_scheduled_churn", "Leaving later", "money"),
        Column("mrr_paused", "Paused", "money"),
    ]
    now = months[-1]
    return Section(
        "movements",
        "Where does growth come from, month by month?",
        _sources([row for row in months if not row["is_open_month"]][-12:]),
        Table(columns, months[::-1]),
        ["revenue_metrics"],
        charts.movements(rows),
        f"Today, {money(now['mrr_past_due'])} USD of MRR is past due and customers who pay"
        f" {money(now['mrr_scheduled_churn'])} have given notice."
        + (" The last month is still open." if now["is_open_month"] else ""),
        is_wide=True,
    )


def _sources(closed: list[Row]) -> str:
    if not closed:
        return "The first month is not over yet."
    came = {name: sum((row[f"{name}_mrr"] for row in closed), Decimal(0)) for name in STEPS}
    lost = -(came["contraction"] + came["churn"])
    return (
        f"In the last {several(len(closed), 'closed month')}, new customers brought in {money(came['new'])} USD,"
        f" expansion {money(came['expansion'])} and returning customers {money(came['reactivation'])};"
        f" {money(lost)} was lost."
    )
