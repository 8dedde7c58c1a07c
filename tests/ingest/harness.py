"""What the tests of this folder look through: the running sandbox, and the sources run in this process."""

from __future__ import annotations

import copy
import dataclasses
import datetime as dt
import importlib
import json
import os
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import duckdb
import pyarrow as pa
import pytest
import silos
from dlt.common.configuration.container import Container
from dlt.common.configuration.resolve import inject_section
from dlt.common.configuration.specs.config_section_context import ConfigSectionContext
from dlt.common.pipeline import StateInjectableContext
from dlt.extract.pipe_iterator import PipeIterator
from dlt.sources import DltSource

from ingest import bitrix24, configuration, contracts, extract, once, pipeline
from ingest.contracts import TableContract
from ingest.extraction import Extraction
from ingest.http import Pace
from ingest.outcomes import SourceResult
from tests.shared import empty_warehouse


def naive(*parts: int) -> dt.datetime:
    """A time as the warehouse keeps it: UTC without saying so."""
    return dt.datetime(*parts, tzinfo=dt.UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


NOW = silos.NOW.replace(tzinfo=None)


def set_up(patch: pytest.MonkeyPatch, folder: Path, url: str | None = None) -> None:
    """The settings of a run below `folder`, at the sandbox at `url` or nowhere; nothing of this machine is read."""
    for name in [name for name in os.environ if name.startswith(("SOURCES__", "INGEST__"))]:
        patch.delenv(name)
    for name, value in pipeline.DLT_SETTINGS.items():
        patch.setenv(name, value)
    once.remember()
    for name in ("work", "data/bucket/events", "data/bucket/spend", "data/bucket/reports"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    patch.chdir(folder / "work")
    for source, name in (("PRODUCT", "events"), ("SPEND", "spend"), ("REPORTS", "reports")):
        patch.setenv(f"SOURCES__{source}__BUCKET_URL", str(folder / "data" / "bucket" / name))
    if url is not None:
        point_at(patch, url)


def point_at(patch: pytest.MonkeyPatch, url: str) -> None:
    """Let the sources read the sandbox at an address, as fast as they can."""
    for name, value in {
        "STRIPE__BASE_URL": f"{url}/stripe",
        "STRIPE__API_KEY": "rk_test_sandbox",
        "STRIPE__REQUESTS_PER_SECOND": "1000",
        "ZENDESK__BASE_URL": f"{url}/zendesk",
        "ZENDESK__EMAIL": "ops@sandbox.example",
        "ZENDESK__API_TOKEN": "sandbox-zendesk-token",
        "ZENDESK__EXPORTS_PER_MINUTE": "1000",
        "BITRIX24__WEBHOOK_URL": f"{url}/bitrix24/rest/1/sandboxsecret",
        "CUSTOMERIO__BASE_URL": f"{url}/customerio/app",
        "CUSTOMERIO__APP_KEY": "sandbox-app-key",
        "CUSTOMERIO__REQUESTS_PER_SECOND": "1000",
    }.items():
        patch.setenv(f"SOURCES__{name}", value)
    # the portal's pace belongs to the account and so to the process: tests would wait for one another
    patch.setattr(bitrix24, "PACE", Pace(100_000, 1.0))


@dataclasses.dataclass
class Vendors:
    """The running sandbox."""

    url: str

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.url}/_sandbox/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def misbehave(self, **fault: Any) -> None:
        self._ask("POST", "faults", [fault])

    def behave(self) -> None:
        self._ask("DELETE", "faults")

    def hits(self) -> int:
        """How many requests met a fault that still stands."""
        return sum(rule["hits"] for rule in self._ask("GET", "faults"))

    def clock(self) -> str:
        return str(self._ask("GET", "clock")["now"])

    def advance(self) -> None:
        self._ask("POST", "advance", {"days": 1})

    def requests(self) -> dict[tuple[str, str, str, int], int]:
        """Requests since the last `forget`, by vendor, method, path and status."""
        found: dict[tuple[str, str, str, int], int] = {}
        for entry in self._ask("GET", "requests"):
            found[entry["vendor"], entry["method"], entry["path"], entry["status"]] = entry["count"]
        return found

    def forget(self) -> None:
        self._ask("DELETE", "requests")


@dataclasses.dataclass
class Ingest:
    """Runs sources in this process, as dlt loads them, and looks at what is in the warehouse afterwards."""

    data_dir: Path
    runs: int = 0
    said: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, source: str, as_of: dt.datetime = NOW) -> SourceResult:
        self.runs += 1
        extract.record_run(self.data_dir, self.run_id, as_of)
        return self.run(source, as_of)

    def run(self, source: str, as_of: dt.datetime) -> SourceResult:
        return pipeline.run_source(
            source, run_id=self.run_id, as_of=as_of, data_dir=self.data_dir, say=self.said.append
        )

    @property
    def run_id(self) -> str:
        return f"run{self.runs}"

    @property
    def warehouse(self) -> str:
        return str(self.data_dir / "warehouse.duckdb")

    def rows(self, query: str) -> list[Any]:
        """Rows of a query; plain values where it has one column."""
        with duckdb.connect(self.warehouse) as connection:
            found = connection.execute(query).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]

    def change(self, statement: str) -> None:
        with duckdb.connect(self.warehouse) as connection:
            connection.execute(statement)

    def count(self, table: str) -> int:
        return int(self.rows(f"select count(*) from {table}")[0])

    def quarantined(self, source: str) -> list[tuple[str, str, str]]:
        return self.rows(
            "select table_name, coalesce(record_key, ''), reason from raw_ops.quarantine"
            f" where source = '{source}' order by all"
        )


