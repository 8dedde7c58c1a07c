"""How much does the gate see? Defects and clean variations are planted into a day's raw data, one at a time.

    python -m benchmarks.gates                      # a small world of its own: made, published, and one day later
    python -m benchmarks.gates --only invoices      # those whose name has the word
    python -m benchmarks.gates --world FOLDER       # keeps the world there, and uses it again
    python -m benchmarks.gates --raw                # asks the checks of the raw tables only: minutes instead of an hour
    python -m benchmarks.gates --whole              # builds everything for every defect, and counts changed marts

Each stands alone in a copy of the warehouse: the raw tables are changed, every model that depends on them is built by
the project's own compiled SQL, the tests run, and the gate judges as it does in a run. A defect is seen when a check
that passes on the unchanged day names one of its tables, or a test of a model built from them fails; whether it changes
a published number is found by comparing the marts with those of the unchanged day. A defect that the checks of the raw
tables name needs no more to be seen, so marts are only built for the others, and for every clean variation. Exit code 1
when a defect that changes a published number passes unnamed, or a clean variation blocks.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.gate_project import Project
from benchmarks.gate_scenarios import DEFECTS, VARIATIONS, Scenario, filled
from benchmarks.job import Job
from ingest.tables import create_missing
from lifecycle import dbt, gate, gate_catalogue, gate_readings

if TYPE_CHECKING:
    from collections.abc import Sequence

WORLD = ("--customers", "1200", "--months", "8", "--events-per-day", "700")
LEAST_DEFECTS, LEAST_VARIATIONS = 60, 20
# what judges raw tables, and what it is built from
RAW_CHECKS = frozenset(
    {
        "int_raw_days__profiled",
        "int_event_days__profiled",
        "int_events__deduplicated",
        "int_raw_days__calendared",
        "int_drift__scored",
        "int_restatements__scored",
        "quality_findings",
    }
)
# what says how a version came about, or what was found, is no number that a leader reads
NO_NUMBER = frozenset(
    {"publish_log", "gate_results", "quality_findings", "published_columns", "source_refresh", "metric_definitions"}
)


@dataclass(slots=True)
class Judged:
    """What the gate made of one scenario: outcome per check that did not pass, and marts that changed."""

    name: str
    failing: dict[str, tuple[str, str]] = field(default_factory=dict)
    changed: list[str] | None = None  # None where marts were not built
    seconds: float = 0.0


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


def made_world(folder: Path) -> Path:
    """A warehouse of a company that was published yesterday, with the raw rows of today; made once per folder."""
    warehouse = folder / "data" / "warehouse.duckdb"
    done = folder / "done"
    if done.exists():
        return warehouse
    job = Job(folder / "data", WORLD)
    try:
        job.up()
        first = job.ask("run")
        if first["version"] is None:
            raise SystemExit(f"The unchanged company was not published: {first['gate']}")
        job.ask("sandbox", "advance", "--days", "1")
        job.ask("ingest")
    finally:
        job.down()
    done.touch()
    return warehouse


def unchanged(warehouse: Path, folder: Path) -> Day:
    """Build the new day as it is, and remember what it looks like."""
    copy = folder / "unchanged" / "warehouse.duckdb"
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(warehouse, copy)
    with duckdb.connect(str(copy)) as connection:
        create_missing(connection)  # a world that was kept may be older than the project
    project = Project.read(copy)
    with duckdb.connect(str(copy), config={"threads": 1}) as connection:
        (as_of,) = connection.execute("select max(as_of) from raw_ops.runs").fetchone() or (None,)
        nodes = project.build(connection, project.steps)
        failing = {check: outcome for check, (outcome, _) in _failing(_verdict(connection, nodes, as_of, {})).items()}
        return Day(copy, project, as_of, failing, _marts(connection))


def judged(day: Day, scenario: Scenario, depth: str) -> Judged:
    """Plant it, build what depends on it, and ask the gate. `depth` is raw, needed or whole."""
    began = time.perf_counter()
    found = Judged(scenario.name)
    steps = day.project.downstream(scenario.tables) if scenario.tables else day.project.steps
    counts = {mart: rows for mart, (rows, _) in day.marts.items()}
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "warehouse.duckdb"
        shutil.copyfile(day.warehouse, copy)
        with duckdb.connect(str(copy), config={"threads": 1}) as connection:
            for statement in scenario.statements:
                connection.execute(filled(statement, day.day, day.unix))
            if depth == "raw" or not (depth == "whole" or scenario.is_clean):
                first = [step for step in steps if step.name in RAW_CHECKS]
                found.failing = _news(
                    day, _verdict(connection, day.project.build(connection, first), day.as_of, counts)
                )
            if depth != "raw" and not is_named(day, scenario, found):
                nodes = day.project.build(connection, steps)
                found.failing = _news(day, _verdict(connection, nodes, day.as_of, counts))
                now = _marts(connection)
                found.changed = sorted(
                    mart for mart in day.marts if mart not in NO_NUMBER and now.get(mart) != day.marts[mart]
                )
    found.seconds = time.perf_counter() - began
    return found


def _news(day: Day, verdict: gate.Verdict) -> dict[str, tuple[str, str]]:
    """What fails, and did not, or only as a warning, on the unchanged day."""
    return {
        check: said
        for check, said in _failing(verdict).items()
        if check not in day.failing or (said[0] == "block" and day.failing[check] != "block")
    }


def is_named(day: Day, scenario: Scenario, found: Judged) -> list[str]:
    """The checks that name what is wrong: by the table itself, or by a test of something built from it."""
    reached = {step.name for step in day.project.downstream(scenario.tables)}
    subjects = scenario.subjects | {subject.split(".")[0] for subject in scenario.subjects}
    return sorted(
        check
        for check in found.failing
        if check.split(" ")[-1] in subjects | reached or check in reached or check.startswith("model_is_built")
    )


def _verdict(
    connection: duckdb.DuckDBPyConnection, nodes: list[dbt.Node], as_of: datetime, published: dict[str, int]
) -> gate.Verdict:
    read = gate.Readings(
        extraction_errors={},
        counts=gate_readings.count_marts(connection, "warehouse"),
        published_counts=published,
        columns=gate_readings.mart_columns(connection, "warehouse"),
        raw_columns=gate_readings.changed_columns(connection, "warehouse"),
        findings=gate_readings.findings(connection, "warehouse", as_of),
    )
    return gate.judge(dbt.Build(nodes=nodes), read, gate_catalogue.read(), 0.2, as_of)


def _failing(verdict: gate.Verdict) -> dict[str, tuple[str, str]]:
    return {
        check.name: (check.outcome, check.message)
        for check in verdict.checks
        if check.outcome in gate.FAILED or check.blocks
    }


def _marts(connection: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """Rows per mart and a sum of their hashes; stamps that say when, not what, are left out."""
    found = {}
    for name in gate_readings.count_names(connection, "warehouse"):
        rows = connection.execute(
            f"select count(*), coalesce(sum(cast(hash(each_row) as hugeint)), 0) from marts.{name} as each_row"
        ).fetchall()
        found[name] = rows[0]
    return found


_DAY: list[tuple[Day, str]] = []  # one per worker, handed over once


def _begin(day: Day, depth: str) -> None:
    _DAY[:] = [(day, depth)]


def _work(scenario: Scenario) -> Judged:
    day, depth = _DAY[0]
    return judged(day, scenario, depth)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--only", default="", help="a word that the scenario's name has")
    parser.add_argument("--world", type=Path, help="a folder to keep the world in")
    parser.add_argument(
        "--raw", dest="depth", action="store_const", const="raw", help="ask only the checks of raw tables"
    )
    parser.add_argument(
        "--whole", dest="depth", action="store_const", const="whole", help="build everything every time"
    )
    parser.set_defaults(depth="needed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = given.world or Path(name) / "world"
        folder.mkdir(parents=True, exist_ok=True)
        warehouse = made_world(folder)
        made = time.perf_counter() - began
        day = unchanged(warehouse, Path(name))
        wanted = [each for each in [*DEFECTS, *VARIATIONS] if given.only in each.name]
        rows = []
        with ProcessPoolExecutor(given.workers, initializer=_begin, initargs=(day, given.depth)) as pool:
            for scenario, found in zip(wanted, pool.map(_work, wanted), strict=True):
                rows.append(_row(day, scenario, found))
                print(f"{len(rows)} of {len(wanted)}: {_line(rows[-1])}", file=sys.stderr)  # noqa: T201
    seconds = time.perf_counter() - began
    return _report(rows, sorted(day.failing), made, seconds, is_whole=not given.only, as_json=given.json)


def _row(day: Day, scenario: Scenario, found: Judged) -> dict[str, Any]:
    named = is_named(day, scenario, found)
    outcomes = Counter(outcome for outcome, _ in found.failing.values())
    is_blocked = bool(outcomes["block"] or outcomes["skip"])
    if scenario.is_clean:
        verdict = "BLOCKED" if is_blocked else "flagged" if found.failing else "passes"
    elif named:
        verdict = "stopped" if is_blocked else "flagged"
    else:
        verdict = "unnamed" if found.changed is None else "MISSED" if found.changed else "harmless"
    return {
        "scenario": scenario.name,
        "is_clean": scenario.is_clean,
        "verdict": verdict,
        "named_by": named,
        "also": sorted(set(found.failing) - set(named)),
        "changed_marts": found.changed,
        "seconds": round(found.seconds, 2),
        "says": next((found.failing[check][1] for check in named if found.failing[check][1]), ""),
    }


def _line(row: dict[str, Any]) -> str:
    checks = ", ".join(row["named_by"][:3]) + (" ..." if len(row["named_by"]) > 3 else "")
    marts = "" if row["changed_marts"] is None else f"{len(row['changed_marts'])} marts"
    return f"{row['verdict']:<9}{row['scenario']:<52}{marts:>9}  {checks or ', '.join(row['also'][:3])}"


def _report(
    rows: list[dict[str, Any]], fails: list[str], made: float, seconds: float, *, is_whole: bool, as_json: bool
) -> int:
    defects = [row for row in rows if not row["is_clean"]]
    variations = [row for row in rows if row["is_clean"]]
    count = Counter(row["verdict"] for row in defects)
    clean = Counter(row["verdict"] for row in variations)
    is_enough = not is_whole or (len(defects) >= LEAST_DEFECTS and len(variations) >= LEAST_VARIATIONS)
    holds = not (count["MISSED"] or count["unnamed"]) and not clean["BLOCKED"] and is_enough
    summary = {
        "defects": len(defects),
        "stopped": count["stopped"],
        "flagged": count["flagged"],
        "harmless": count["harmless"],
        "unnamed": count["unnamed"],
        "missed": count["MISSED"],
        "fails_without_a_change": fails,
        "variations": len(variations),
        "variations_flagged": clean["flagged"],
        "variations_blocked": clean["BLOCKED"],
        "seconds_for_the_world": round(made, 1),
        "seconds": round(seconds, 1),
        "holds": holds,
    }
    if as_json:
        print(json.dumps({"summary": summary, "scenarios": rows}))  # noqa: T201
    else:
        for row in rows:
            print(_line(row))  # noqa: T201
        print("\n".join(f"{name.replace('_', ' '):<24}{value}" for name, value in summary.items()))  # noqa: T201
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
