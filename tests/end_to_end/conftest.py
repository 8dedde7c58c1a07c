"""The job as a user drives it: one small world is made and run once, every test lives in a copy of its own."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from benchmarks.job import Job
from tests import warehouse

from .dirty import spoil_documents

WORLD = ("--customers", "150", "--months", "8", "--events-per-day", "300")
PARSED = Path("dbt") / "target" / "partial_parse.msgpack"

# how long the undisturbed first run took, kept in its data directory
SECONDS = "seconds"

# what changes from run to run by its nature: the log of runs, of their checks, and of when which silo was read
VOLATILE = {"publish_log", "gate_results", "source_refresh"}


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all processes of a test session."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if own.name.startswith("popen-") else own


@pytest.fixture(scope="session")
def world(common: Path) -> Path:
    """A generated world with its files, bad records in every silo, and dbt's parse of the project; tests copy it."""

    def make(folder: Path) -> None:
        job = Job(folder, WORLD)
        job.ask("sandbox", "generate", *job.world)
        spoil_documents(folder)
        warehouse.manifest()
        (folder / PARSED).parent.mkdir(parents=True)
        shutil.copy(warehouse.PROJECT_DIR / "target" / PARSED.name, folder / PARSED)

    return made_once(common / "world", make)


@pytest.fixture(scope="session")
def after_first_run(world: Path, common: Path) -> Path:
    """A data directory after one undisturbed run, its sandbox stopped: tests copy it instead of running it again."""

    def make(folder: Path) -> None:
        job = Job(folder)
        shutil.copytree(world, folder, dirs_exist_ok=True)
        began = time.monotonic()
        try:
            job.up()
            job.ask("run")
        finally:
            job.down()
        (folder / SECONDS).write_text(str(time.monotonic() - began))

    return made_once(common / "after_first_run", make)


@pytest.fixture(scope="module")
def fresh(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Job]]:
    """Makes jobs on copies of the world that never ran; they end with the module."""
    yield from _jobs(world, tmp_path_factory)


@pytest.fixture(scope="module")
def ran(after_first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Job]]:
    """Makes jobs that have run once; they end with the module."""
    yield from _jobs(after_first_run, tmp_path_factory)


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """A directory that the first process to need it makes, while the others wait."""
    done = folder.with_suffix(".done")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


def _jobs(template: Path, factory: pytest.TempPathFactory) -> Iterator[Callable[[], Job]]:
    jobs: list[Job] = []

    def make() -> Job:
        job = Job(factory.mktemp("job") / "data")
        shutil.copytree(template, job.data_dir, symlinks=True)
        jobs.append(job)
        job.up()
        return job

    try:
        yield make
    finally:
        for job in jobs:
            job.discard()


def published_numbers(data_dir: Path) -> dict[str, tuple[int, int]]:
    """Per published table its rows and a checksum of their contents, without what is volatile by nature."""
    with duckdb.connect(str((data_dir / "published" / "lifecycle.duckdb").resolve()), read_only=True) as published:
        tables = published.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema in ('marts', 'activation') order by all"
        ).fetchall()
        return {
            f"{schema}.{name}": published.execute(
                f"select count(*), coalesce(sum(hash(t)::hugeint), 0) from {schema}.{name} as t"
            ).fetchall()[0]
            for schema, name in tables
            if name not in VOLATILE
        }


def ask_published(job: Job, query: str) -> list[tuple[object, ...]]:
    """A query over what is published."""
    with duckdb.connect(str((job.data_dir / "published" / "lifecycle.duckdb").resolve()), read_only=True) as published:
        return published.execute(query).fetchall()
