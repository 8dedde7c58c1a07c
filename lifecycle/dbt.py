"""dbt as a child of the run: it reads the project at once, builds when it is told to, and dies with the run.

A child, so that its memory goes back when it ends and a killed run stops in the middle of a query. One process for
reading, building and the source freshness, because loading dbt and reading the project costs seconds; started early,
because these seconds pass while the silos are waited for. Run as `python -m lifecycle.dbt`, it is that child: it reads
where it works from the command line and what to build from one descriptor, and writes one JSON object per line to
another. Its standard input only tells it that its parent is alive.

dbt keeps what it read of the project in the data directory and drops it whenever the profile looks different. So the
project is read with the profile's default path and built with the real one: a data directory can be moved or copied,
and only files that changed are read again.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ingest.forked import Forked, may_fork
from lifecycle.errors import LifecycleError
from lifecycle.lock import die_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from io import FileIO

    from lifecycle.progress import Progress
    from lifecycle.settings import Places

PROJECT_DIR = Path(__file__).resolve().parent.parent
WAREHOUSE_VARIABLE = "LIFECYCLE_WAREHOUSE"  # profiles.yml reads it
# what a child needs, for `ingest.forked.warmed`
MODULES = ("dbt.cli.main", "dbt.task.build", "dbt.task.freshness", "dbt.adapters.duckdb", "lifecycle.dbt_spared")
EXAMPLE_LENGTH = 200  # of a row that broke a test; the gate shows 300 characters of what a test says
GOOD_STATUSES = frozenset({"success", "pass", "warn", "no-op"})


@dataclass(frozen=True, slots=True)
class Node:
    """What became of one node: `resource_type` is model, seed or test; `severity` is a test's.

    `group` is the one that answers for it, a test's that of the model it is attached to.
    """

    unique_id: str
    name: str
    resource_type: str
    status: str
    message: str
    failures: int
    seconds: float
    severity: str
    group: str = ""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old one source table is at as_of, in hours, and dbt's verdict on it."""

    source: str
    table: str
    status: str
    age_hours: float | None
    allowed_hours: float | None


@dataclass(slots=True)
class Build:
    """Everything dbt said. `problem` is set when it could not even start its nodes."""

    nodes: list[Node] = field(default_factory=list)
    freshness: list[Freshness] = field(default_factory=list)
    problem: str = ""

    @property
    def failed(self) -> list[Node]:
        """Nodes that did not succeed, those skipped because of others left out."""
        return [node for node in self.nodes if node.status not in GOOD_STATUSES and node.status != "skipped"]

    def amended(self, part: Build) -> Build:
        """This build with what was said of a part that was built anew; a whole that never began stays a problem."""
        nodes = {node.unique_id: node for node in (*self.nodes, *part.nodes)}
        freshness = {(each.source, each.table): each for each in (*self.freshness, *part.freshness)}
        return Build(list(nodes.values()), list(freshness.values()), self.problem or part.problem)


class DbtError(LifecycleError):
    """dbt could not do its work at all; the message is its own."""


class Child:
    """dbt at work in a process of its own, from `start` to the end of its `with` block."""

    def __init__(self, process: subprocess.Popen[bytes] | Forked, orders: FileIO, lines: TextIO, errors: Path) -> None:
        self.process = process
        self._orders = orders
        self._lines = lines
        self._errors = errors

    def build(self, progress: Progress, *, arguments: Sequence[str] = ()) -> Build:
        """Seeds, models and data tests as of the last recorded run, then freshness; unit tests belong to the suite.

        `arguments` are handed to `dbt build` as they are. A child builds once.

        Raises:
            DbtError: if dbt ended without saying how.
        """
        with contextlib.suppress(BrokenPipeError):  # a child that is gone already tells why below
            self._orders.write(json.dumps(list(arguments)).encode() + b"\n")
        found, is_complete = _listen(self._lines, progress)
        self.process.wait()
        if not is_complete and not found.problem:
            said = self._errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise DbtError(f"dbt ended with code {self.process.returncode}{': ' + said[-1] if said else ''}.")
        return found


