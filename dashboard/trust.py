"""For everybody who has to rely on the rest: how fresh, how checked, how sure, and what changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dashboard import charts, validation
from dashboard.content import Column, Page, Section, Table, Tile, Value
from dashboard.wording import count, plain, share

if TYPE_CHECKING:
    from dashboard.content import Kind
    from dashboard.published import Published, Row

PUBLISHED = """
    select * from marts.publish_log where outcome = 'published' order by published_at desc limit 1
"""
HISTORY = """
    select
        version, outcome, reason, gates_passed, gates_warned, gates_failed, published_tables, published_rows, as_of,
        published_at
    from marts.publish_log order by published_at desc limit 20
"""
SILOS = """
    select
        source, latest_status, is_stale, silo_through_at, last_succeeded_as_of,
        cast(minutes_behind / 60.0 as decimal(18, 2)) as hours_behind, latest_error
    from marts.source_refresh order by source
"""
# newer data that the gate held back while these numbers go on serving
HELD_BACK = """
    select max(held_back_as_of) as held_back_as_of, max(held_back_reason) as held_back_reason
    from marts.source_refresh where is_held_back
"""
BLOCKING = """
    select check_name, owner, message, severity_reason, remedy
    from marts.gate_results
    where outcome = 'block'
        and run_id = (select max_by(run_id, published_at) from marts.publish_log where outcome = 'blocked')
    order by check_name
"""
CHECKS = """
    select
        family,
        count(*) as checks,
        count(*) filter (where outcome = 'pass') as passed,
        count(*) filter (where outcome = 'warn') as flagged,
        count(*) filter (where outcome = 'quarantine') as set_aside,
        count(*) filter (where outcome = 'accepted') as accepted
    from marts.gate_results where run_id = $run_id
    group by all order by passed < checks desc, family
"""
NOTICED = """
    select check_name, owner, severity, severity_reason, outcome, message, remedy
    from marts.gate_results where run_id = $run_id and outcome <> 'pass' order by outcome, check_name
"""
IDENTITIES = """
    select
        identities.source_system as source,
        count(*) as records,
        count(customers.customer_id) as of_customers,
        cast(count(customers.customer_id) / count(*) as decimal(18, 6)) as matched,
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
RESTATED = """
    select month, customer_id, old_mrr, new_mrr, difference, cause, published_at
    from marts.mrr_restatements order by published_at desc, month desc, customer_id limit 20
"""
KEY_FIGURES: dict[str, tuple[Kind, str]] = {
    "customers": ("count", "select count(*) from {catalog}.marts.customer_lifecycle"),
    "paying customers": ("count", "select count(*) from {catalog}.marts.customer_lifecycle where mrr > 0"),
    "MRR, USD": ("money", "select sum(mrr) from {catalog}.marts.customer_lifecycle"),
    "lifetime value, all channels, USD": (
        "money",
        "select ltv from {catalog}.marts.channel_economics where channel = 'all'",
    ),
    "acquisition cost, all channels, USD": (
        "money",
        "select cac from {catalog}.marts.channel_economics where channel = 'all'",
    ),
    "customers at risk": (
        "count",
        "select count(*) from {catalog}.marts.customer_lifecycle where lifecycle_state = 'at_risk'",
    ),
    "actions permitted": (
        "count",
        "select count(*) from {catalog}.marts.action_decisions where decision = 'permitted'",
    ),
}


def page(published: Published) -> Page:
    """The trust page."""
    version = published.row(PUBLISHED)
    silos = published.rows(SILOS)
    *identities, everything = published.rows(IDENTITIES)
    stale = sum(1 for row in silos if row["is_stale"])
    held_back = published.row(HELD_BACK)
    is_held_back = held_back["held_back_as_of"] is not None
    return Page(
        "trust",
        "Trust",
        "How fresh are these numbers, what was checked, how sure are we, and what has changed?",
        [
            Tile(
                "Data through",
                Value(version["data_through_at"], "instant"),
                "",
                f"newer data of {Value(held_back['held_back_as_of'], 'instant').shown} was held back"
                if is_held_back
                else "every silo is in up to here",
            ),
            Tile("Silos fresh", Value(len(silos) - stale, "count"), f"of {len(silos)}"),
            Tile(
                "Checks passed",
                Value(version["gates_passed"], "count"),
                "",
                f"{version['gates_warned']} warned, {version['gates_failed']} failed",
            ),
            Tile(
                "Records that found a customer",
                Value(everything["matched"], "share"),
                "",
                f"{count(everything['records'])} records",
            ),
        ],
        [
            *([_held_back(published, held_back)] if is_held_back else []),
            _silos(silos),
            *_checks(published, version["run_id"]),
            *validation.sections(published),
            _identities(identities, published.rows(METHODS)),
            _changes(published),
            *_calibration(published),
            _history(published),
            _restated(published),
        ],
    )


def _held_back(published: Published, held_back: Row) -> Section:
    """What keeps newer numbers from being shown."""
    blocking = published.rows(BLOCKING)
    return Section(
        "held-back",
        "Why are these not the newest numbers?",
        f"The run of {Value(held_back['held_back_as_of'], 'instant').shown} was held back:"
        f" {held_back['held_back_reason']} What is shown is the last good version.",
        Table(
            [
                Column("check_name", "Check"),
                Column("owner", "Owner"),
                Column("message", "Found"),
                Column("severity_reason", "Because"),
                Column("remedy", "What to do"),
            ],
            blocking,
        ),
        ["gate_results", "source_refresh"],
        is_list=True,
        is_wide=True,
    )


