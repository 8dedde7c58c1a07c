"""The last screenful: what the published numbers say, what was delivered, where the files are, and what to type next.

Everything is read: from the published file, the ledger, and the warehouse's row counts. Nothing is computed anew.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import duckdb
from rich.columns import Columns
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from lifecycle.ledger import existing_ledger
from lifecycle.publication import publish

if TYPE_CHECKING:
    from decimal import Decimal

    from lifecycle.settings import Places

Rows = list[tuple[Any, ...]]

QUESTIONS = {
    "as_of": "select max(as_of) from marts.publish_log where outcome = 'published'",
    "customers": "select count(*), count(*) filter (where mrr > 0), sum(mrr) from marts.customer_lifecycle",
    "somebody": "select customer_id from marts.customer_lifecycle order by mrr desc nulls last, customer_id limit 1",
    "identities": """
        select count(*), count(*) filter (where customer_id in (select customer_id from marts.customer_lifecycle))
        from marts.customer_identities
    """,
    "bridge": """
        select
            month, is_open_month, sum(opening_mrr), sum(new_mrr), sum(reactivation_mrr), sum(expansion_mrr),
            sum(contraction_mrr), sum(churn_mrr), sum(fx_mrr), sum(closing_mrr)
        from marts.mrr_movements group by all order by month desc limit 2
    """,
    "channels": """
        select
            channel, ltv, ltv_low, ltv_high, cac, cac_low, cac_high, ltv_cac, ltv_cac_low, ltv_cac_high, ltv_n
        from marts.channel_economics order by ltv_cac desc nulls last, channel
    """,
    "states": "select lifecycle_state, count(*) from marts.customer_lifecycle group by all order by 2 desc, 1",
    "waiting": """
        select owner_team, count(*), count(*) filter (where is_overdue)
        from marts.open_worklist group by all order by 2 desc, 1
    """,
    "decisions": """
        select decision, coalesce(suppression_reason, ''), count(*)
        from marts.action_decisions group by all order by 1, 3 desc, 2
    """,
    "gates": """
        select outcome, count(*) from marts.gate_results
        where run_id = (select max_by(run_id, published_at) from marts.publish_log where outcome = 'published')
        group by all order by all
    """,
    "held_back": """
        select as_of, reason from marts.publish_log
        where outcome = 'blocked'
            and published_at > (select max(published_at) from marts.publish_log where outcome = 'published')
        order by published_at desc limit 1
    """,
    "silos": "select source, is_stale, data_through_at from marts.source_refresh order by source",
}


OUTCOMES = {"warn": "warn", "quarantine": "set rows aside", "accepted": "accepted as exceptions"}


@dataclass(slots=True)
class Report:
    """The answers, by question; a mart that is not published leaves its answer empty."""

    version: str | None
    files: list[str] = field(default_factory=list)
    answers: dict[str, Rows] = field(default_factory=dict)
    raw_rows: dict[str, int] = field(default_factory=dict)
    delivered: dict[str, dict[str, int]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "version": self.version,
            "files": self.files,
            "raw_rows": self.raw_rows,
            "delivered": self.delivered,
            **{name: [[_plain(value) for value in row] for row in rows] for name, rows in self.answers.items()},
        }


def read(places: Places) -> Report:
    """The report over what is published now."""
    report = Report(publish.current_version(places))
    if report.version is not None:
        path = places.complete_file.resolve()
        others = [places.published / name for name in ("lifecycle.hyper", "catalogue.html")]
        report.files = [str(places.published_file), f"{places.published}/*.parquet"]
        report.files += [str(path) for path in others if path.exists()]
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = {
                name
                for (name,) in connection.execute(
                    "select table_schema || '.' || table_name from information_schema.tables"
                ).fetchall()
            }
            for name, question in QUESTIONS.items():
                marts = re.findall(r"from (marts\.\w+)", question)
                report.answers[name] = connection.execute(question).fetchall() if tables.issuperset(marts) else []
            due = sorted(name for name in tables if name.startswith("activation.act_"))
            report.answers["due"] = [
                (name.removeprefix("activation."), *_first(connection, f"select count(*) from {name}")) for name in due
            ]
    report.raw_rows = _raw_rows(places)
    with existing_ledger(places) as ledger:
        if ledger is not None:
            report.delivered = ledger.counts()
    return report


WIDE_ENOUGH = 100
"""Columns of a terminal that hold every estimate and its interval on one line."""


def show(report: Report, console: Console) -> None:
    """Print it."""
    answers = report.answers
    if report.version is None:
        console.print("Nothing is published yet. `lifecycle run` does the whole job.")
        return
    if answers["as_of"]:
        console.print(Text(f"\nThe numbers as of {answers['as_of'][0][0]} UTC", style="bold"))
    console.print(
        Columns([_rows_table(report), _states_table(answers["states"]), _actions_table(report)], padding=(1, 4))
    )
    # a limit of an interval that is cut off says something else; a narrow terminal gets it on a line of its own
    between = " " if console.width >= WIDE_ENOUGH else "\n"
    channels = _channel_table(answers["channels"], between)
    console.print(Columns([_bridge_table(answers["bridge"]), channels], padding=(1, 4)))
    console.print(Group(*[Text(line) for line in _closing_lines(report)]), soft_wrap=True)


def _rows_table(report: Report) -> Table:
    table = _table("Rows per source", "source", "rows", "")
    stale = {source: through for source, is_stale, through in report.answers["silos"] if is_stale}
    for source, rows in report.raw_rows.items():
        table.add_row(source, f"{rows:,}", f"stale since {stale[source]:%d %b %H:%M}" if source in stale else "")
    return table


def _states_table(states: Rows) -> Table:
    table = _table("Customers per state", "state", "customers")
    for state, number in states:
        table.add_row(str(state or "none yet"), f"{number:,}")
    return table


def _actions_table(report: Report) -> Table:
    table = _table("Actions", "", "number")
    for decision, reason, number in report.answers["decisions"]:
        table.add_row(f"{decision}{': ' + reason if reason else ''}", f"{number:,}")
    for name, number in report.answers["due"]:
        table.add_row(f"due now in {name}", f"{number:,}")
    for destination, states in report.delivered.items():
        for state, number in states.items():
            table.add_row(f"{destination} {state}", f"{number:,}")
    return table


def _bridge_table(months: Rows) -> Table:
    table = Table(title="MRR bridge, USD", title_justify="left", box=None, header_style="dim", pad_edge=False)
    table.add_column("")
    names = ("opening", "new", "reactivation", "expansion", "contraction", "churn", "exchange rates", "closing")
    in_order = list(reversed(months))
    for month, is_open, *_ in in_order:
        table.add_column(f"{month:%b %Y}" + (" so far" if is_open else ""), justify="right")
    for index, name in enumerate(names):
        table.add_row(name, *(_money(row[index + 2]) for row in in_order), end_section=name == "closing")
    return table


def _channel_table(channels: Rows, between: str) -> Table:
    table = _table("LTV and CAC by channel, USD, with 95 % intervals", "channel", "LTV", "CAC", "LTV:CAC", "n")
    for channel, ltv, ltv_low, ltv_high, cac, cac_low, cac_high, ratio, ratio_low, ratio_high, n in channels:
        table.add_row(
            str(channel),
            _estimate(ltv, ltv_low, ltv_high, ",.0f", between),
            _estimate(cac, cac_low, cac_high, ",.0f", between),
            _estimate(ratio, ratio_low, ratio_high, ",.1f", between),
            f"{n or 0:,}",
        )
    return table


def _closing_lines(report: Report) -> list[str]:
    answers = report.answers
    lines = []
    if answers["customers"] and answers["identities"]:
        (customers, paying, mrr), (identities, resolved) = answers["customers"][0], answers["identities"][0]
        lines.append(
            f"{customers:,} customers ({paying:,} paying, MRR {_money(mrr)} USD) resolved from {resolved:,} identities;"
            f" {identities - resolved:,} more identities belong to nobody known yet."
        )
    if answers["waiting"]:
        teams = ", ".join(f"{team} {number:,}" for team, number, _ in answers["waiting"])
        overdue = sum(number for _, _, number in answers["waiting"])
        lines.append(f"Customers who wait for a person: {teams}; {overdue or 'none'} overdue.")
    if answers["held_back"]:
        as_of, reason = answers["held_back"][0]
        lines.append(f"Newer numbers, as of {as_of} UTC, were held back: {reason}")
    outcomes: dict[str, int] = dict(answers["gates"])
    said = [f"{outcomes.get('pass', 0):,} checks passed"]
    said += [f"{number:,} {words}" for outcome, words in OUTCOMES.items() if (number := outcomes.get(outcome, 0))]
    lines.append(f"Gate: {', '.join(said)}. Version {report.version}.")
    lines.append(f"Published: {'  '.join(report.files)}")
    explain = "".join(f" · lifecycle explain {customer_id}" for (customer_id,) in answers["somebody"])
    lines.append(
        f"Next: lifecycle plan{explain} · lifecycle report · lifecycle sandbox advance --days 1 && lifecycle run ·"
        f" duckdb -readonly {shlex.quote(report.files[0])}"
    )
    return lines


def _raw_rows(places: Places) -> dict[str, int]:
    """Rows held per source; empty while a run has the warehouse."""
    if not places.warehouse.exists():
        return {}
    try:
        with duckdb.connect(str(places.warehouse), read_only=True) as connection:
            names = connection.execute(
                "select table_schema, table_name from information_schema.tables"
                " where starts_with(table_schema, 'raw_') and table_schema <> 'raw_ops'"
                " and not ends_with(table_schema, '_staging') and not starts_with(table_name, '_dlt') order by all"
            ).fetchall()
            found: dict[str, int] = {}
            for schema, name in names:
                source = schema.removeprefix("raw_")
                (rows,) = _first(connection, f'select count(*) from "{schema}"."{name}"')
                found[source] = found.get(source, 0) + rows
            return found
    except duckdb.IOException:
        return {}


def _first(connection: duckdb.DuckDBPyConnection, question: str) -> tuple[Any, ...]:
    row = connection.execute(question).fetchone()
    return row if row is not None else (None,)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, header_style="dim", pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    return table


def _money(value: Decimal | float | None) -> str:
    return "" if value is None else f"{value:,.2f}"


def _estimate(value: Any, low: Any, high: Any, form: str, between: str) -> str:
    if value is None:
        return "too few"
    if low is None or high is None:
        return f"{value:{form}}"
    return f"{value:{form}}{between}({low:{form}} to {high:{form}})"


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