@contextlib.contextmanager
def start(places: Places, *, inherited: Sequence[int] = ()) -> Iterator[Child]:
    """Start dbt; it reads the project at once and opens the warehouse only when it is told to build.

    `inherited` are descriptors that the child keeps open.
    """
    places.dbt.mkdir(parents=True, exist_ok=True)
    order_reader, order_writer = os.pipe()
    line_reader, line_writer = os.pipe()
    order = {
        "parent": os.getpid(),
        "in": order_reader,
        "out": line_writer,
        "warehouse": str(places.warehouse),
        "log_path": str(places.dbt / "logs"),
        "arguments": _arguments(places),
    }
    errors = places.dbt / "stderr.log"
    process: subprocess.Popen[bytes] | Forked
    with errors.open("wb") as stderr, Path(os.devnull).open("wb") as nothing:
        if may_fork():
            process = Forked(
                lambda: _forked(order),
                output=nothing.fileno(),
                errors=stderr.fileno(),
                left=(order_writer, line_reader),
            )
        else:
            process = subprocess.Popen(
                [sys.executable, "-m", "lifecycle.dbt", json.dumps(order)],
                cwd=PROJECT_DIR,
                env={**os.environ, "DO_NOT_TRACK": "1"},
                stdin=subprocess.PIPE,
                stdout=nothing,
                stderr=stderr,
                pass_fds=(order_reader, line_writer, *inherited),
            )
    os.close(order_reader)
    os.close(line_writer)
    # without a buffer: what a child that is gone did not take would be written once more by closing, which fails again
    with os.fdopen(order_writer, "wb", buffering=0) as orders, os.fdopen(line_reader, encoding="utf-8") as lines:
        try:
            yield Child(process, orders, lines, errors)
        finally:
            process.kill()
            process.communicate()


def _arguments(places: Places) -> list[str]:
    # no --vars: the models take as_of from the last row of raw_ops.runs; a variable that changes with every run would
    # make dbt parse the whole project again, which takes longer than building it
    return [
        "--project-dir", str(PROJECT_DIR),
        "--profiles-dir", str(PROJECT_DIR),
        "--target-path", str(places.dbt / "target"),
    ]  # fmt: skip


def _listen(lines: TextIO, progress: Progress) -> tuple[Build, bool]:
    found = Build()
    is_complete = False
    for line in lines:
        message = json.loads(line)
        kind = message.pop("kind")
        if kind == "progress":
            progress.detail(message["text"])
        elif kind == "node":
            found.nodes.append(Node(**message))
        elif kind == "freshness":
            found.freshness.append(Freshness(**message))
        elif kind == "problem":
            found.problem = message["text"]
        else:
            is_complete = True
    return found, is_complete


def _forked(order: dict[str, Any]) -> None:
    os.chdir(PROJECT_DIR)
    os.environ["DO_NOT_TRACK"] = "1"
    _child(order)


def _child(order: dict[str, Any]) -> None:
    die_with_parent(order["parent"])
    with os.fdopen(order["out"], "w", encoding="utf-8") as out:

        def say(kind: str, **message: Any) -> None:
            out.write(json.dumps({"kind": kind, **message}) + "\n")
            out.flush()

        _work(order, say)


