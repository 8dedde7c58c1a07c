"""How the extraction of a source ended, and where that is written down. Known to whoever asks for it, without dlt."""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb

from ingest import ops

PIPELINES_DIR = "dlt"
WRITER_LOCK = "writer.lock"


@dataclass(frozen=True, slots=True)
class TableCounts:
    """Rows of one table in one extraction. extracted = loaded + quarantined + deduplicated."""

    table_name: str
    rows_extracted: int
    rows_loaded: int
    rows_quarantined: int
    rows_deduplicated: int
    vendor_total: int | None


@dataclass(frozen=True, slots=True)
class SourceResult:
    """How the extraction of one source ended.

    `error` is a sentence for a person, None on success; `is_misconfigured` says that a setting is the cause.
    Times are UTC, naive.
    """

    source: str
    status: str
    rows_extracted: int = 0
    rows_loaded: int = 0
    rows_quarantined: int = 0
    rows_deduplicated: int = 0
    seconds: float = 0.0
    error: str | None = None
    is_misconfigured: bool = False
    data_through_at: dt.datetime | None = None
    tables: tuple[TableCounts, ...] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        """Whether everything this source had is in the warehouse now."""
        return self.status == "ok"


def warehouse_path(data_dir: Path) -> Path:
    """Where the pipeline's own DuckDB file lies."""
    return data_dir / "warehouse.duckdb"


@contextlib.contextmanager
def writer_lock(data_dir: Path) -> Iterator[None]:
    """Hold the warehouse for writing; DuckDB lets only one process in. A killed holder lets go by dying."""
    directory = data_dir / PIPELINES_DIR
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (directory / WRITER_LOCK).open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def record(result: SourceResult, run_id: str, as_of: dt.datetime, started: dt.datetime, data_dir: Path) -> None:
    """Write down how the extraction ended: one row, and one per table."""
    extract_id = f"{run_id}:{result.source}"
    extract = {
        "extract_id": extract_id,
        "run_id": run_id,
        "source": result.source,
        "as_of": as_of,
        "started_at": started,
        "finished_at": dt.datetime.now(dt.UTC).replace(tzinfo=None),
        "status": "succeeded" if result.ok else "failed",
        "rows_loaded": result.rows_loaded,
        "rows_quarantined": result.rows_quarantined,
        "data_through_at": result.data_through_at,
        "error": result.error,
    }
    extract_tables = [
        {
            "extract_table_id": f"{extract_id}:{table.table_name}",
            "extract_id": extract_id,
            "run_id": run_id,
            "source": result.source,
            **asdict(table),
            "rows_loaded": table.rows_loaded if result.ok else 0,
        }
        for table in result.tables
    ]
    with writer_lock(data_dir), duckdb.connect(str(warehouse_path(data_dir))) as connection:
        ops.record(connection, "extracts", [extract])
        ops.record(connection, "extract_tables", extract_tables)
