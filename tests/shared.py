"""What is made once: by the processes of a test session for all of them, or by one process for all its tests."""

from __future__ import annotations

import fcntl
import functools
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from ingest.tables import create_missing

if TYPE_CHECKING:
    from collections.abc import Callable


def made_once(folder: Path, make: Callable[[Path], object]) -> Path:
    """A directory that the first process to need it makes, while the others wait. To be copied, not changed."""
    done = folder.with_suffix(".done")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@functools.cache
def empty_warehouse() -> bytes:
    """A DuckDB file with every raw table in it, empty: to write it down costs a tenth of making the tables again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warehouse.duckdb"
        with duckdb.connect(str(path)) as connection:
            create_missing(connection)
        return path.read_bytes()