def _silos(silos: list[Row]) -> Section:
    stale = [row["source"] for row in silos if row["is_stale"]]
    return Section(
        "silos",
        "How fresh is each silo?",
        f"Stale: {', '.join(stale)}." if stale else "Every silo is inside its tolerance.",
        Table(
            [
                Column("source", "Silo"),
                Column("latest_status", "Last load"),
                Column("silo_through_at", "Data through", "instant"),
                Column("hours_behind", "Hours behind", "ratio"),
                Column("latest_error", "Trouble"),
            ],
            silos,
        ),
        ["source_refresh"],
        is_list=True,
    )


def _checks(published: Published, run_id: str) -> list[Section]:
    """What was checked, by family; and every check that did not simply pass, with who answers for it and why."""
    families = published.rows(CHECKS, {"run_id": run_id})
    noticed = published.rows(NOTICED, {"run_id": run_id})
    total = sum(row["checks"] for row in families)
    return [
        Section(
            "checks",
            "What was checked before these numbers went out?",
            f"{count(total)} checks; {len(noticed)} did not simply pass."
            if noticed
            else f"All {count(total)} checks passed.",
            Table(
                [
                    Column("family", "Family"),
                    Column("checks", "Checks", "count"),
                    Column("passed", "Passed", "count"),
                    Column("flagged", "Flagged", "count"),
                    Column("set_aside", "Rows set aside", "count"),
                    Column("accepted", "Accepted", "count"),
                ],
                families,
            ),
            ["gate_results"],
            note="A check that blocks keeps the numbers from going out, so none of these did.",
            is_list=True,
        ),
        Section(
            "noticed",
            "What did not simply pass, and who looks into it?",
            f"{len(noticed)} checks, for {', '.join(sorted({plain(row['owner']) for row in noticed}))}."
            if noticed
            else "Nothing.",
            Table(
                [
                    Column("check_name", "Check"),
                    Column("owner", "Owner"),
                    Column("outcome", "Outcome"),
                    Column("message", "Found"),
                    Column("severity", "At worst"),
                    Column("severity_reason", "Because"),
                    Column("remedy", "What to do"),
                ],
                noticed,
            ),
            ["gate_results", "quality_findings"],
            is_list=True,
            is_wide=True,
        ),
    ]


def _identities(identities: list[Row], methods: list[Row]) -> Section:
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
    ways = ", ".join(f"{plain(row['method'])} {count(row['records'])}" for row in methods[:6])
    return Section(
        "identities",
        "How many records found their customer?",
        f"Most often by: {ways}.",
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
        charts.bars(rows, "share", width=charts.HALF - 60),
        "The rest are anonymous visitors who never signed up.",
    )


def _calibration(published: Published) -> list[Section]:
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
                f" observed {share(row['observed_rate'])}, 95 % interval"
                f" {share(row['observed_rate_low'])} to {share(row['observed_rate_high'])}",
            }
            for row in bands
            if row["observed_rate"] is not None
        ]
        within = sum(1 for row in bands if row["is_predicted_within"])
        sections.append(
            Section(
                score.replace("_", "-"),
                f"Does {plain(score)} come true?",
                f"In {within} of {len(bands)} bands the prediction lies inside the interval of what was observed.",
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
                "Dots are what was observed after the months the score was learned on, strokes what was predicted; grey"
                " where the prediction lies outside.",
            )
        )
    return sections


def _changes(published: Published) -> Section:
    rows: list[Row] = []
    for label, (kind, question) in KEY_FIGURES.items():
        now = _first(published, question, "now")
        before = _first(published, question, "previous") if published.has_previous else None
        changed = None if before is None or now is None else now - before
        rows.append(
            {"figure": label, "before": Value(before, kind), "now": Value(now, kind), "change": Value(changed, kind)}
        )
    moved = sum(1 for row in rows if row["change"].raw)
    return Section(
        "changes",
        "What changed since the last publication?",
        f"{moved} of {len(rows)} key figures moved."
        if published.has_previous
        else "This is the only version that is kept.",
        Table(
            [
                Column("figure", "Figure"),
                Column("before", "Before", "money"),
                Column("now", "Now", "money"),
                Column("change", "Change", "money"),
            ],
            rows,
        ),
        ["publish_log"],
        is_list=True,
    )


def _first(published: Published, question: str, catalog: str) -> Any:
    row = published.row(question.format(catalog=catalog))
    return next(iter(row.values()))


def _history(published: Published) -> Section:
    rows = published.rows(HISTORY)
    refused = sum(1 for row in rows if row["outcome"] != "published")
    return Section(
        "history",
        "Which versions went out, and which were held back?",
        f"Of the last {len(rows)} runs {refused} did not publish.",
        Table(
            [
                Column("published_at", "When", "instant"),
                Column("as_of", "As of", "instant"),
                Column("outcome", "Outcome"),
                Column("gates_passed", "Passed", "count"),
                Column("gates_warned", "Warned", "count"),
                Column("gates_failed", "Failed", "count"),
                Column("published_rows", "Rows", "count"),
                Column("reason", "Reason"),
            ],
            rows,
        ),
        ["publish_log"],
        is_list=True,
        is_wide=True,
    )


def _restated(published: Published) -> Section:
    rows = published.rows(RESTATED)
    return Section(
        "restated",
        "Which closed months were restated?",
        f"The last {len(rows)} corrections of closed months." if rows else "No closed month has been restated.",
        Table(
            [
                Column("month", "Month", "date"),
                Column("customer_id", "Customer"),
                Column("old_mrr", "Was, USD", "money"),
                Column("new_mrr", "Is, USD", "money"),
                Column("difference", "Difference, USD", "money"),
                Column("cause", "Cause"),
            ],
            rows,
        ),
        ["mrr_restatements"],
        is_list=True,
        is_wide=True,
    )
