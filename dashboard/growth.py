"""For the people who grow the product's use: who stays, who arrives at value, how deep use goes, what we do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard import charts, engagement
from dashboard.content import Column, Page, Section, Table, Tile, Value, estimate
from dashboard.wording import count, interval, several, share

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


def page(published: Published) -> Page:
    """The growth page."""
    cohorts = published.rows(COHORTS)
    arrival = published.rows(ARRIVAL)
    power = published.rows(engagement.POWER)
    stickiness = published.rows(engagement.STICKINESS)
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
            engagement.power_curve(power),
            engagement.shapes(published),
            engagement.habits(stickiness),
            engagement.actions(published),
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
