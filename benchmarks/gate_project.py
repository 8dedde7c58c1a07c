"""The project's models and tests as compiled SQL, to be built in a warehouse without dbt: a hundred times over.

dbt compiles everything once, as a full refresh. Building is then one statement per model in the order of their
dependencies; which nodes hang together (macros/connected_components.sql) is found here. What a contract would have
refused while a model was built is asked after it: keys that are not unique, and columns that are null and may not be.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner

from lifecycle import dbt

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

COMPONENTS = "connected_components"
PROJECT_DIR = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Step:
    """One model or test. `needs` are ids of models and tests' models, `reads` raw tables as schema.table."""

    unique_id: str
    name: str
    kind: str
    relation: str
    sql: str
    group: str
    severity: str
    warns_if: str
    fails_if: str
    needs: tuple[str, ...]
    reads: tuple[str, ...]
    key: tuple[str, ...]
    never_null: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Project:
    """Every step, in an order in which it can be built."""

    steps: tuple[Step, ...]

    @classmethod
    def read(cls, warehouse: Path) -> Project:
        """Load the seeds into this warehouse and compile the project for it.

        Raises:
            RuntimeError: if dbt cannot.
        """
        parsed = _dbt(None, None, "parse").result
        # seeds that were edited since the warehouse was made are loaded anew
        for verb in ("seed", "compile"):
            done = _dbt(parsed, warehouse, verb, "--full-refresh")
        nodes = [result.node for result in done.result.results]
        groups = {node.unique_id: str(getattr(node.config, "group", None) or "") for node in nodes}
        wanted = [node for node in nodes if str(node.resource_type) in {"model", "test"} and node.compiled_code]
        return cls(tuple(_ordered([_step(node, groups) for node in wanted])))

    def downstream(self, tables: Iterable[str]) -> tuple[Step, ...]:
        """What is built from these raw tables, directly or not, and the tests of that."""
        reached: set[str] = set()
        raw = set(tables)
        found = []
        for step in self.steps:
            if raw.intersection(step.reads) or reached.intersection(step.needs):
                reached.add(step.unique_id)
                found.append(step)
        return tuple(found)

    def build(self, connection: duckdb.DuckDBPyConnection, steps: Sequence[Step]) -> list[dbt.Node]:
        """Build and test them, as `dbt build` would: what depends on something that failed is skipped."""
        failed: set[str] = set()
        nodes = []
        for step in steps:
            if failed.intersection(step.needs):
                failed.add(step.unique_id)
                nodes.append(_node(step, "skipped"))
                continue
            status, message, count = _tested(connection, step) if step.kind == "test" else _made(connection, step)
            if status in {"error", "fail"}:
                # a test that fails makes dbt skip what comes after its model
                failed.update({step.unique_id} if step.kind != "test" else ())
            nodes.append(_node(step, status, message, count))
        return nodes


def _dbt(parsed: Any, warehouse: Path | None, *arguments: str) -> Any:
    """One command of dbt on this warehouse, in this process, with the project as `parsed` before.

    Raises:
        RuntimeError: if it fails.
    """
    before = os.environ.pop("LIFECYCLE_WAREHOUSE", None)
    if warehouse is not None:
        os.environ["LIFECYCLE_WAREHOUSE"] = str(warehouse)
    with tempfile.TemporaryDirectory() as folder:
        places = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR), "--target-path", folder]
        quiet = ["--log-level", "none", "--log-level-file", "none", "--log-path", folder, "--no-version-check"]
        try:
            done: Any = dbtRunner(manifest=parsed).invoke([*quiet, *arguments, *places])
        finally:
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
            os.environ.pop("LIFECYCLE_WAREHOUSE", None)
            if before is not None:
                os.environ["LIFECYCLE_WAREHOUSE"] = before
    if not done.success:
        raise RuntimeError(f"dbt {arguments[0]} does not work on the project: {done.exception or done.result}")
    return done


def _made(connection: duckdb.DuckDBPyConnection, step: Step) -> tuple[str, str, int]:
    try:
        if step.kind == "view":
            connection.execute(f"create or replace view {step.relation} as {step.sql}")
            return "success", "", 0
        if step.kind == COMPONENTS:
            _connect(connection, step)
        else:
            connection.execute(f"create or replace table {step.relation} as {step.sql}")
        if step.key:
            columns = ", ".join(step.key)
            row = connection.execute(f"select count(*) - count(distinct ({columns})) from {step.relation}").fetchone()
            if row and row[0]:
                return "error", f"{row[0]} rows share their key ({columns})", 0
        for column in step.never_null:
            row = connection.execute(f"select count(*) from {step.relation} where {column} is null").fetchone()
            if row and row[0]:
                return "error", f"{column} is null in {row[0]} rows", 0
    except duckdb.Error as error:
        return "error", str(error).split("\n", maxsplit=1)[0], 0
    return "success", "", 0


