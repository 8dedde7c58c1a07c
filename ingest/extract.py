"""Silos to raw tables: run all sources or some, side by side, and say how each of them ended.

    from ingest.extract import run
    results = run(settings, run_id="r1", as_of=datetime(2026, 11, 1, 6))

One source that fails loses only itself. Its tables keep what they had, and `raw_ops.extracts` says why.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, TextIO, cast

import duckdb

from ingest import configuration, ops, tables
from ingest.errors import ConfigurationError
from ingest.forked import Forked, may_fork
from ingest.outcomes import SourceResult, TableCounts, record, warehouse_path, writer_lock

# The slowest vendors first: their limits, not our processor, decide when they are done.
SOURCES = ("stripe", "customerio", "zendesk", "bitrix24", "product", "spend", "reports", "receipts")

# what dlt and pyarrow import while they work; pyarrow wants to know of every list whether it is one of pandas'
LIBRARIES = (
    "dlt.common.libs.pyarrow",
    "dlt.common.libs.sql_alchemy_compat",
    "dlt.destinations.impl.duckdb.duck",
    "dlt.sources.helpers.requests",
    "pandas",
    "pyarrow.parquet",
)
# what the worker needs, for `ingest.forked.warmed`
MODULES = ("ingest.worker", *LIBRARIES, *(f"ingest.{source}" for source in SOURCES))

Progress = Callable[[str, str], None]


class ExtractSettings(Protocol):
    """What this package needs to know from whoever runs it."""

    @property
    def data_dir(self) -> Path:
        """The folder of the warehouse, the ledger and the working directories."""


def run(
    settings: ExtractSettings,
    *,
    run_id: str,
    as_of: dt.datetime,
    sources: Sequence[str] | None = None,
    progress: Progress = lambda _source, _sentence: None,
) -> list[SourceResult]:
    """Extract and load the sources; gives back one result each, in the order of `SOURCES`.

    Also writes `raw_ops.runs`, `extracts`, `extract_tables` and `quarantine`. `progress` is called with a source and a
    sentence while the work goes on. `as_of` is UTC; an aware time is converted.

    Raises:
        ConfigurationError: if a setting is missing or wrong, before anything is read.
    """
    chosen = _chosen(sources)
    configuration.check(chosen)
    if as_of.tzinfo is not None:
        as_of = as_of.astimezone(dt.UTC).replace(tzinfo=None)
    data_dir = Path(settings.data_dir).resolve()
    record_run(data_dir, run_id, as_of)
    request = {
        "run_id": run_id,
        "as_of": as_of.isoformat(),
        "data_dir": str(data_dir),
        "sources": list(chosen),
    }
    found = _worked(request, progress)
    return [found.get(source) or _lost(source, run_id, as_of, data_dir, None) for source in chosen]


def _chosen(sources: Sequence[str] | None) -> tuple[str, ...]:
    if sources is None:
        return SOURCES
    unknown = [source for source in sources if source not in SOURCES]
    if unknown:
        raise ConfigurationError(f"There is no source {unknown[0]}; known are {', '.join(SOURCES)}.")
    return tuple(source for source in SOURCES if source in sources)


def _worked(request: dict[str, Any], progress: Progress) -> dict[str, SourceResult]:
    """Run the worker on a request and follow what it says."""
    found: dict[str, SourceResult] = {}
    worker, requests, answers = _started()
    try:
        # standard input stays open: its end tells the worker's children that this process is gone
        with contextlib.suppress(BrokenPipeError):  # of a worker that is gone already no source has a result, see `run`
            requests.write(json.dumps(request) + "\n")
            requests.flush()
        for line in answers:
            message = json.loads(line)
            source = message["source"]
            if message["kind"] == "progress":
                progress(source, message["sentence"])
            elif message["kind"] == "result":
                found[source] = _result(message["result"])
                progress(source, _summary(found[source]))
            elif source not in found:
                found[source] = _lost(
                    source,
                    request["run_id"],
                    dt.datetime.fromisoformat(request["as_of"]),
                    Path(request["data_dir"]),
                    message["exit_code"],
                )
    finally:
        with contextlib.suppress(BrokenPipeError):  # closing writes what could not be written
            requests.close()
        answers.close()
        worker.wait()
    return found


def _started() -> tuple[subprocess.Popen[str] | Forked, TextIO, TextIO]:
    """The worker, its standard input and its standard output."""
    if may_fork():
        reader, writer = os.pipe()
        forked = Forked(_forked, output=writer, left=(reader,))
        os.close(writer)
        return forked, os.fdopen(forked.input, "w", encoding="utf-8"), os.fdopen(reader, encoding="utf-8")
    worker = subprocess.Popen(
        [sys.executable, "-m", "ingest.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    if worker.stdin is None or worker.stdout is None:
        raise RuntimeError("The worker was started without pipes.")
    return worker, cast("TextIO", worker.stdin), cast("TextIO", worker.stdout)


def _forked() -> None:
    from ingest import worker  # noqa: PLC0415 - loads dlt, which only the worker needs

    worker.main()


def _result(message: dict[str, Any]) -> SourceResult:
    through = message["data_through_at"]
    return SourceResult(
        **{
            **message,
            "data_through_at": dt.datetime.fromisoformat(through) if through else None,
            "tables": tuple(TableCounts(**table) for table in message["tables"]),
        }
    )


def _summary(result: SourceResult) -> str:
    if not result.ok:
        return f"failed: {result.error}"
    aside = f", {result.rows_quarantined:,} quarantined" if result.rows_quarantined else ""
    return f"{result.rows_loaded:,} rows loaded{aside} in {result.seconds:.1f} s"


def _lost(source: str, run_id: str, as_of: dt.datetime, data_dir: Path, exit_code: int | None) -> SourceResult:
    """The result of a source whose process ended without one."""
    ending = "" if exit_code is None else f" (exit code {exit_code})"
    result = SourceResult(
        source, "failed", error=f"The process that extracted {source} ended without a result{ending}."
    )
    record(result, run_id, as_of, dt.datetime.now(dt.UTC).replace(tzinfo=None), data_dir)
    return result


def record_run(data_dir: Path, run_id: str, as_of: dt.datetime) -> None:
    """Make the warehouse ready for a run: every raw table exists, and the run is written down."""
    data_dir.mkdir(parents=True, exist_ok=True)
    run = {
        "run_id": run_id,
        "as_of": as_of,
        "started_at": dt.datetime.now(dt.UTC).replace(tzinfo=None),
        "project_version": _project_version(),
    }
    with writer_lock(data_dir), duckdb.connect(str(warehouse_path(data_dir))) as connection:
        tables.create_missing(connection)
        ops.record(connection, "runs", [run])


def _project_version() -> str:
    try:
        return importlib.metadata.version("customer-lifecycle")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
