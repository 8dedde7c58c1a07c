"""The warehouse without a person: raw rows scrubbed, everything computed from them dropped, the file written anew.

DuckDB frees blocks and does not wipe them: what was deleted or updated stays in the file, and is gone only from a file
that was written without it. So the raw tables are copied into a new file, and the old one is overwritten.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from ingest.forgotten import REFERENCES
from lifecycle.forget import words
from lifecycle.forget.shred import shred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from ingest.forgotten import Forgotten
    from lifecycle.forget.subject import Subject

RAW = "raw\\_%"
# what the run wrote itself names records in its own words: product:user:<id>
OWN_WORDS = ("raw_ops", "raw_receipts")


def scrub_raw(connection: duckdb.DuckDBPyConnection, forgotten: Forgotten, subject: Subject) -> dict[str, int]:
    """Take the subject out of every raw table, by the rules that keep it out of the next extract; rows by table."""
    changed: dict[str, int] = {}
    replaced = own_words(forgotten, subject.texts)
    telling = own_words(forgotten, filter(words.is_telling, subject.texts))
    tables: list[tuple[str, str]] = connection.execute(
        "select schema_name, table_name from duckdb_tables() where schema_name like ? escape '\\' order by all", [RAW]
    ).fetchall()
    for schema, table in tables:
        condition = _condition(connection, schema, table, subject)
        if condition is None:
            continue
        name = f'{schema}."{table}"'
        rows: pa.Table = connection.sql(f"select *, rowid as _row from {name} where {condition}").to_arrow_table()
        if not rows.num_rows:
            continue
        clean = rows.drop_columns(["_row"])
        if schema in OWN_WORDS:
            clean, count = _in_own_words(clean, replaced)[0], rows.num_rows
        else:
            clean, count = forgotten.scrub(f"{schema.removesuffix('_staging')}.{table}", clean)
            # what stands in a text where only whoever knows the word itself can find it
            clean, more = _in_own_words(clean, telling)
            count = max(count, more)
        if not count:
            continue
        connection.register("clean_rows", clean)
        connection.register("old_rows", rows.select(["_row"]))
        connection.execute("begin")
        connection.execute(f"delete from {name} where rowid in (select _row from old_rows)")
        connection.execute(f"insert into {name} by name select * from clean_rows")
        connection.execute("commit")
        connection.unregister("clean_rows")
        connection.unregister("old_rows")
        changed[f"{schema}.{table}"] = count
    return changed


def rewrite(path: Path) -> int:
    """Copy the raw tables into a new file that takes the old one's place, overwrite the old; readers cut off by it.

    Everything else in the warehouse is computed from them and the next build makes it again.

    Raises:
        RuntimeError: if the copy does not hold what the original holds. The original stays.
    """
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        database = path.stem
        connection.execute("checkpoint")
        connection.execute(f"attach '{_quoted(fresh)}' as fresh")
        tables: list[tuple[str, str]] = connection.execute(
            "select schema_name, table_name from duckdb_tables()"
            " where database_name = ? and schema_name like ? escape '\\' order by all",
            [database, RAW],
        ).fetchall()
        for schema, table in tables:
            connection.execute(f"create schema if not exists fresh.{schema}")
            columns = ", ".join(
                f'"{column}" {kind}{"" if is_nullable else " not null"}'
                for column, kind, is_nullable in connection.execute(
                    "select column_name, data_type, is_nullable from duckdb_columns()"
                    " where database_name = ? and schema_name = ? and table_name = ? order by column_index",
                    [database, schema, table],
                ).fetchall()
            )
            connection.execute(f'create table fresh.{schema}."{table}" ({columns})')
            connection.execute(f'insert into fresh.{schema}."{table}" select * from "{database}".{schema}."{table}"')
            counts = [
                connection.execute(f'select count(*) from "{each}".{schema}."{table}"').fetchall()[0][0]
                for each in (database, "fresh")
            ]
            if counts[0] != counts[1]:
                raise RuntimeError(f"{schema}.{table} was not copied whole; the warehouse is as it was.")
        connection.execute("checkpoint fresh")
        connection.execute("detach fresh")
    old = path.with_suffix(".old")
    os.link(path, old)
    with fresh.open("rb") as file:
        os.fsync(file.fileno())
    fresh.replace(path)
    cut_off = shred(old)
    for rest in (path.with_name(path.name + ".wal"), fresh.with_name(fresh.name + ".wal")):
        shred(rest)
    return cut_off


def own_words(forgotten: Forgotten, texts: Iterable[str]) -> Callable[[str], str]:
    """A function that puts surrogates in the place of somebody's ids and addresses, as words anywhere in a text."""
    theirs = words.pattern(texts)

    def replace(text: str) -> str:
        if theirs is None:
            return text
        return theirs.sub(lambda found: forgotten.surrogate_of(words.plain(found[0])) or "", text)

    return replace


def _in_own_words(rows: pa.Table, replaced: Callable[[str], str]) -> tuple[pa.Table, int]:
    """The rows with every word replaced, and in how many there was one."""
    touched: set[int] = set()
    for position, column in enumerate(rows.schema):
        if pa.types.is_string(column.type):
            values = rows.column(position).to_pylist()
            fresh = [None if value is None else replaced(value) for value in values]
            touched.update(index for index, value in enumerate(values) if value != fresh[index])
            rows = rows.set_column(position, column, pa.array(fresh, column.type))
    return rows, len(touched)


def _condition(connection: duckdb.DuckDBPyConnection, schema: str, table: str, subject: Subject) -> str | None:
    """SQL that is true for rows that may be about the subject; None for a table that cannot be."""
    known = dict(
        connection.execute(
            "select column_name, data_type from duckdb_columns()"
            " where schema_name = ? and table_name = ? and database_name = current_database()",
            [schema, table],
        ).fetchall()
    )
    texts = [column for column, kind in known.items() if kind in {"VARCHAR", "JSON"} and not table.startswith("_dlt")]
    conditions = []
    tokens = sorted({text.lower() for text in subject.texts})
    if texts and tokens:
        # more than words: which of these rows hold one is decided afterwards
        searched = [_flexible(token) for token in tokens]
        whole = ", ".join(f'cast("{column}" as varchar)' for column in texts)
        conditions.append(f"regexp_matches(lower(concat_ws(chr(10), {whole})), '{_quoted('|'.join(searched))}')")
    for column, kind in REFERENCES.get(f"{schema.removesuffix('_staging')}.{table}", {}).items():
        numbers = [record.rpartition(":")[2] for record in subject.records if record.rpartition(":")[0] == kind]
        if numbers and column in known:
            conditions.append(f'cast("{column}" as varchar) in ({", ".join(repr(number) for number in numbers)})')
    return " or ".join(conditions) or None


def _flexible(token: str) -> str:
    local, at, domain = token.partition("@")
    if not at:
        return re.escape(token)
    # with a +suffix that was never seen, and as links spell it
    return f"{re.escape(local.partition('+')[0])}([+][^@]*)?(@|%40){re.escape(domain)}"


def _quoted(value: object) -> str:
    return str(value).replace("'", "''")
