"""For the people who answer for the company: recurring revenue, whether it holds, what customers cost and bring."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dashboard import channels, charts, revenue
from dashboard.content import Column, Page, Section, Table, Tile, Value, estimate
from dashboard.wording import dollars, money, several, share

if TYPE_CHECKING:
    from dashboard.published import Published, Row

LARGEST = """
    select
        customer_id, coalesce(customer_name, customer_id) as customer, plan, mrr,
        cast(mrr / sum(mrr) over () as decimal(18, 6)) as share_of_mrr, renewal_on, lifecycle_state
    from marts.customer_lifecycle where mrr > 0
    order by mrr desc, customer_id limit 10
"""
RENEWALS = """
    select
        strftime(renewal_on, '%b %Y') as month_name,
        min(renewal_on) as from_day,
        count(*) as customers,
        sum(mrr) as mrr,
        coalesce(sum(mrr) filter (where is_in_danger), 0) as mrr_in_danger
    from marts.customer_lifecycle
    where mrr > 0 and days_to_renewal between 0 and 90 and billing_interval = 'year'
    group by 1 order by 2
"""


def page(published: Published) -> Page:
    """The executive page; what cannot be said yet (no month is over, nobody has paid) is left out."""
    months = published.rows(revenue.MONTHS)
    closed = [row for row in months if not row["is_open_month"]]
    by_channel = published.rows(channels.CHANNELS)
    return Page(
        "executive",
        "Executive",
        "How much revenue recurs, does it last, and what does a new customer cost and bring in?",
        [*_revenue_tiles(months, closed), *_channel_tiles(by_channel)],
        [
            *([revenue.bridge(closed[-1]), revenue.retention(closed)] if closed else []),
            *([revenue.movements(months)] if months else []),
            *([channels.worth(by_channel), channels.ratio(by_channel)] if by_channel else []),
            channels.payback(published),
            _renewals(published),
            _largest(published),
        ],
    )


def _revenue_tiles(months: list[Row], closed: list[Row]) -> list[Tile]:
    if not months:
        return [Tile("MRR, USD", Value(None, "money"), "", "nobody has paid yet")]
    now = months[-1]
    tiles = [Tile("MRR, USD", Value(now["closing_mrr"], "dollars"), "", _so_far(now))]
    if closed:
        last = closed[-1]
        when = f"{last['month_spoken']}, closed"
        tiles.append(Tile("Net new MRR, USD", Value(last["net_new_mrr"], "dollars"), "", when))
        tiles += [
            Tile(label, estimate(last, name, "share"), "", f"12 months to {last['month_name']}")
            if last[name] is not None
            else Tile(label, Value(None, "share"), "", "after the first full year")
            for label, name in (("Net retention", "nrr_12m"), ("Gross retention", "grr_12m"))
        ]
    return tiles


def _channel_tiles(by_channel: list[Row]) -> list[Tile]:
    everybody = next((row for row in by_channel if row["channel"] == "all"), None)
    if everybody is None or everybody["ltv"] is None:
        return []
    return [
        Tile("LTV, USD", estimate(everybody, "ltv", "dollars"), "", _horizon(everybody)),
        Tile("CAC, USD", estimate(everybody, "cac", "dollars"), "", "fully loaded"),
        Tile("Payback, months", estimate(everybody, "payback_months", "days"), "", "net of customers who leave"),
    ]


def _horizon(row: Row) -> str:
    return f"{row['ltv_horizon_months']} months, {share(row['ltv_extrapolated_share'])} extrapolated"


def _so_far(month: Row) -> str:
    net = month["net_new_mrr"]
    sign = "\N{MINUS SIGN}" if net < 0 else "+"
    when = "so far in" if month["is_open_month"] else "in"
    return f"{sign}{dollars(abs(net))} {when} {month['month_spoken']}; ARR {dollars(month['arr'])}"


def _renewals(published: Published) -> Section:
    rows = published.rows(RENEWALS)
    total = sum((row["mrr"] for row in rows), Decimal(0))
    danger = sum((row["mrr_in_danger"] for row in rows), Decimal(0))
    return Section(
        "renewals",
        "What comes up for renewal in the next 90 days?",
        f"{money(total)} USD of MRR on annual contracts, {money(danger)} of it with customers in danger of leaving."
        if rows
        else "No annual contract is up for renewal.",
        Table(
            [
                Column("month_name", "Month"),
                Column("customers", "Customers", "count"),
                Column("mrr", "MRR, USD", "money"),
                Column("mrr_in_danger", "In danger, USD", "money"),
            ],
            rows,
        ),
        ["customer_lifecycle"],
        charts.bars([_renewing(row) for row in rows], unit="USD of MRR") if rows else None,
        is_list=True,
    )


def _renewing(row: Row) -> Row:
    danger = f", {money(row['mrr_in_danger'])} in danger" if row["mrr_in_danger"] else ""
    return {
        "label": row["month_name"],
        "value": row["mrr"],
        "shown": several(row["customers"], "customer"),
        "colour": "var(--accent)",
        "said": f"{row['month_name']}: {money(row['mrr'])} USD of {several(row['customers'], 'customer')}{danger}",
    }


def _largest(published: Published) -> Section:
    rows = published.rows(LARGEST)
    together = sum((row["share_of_mrr"] for row in rows), Decimal(0))
    return Section(
        "largest",
        "How much depends on the ten largest customers?",
        f"{share(together)} of MRR." if rows else "Nobody pays yet.",
        Table(
            [
                Column("customer", "Customer", "name"),
                Column("plan", "Plan"),
                Column("mrr", "MRR, USD", "money"),
                Column("share_of_mrr", "Of MRR", "share"),
                Column("renewal_on", "Renews", "date"),
                Column("lifecycle_state", "State"),
            ],
            rows,
        ),
        ["customer_lifecycle"],
        is_list=True,
    )
