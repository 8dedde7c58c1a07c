"""One source through dlt: extract and normalise beside the others, load alone, leave no copy of the rows behind.

Every run begins with an empty working directory and the state that the warehouse holds, which is the state of the last
load that was finished. So a run that was killed anywhere leaves nothing to repair: what it had extracted is extracted
again and merged over whatever it had loaded.
"""

from __future__ import annotations

import datetime as dt
import importlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.pipeline import LoadInfo

from ingest import configuration, contracts, once, ops
from ingest.contracts import TableContract
from ingest.errors import ConfigurationError, CredentialsError, IngestError, LoadError
from ingest.extraction import Extraction
from ingest.outcomes import PIPELINES_DIR, SourceResult, TableCounts, record, warehouse_path, writer_lock

# dlt's own settings that this project depends on; they are not for `.dlt/config.toml`, because changing one breaks a
# promise made elsewhere (see the comments)
DLT_SETTINGS = {
    # nobody outside is told that this runs
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "CRITICAL",
    # rows of customers do not stay in the working directory
    "LOAD__DELETE_COMPLETED_JOBS": "true",
    "LOAD__TRUNCATE_STAGING_DATASET": "true",
    # proves after the load that every row arrived
    "NORMALIZE__PARQUET_NORMALIZER__ADD_DLT_LOAD_ID": "true",
    "NORMALIZE__LOADER_FILE_FORMAT": "parquet",
    # threads of resources that wait for a vendor
    "EXTRACT__WORKERS": "12",
    "EXTRACT__MAX_PARALLEL_ITEMS": "24",
    "LOAD__WORKERS": "4",
}
# errors that somebody has to change a setting for
MISCONFIGURED = (ConfigurationError, CredentialsError)

Say = Callable[[str], None]


def apply_dlt_settings() -> None:
    """Put this project's dlt settings in force for this process."""
    os.environ.update(DLT_SETTINGS)
    once.remember()


def run_source(source: str, *, run_id: str, as_of: dt.datetime, data_dir: Path, say: Say) -> SourceResult:
    """Extract one source and load it; a failure is a result, not an exception."""
    started = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    clock = time.monotonic()
    extraction = Extraction(source, as_of, data_dir, say)
    error: str | None = None
    is_misconfigured = False
    try:
        extraction.smallest_share = configuration.smallest_share()
        _extract_and_load(extraction, run_id)
    except IngestError as failure:
        error, is_misconfigured = str(failure), isinstance(failure, MISCONFIGURED)
    except Exception as failure:  # noqa: BLE001 - whatever breaks one source must not take the others along
        cause = _own_cause(failure)
        error = str(cause) if cause else f"{source} could not be loaded: {_sentence(failure)}"
        is_misconfigured = isinstance(cause, MISCONFIGURED)
    counts = tuple(
        TableCounts(
            name,
            table.extracted,
            table.loaded,
            table.quarantined,
            table.deduplicated,
            extraction.vendor_totals.get(name),
        )
        for name, table in sorted(extraction.tables.items())  # not in the order in which vendors answered
    )
    result = SourceResult(
        source=source,
        status="failed" if error else "ok",
        rows_extracted=sum(table.rows_extracted for table in counts),
        rows_loaded=0 if error else sum(table.rows_loaded for table in counts),
        rows_quarantined=sum(table.rows_quarantined for table in counts),
        rows_deduplicated=sum(table.rows_deduplicated for table in counts),
        seconds=round(time.monotonic() - clock, 3),
        error=error,
        is_misconfigured=is_misconfigured,
        data_through_at=None if error else extraction.data_through_at,
        tables=counts,
    )
    try:
        record(result, run_id, as_of, started, data_dir)
    except duckdb.Error as failure:
        error = error or f"The outcome of {source} could not be written down: {_sentence(failure)}"
        result = replace(result, status="failed", error=error, rows_loaded=0)
    finally:
        shutil.rmtree(_working_dir(data_dir, source), ignore_errors=True)
    return result


def _extract_and_load(extraction: Extraction, run_id: str) -> None:
    source, data_dir = extraction.source, extraction.data_dir
    settings = configuration.resolve(source)
    module = importlib.import_module(f"ingest.{source}")
    working_dir = _working_dir(data_dir, source)
    shutil.rmtree(working_dir, ignore_errors=True)
    working_dir.mkdir(mode=0o700, parents=True)
    table_contracts = contracts.load(source)
    dataset = next(iter(table_contracts.values())).dataset
    pipeline = dlt.pipeline(
        f"lifecycle_{source}",
        pipelines_dir=str(working_dir),
        destination=dlt.destinations.duckdb(str(warehouse_path(data_dir))),
        dataset_name=dataset,
    )
    with writer_lock(data_dir), duckdb.connect(str(warehouse_path(data_dir))) as connection:
        pipeline.sync_destination()
        extraction.held_rows = _held_rows(connection, extraction)
        emptied = _emptied_table(connection, extraction)
        if emptied:
            _add_known_columns(connection, pipeline, extraction)
    if emptied:
        extraction.say(f"{emptied} was loaded before and is empty now, so the source is read from the beginning")
        with pipeline.managed_state() as state:
            state.get("sources", {}).pop(source, None)
    extraction.known = pipeline.state.get("sources", {}).get(source, {})
    extraction.held_keys = lambda name: _held_keys(data_dir, table_contracts[name])
    contents = getattr(module, source)(extraction, **settings)
    pipeline.extract(contents, loader_file_format="parquet")
    has_rows = any(table.loaded or table.vanished for table in extraction.tables.values())
    has_news = has_rows or pipeline.state.get("sources", {}).get(source, {}) != extraction.known
    if has_news:
        pipeline.normalize()
    # dlt opens and closes the file around every job; while it is open here, both cost next to nothing
    with writer_lock(data_dir), duckdb.connect(str(warehouse_path(data_dir))) as connection:
        if extraction.quarantine.rejected:
            _record_quarantine(connection, extraction, run_id)
        if not has_news:
            return
        load_info = pipeline.load()
        load_info.raise_on_failed_jobs()
        _require_arrival(connection, extraction, load_info)


