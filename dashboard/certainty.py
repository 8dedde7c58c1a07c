"""How sure it is: whose records are whose, and whether the scores come true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dashboard import charts
from dashboard.content import Column, Section, Table
from dashboard.wording import count, interval, plain, share

if TYPE_CHECKING:
    from dashboard.published import Published, Row

IDENTITIES = """
    select
        identities.source_system as source,
        count(*) as records,
        count(customers.customer_id) as of_customers,
        cast(count(customers.customer_id) / nullif(count(*), 0) as decimal(18, 6)) as matched,
        count(*) filter (where identities.has_conflict) as in_conflict
    from marts.customer_identities as identities
    left join marts.customer_lifecycle as customers using (customer_id)
    group by rollup (identities.source_system) order by source nulls last
"""
METHODS = """
    select match_method as method, count(*) as records, min(match_confidence) as lowest_confidence
    from marts.customer_identities group by all order by records desc, method
"""
CALIBRATION = """
    select
        score, band, predicted_rate, observed_rate, observed_rate_low, observed_rate_high, observed_rate_n,
        is_predicted_within
    from marts.score_calibration order by score, band
"""


def identities_section(identities: list[Row], methods: list[Row]) -> Section:
    """How many records of each source belong to a customer, and by what they were matched."""
    rows = [
        {
            "label": row["source"],
            "value": row["matched"],
            "shown": share(row["matched"]),
            "colour": "var(--accent)",
            "said": f"{row['source']}: {count(row['of_customers'])} of {count(row['records'])} records belong"
            f" to a customer, {row['in_conflict']} in conflict",
        }
        for row in identities
    ]
    ways = ", ".join(f"{plain(row['method'])} ({count(row['records'])})" for row in methods[:6])
    return Section(
        "identities",
        "How many records found their customer?",
        f"Matched most often by {ways}." if methods else "There are no records yet.",
        Table(
            [
                Column("source", "Source"),
                Column("records", "Records", "count"),
                Column("of_customers", "Of a customer", "count"),
                Column("matched", "Share", "share"),
                Column("in_conflict", "In conflict", "count"),
            ],
            identities,
        ),
        ["customer_identities"],
        charts.bars(rows, highest=1),
        "The rest are anonymous visitors who never signed up.",
    )


def scores(published: Published) -> list[Section]:
    """A section for each score: what was predicted against what came, out of time."""
    rows = published.rows(CALIBRATION)
    sections = []
    for score in dict.fromkeys(row["score"] for row in rows):
        bands = [row for row in rows if row["score"] == score]
        drawn = [
            {
                "label": f"band {row['band']}",
                "value": row["observed_rate"],
                "low": row["observed_rate_low"],
                "high": row["observed_rate_high"],
                "expected": row["predicted_rate"],
                "is_weak": not row["is_predicted_within"],
                "said": f"band {row['band']}: predicted {share(row['predicted_rate'])},"
                f" observed {share(row['observed_rate'])}, {interval(row, 'observed_rate', 'share')}",
            }
            for row in bands
            if row["observed_rate"] is not None
        ]
        within = sum(1 for row in bands if row["is_predicted_within"])
        sections.append(
            Section(
                score.replace("_", "-"),
                f"Does {plain(score)} come true?",
                f"In {within} of {len(bands)} bands the prediction lies within the interval of what was observed.",
                Table(
                    [
                        Column("band", "Band", "count"),
                        Column("predicted_rate", "Predicted", "share"),
                        Column("observed_rate", "Observed", "share", is_estimate=True),
                    ],
                    bands,
                ),
                ["score_calibration"],
                charts.intervals(drawn, "share") if drawn else None,
                "Dots are what was observed after the months that the score was learned from, strokes what was"
                " predicted; dotted with a hollow dot, the prediction lies outside.",
            )
        )
    return sections
