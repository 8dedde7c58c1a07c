"""What the YAML beside the seeds promises, judged on the files: the same rows that the dbt tests read, said better.

The promises are read from the YAML, so a new seed, column or law is checked from the day it is declared. Laws are SQL
over one row; they are evaluated in an empty DuckDB in memory. What needs another model is left to dbt.
"""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import duckdb

from lifecycle.playbook.sheets import Finding, has_type, is_playbook

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from lifecycle.playbook.sheets import Playbook, Row, Sheet

REF = re.compile(r"ref\('(\w+)'\)")
WORD = re.compile(r"[a-z_][a-z0-9_]*")


def findings(playbook: Playbook) -> Iterator[Finding]:
    """Every broken promise of the playbook's own seeds."""
    with duckdb.connect() as connection:
        for sheet in playbook:
            if not is_playbook(sheet):
                continue
            yield from sheet.faults
            yield from _types(sheet)
            for name, arguments in _tests(sheet.declared.get("data_tests", [])):
                if name == "sound":
                    yield from _sound(connection, playbook, sheet, arguments)
                elif name == "row_count_at_least":
                    yield from _at_least(sheet, int(arguments["minimum"]))


def closest(text: str, known: Iterable[str]) -> str:
    """What to write instead: the nearest known value, or the list of them."""
    values = sorted(known)
    near = difflib.get_close_matches(text, values, n=1)
    if near:
        return f"Did you mean '{near[0]}'?"
    return f"Write one of: {', '.join(values[:12])}{', ...' if len(values) > 12 else ''}."


def _tests(declared: Iterable[Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for test in declared:
        if isinstance(test, str):
            yield test, {}
        else:
            for name, body in test.items():
                yield name, (body or {}).get("arguments", {})


def _types(sheet: Sheet) -> Iterator[Finding]:
    for row in sheet.rows:
        for column, type_name in sheet.types.items():
            if not has_type(row[column], type_name):
                hint = "true or false" if type_name == "boolean" else f"a {type_name}"
                yield row.finding(column, f"'{row[column]}' is not {hint}.", f"Write {hint}.")
            elif row[column] != row[column].strip():
                yield row.finding(column, "There are spaces around the text.", "Take them away; they are part of it.")


def _sound(
    connection: duckdb.DuckDBPyConnection, playbook: Playbook, sheet: Sheet, rules: Mapping[str, Any]
) -> Iterator[Finding]:
    """What tests/generic/sound.sql asks of the rows."""
    by, nullable = rules.get("by", []), rules.get("nullable", [])
    present = [column for column in by if column not in nullable]
    yield from _never_null(sheet, [*present, *rules.get("never_null", [])])
    for key in [*([by] if by else []), *rules.get("also_unique", [])]:
        yield from _unique(sheet, key)
    for column, values in rules.get("one_of", {}).items():
        yield from _one_of(sheet, column, {str(value) for value in values})
    for column, (low, high) in rules.get("between", {}).items():
        yield from _range(sheet, column, low, high)
    for column, target in rules.get("exists_in", {}).items():
        yield from _related(connection, playbook, sheet, column, target)
    for law, expression in rules.get("holds", {}).items():
        yield from _law(connection, sheet, expression, f"it breaks '{law}'.")


def _at_least(sheet: Sheet, minimum: int) -> Iterator[Finding]:
    if len(sheet.rows) < minimum:
        yield Finding(sheet.file, 0, "", f"It has {len(sheet.rows)} rows.", f"It needs {minimum} at least.")


def _one_of(sheet: Sheet, column: str, allowed: set[str]) -> Iterator[Finding]:
    for row in sheet.rows:
        if row[column] and row[column] not in allowed:
            yield row.finding(column, f"'{row[column]}' is not known.", closest(row[column], allowed))


def _range(sheet: Sheet, column: str, low: Any, high: Any) -> Iterator[Finding]:
    for row in sheet.rows:
        if not row[column] or not has_type(row[column], "double"):
            continue
        value = float(row[column])
        if (low is not None and value < float(low)) or (high is not None and value > float(high)):
            limits = " and ".join([f"{low} at least"] * (low is not None) + [f"{high} at most"] * (high is not None))
            yield row.finding(column, f"{row[column]} is out of range.", f"Write {limits}.")


def _related(
    connection: duckdb.DuckDBPyConnection,
    playbook: Playbook,
    sheet: Sheet,
    column: str,
    target: str | Mapping[str, str],
) -> Iterator[Finding]:
    told = {"model": target} if isinstance(target, str) else target
    model = REF.search(told["model"])
    there = playbook.sheets.get(model.group(1)) if model else None
    if there is None:
        return  # it refers to a model: dbt's to judge
    field = told.get("column", column)
    known = there.values(field)
    outside = _not_in_scope(connection, sheet, told.get("when"))
    for row in sheet.rows:
        if row[column] and row[column] not in known and row.number not in outside:
            problem = f"'{row[column]}' is no {field} of {there.name}."
            yield row.finding(column, problem, closest(row[column], known))


def _never_null(sheet: Sheet, columns: Iterable[str]) -> Iterator[Finding]:
    for column in columns:
        for row in sheet.rows:
            if not row[column]:
                yield row.finding(column, "It is empty.", "Every row needs one.")


def _unique(sheet: Sheet, key: list[str]) -> Iterator[Finding]:
    seen: dict[tuple[str, ...], Row] = {}
    for row in sheet.rows:
        value = tuple(row[column] for column in key)
        if value in seen:
            text = ", ".join(value)
            yield row.finding(
                ", ".join(key), f"'{text}' is in row {seen[value].number} already.", "Remove one of the two rows."
            )
        seen.setdefault(value, row)


def _law(connection: duckdb.DuckDBPyConnection, sheet: Sheet, expression: str, broken: str) -> Iterator[Finding]:
    if "{{" in expression:
        return  # it needs the run's own instant or another model: dbt's to judge
    columns = [word for word in dict.fromkeys(WORD.findall(expression)) if word in sheet.types]
    by_number = {row.number: row for row in sheet.rows}
    for number in _rows_where(connection, sheet, f"({expression}) is not true"):
        row = by_number[number]
        values = ", ".join(f"{column} = '{row[column]}'" for column in columns)
        yield row.finding(", ".join(columns), f"With {values} {broken}", "Change one of these fields.")


def _not_in_scope(connection: duckdb.DuckDBPyConnection, sheet: Sheet, where: str | None) -> set[int]:
    if where is None or "{{" in where:
        return set()
    return set(_rows_where(connection, sheet, f"({where}) is not true"))


def _rows_where(connection: duckdb.DuckDBPyConnection, sheet: Sheet, condition: str) -> list[int]:
    """The numbers of the rows for which a condition holds; a field of the wrong type counts as empty."""
    if condition in sheet.answered:
        return sheet.answered[condition]
    values: dict[str, list[Any]] = defaultdict(list)
    for row in sheet.rows:
        values["row_number"].append(row.number)
        for column in sheet.types:
            values[column].append(row[column] or None)
    if not sheet.rows:
        return []
    columns = ", ".join(f"try_cast(unnest(${column}) as {kind}) as {column}" for column, kind in sheet.types.items())
    query = f"select row_number from (select unnest($row_number) as row_number, {columns}) where {condition}"
    sheet.answered[condition] = [number for (number,) in connection.execute(query, values).fetchall()]
    return sheet.answered[condition]
