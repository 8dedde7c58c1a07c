from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import silos

from ingest import extract, pipeline
from ingest.http import Patience
from ingest.pipeline import SourceResult
from sandbox import serve
from sandbox.limits import Limits
from sandbox.store import Store

NOW = silos.NOW.replace(tzinfo=None)


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """dlt's settings of a run, all pointing nowhere until a test says where; nothing of this machine is read."""
    for name in [name for name in os.environ if name.startswith(("SOURCES__", "INGEST__"))]:
        monkeypatch.delenv(name)
    for name, value in pipeline.DLT_SETTINGS.items():
        monkeypatch.setenv(name, value)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("SOURCES__SPEND__BUCKET_URL", str(tmp_path / "data" / "bucket" / "spend"))
    monkeypatch.setenv("SOURCES__PRODUCT__BUCKET_URL", str(tmp_path / "data" / "bucket" / "events"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    for name in ("events", "spend"):
        (path / "bucket" / name).mkdir(parents=True)
    return path


@pytest.fixture
def store(data_dir: Path) -> Iterator[Store]:
    """The silos' store with a little of everything."""
    opened = silos.open_store(data_dir)
    silos.fill(opened)
    yield opened
    opened.close()


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
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def misbehave(self, **fault: Any) -> None:
        self._ask("POST", "faults", [fault])

    def behave(self) -> None:
        self._ask("DELETE", "faults")

    def requests(self) -> dict[tuple[str, str, str, int], int]:
        """Requests since the last `forget`, by vendor, method, path and status."""
        found: dict[tuple[str, str, str, int], int] = {}
        for entry in self._ask("GET", "requests"):
            found[entry["vendor"], entry["method"], entry["path"], entry["status"]] = entry["count"]
        return found

    def forget(self) -> None:
        self._ask("DELETE", "requests")


@pytest.fixture
def vendors(data_dir: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vendors]:
    """The sandbox on a free port, without limits, and the settings that point at it."""
    with serve.start(data_dir, limits=Limits.off()) as running:
        url = running.url
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
            monkeypatch.setenv(f"SOURCES__{name}", value)
        yield Vendors(url)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without waiting, and a read timeout that a test can sit out."""
    patience = Patience(attempts=4, limited_attempts=4, base=0.001, cap=0.001, connect_timeout=1, read_timeout=0.3)
    monkeypatch.setattr("ingest.http.Patience", lambda: patience)


@dataclasses.dataclass
class Ingest:
    """Runs sources in this process and looks at what is in the warehouse afterwards."""

    data_dir: Path
    runs: int = 0
    said: list[str] = dataclasses.field(default_factory=list)

    def __call__(self, source: str, as_of: dt.datetime = NOW) -> SourceResult:
        self.runs += 1
        run_id = f"run{self.runs}"
        extract.record_run(self.data_dir, run_id, as_of)
        return pipeline.run_source(source, run_id=run_id, as_of=as_of, data_dir=self.data_dir, say=self.said.append)

    def rows(self, query: str) -> list[Any]:
        """Rows of a query; plain values where it has one column."""
        with duckdb.connect(str(self.data_dir / "warehouse.duckdb"), read_only=True) as connection:
            found = connection.execute(query).fetchall()
        return [row[0] if len(row) == 1 else row for row in found]

    def change(self, statement: str) -> None:
        with duckdb.connect(str(self.data_dir / "warehouse.duckdb")) as connection:
            connection.execute(statement)

    def count(self, table: str) -> int:
        return int(self.rows(f"select count(*) from {table}")[0])

    def quarantined(self, source: str) -> list[tuple[str, str, str]]:
        return self.rows(
            "select table_name, coalesce(record_key, ''), reason from raw_ops.quarantine"
            f" where source = '{source}' order by all"
        )


@pytest.fixture
def ingest(data_dir: Path) -> Ingest:
    return Ingest(data_dir)


def conserved(result: SourceResult) -> bool:
    """Whether every record that was received is in exactly one place."""
    return all(
        table.rows_extracted == table.rows_loaded + table.rows_quarantined + table.rows_deduplicated
        for table in result.tables
    )
