"""For the people who answer for the company: recurring revenue, whether it holds, what customers cost and bring."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dashboard import charts
from dashboard.content import Column, Page, Section, Table, Tile, Value, estimate
from dashboard.wording import count, interval, money, plain, share, written

if TYPE_CHECKING:
    from dashboard.content import Kind
    from dashboard.published import Published, Row

MONTHS = """
    select *, strftime(month, '%b %y') as month_name, strftime(month, '%B %Y') as month_spoken
    from marts.revenue_metrics order by month
"""
CHANNELS = "select * from marts.channel_economics order by channel = 'all' desc, ltv_cac desc nulls last, channel"
PAYBACK = """
    select
        cohort_month, strftime(cohort_month, '%b %y') as cohort, month_of_tenure, cohort_customers,
        cumulative_margin_per_customer, paid_back_share, is_complete
    from marts.payback_curves
    where channel = 'all' and cohort_month >= (select min(month) from marts.revenue_metrics)
    order by cohort_month, month_of_tenure
"""
LARGEST = """
    select
        customer_id, coalesce(customer_name, customer_id) as customer, plan, mrr,
        cast(mrr / sum(mrr) over () as decimal(18, 6)) as share_of_mrr, renewal_on, lifecycle_state
    from marts.customer_lifecycle where mrr > 0
    order by mrr desc, customer_id limit 10
"""
RENEWALS = """
    select
        strftime(renewal_on, '%b %y') as month_name,
        min(renewal_on) as from_day,
        count(*) as customers,
        sum(mrr) as mrr,
        coalesce(sum(mrr) filter (where is_in_danger), 0) as mrr_in_danger
    from marts.customer_lifecycle
    where mrr > 0 and days_to_renewal between 0 and 90 and billing_interval = 'year'
    group by 1 order by 2
"""
CUT = Decimal(4)  # times the spend; what is far past its payback would flatten the months that are not
STEPS = ("new", "reactivation", "expansion", "contraction", "churn")


def page(published: Published) -> Page:
    """The executive page; what cannot be said yet (no month is over, nobody has paid) is left out."""
    months = published.rows(MONTHS)
    closed = [row for row in months if not row["is_open_month"]]
    channels = published.rows(CHANNELS)
    return Page(
        "executive",
        "Executive",
        "How much revenue recurs, does it hold, and what does a new customer cost and bring?",
        [*_revenue_tiles(months, closed), *_channel_tiles(channels)],
        [
            *([_bridge(closed[-1]), _retention(closed)] if closed else []),
            *([_movements(months)] if months else []),
            *([_worth(channels), _ratio(channels)] if channels else []),
            _payback(published),
            _renewals(published),
            _largest(published),
        ],
    )


def _revenue_tiles(months: list[Row], closed: list[Row]) -> list[Tile]:
    if not months:
        return [Tile("MRR, USD", Value(None, "money"), "", "nobody has paid yet")]
    now = months[-1]
    tiles = [Tile("MRR, USD", Value(now["closing_mrr"], "money"), "", f"ARR {money(now['arr'])} USD")]
    if closed:
        last = closed[-1]
        tiles.append(Tile("Net new MRR, USD", Value(last["net_new_mrr"], "money"), "", last["month_spoken"]))
        tiles += [
            Tile(label, estimate(last, name, "share"), "", "12 months")
            if last[name] is not None
            else Tile(label, Value(None, "share"), "", "once there is a full year")
            for label, name in (("Net retention", "nrr_12m"), ("Gross retention", "grr_12m"))
        ]
    return tiles


def _channel_tiles(channels: list[Row]) -> list[Tile]:
    everybody = next((row for row in channels if row["channel"] == "all"), None)
    if everybody is None or everybody["ltv"] is None:
        return []
    return [
        Tile("LTV, USD", estimate(everybody, "ltv", "money"), "", _horizon(everybody)),
        Tile("CAC, USD", estimate(everybody, "cac", "money"), "", "fully loaded"),
        Tile("Payback, months", estimate(everybody, "payback_months", "days"), "", "adjusted for who leaves"),
    ]


def _horizon(row: Row) -> str:
    return f"{row['ltv_horizon_months']} months, {share(row['ltv_extrapolated_share'])} of it extrapolated"


def _bridge(month: Row) -> Section:
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
        + (f"; {money(rest)} of it is in no step." if rest else ", and the steps add up to it."),
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


def _retention(closed: list[Row]) -> Section:
    rows = [
        {
            "month": row["month_name"],
            "series": series,
            "value": row[f"{name}_12m"],
            "low": row[f"{name}_12m_low"],
            "high": row[f"{name}_12m_high"],
            "said": f"{series}, {row['month_spoken']}: {share(row[f'{name}_12m'])},"
            f" 95% interval {share(row[f'{name}_12m_low'])} to {share(row[f'{name}_12m_high'])}",
        }
        for row in closed
        if row["nrr_12m"] is not None
        for name, series in (("nrr", "net"), ("grr", "gross"))
    ]
    last = closed[-1]
    return Section(
        "retention",
        "Does revenue hold once it is won?",
        f"Of each dollar that recurred a year earlier, {share(last['nrr_12m'])} recurs today with expansion"
        f" and {share(last['grr_12m'])} without."
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
        "Bands are 95% intervals over customers.",
    )


def _movements(months: list[Row]) -> Section:
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
        f"Today {money(now['mrr_past_due'])} USD of MRR is past due and"
        f" {money(now['mrr_scheduled_churn'])} has announced that it will leave.",
        Table(columns, months[::-1]),
        ["revenue_metrics"],
        charts.movements(rows),
        "The last month is still open." if now["is_open_month"] else "",
        is_wide=True,
    )


def _worth(channels: list[Row]) -> Section:
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


def _ratio(channels: list[Row]) -> Section:
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


def _payback(published: Published) -> Section:
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


def _renewals(published: Published) -> Section:
    rows = published.rows(RENEWALS)
    total = sum((row["mrr"] for row in rows), Decimal(0))
    danger = sum((row["mrr_in_danger"] for row in rows), Decimal(0))
    return Section(
        "renewals",
        "What comes up for renewal in the next 90 days?",
        f"{money(total)} USD of MRR on annual contracts, {money(danger)} of it with customers in danger of leaving."
        if rows
        else "No annual contract.",
        Table(
            [
                Column("month_name", "Month"),
                Column("customers", "Customers", "count"),
                Column("mrr", "MRR, USD", "money"),
                Column("mrr_in_danger", "Of it in danger, USD", "money"),
            ],
            rows,
        ),
        ["customer_lifecycle"],
        is_list=True,
    )


def _largest(published: Published) -> Section:
    rows = published.rows(LARGEST)
    together = sum((row["share_of_mrr"] for row in rows), Decimal(0))
    return Section(
        "largest",
        "How much hangs on the ten largest customers?",
        f"{share(together)} of MRR." if rows else "Nobody pays yet.",
        Table(
            [
                Column("customer", "Customer"),
                Column("plan", "Plan"),
                Column("mrr", "MRR, USD", "money"),
                Column("share_of_mrr", "Of all", "share"),
                Column("renewal_on", "Renews", "date"),
                Column("lifecycle_state", "State"),
            ],
            rows,
        ),
        ["customer_lifecycle"],
        is_list=True,
    )
