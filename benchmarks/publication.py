"""Twenty readers query while ten versions are published: no error, no torn read, nobody sees an older version again.

Every version says its number in every row of two marts and in the number of their rows; a reader that sees two numbers
in one look, or other rows than the number stands for, has read a torn version. Half of the readers open the DuckDB
file, half the Parquet files, a process each, by the stable names and as fast as they can.

    python -m benchmarks.publication [--readers 20] [--publications 10] [--rows 200000] [--json]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks.figures import Figure, main
from lifecycle.publication import hyper, publish
from lifecycle.settings import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

READER = """
import json, os, sys
from pathlib import Path
import duckdb

published, kind, stop = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
LOOK = " union all ".join("select min(version), max(version), count(*) from {%d}" % number for number in (0, 1))
reads, errors, torn, backwards, newest = 0, [], 0, 0, 0
print("ready", flush=True)
is_over = False
while not is_over:
    is_over = stop.exists()  # looked at before the last look, so that however busy the machine, everybody looks once
    try:
        if kind == "duckdb":
            with duckdb.connect(str((published / "lifecycle.duckdb").resolve()), read_only=True) as connection:
                rows = connection.execute(LOOK.format("marts.first", "marts.second")).fetchall()
        else:
            current = (published / "current").resolve()
            rows = duckdb.sql(LOOK.format(f"'{current}/first.parquet'", f"'{current}/second.parquet'")).fetchall()
    except Exception as error:
        errors.append(repr(error)[:200])
        continue
    reads += 1
    versions = {value for low, high, _ in rows for value in (low, high)}
    version = max(versions)
    if len(versions) > 1 or any(count != int(sys.argv[4]) + version for _, _, count in rows):
        torn += 1
    backwards += version < newest
    newest = max(newest, version)
print(json.dumps({"reads": reads, "errors": errors, "torn": torn, "backwards": backwards, "newest": newest}))
"""


class Silent:
    """Progress that nobody reads."""

    def note(self, text: str) -> None:
        """Nothing."""

    def detail(self, text: str) -> None:
        """Nothing."""

    def step(self, name: str) -> Any:
        """Nothing."""
        del name
        return nullcontext()


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    """Publish under load; the figures."""
    with tempfile.TemporaryDirectory() as folder:
        places = Places(Path(folder))
        return under_load(places, arguments.readers, arguments.publications, arguments.rows)


def under_load(places: Places, readers: int, publications: int, rows: int) -> list[Figure]:
    """Readers and publications at the same time, each mart with `rows` and as many more as the version's number."""
    stop = places.data_dir / "stop"
    quiet = _publish(places, 1, rows)
    processes = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                READER,
                str(places.published),
                ("duckdb", "parquet")[number % 2],
                str(stop),
                str(rows),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(readers)
    ]
    for process in processes:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise RuntimeError("A reader did not start.")
    seconds = [_publish(places, version, rows) for version in range(2, publications + 2)]
    stop.touch()
    found = [json.loads(process.communicate()[0]) for process in processes]
    return [
        Figure(
            "reads", sum(each["reads"] for each in found), "reads", f"{readers} readers", bar=readers, bar_is="at least"
        ),
        Figure("errors of readers", sum(len(each["errors"]) for each in found), "errors", bar=0),
        Figure("torn reads", sum(each["torn"] for each in found), "reads", bar=0),
        Figure("reads of an older version than before", sum(each["backwards"] for each in found), "reads", bar=0),
        Figure("versions published", len(seconds), "versions", bar=publications, bar_is="at least"),
        Figure("slowest publication under load", max(seconds), "s", f"{quiet:.2f} s without readers"),
    ]


def _publish(places: Places, version: int, rows: int) -> float:
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute("create schema if not exists marts")
        for table in ("first", "second"):
            connection.execute(
                f"create or replace table marts.{table} as select {version} as version, range as number,"
                f" md5(range::varchar) as text from range({rows + version})"
            )
        started = time.monotonic()
        form = publish.Form(has_extract=hyper.is_installed())
        publish.publish(connection, "warehouse", places, f"v{version:04}", Silent(), form)
        publish.prune(places, 3)
    return time.monotonic() - started


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=int, default=20)
    parser.add_argument("--publications", type=int, default=10)
    parser.add_argument("--rows", type=int, default=200_000)
    return parser


if __name__ == "__main__":
    main(measure, _parser())
