"""Warehouses of a test's own, and dbt in this process to build in them, with the project parsed once for all tests.

Parsing takes as long as building, and dbt throws its parse away whenever the path of the warehouse changes. So the
project is parsed for the default path, once, into the `target/` of the repository, where the next session finds it;
what is built with that parse may live anywhere, as long as the file is called `warehouse.duckdb`: that name is the
catalog in every statement.

    warehouse = Warehouse(tmp_path)
    warehouse.insert("raw_stripe.customers", [{"id": "cus_1", "created": 1767225600}])
    warehouse.stand_at(datetime(2026, 3, 1))
    warehouse.dbt("build", "--select", "+int_mrr__monthly", "--exclude-resource-type", "test", "unit_test")
    warehouse.rows("select * from intermediate.int_mrr__monthly order by all")
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.artifacts.resources.types import NodeType
from dbt.cli.main import dbtRunner
from dbt.compilation import Linker
from dbt.contracts.graph.manifest import Manifest
from dbt.contracts.graph.nodes import ParsedNode

from lifecycle.dbt_spared import Templates, spare
from tests.shared import empty_warehouse

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator, Mapping, Sequence

PROJECT_DIR = Path(__file__).resolve().parent.parent
WAREHOUSE_VARIABLE = "LIFECYCLE_WAREHOUSE"
LOAD_ID = "test"


@functools.cache
def manifest() -> Manifest:
    """The parsed project. One process parses, others of the same session wait for it and read what it left."""
    templates = Templates()
    spare(templates)
    _spare_more()
    atexit.register(templates.keep)
    with _nobody_else_parses() as target:
        parsed = _invoke(None, None, ["parse", "--target-path", str(target), "--log-path", str(target / "logs")])
    assert isinstance(parsed, Manifest)
    return parsed


def remembered() -> bytes:
    """What dbt keeps of its parse for the next one; read while no other process writes it anew."""
    manifest()
    with _nobody_else_parses() as target:
        return (target / "partial_parse.msgpack").read_bytes()


@contextlib.contextmanager
def _nobody_else_parses() -> Iterator[Path]:
    """The folder that processes of this session, and of others in the same checkout, parse into one by one."""
    target = PROJECT_DIR / "target"
    target.mkdir(exist_ok=True)
    with (target / "parse.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield target


class Warehouse:
    """One file with every raw table, empty if it is made here, in a folder where dbt may leave its artefacts too."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.path = folder / "warehouse.duckdb"
        if not self.path.exists():
            self.path.write_bytes(empty_warehouse())

    def connect(self, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """A connection, to be closed before dbt is asked for anything."""
        return duckdb.connect(str(self.path), read_only=read_only)

    def insert(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Put rows into a raw table; columns that a row does not name are null."""
        by_columns: dict[tuple[str, ...], list[list[Any]]] = defaultdict(list)
        for row in rows:
            complete = {"_dlt_load_id": LOAD_ID, **row}
            by_columns[tuple(complete)].append(list(complete.values()))
        with self.connect() as connection:
            for columns, values in by_columns.items():  # as columns: a statement for each row would cost a second
                arrived = pa.table([list(column) for column in zip(*values, strict=True)], names=list(columns))
                connection.register("arrived", arrived)
                connection.execute(f"insert into {table} by name select * from arrived")
                connection.unregister("arrived")

    def stand_at(self, as_of: dt.datetime) -> None:
        """Make `as_of` the instant of the newest run: the models take it from there."""
        self.execute("delete from raw_ops.runs")
        self.insert("raw_ops.runs", [{"run_id": "test", "as_of": as_of}])

    def execute(self, statement: str, parameters: object = None) -> None:
        """One statement for its effect."""
        with self.connect() as connection:
            connection.execute(statement, parameters)

    def rows(self, query: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with self.connect(read_only=True) as connection:
            return connection.execute(query, parameters).fetchall()

    def dbt(self, *arguments: str, may_fail: bool = False) -> Any:
        """Run a dbt command on this warehouse with the parsed project; dbt's own result.

        Raises:
            AssertionError: if it fails and may not; the message is what the failed nodes say.
        """
        places = ["--target-path", str(self.folder / "target"), "--log-path", str(self.folder / "logs")]
        # writing down what the project is would take as long as building a model or two
        return _invoke(manifest(), self.path, [*arguments, "--threads", "1", "--no-write-json", *places], may_fail)

    def compiled(self, *models: str, arguments: Sequence[str] = ()) -> dict[str, str]:
        """The SQL that dbt makes of models, by name, in the order in which they are asked for."""
        done = self.dbt("compile", "--select", *models, *arguments)
        found = {result.node.name: result.node.compiled_code for result in done.results}
        return {name: found[name] for name in models}


def _invoke(parsed: Manifest | None, warehouse: Path | None, arguments: list[str], may_fail: bool = False) -> Any:
    common = ["--log-level", "none", "--no-version-check", "--log-level-file", "none", "--use-fast-test-edges"]
    projects = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    with _warehouse_is(warehouse):
        try:
            done = dbtRunner(manifest=parsed).invoke([*common, *arguments, *projects])
        finally:
            # dbt keeps its connection, and with it the lock on the file, for as long as the process lives
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    failed = [
        f"{result.node.name}: {result.message}"
        for result in getattr(done.result, "results", ())
        if result.status in ("error", "fail", "runtime error")
    ]
    assert done.success or may_fail, "\n".join(failed) or str(done.exception)
    found: Any = done.result
    if hasattr(found, "results"):  # what runs before the first node is nobody's result
        found.results = [each for each in found.results if each.node.resource_type != NodeType.Operation]
    return found


def _spare_more() -> None:
    """Leave undone what no test here looks at, and what every run in the end-to-end tests does in full."""
    unlooked: Any = Linker
    unlooked.find_cycles = lambda _self: None
    unlooked.get_graph_summary = lambda _self, _manifest: {}
    unread: Any = ParsedNode
    unread.write_node = lambda _self, _project_root, path, _payload: path


@contextlib.contextmanager
def _warehouse_is(path: Path | None) -> Iterator[None]:
    before = os.environ.pop(WAREHOUSE_VARIABLE, None)
    if path is not None:
        os.environ[WAREHOUSE_VARIABLE] = str(path)
    try:
        yield
    finally:
        os.environ.pop(WAREHOUSE_VARIABLE, None)
        if before is not None:
            os.environ[WAREHOUSE_VARIABLE] = before
