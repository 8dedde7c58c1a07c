"""For the people who grow the product's use: who stays, who arrives at value, how deep use goes, what we do."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from dashboard import charts, drawing
from dashboard.content import Column, Page, Section, Table, Tile, Value, estimate
from dashboard.wording import count, interval, money, plain, several, share

if TYPE_CHECKING:
    from dashboard.published import Published, Row

COHORTS = """
    select *, case cohort_kind when 'all' then 'all' else strftime(try_cast(cohort as date), '%b %Y') end as cohort_name
    from marts.cohort_retention where cohort_kind in ('all', 'month') order by cohort_kind, cohort, months_since
"""
ARRIVAL = """
    select * from marts.time_to_value
    where sign_up_cohort = 'all' and days_since_sign_up <= 60 order by days_since_sign_up
"""
FUNNEL = """
    with
    steps (taken, step) as (
        values (1, 'signed up'), (2, 'used a product'), (3, 'reached first value'), (4, 'paid'), (5, 'pays today')
    ),
    counted as (
        select steps.taken, steps.step, count(lifecycle.customer_id) as customers
        from steps left join marts.customer_lifecycle as lifecycle on lifecycle.activation_steps >= steps.taken
        group by steps.taken, steps.step
    )
    select
        *,
        cast(customers / nullif(first_value(customers) over (order by taken), 0) as decimal(18, 6)) as of_sign_ups,
        lag(customers) over (order by taken) - customers as lost_before
    from counted order by taken
"""
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


def page(published: Published) -> Page:
    """The growth page."""
    cohorts = published.rows(COHORTS)
    arrival = published.rows(ARRIVAL)
    power = published.rows(POWER)
    stickiness = published.rows(STICKINESS)
    everybody = [row for row in stickiness if row["product"] == "all"]
    at_thirty = next((row for row in arrival if row["days_since_sign_up"] == 30), None)
    tiles = (
        [
            Tile(
                "Active customers",
                Value(power[0]["active_units"], "count"),
                "",
                f"used a product in the {power[0]['window']}",
            )
        ]
        if power
        else []
    )
    if everybody:
        tiles.append(
            Tile(
                "Stickiness",
                Value(everybody[-1]["stickiness"], "share"),
                "",
                "of the customers active in 28 days, on an average day",
            )
        )
        tiles.append(
            Tile(
                "Power users",
                Value(power[0]["power_unit_share"], "share"),
                "",
                "of active customers, on 20 or more of 28 days",
            )
        )
    if at_thirty is not None:
        tiles.append(
            Tile("First value in 30 days", estimate(at_thirty, "reached_share", "share"), "", "of those who signed up")
        )
        tiles.append(
            Tile("Median days to value", Value(at_thirty["median_days"], "days"), "", "from sign-up to first value")
        )
    return Page(
        "growth",
        "Growth",
        "Who stays, how soon do new customers get what they came for, and how deep does their use go?",
        tiles,
        [
            _heat(cohorts, "logo_retention", "customers", "Which customers stay?"),
            _heat(cohorts, "revenue_retention", "revenue", "Which revenue stays?"),
            _funnel(published),
            _arrival(arrival),
            _power(power),
            _shapes(published),
            _stickiness(stickiness),
            _actions(published),
        ],
    )


def _heat(cohorts: list[Row], name: str, what: str, title: str) -> Section:
    rows = [
        {
            "x": row["months_since"],
            "x_rank": row["months_since"],
            "y": row["cohort_name"],
            "share": row[name],
            "shown": f"{row[name] * 100:.0f}",
            "said": f"{'everybody' if row['cohort'] == 'all' else 'won in ' + row['cohort_name']},"
            f" month {row['months_since']}: {share(row[name])} of {what} kept,"
            f" {interval(row, name, 'share')}",
        }
        for row in cohorts
        if row[name] is not None and row["months_since"] > 0
    ]
    sixth = [row for row in cohorts if row["months_since"] == 6 and row["cohort"] != "all" and row[name] is not None]
    ends = ", ".join(f"{share(row[name])} of {what} won in {row['cohort_name']}" for row in (*sixth[:1], *sixth[-1:]))
    return Section(
        f"{what}-retention",
        title,
        f"Kept after six months: {ends}." if sixth else "No cohort is six months old yet.",
        Table(
            [
                Column("cohort_name", "Won in"),
                Column("months_since", "Months since", "count"),
                Column("customers", "Customers", "count"),
                Column(name, f"{what.capitalize()} kept", "share", is_estimate=True),
            ],
            cohorts,
        ),
        ["cohort_retention"],
        charts.heat_map(rows, "months since the first payment") if rows else None,
        "Per cent of the first month, by age; above 100 where expansion outweighs loss."
        if what == "revenue"
        else "Per cent of the first month, by age; a customer who left and came back counts as kept.",
    )


def _funnel(published: Published) -> Section:
    steps = published.rows(FUNNEL)
    rows = [
        {
            "label": row["step"],
            "value": row["customers"],
            "shown": f"{count(row['customers'])} · {share(row['of_sign_ups'])}",
            "colour": "var(--accent)",
            "said": f"{row['step']}: {several(row['customers'], 'customer')}, {share(row['of_sign_ups'])} of sign-ups",
        }
        for row in steps
    ]
    worst = max(steps[1:], key=lambda row: (row["lost_before"], row["taken"]))
    return Section(
        "funnel",
        "Where do new customers stop?",
        f"Most stop before “{worst['step']}”: {several(worst['lost_before'], 'customer')}."
        if worst["lost_before"]
        else "Nobody has stopped on the way yet.",
        Table(
            [
                Column("step", "Step"),
                Column("customers", "Customers", "count"),
                Column("of_sign_ups", "Of sign-ups", "share"),
            ],
            steps,
        ),
        ["customer_lifecycle"],
        charts.bars(rows, unit="customers"),
        "Each step counts customers who took all the steps before it.",
    )


def _arrival(arrival: list[Row]) -> Section:
    rows = [
        {
            "x": row["days_since_sign_up"],
            "value": row["reached_share"],
            "low": row["reached_share_low"],
            "high": row["reached_share_high"],
            "series": "reached first value",
            "is_marked": True,
            "is_last": False,
            "said": f"day {row['days_since_sign_up']}: {share(row['reached_share'])} have reached first value,"
            f" {interval(row, 'reached_share', 'share')}",
        }
        for row in arrival
    ]
    half = arrival[0]["median_days"] if arrival else None
    return Section(
        "time-to-value",
        "How soon do they get what they came for?",
        f"Half have it within {several(half, 'day')}." if half is not None else "Fewer than half have got there.",
        Table(
            [
                Column("days_since_sign_up", "Days since sign-up", "count"),
                Column("at_risk", "Not there yet, still observed", "count"),
                Column("arrived", "Arrived that day", "count"),
                Column("reached_share", "There by then", "share", is_estimate=True),
            ],
            arrival,
        ),
        ["time_to_value"],
        charts.curves(rows, "days since sign-up", "share") if rows else None,
        "Kaplan-Meier: customers who signed up recently count for as long as they have been observed.",
    )


def _power(power: list[Row]) -> Section:
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


def _stickiness(rows: list[Row]) -> Section:
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


def _shapes(published: Published) -> Section:
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


def _actions(published: Published) -> Section:
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
