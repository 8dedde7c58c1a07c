"""The project's own SQL, rendered by dbt and run on made-up inputs in memory.

What a benchmark says about an estimator it says about the models and macros as they stand, not about a copy: they are
compiled here, and run in an in-memory database that has the catalog and schema names of the warehouse.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import duckdb
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.context.providers import BaseDatabaseWrapper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dbt.contracts.graph.manifest import Manifest

PROJECT_DIR = Path(__file__).resolve().parent.parent
VALUE_MODELS = (
    "int_tenure_cells__tallied",
    "int_channel_survival__estimated",
    "int_channel_ltv__valued",
    "int_ltv_replicates__estimated",
)


class Renderer:
    """dbt in this process; the project is parsed once, or not at all when a parse is handed in.

    `dialect` is the engine whose variants of the macros are taken. Another engine's needs no adapter of it: nothing is
    run here, and what the adapter itself would write (quotes, names of types) is the caller's to change.
    """

    def __init__(self, manifest: Manifest | None = None, dialect: str = "duckdb") -> None:
        self._folder = tempfile.TemporaryDirectory()
        # dbt itself asks for its adapter's macros in the same way
        self._prefixes = list(dict.fromkeys([dialect, "duckdb", "default"]))
        if manifest is None:
            self._manifest = self._invoke(None, ["parse"], {})
        else:
            self._manifest = manifest

    def models(self, names: Sequence[str], **variables: Any) -> dict[str, str]:
        """Compiled SQL of models, by name, under these variables."""
        results = self._invoke(self._manifest, ["compile", "--select", *names], variables)
        found = {result.node.name: result.node.compiled_code for result in results}
        return {name: found[name] for name in names}

    def query(self, text: str, **variables: Any) -> str:
        """A query with the project's macros in it, rendered."""
        results = self._invoke(self._manifest, ["compile", "--inline", text], variables)
        return str(next(iter(results)).node.compiled_code)

    def _invoke(self, manifest: Any, arguments: list[str], variables: Mapping[str, Any]) -> Any:
        folder = Path(self._folder.name)
        before = os.environ.get("LIFECYCLE_WAREHOUSE")
        # a parse that was handed in was made for the default path, and dbt compiles with what it is given
        os.environ["LIFECYCLE_WAREHOUSE"] = str(folder / "warehouse.duckdb")
        options = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR), "--target-path", str(folder)]
        common = ["--log-level", "none", "--no-version-check", "--log-level-file", "none", "--log-path", str(folder)]
        given = ["--vars", json.dumps(variables)] if variables else []
        try:
            with patch.object(BaseDatabaseWrapper, "_get_adapter_macro_prefixes", lambda _: self._prefixes):
                done = dbtRunner(manifest=manifest).invoke([*common, *arguments, *given, *options])
        finally:
            DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
            if before is None:
                del os.environ["LIFECYCLE_WAREHOUSE"]
            else:
                os.environ["LIFECYCLE_WAREHOUSE"] = before
        if not done.success:
            raise RuntimeError(f"dbt {' '.join(arguments)} failed: {done.exception or done.result}")
        return done.result


def connection(threads: int = 2) -> duckdb.DuckDBPyConnection:
    """An in-memory database that the compiled SQL finds its relations in."""
    database = duckdb.connect(":memory:", config={"threads": threads})
    database.execute("attach ':memory:' as warehouse")
    database.execute("use warehouse")
    for schema in ("intermediate", "seeds", "staging", "marts"):
        database.execute(f"create schema if not exists {schema}")
    database.execute("set preserve_insertion_order = false")
    return database


def build(database: duckdb.DuckDBPyConnection, models: Mapping[str, str]) -> None:
    """Run compiled models into tables, in the order given."""
    for name, statement in models.items():
        database.execute(f"create or replace table warehouse.intermediate.{name} as {statement}")
