"""Receipts: our own delivery ledger, read back as a source like any other.

Data flow: <data_dir>/ledger.sqlite, or the database that `activation.ledger_url` names, views deliveries and attempts
-> raw_receipts.*, by SQL only: this package knows the columns of the two views (the contract), not the code that writes
them.
Incremental rule: deliveries by `updated_at`, attempts by `finished_at`, from the newest value seen minus one second on,
so that what was written within the same second is not lost. Merged by their ids. A ledger that is not there is empty.
Delete rule: the ledger forgets nothing.
Run: python -m ingest receipts
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import sqlalchemy as sa
from dlt.sources import DltResource

from ingest import contracts, given, guards
from ingest.errors import SourceError
from ingest.extraction import Extraction

TABLES = contracts.load("receipts")
LEDGER = "ledger.sqlite"
CHANGED_BY = {"deliveries": "updated_at", "attempts": "finished_at"}
LAG = 1.0


@dlt.source(name="receipts", max_table_nesting=0)
def receipts(extraction: Extraction) -> Iterable[DltResource]:
    """Deliveries with their present state, and every attempt."""
    url: str | None = given.find(given.LEDGER_URL, is_secret=True) or None
    where = extraction.data_dir / LEDGER if url is None else sa.make_url(url)
    for name in CHANGED_BY:
        yield dlt.resource(_changed(extraction, where, name), **TABLES[name].hints())


def _changed(extraction: Extraction, where: Path | sa.URL, name: str) -> Callable[[], Iterator[pa.Table]]:
    def changed() -> Iterator[pa.Table]:
        table = extraction.table(name)
        known: float | None = extraction.known.get("cursors", {}).get(name)
        seen: list[float] = []
        for rows in _rows(where, name, known):
            seen.extend(_unix(row[CHANGED_BY[name]]) for row in rows if row[CHANGED_BY[name]] is not None)
            table.add(rows, f"{_called(where)}, table {name}")
            yield table.drain()
        if seen or known is not None:
            cursors = dlt.current.source_state().setdefault("cursors", {})
            # the ledger runs on the run's own clock, and a later run may carry the same instant
            cursors[name] = guards.advanced_cursor(known, seen, extraction.as_of_unix)
        extraction.data_through_at = extraction.as_of

    return changed


def _rows(where: Path | sa.URL, name: str, known: float | None) -> Iterator[list[dict[str, Any]]]:
    """Rows changed since the cursor, in chunks.

    Raises:
        SourceError: if the ledger is there and cannot be read.
    """
    if isinstance(where, Path) and not where.exists():
        return
    contract = TABLES[name]
    columns = [
        sa.column(column, sa.DateTime() if kind == "timestamp" else None) for column, kind in contract.columns.items()
    ]
    changed_at = sa.column(CHANGED_BY[name], sa.DateTime())
    query = sa.select(*columns).select_from(sa.table(name)).order_by(changed_at, sa.column(contract.primary_key or ""))
    if known is not None:
        since = dt.datetime.fromtimestamp(guards.lagged(known, LAG), dt.UTC).replace(tzinfo=None)
        query = query.where(changed_at >= since)
    engine = _engine(where)
    try:
        if not sa.inspect(engine).has_table(name):
            return
        with engine.connect().execution_options(stream_results=True) as connection:
            for chunk in connection.execute(query).mappings().partitions(10_000):
                yield [{key: _zoned(value) for key, value in row.items()} for row in chunk]
    except sa.exc.SQLAlchemyError as failure:
        # the text of the failure may hold the address with its password
        raise SourceError(f"The delivery ledger {_called(where)} cannot be read ({type(failure).__name__}).") from None
    finally:
        engine.dispose()


def _engine(where: Path | sa.URL) -> sa.Engine:
    if isinstance(where, Path):
        return sa.create_engine(f"sqlite:///{where}", connect_args={"timeout": 30})
    if where.get_backend_name() != "postgresql":
        return sa.create_engine(where)
    try:
        return sa.create_engine(where.set(drivername="postgresql+pg8000"))
    except ModuleNotFoundError as missing:
        raise SourceError(given.lacks_driver(missing)) from None


def _called(where: Path | sa.URL) -> str:
    """The ledger by a name that may be shown: no password, no user."""
    return where.name if isinstance(where, Path) else f"{where.get_backend_name()} at {where.host}"


def _zoned(value: Any) -> Any:
    """Times of the ledger are UTC without saying so."""
    return value.replace(tzinfo=dt.UTC) if isinstance(value, dt.datetime) else value


def _unix(value: dt.datetime) -> float:
    return value.timestamp()
