"""What the tests of this folder look through: the running sandbox, and the sources run in this process."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import urllib.request
from pathlib import Path
from typing import Any

import duckdb
import silos

from ingest import extract, pipeline
from ingest.outcomes import SourceResult


def naive(*parts: int) -> dt.datetime:
    """A time as the warehouse keeps it: UTC without saying so."""
    return dt.datetime(*parts, tzinfo=dt.UTC).replace(tzinfo=None)  # type: ignore[misc,arg-type]


NOW = silos.NOW.replace(tzinfo=None)


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


def conserved(result: SourceResult) -> bool:
    """Whether every record that was received is in exactly one place."""
    return all(
        table.rows_extracted == table.rows_loaded + table.rows_quarantined + table.rows_deduplicated
        for table in result.tables
    )
