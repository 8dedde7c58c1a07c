"""What the gate judges, read from the warehouse and from the version that serves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest import contracts
from lifecycle.gate.verdict import Check

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

    from lifecycle.settings import Places

_FINDINGS = """
    select
        check_id, family, owner, severity, outcome, silo, table_name, subject, category, profile_date, score, observed,
        expected, expected_low, expected_high, unit, failing, accepted_until
    from "{database}".marts.quality_findings
    where as_of = ?
    order by check_id, silo, table_name
"""

# what the raw tables had when they were last published (lifecycle/remembered/profiles.py)
_KNOWN_COLUMNS = """
    select question from raw_ops.profiles where source_name = 'columns'
    group by question having max_by(reading, as_of) > 0
"""

_RAW_COLUMNS = """
    select
        substr(schema_name, 5) as silo,
        concat_ws('/', 'columns', substr(schema_name, 5), table_name, column_name, data_type) as question
    from duckdb_columns()
    where database_name = ? and starts_with(schema_name, 'raw_') and not ends_with(schema_name, '_staging')
        and schema_name <> 'raw_ops' and not starts_with(table_name, '_dlt') and not starts_with(column_name, '_dlt')
    order by all
"""


def findings(connection: duckdb.DuckDBPyConnection, database: str, as_of: datetime) -> list[Check]:
    """What the warehouse judged itself at this instant; nothing if it did not come to that."""
    if "quality_findings" not in count_names(connection, database):
        return []
    cursor = connection.execute(_FINDINGS.format(database=database), [as_of])
    names = [column[0] for column in cursor.description or []]
    return [_finding(dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def changed_columns(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, list[str]]:
    """Per silo what its raw tables have more or less, or of another type, than when they were last published.

    Before the first publication every column is new, so nothing is said.
    """
    found: dict[str, list[str]] = {source: [] for source in contracts.known_sources() if source != "ops"}
    known = {question for (question,) in connection.execute(_KNOWN_COLUMNS).fetchall()}
    if not known:
        return found
    now = connection.execute(_RAW_COLUMNS, [database]).fetchall()
    for silo, question in now:
        if question not in known:
            _, _, table, column, kind = question.split("/", 4)
            found.setdefault(silo, []).append(f"{table}.{column} ({kind}) is new")
    for question in sorted(known - {question for _, question in now}):
        _, silo, table, column, kind = question.split("/", 4)
        found.setdefault(silo, []).append(f"{table}.{column} ({kind}) is gone")
    return found


def count_names(connection: duckdb.DuckDBPyConnection, database: str) -> list[str]:
    """The relations of the schema marts in one attached database."""
    rows = connection.execute(
        "select table_name from information_schema.tables"
        " where table_catalog = ? and table_schema = 'marts' order by table_name",
        [database],
    ).fetchall()
    return [name for (name,) in rows]


def count_marts(connection: duckdb.DuckDBPyConnection, database: str) -> dict[str, int]:
    """Rows per relation of the schema marts in one attached database; empty if there is no such schema."""
    return {
        name: _only(connection, f'select count(*) from "{database}".marts."{name}"')
        for name in count_names(connection, database)
    }


def published_counts(connection: duckdb.DuckDBPyConnection, places: Places) -> dict[str, int]:
    """Rows per mart of the version that serves; empty before the first publication."""
    path = places.complete_file.resolve()
    if not path.exists():
        return {}
    connection.execute(f"attach '{str(path).replace(chr(39), chr(39) * 2)}' as serving (read_only)")
    try:
        return count_marts(connection, "serving")
    finally:
        connection.execute("detach serving")


def mart_columns(connection: duckdb.DuckDBPyConnection, database: str) -> list[tuple[str, str, str]]:
    """(mart, column, type) of everything public in one attached database."""
    return connection.execute(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_catalog = ? and table_schema = 'marts' order by all",
        [database],
    ).fetchall()


def _finding(row: dict[str, Any]) -> Check:
    """A row of quality_findings as a check; its sentence says what, where, and what would have been ordinary."""
    unit = {"percent": " %", "rows": " rows", "days": " days"}.get(row["unit"] or "", "")
    observed = f"{_number(row['observed'])}{unit}"
    expected = f"{_number(row['expected_low'])} to {_number(row['expected_high'])}{unit}"
    message = ""
    if row["outcome"] != "pass":
        of_what = f" '{row['category']}'" if row["category"] is not None else ""
        when = f" on {row['profile_date']}" if row["profile_date"] is not None else ""
        more = f"; {row['failing'] - 1} more like it" if row["failing"] > 1 else ""
        until = f"; accepted until {row['accepted_until']}" if row["outcome"] == "accepted" else ""
        message = (
            f"{row['subject']}{of_what}{when}: {observed}, usual is {_number(row['expected'])}{unit} ({expected})"
            f"{more}{until}"
        )
    return Check(
        check_id=row["check_id"],
        subject=f"{row['silo']}.{row['table_name']}",
        outcome=row["outcome"],
        message=message,
        family=row["family"],
        owner=row["owner"],
        severity=row["severity"],
        silo=None if row["silo"] == "marts" else row["silo"],
        observed=observed,
        expected=expected,
    )


def _number(value: Any) -> str:
    number = float(value)
    return f"{number:,.0f}" if abs(number) >= 100 or number == round(number) else f"{number:,.2f}"


def _only(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