def _working_dir(data_dir: Path, source: str) -> Path:
    return data_dir / PIPELINES_DIR / source


def _held_rows(connection: duckdb.DuckDBPyConnection, extraction: Extraction) -> dict[str, int]:
    """Rows of each raw table of the source before this run."""
    return {
        name: connection.execute(f'select count(*) from {contract.dataset}."{name}"').fetchall()[0][0]
        for name, contract in extraction.contracts.items()
    }


def _held_keys(data_dir: Path, contract: TableContract) -> set[Any]:
    """The primary keys of a raw table."""
    with writer_lock(data_dir), duckdb.connect(str(warehouse_path(data_dir))) as connection:
        query = f'select "{contract.primary_key}" from {contract.dataset}."{contract.name}"'
        return {key for (key,) in connection.execute(query).fetchall()}


def _emptied_table(connection: duckdb.DuckDBPyConnection, extraction: Extraction) -> str | None:
    """A table that an earlier run filled and that holds nothing now: its cursor would skip what is gone."""
    filled = connection.execute(
        "select distinct table_name from raw_ops.extract_tables where source = ? and rows_loaded > 0 order by 1",
        [extraction.source],
    ).fetchall()
    for (name,) in filled:
        is_read_whole = name in extraction.contracts and extraction.contracts[name].write_disposition == "replace"
        if not is_read_whole and not extraction.held_rows.get(name):
            return str(name)
    return None


def _add_known_columns(connection: duckdb.DuckDBPyConnection, pipeline: dlt.Pipeline, extraction: Extraction) -> None:
    """Give tables that were made anew the columns that earlier loads added: dlt believes they are still there."""
    if not pipeline.default_schema_name:
        return
    for name, contract in extraction.contracts.items():
        for column, hint in pipeline.default_schema.tables.get(name, {}).get("columns", {}).items():
            kind = contracts.DUCKDB_TYPES.get(str(hint.get("data_type")))
            if kind:
                connection.execute(
                    f'alter table {contract.dataset}."{name}" add column if not exists "{column}" {kind}'
                )


def _require_arrival(connection: duckdb.DuckDBPyConnection, extraction: Extraction, load_info: LoadInfo) -> None:
    """Compare the rows that carry this load's id with the rows that were sent.

    Raises:
        LoadError: if they differ.
    """
    load_ids = list(load_info.loads_ids)
    for name, table in extraction.tables.items():
        contract = extraction.contracts[name]
        ((arrived,),) = connection.execute(
            f'select count(*) from {contract.dataset}."{name}" where _dlt_load_id in (select unnest(?))', [load_ids]
        ).fetchall()
        if arrived != table.loaded:
            raise LoadError(
                f"{extraction.source}.{name}: {table.loaded:,} rows were sent and {arrived:,} arrived;"
                " the next run reads them again."
            )


def _record_quarantine(connection: duckdb.DuckDBPyConnection, extraction: Extraction, run_id: str) -> None:
    """Write down what was set aside, before the load moves the cursor past it."""
    seen_at = extraction.as_of
    rows = [
        {
            "quarantine_id": item.quarantine_id,
            "run_id": run_id,
            "source": item.source,
            "table_name": item.table_name,
            "location": item.location,
            "record_key": item.record_key,
            "reason": item.reason,
            "payload": item.payload,
            "seen_at": seen_at,
        }
        for item in extraction.quarantine.rejected
    ]
    ops.record(connection, "quarantine", rows, keep_first=True)


def _own_cause(failure: BaseException) -> IngestError | None:
    """Our own error among the causes; dlt wraps what a resource raises."""
    seen: BaseException | None = failure
    while seen is not None:
        if isinstance(seen, IngestError):
            return seen
        if isinstance(seen, ConfigurationException):
            return ConfigurationError(f"dlt's configuration is incomplete: {_sentence(seen)}")
        seen = seen.__cause__ or seen.__context__
    return None


def _sentence(failure: BaseException) -> str:
    """The kind of an unexpected error and the first line of its text; rows that dlt attaches to errors are left out."""
    deepest = failure
    while deepest.__cause__ is not None:
        deepest = deepest.__cause__
    lines = str(deepest).strip().splitlines() or [""]
    return f"{type(deepest).__name__}: {lines[0][:300]}"