@dataclasses.dataclass
class Reader(Ingest):
    """Runs sources like `Ingest`, with a short way into the warehouse in place of dlt's, which costs most of a run.

    What a source asks for, believes, sets aside and remembers is the same either way, and so are the tables: the tests
    of loading let both read the same silos and compare.
    """

    states: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    open_warehouse: duckdb.DuckDBPyConnection | None = None

    def __call__(self, source: str, as_of: dt.datetime = NOW) -> SourceResult:
        if not self.runs:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            Path(self.warehouse).write_bytes(empty_warehouse())
            # while the file is open here, opening it again costs next to nothing
            self.open_warehouse = duckdb.connect(self.warehouse)
        self.runs += 1
        with mock.patch.object(pipeline, "_extract_and_load", self.extract_and_load):
            return self.run(source, as_of)

    def close(self) -> None:
        """Let go of the warehouse, so that it may be read in another way."""
        if self.open_warehouse is not None:
            self.open_warehouse.close()

    def extract_and_load(self, extraction: Extraction, run_id: str) -> None:
        """What stands in for the pipeline's own steps between its settings and its outcome."""
        source = extraction.source
        settings = configuration.resolve(source)
        with duckdb.connect(self.warehouse) as connection:
            extraction.held_rows = pipeline._held_rows(connection, extraction)
        extraction.known = self.states.get(source, {})
        extraction.held_keys = lambda name: pipeline._held_keys(self.data_dir, extraction.contracts[name])
        state = copy.deepcopy(extraction.known)
        chunks = _read(getattr(importlib.import_module(f"ingest.{source}"), source)(extraction, **settings), state)
        with duckdb.connect(self.warehouse) as connection:
            pipeline._record_quarantine(connection, extraction, run_id)
            for name in extraction.tables:
                _put(connection, extraction.contracts[name], chunks[name], run_id)
        self.states[source] = json.loads(json.dumps(state))


def _read(contents: DltSource, state: Mapping[str, Any]) -> dict[str, list[pa.Table]]:
    """What each resource of a source yields, read by dlt's threads; the source's state is read and written."""
    found: dict[str, list[pa.Table]] = defaultdict(list)
    section = ConfigSectionContext(source_state_key=contents.name)
    context = StateInjectableContext(state={"sources": {contents.name: state}})  # type: ignore[typeddict-item]
    with inject_section(section), Container().injectable_context(context):
        pipes = PipeIterator.from_pipes(contents.resources.selected_pipes, workers=12, max_parallel_items=24)
        with pipes as items:
            for item in items:
                found[item.pipe.name].append(item.item)
    return found


def _put(connection: duckdb.DuckDBPyConnection, table: TableContract, chunks: list[pa.Table], run_id: str) -> None:
    """Replace rows by the contract's key, or all rows where it says so; the newest of several versions wins."""
    target = f'{table.dataset}."{table.name}"'
    if table.write_disposition == "replace":
        connection.execute(f"delete from {target}")
    if not chunks:
        return
    received = pa.concat_tables(chunks, promote_options="default")
    connection.register("received", received)
    for column in received.column_names:
        if column not in table.columns:
            connection.execute(f'alter table {target} add column if not exists "{column}" varchar')
    connection.execute(f'delete from {target} where "{table.key}" in (select "{table.key}" from received)')
    kept = f"where {table.vanished_flag} is distinct from true" if table.vanished_flag else ""
    newest = (
        f'qualify row_number() over (partition by "{table.primary_key}" order by "{table.latest_by}" desc) = 1'
        if table.latest_by
        else ""
    )
    rows = f"select * from received {newest}"
    connection.execute(f"insert into {target} by name select *, '{run_id}' as _dlt_load_id from ({rows}) {kept}")
    connection.unregister("received")


def conserved(result: SourceResult) -> bool:
    """Whether every record that was received is in exactly one place."""
    return all(
        table.rows_extracted == table.rows_loaded + table.rows_quarantined + table.rows_deduplicated
        for table in result.tables
    )


def contents_of(data_dir: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every raw table without the marks of its load, and without what a run says about itself."""
    found = {}
    with duckdb.connect(str(data_dir / "warehouse.duckdb")) as connection:
        for source in extract.SOURCES:
            for name, table in contracts.load(source).items():
                columns = ", ".join(f'"{column}"::varchar' for column in table.columns)
                rows = connection.execute(f'select {columns} from {table.dataset}."{name}" order by all').fetchall()
                found[f"{source}.{name}"] = rows
        found["quarantine"] = connection.execute(
            "select source, table_name, record_key, reason, payload from raw_ops.quarantine order by all"
        ).fetchall()
    return found