def _work(order: dict[str, Any], say: Callable[..., None]) -> None:
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415 - only the child has dbt
    from dbt.cli.main import dbtRunner  # noqa: PLC0415 - takes seconds, and only the child needs it

    from lifecycle.dbt_spared import Templates, spare  # noqa: PLC0415 - loads dbt

    templates = Templates()
    spare(templates)
    # dbt holds the whole project in memory, and with the usual thresholds the collector walks it again and again: a
    # sixth of a build's time for cycles that hardly exist
    gc.set_threshold(100_000, 20, 50)
    say("progress", text="reading the project")
    quiet = [
        "--no-version-check",
        "--no-use-colors",
        "--log-level",
        "none",
        "--log-level-file",  # a log file puts every event into words before it drops it; results are told below
        "none",
        "--no-write-json",
    ]
    common = [*quiet, "--log-path", str(order["log_path"])]
    os.environ.pop(WAREHOUSE_VARIABLE, None)
    parsed: Any = dbtRunner(callbacks=[_reporter(say)]).invoke([*common, "parse", *order["arguments"]])
    if not parsed.success:
        say("problem", text=_words(parsed.exception))
        return
    with os.fdopen(order["in"], encoding="utf-8") as orders:
        told = orders.readline()
    if not told:  # the run ended before it came to building
        return
    os.environ[WAREHOUSE_VARIABLE] = order["warehouse"]
    runner = dbtRunner(manifest=parsed.result, callbacks=[_reporter(say)])
    selection = ["--exclude-resource-type", "unit_test", *json.loads(told)]
    built: Any = runner.invoke([*common, "build", *order["arguments"], *selection])
    fresh: Any = runner.invoke([*common, "source", "freshness", *order["arguments"]])
    templates.keep()
    for answer in (built, fresh):
        if answer.result is None:
            say("problem", text=_words(answer.exception))
            return
    for result in built.result.results:
        node = _node(result, parsed.result)
        if node["resource_type"] == "operation" and node["status"] in GOOD_STATUSES:  # what runs before the models
            continue
        if node["status"] in {"fail", "warn"}:
            node["message"] += _example(result.node)
        say("node", **node)
    for result in fresh.result.results:
        if _text(result.node.resource_type) == "source":  # what dbt does when it starts is in its answer too
            say("freshness", **_freshness(result))
    # a forked child ends without clearing up, and DuckDB merges its log into the file when it is closed
    DuckDBConnectionManager.env().close()  # type: ignore[no-untyped-call]
    say("done")


def _node(result: Any, manifest: Any) -> dict[str, Any]:
    node = result.node
    tested = manifest.nodes.get(getattr(node, "attached_node", None) or "", node)
    return {
        "unique_id": node.unique_id,
        "name": node.name,
        "resource_type": _text(node.resource_type),
        "status": _text(result.status),
        "message": (result.message or "").strip(),
        "failures": result.failures or 0,
        "seconds": result.execution_time,
        "severity": _text(getattr(node.config, "severity", "")).lower(),
        "group": str(getattr(tested.config, "group", None) or ""),
    }


def _example(node: Any) -> str:
    """One of the rows that a test found, in words; empty if they cannot be asked for again."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415 - only the child has dbt

    if not getattr(node, "compiled_code", None):
        return ""
    handle = DuckDBConnectionManager.env().handle()  # type: ignore[no-untyped-call]
    try:
        cursor = handle.cursor()
        row = cursor.execute(f"select * from ({node.compiled_code}\n) order by all limit 1").fetchone()
        if row is None:
            return ""
        found = ", ".join(f"{column[0]}: {value}" for column, value in zip(cursor.description, row, strict=True))
    finally:
        handle.close()
    return f"; for example {found if len(found) <= EXAMPLE_LENGTH else found[:EXAMPLE_LENGTH] + '…'}"


def _freshness(result: Any) -> dict[str, Any]:
    age = getattr(result, "age", None)
    return {
        "source": result.node.source_name,
        "table": result.node.name,
        "status": _text(result.status),
        "age_hours": None if age is None else age / 3600,
        "allowed_hours": _hours(getattr(getattr(result.node, "freshness", None), "error_after", None)),
    }


def _text(value: Any) -> str:
    """Dbt's enumerations, or the text that some versions give instead."""
    return str(getattr(value, "value", value) or "")


def _hours(limit: Any) -> float | None:
    if limit is None or not limit.count:
        return None
    return float(limit.count) * {"minute": 1 / 60, "hour": 1.0, "day": 24.0}[_text(limit.period)]


def _words(error: BaseException | None) -> str:
    text = " ".join(str(error or "dbt gave no reason").split())
    return text if len(text) <= 1000 else text[:999] + "…"


def _reporter(say: Callable[..., None]) -> Callable[[Any], None]:
    def report(event: Any) -> None:
        if event.info.name == "LogStartLine":
            data = event.data
            say("progress", text=f"{data.index} of {data.total}  {data.description}")

    return report


if __name__ == "__main__":
    _child(json.loads(sys.argv[1]))
