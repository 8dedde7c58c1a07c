"""The day that defects are planted into: a small company that was published yesterday, with the raw rows of today."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from benchmarks.gate_project import Project
from benchmarks.job import Job
from ingest.tables import create_missing
from lifecycle import dbt, gate
from lifecycle.gate import catalogue, readings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

CUSTOMERS, MONTHS, EVENTS_PER_DAY = 1200, 8, 700
SHRINK_TOLERANCE = 0.2  # as .dlt/config.toml has it


@dataclass(frozen=True, slots=True)
class Day:
    """The unchanged day: where its warehouse is, what fails on it anyway, and what its marts hold."""

    warehouse: Path
    project: Project
    as_of: datetime
    failing: dict[str, str]
    marts: dict[str, tuple[int, int]]

    @property
    def day(self) -> str:
        """The last day that is over, the one the defects are planted into."""
        return datetime.fromordinal(self.as_of.toordinal() - 1).date().isoformat()

    @property
    def unix(self) -> int:
        """Its first second."""
        return (datetime.fromisoformat(self.day) - datetime(1970, 1, 1)).days * 86400  # noqa: DTZ001 - all is UTC


def job(folder: Path, seed: int | None = None, size: float = 1) -> Job:
    """The company's data directory in this folder, and how it is driven; `size` times as large as usual."""
    counts = {
        "--customers": round(size * CUSTOMERS),
        "--months": MONTHS,
        "--events-per-day": round(size * EVENTS_PER_DAY),
    }
    if seed is not None:
        counts["--seed"] = seed
    return Job(folder / "data", tuple(str(part) for option in counts.items() for part in option))


def made_world(folder: Path, seed: int | None, size: float = 1) -> Path:
    """A warehouse of a company that was published yesterday, with the raw rows of today; made once per folder.

    Raises:
        SystemExit: if the unchanged company was not published.
    """
    warehouse = folder / "data" / "warehouse.duckdb"
    done = folder / "done"
    if done.exists():
        return warehouse
    company = job(folder, seed, size)
    try:
        company.up()
        first = company.ask("run")
        if first["version"] is None:
            raise SystemExit(f"The unchanged company was not published: {first['gate']}")
        company.ask("sandbox", "advance", "--days", "1")
        company.ask("ingest")
    finally:
        company.down()
    done.touch()
    return warehouse


def unchanged(warehouse: Path, folder: Path) -> Day:
    """Build the new day as it is, and remember what it looks like.

    Raises:
        SystemExit: if the gate is shut on it: then nothing that is planted into it could be told from what is there.
    """
    copy = folder / "unchanged" / "warehouse.duckdb"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(warehouse, copy)
    with duckdb.connect(str(copy)) as connection:
        create_missing(connection)  # a world that was kept may be older than the project
    project = Project.read(copy)
    with duckdb.connect(str(copy), config={"threads": 1}) as connection:
        (as_of,) = connection.execute("select max(as_of) from raw_ops.runs").fetchone() or (None,)
        nodes = project.build(connection, project.steps)
        judged = verdict(connection, nodes, as_of, {})
        if not judged.is_open:
            raise SystemExit(f"The gate is shut on the unchanged day: {judged.reason()}")
        found = failing(judged)
        outcomes = {check: outcome for check, (outcome, _, _) in found.items()}
        return Day(copy, project, as_of, outcomes, marts(connection))


def verdict(
    connection: duckdb.DuckDBPyConnection, nodes: Sequence[dbt.Node], as_of: datetime, published: dict[str, int]
) -> gate.Verdict:
    """What `lifecycle gate` would say of a warehouse with these nodes, all silos having answered."""
    read = gate.Readings(
        extraction_errors={},
        counts=readings.count_marts(connection, "warehouse"),
        published_counts=published,
        columns=readings.mart_columns(connection, "warehouse"),
        raw_columns=readings.changed_columns(connection, "warehouse"),
        findings=readings.findings(connection, "warehouse", as_of),
    )
    return gate.judge(dbt.Build(nodes=list(nodes)), read, catalogue.read(), SHRINK_TOLERANCE, as_of)


def failing(judged: gate.Verdict) -> dict[str, tuple[str, str, str | None]]:
    """Outcome, message and silo of each check that does not pass, by its name."""
    return {
        check.name: (check.outcome, check.message, check.silo)
        for check in judged.checks
        if check.outcome in gate.FAILED or check.blocks
    }


def marts(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """Rows per mart and a sum of their hashes; stamps that say when, not what, are left out."""
    found = {}
    for name in readings.count_names(connection, "warehouse"):
        rows = connection.execute(
            f"select count(*), coalesce(sum(cast(hash(each_row) as hugeint)), 0) from marts.{name} as each_row"
        ).fetchall()
        found[name] = rows[0]
    return found