def _connect(connection: duckdb.DuckDBPyConnection, step: Step) -> None:
    """One row per node of the model's pairs with its component, named by its member with the smallest md5.

    Nodes are numbered in the order of their md5 first: numbers of 128 bits take a second per ten thousand to fetch.
    """
    connection.execute(
        f"create or replace temp table component_pairs as select node_a, node_b from ({step.sql}) as pairs"
        " where node_a is not null and node_b is not null"
    )
    connection.execute(
        "create or replace temp table component_nodes as"
        " select node, row_number() over (order by md5_number(node)) - 1 as place"
        " from (select node_a as node from component_pairs union select node_b as node from component_pairs)"
    )
    pairs: list[tuple[int, int]] = connection.execute(
        "select a.place, b.place from component_pairs inner join component_nodes as a on node_a = a.node"
        " inner join component_nodes as b on node_b = b.node"
    ).fetchall()
    [(count,)] = connection.execute("select count(*) from component_nodes").fetchall()
    above = list(range(count))

    def leader(node: int) -> int:
        while above[node] != node:
            above[node] = above[above[node]]
            node = above[node]
        return node

    for node_a, node_b in pairs:
        low, high = sorted((leader(node_a), leader(node_b)))
        above[high] = low
    members = pa.table({"place": range(count), "leader": [leader(node) for node in range(count)]})
    connection.register("component_members", members)
    connection.execute(
        f"create or replace table {step.relation} as select nodes.node, leaders.node as component"
        " from component_members as members inner join component_nodes as nodes on members.place = nodes.place"
        " inner join component_nodes as leaders on members.leader = leaders.place"
    )
    connection.unregister("component_members")


def _tested(connection: duckdb.DuckDBPyConnection, step: Step) -> tuple[str, str, int]:
    """As dbt judges a test: one of severity error that may fail a little warns first, and fails beyond its error_if."""
    query = f"select count(*), count(*) {step.warns_if}, count(*) {step.fails_if} from"
    try:
        [(count, warns, fails)] = connection.execute(
            f"{query} ({step.sql.strip().rstrip(';')}) as failing_rows"
        ).fetchall()
    except duckdb.Error as error:
        return "error", str(error).split("\n", maxsplit=1)[0], 0
    said = f"Got {count} results"
    if fails and step.severity == "error":
        return "fail", said, count
    return ("warn", said, count) if warns else ("pass", "", 0)


def _node(step: Step, status: str, message: str = "", failures: int = 0) -> dbt.Node:
    kind = "test" if step.kind == "test" else "model"
    return dbt.Node(step.unique_id, step.name, kind, status, message, failures, 0.0, step.severity, step.group)


def _step(node: Any, groups: dict[str, str]) -> Step:
    kind = "test" if str(node.resource_type) == "test" else str(node.config.materialized)
    needs = tuple(each for each in node.depends_on.nodes if not each.startswith("source."))
    reads = tuple(
        ".".join(("raw_" + each.split(".")[2], each.split(".")[3]))
        for each in node.depends_on.nodes
        if each.startswith("source.")
    )
    is_promised = kind != "test" and bool(getattr(node.config.contract, "enforced", False))
    constraints = [each for each in getattr(node, "constraints", []) or [] if is_promised]
    key = next((tuple(each.columns) for each in constraints if _type(each) == "primary_key"), ())
    never_null = [
        name
        for name, column in (node.columns.items() if is_promised else ())
        if any(_type(each) == "not_null" for each in getattr(column, "constraints", []) or [])
    ]
    return Step(
        unique_id=node.unique_id,
        name=node.name,
        kind=kind if kind in {"view", "test", COMPONENTS} else "table",
        relation=f'"{node.schema}"."{node.alias}"',
        sql=node.compiled_code,
        group=groups.get(getattr(node, "attached_node", None) or node.unique_id, ""),
        severity=str(getattr(node.config, "severity", "") or "").lower() if kind == "test" else "",
        warns_if=str(getattr(node.config, "warn_if", "!= 0")),
        fails_if=str(getattr(node.config, "error_if", "!= 0")),
        needs=needs,
        reads=reads,
        key=key,
        never_null=tuple(dict.fromkeys([*key, *never_null])),
    )


def _type(constraint: Any) -> str:
    kind = constraint["type"] if isinstance(constraint, dict) else constraint.type
    return str(getattr(kind, "value", kind))


def _ordered(steps: list[Step]) -> list[Step]:
    """Models before what needs them, each test after everything it looks at; names settle the rest."""
    known = {step.unique_id for step in steps}
    left = sorted(steps, key=lambda step: (step.kind == "test", step.name))
    done: set[str] = set()
    found = []
    while left:
        ready = [step for step in left if all(each in done or each not in known for each in step.needs)]
        if not ready:
            raise RuntimeError(f"These depend on each other: {', '.join(step.name for step in left[:5])}.")
        found += ready
        done.update(step.unique_id for step in ready)
        left = [step for step in left if step.unique_id not in done]
    return found
