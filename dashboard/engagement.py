"""How deep use goes: how often customers come, in what way, which products become a habit, and what we do about it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dashboard import charts, drawing
from dashboard.content import Column, Section, Table
from dashboard.wording import count, money, plain, several, share

if TYPE_CHECKING:
    from dashboard.published import Published, Row

POWER = """
    select
        active_days, units, unit_share, active_units, stickiness, power_unit_share,
        '28 days to ' || strftime(window_ends_on, '%d %b %Y') as window
    from marts.product_engagement
    where product = 'all' and unit = 'customer' and month = (select max(month) from marts.product_engagement)
    order by active_days
"""
STICKINESS = """
    select distinct
        month, strftime(month, '%b %Y') as month_name, product, active_units, mean_daily_active_units, stickiness
    from marts.product_engagement where unit = 'customer' order by month, product
"""
COHORT_ACTIONS = """
    select
        coalesce(customers.frequency_band, 'no use yet') as cohort,
        decisions.action,
        count(*) as decisions,
        count(*) filter (where decisions.decision = 'permitted') as permitted
    from marts.action_decisions as decisions
    inner join marts.customer_lifecycle as customers using (customer_id)
    where
        decisions.occurred_at
        > (select max(as_of) from marts.publish_log where outcome = 'published') - interval 28 day
    group by all order by action, cohort
"""
SHAPES = """
    select
        coalesce(frequency_band, 'no use yet') as frequency, coalesce(duration_band, 'none') as duration,
        count(*) as customers, sum(mrr) as mrr
    from marts.customer_lifecycle where signed_up_on is not null
    group by all order by frequency, duration
"""
BANDS = ("new", "daily", "frequent", "regular", "light", "dormant", "no use yet")
DURATIONS = ("long", "medium", "brief", "none")


def power_curve(power: list[Row]) -> Section:
    """On how many days of four weeks active customers come."""
    rows = [
        {
            "x": row["active_days"],
            "value": row["units"],
            "said": f"{several(row['active_days'], 'active day')}: {several(row['units'], 'customer')},"
            f" {share(row['unit_share'])} of the active",
        }
        for row in power
    ]
    return Section(
        "power",
        "How often do active customers come?",
        f"{share(power[0]['power_unit_share'])} come on 20 or more of 28 days." if power else "Nobody was active.",
        Table(
            [
                Column("active_days", "Active days of 28", "count"),
                Column("units", "Customers", "count"),
                Column("unit_share", "Of the active", "share"),
            ],
            power,
        ),
        ["product_engagement"],
        charts.columns(rows, "active days of the last 28", "count", unit="customers") if rows else None,
    )


def habits(rows: list[Row]) -> Section:
    """Of the customers of four weeks, how many use each product on an average day, month by month."""
    products = [name for name in dict.fromkeys(row["product"] for row in rows) if name != "all"]
    colours = dict(
        zip(
            sorted(products), ("var(--series-1)", "var(--series-2)", "var(--series-3)", "var(--series-4)"), strict=False
        )
    )
    drawn = [
        {
            "month": row["month_name"],
            "series": row["product"],
            "value": row["stickiness"],
            "low": row["stickiness"],
            "high": row["stickiness"],
            "said": f"{row['product']}, {row['month_name']}: {share(row['stickiness'])} stickiness,"
            f" {several(row['active_units'], 'active customer')}",
        }
        for row in rows
        if row["product"] in colours and row["stickiness"] is not None
    ]
    latest = {row["product"]: row["stickiness"] for row in rows if row["product"] in colours}
    best = max(latest, key=lambda product: (latest[product] or 0, product)) if latest else None
    return Section(
        "stickiness",
        "Which product becomes a habit?",
        f"The {best} product: on an average day, {share(latest[best])} of its 28-day customers use it."
        if best
        else "No use yet.",
        Table(
            [
                Column("month_name", "Month"),
                Column("product", "Product"),
                Column("active_units", "28-day active customers", "count"),
                Column("mean_daily_active_units", "Daily active, average", "ratio"),
                Column("stickiness", "Stickiness", "share"),
            ],
            rows[::-1],
        ),
        ["product_engagement"],
        charts.bands(drawn, "share", colours, width=drawing.FULL, is_from_zero=True) if drawn else None,
        is_wide=True,
    )


def shapes(published: Published) -> Section:
    """How often and how long customers use the products, and what they pay."""
    rows = published.rows(SHAPES)
    most = max((row["customers"] for row in rows), default=0)
    cells = [
        {
            "x": row["duration"],
            "x_rank": DURATIONS.index(row["duration"]) if row["duration"] in DURATIONS else len(DURATIONS),
            "y": row["frequency"],
            "share": Decimal(row["customers"]) / most,
            "shown": count(row["customers"]),
            "said": f"{row['frequency']} use, {row['duration']} visits: {several(row['customers'], 'customer')},"
            f" {money(row['mrr'])} USD of MRR",
        }
        for row in sorted(rows, key=lambda row: _rank(row["frequency"]))
    ]
    paying = max(rows, key=lambda row: (row["mrr"], row["frequency"]), default=None)
    return Section(
        "shapes",
        "How do customers use the products, and what is it worth?",
        f"{paying['frequency'].capitalize()} use in {paying['duration']} visits carries the most MRR:"
        f" {money(paying['mrr'])} USD."
        if paying
        else "Nobody has signed up yet.",
        Table(
            [
                Column("frequency", "Frequency"),
                Column("duration", "Visits"),
                Column("customers", "Customers", "count"),
                Column("mrr", "MRR, USD", "money"),
            ],
            rows,
        ),
        ["customer_lifecycle"],
        charts.heat_map(cells, "length of visits", step=34) if cells else None,
        "Customers by how often and how long they use the products.",
    )


def _rank(band: str) -> int:
    return BANDS.index(band) if band in BANDS else len(BANDS)


def actions(published: Published) -> Section:
    """What was decided for whom in four weeks, by how often they use the products."""
    rows = published.rows(COHORT_ACTIONS)
    most = max((row["permitted"] for row in rows), default=0)
    drawn = {row["action"] for row in rows if row["permitted"]}
    cells = [
        {
            "x": row["cohort"],
            "x_rank": _rank(row["cohort"]),
            "y": plain(row["action"]),
            "share": Decimal(row["permitted"]) / most,
            "shown": f"{row['permitted']} / {row['decisions']}",
            "said": f"{plain(row['action'])}, {row['cohort']}: {row['permitted']} permitted of"
            f" {several(row['decisions'], 'decision')}",
        }
        for row in rows
        if row["action"] in drawn
    ]
    permitted = sum(row["permitted"] for row in rows)
    return Section(
        "actions",
        "What do we do for each kind of customer?",
        f"In the last 28 days, {count(sum(row['decisions'] for row in rows))} decisions were made,"
        f" {count(permitted)} of them to act."
        if rows
        else "Nothing was decided in the last 28 days.",
        Table(
            [
                Column("action", "Action"),
                Column("cohort", "Cohort"),
                Column("decisions", "Decisions", "count"),
                Column("permitted", "Permitted", "count"),
            ],
            rows,
        ),
        ["action_decisions", "customer_lifecycle"],
        charts.heat_map(cells, None, width=drawing.FULL, step=26) if cells else None,
        "Permitted / decided, by action and by how often the customer uses the products today."
        " Only actions that were permitted at least once are drawn; the numbers list them all.",
        is_wide=True,
    )
