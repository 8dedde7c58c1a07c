"""The Tableau extract of a version: every mart as a table of one .hyper file, loaded from the version's Parquet files.

Tableau's own engine does the work in a process of its own, while DuckDB goes on with the next mart; so the extract
costs a publication little more than the wait for its last table. The package is Apache-2.0 and not made for every
platform: without it, or with `lifecycle.tableau_extract = false`, a version has no extract and the run says so.
"""

from __future__ import annotations

import importlib
import importlib.util
import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import duckdb

FILE_NAME = "lifecycle.hyper"
SCHEMA = "marts"
# a log file in the working directory is what the engine does unless told not to
ENGINE_SETTINGS = {"log_config": "", "default_database_version": "2"}
SUMMED = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DECIMAL")

# per mart: its rows, and the sum of every column of numbers as text, by column
Fingerprints = dict[str, tuple[int, dict[str, str]]]


class HyperError(Exception):
    """The extract could not be made; the message is the engine's."""


def is_installed() -> bool:
    """Whether this machine has Tableau's engine."""
    return importlib.util.find_spec("tableauhyperapi") is not None


class Extract:
    """A .hyper file that a thread fills while `add` returns at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._files: queue.Queue[tuple[str, Path] | None] = queue.Queue()
        self._failure: Exception | None = None
        self._found: Fingerprints = {}
        self._thread = threading.Thread(target=self._fill, daemon=True)
        self._thread.start()

    def add(self, mart: str, parquet: Path) -> None:
        """Have a mart loaded from its Parquet file, which must be complete."""
        self._files.put((mart, parquet))

    def close(self) -> None:
        """No more marts come; the engine goes on with those it has."""
        self._files.put(None)

    def finish(self) -> Fingerprints:
        """Wait for the engine; what the closed file holds, as the engine read it back.

        Raises:
            HyperError: if a mart could not be loaded.
        """
        self.close()
        self._thread.join()
        if self._failure is not None:
            first = (str(self._failure).splitlines() or [""])[0]
            raise HyperError(f"The Tableau extract could not be made: {first}")
        return self._found

    def _fill(self) -> None:
        try:
            with _engine() as (hyper, process):
                with _connected(hyper, process, self._path, create=True) as connection:
                    connection.catalog.create_schema(SCHEMA)
                    while (item := self._files.get()) is not None:
                        mart, parquet = item
                        connection.execute_command(
                            f"create table {hyper.TableName(SCHEMA, mart)} as"
                            f" (select * from external({hyper.escape_string_literal(str(parquet))}))"
                        )
                with _connected(hyper, process, self._path, create=False) as connection:
                    self._found = _read_back(hyper, connection)
        except Exception as failure:  # noqa: BLE001 - whatever it was, `finish` raises it where it can be handled
            self._failure = failure


def fingerprints(path: Path) -> Fingerprints:
    """Every table of an extract as Tableau's engine reads it."""
    with _engine() as (hyper, process), _connected(hyper, process, path, create=False) as connection:
        return _read_back(hyper, connection)


def expected(connection: duckdb.DuckDBPyConnection, database: str) -> Fingerprints:
    """The same of the marts in an attached DuckDB database."""
    kinds: dict[str, list[str]] = {}
    for mart, column, kind in connection.execute(
        "select table_name, column_name, data_type from information_schema.columns"
        " where table_catalog = ? and table_schema = 'marts' order by table_name, ordinal_position",
        [database],
    ).fetchall():
        columns = kinds.setdefault(mart, [])
        if kind.startswith(SUMMED):
            columns.append(column)
    found: Fingerprints = {}
    for mart, columns in kinds.items():
        sums = [f'cast(coalesce(sum("{name}"), 0) as varchar)' for name in columns]
        query = f'select {", ".join(["count(*)", *sums])} from "{database}".marts."{mart}"'
        row = connection.execute(query).fetchall()[0]
        found[mart] = (row[0], dict(zip(columns, map(_plain, row[1:]), strict=True)))
    return found


def _read_back(hyper: Any, connection: Any) -> Fingerprints:
    kinds = hyper.TypeTag
    summed = {kinds.SMALL_INT, kinds.INT, kinds.BIG_INT, kinds.NUMERIC}
    found: Fingerprints = {}
    for table in connection.catalog.get_table_names(SCHEMA):
        definition = connection.catalog.get_table_definition(table)
        columns = [column.name.unescaped for column in definition.columns if column.type.tag in summed]
        sums = [f"cast(coalesce(sum({hyper.Name(name)}), 0) as text)" for name in columns]
        row = connection.execute_list_query(f"select {', '.join(['count(*)', *sums])} from {table}")[0]
        found[table.name.unescaped] = (row[0], dict(zip(columns, map(_plain, row[1:]), strict=True)))
    return found


@contextmanager
def _engine() -> Iterator[tuple[Any, Any]]:
    hyper: Any = importlib.import_module("tableauhyperapi")  # not made for every platform
    with hyper.HyperProcess(hyper.Telemetry.DO_NOT_SEND_USAGE_DATA_TO_TABLEAU, parameters=ENGINE_SETTINGS) as process:
        yield hyper, process


@contextmanager
def _connected(hyper: Any, process: Any, path: Path, *, create: bool) -> Iterator[Any]:
    mode = hyper.CreateMode.CREATE_AND_REPLACE if create else hyper.CreateMode.NONE
    with hyper.Connection(process.endpoint, str(path), mode) as connection:
        yield connection


def _plain(number: str) -> str:
    """A sum without zeros behind the point: the engines differ in how many they write."""
    text = str(number)
    return text.rstrip("0").rstrip(".") if "." in text else text
