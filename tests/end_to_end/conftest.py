"""The job as a user drives it, on small worlds: one is generated once, every test lives in a copy of its own."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from benchmarks.job import Job

WORLD = ("--customers", "150", "--months", "8", "--events-per-day", "300")

# how long the undisturbed first run took, kept in its data directory
SECONDS = "seconds"

# what changes from run to run by its nature: the log of runs, of their checks, and of when which silo was read
VOLATILE = {"publish_log", "gate_results", "source_refresh"}


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated world, never served: tests copy it."""
    job = Job(tmp_path_factory.mktemp("world"), WORLD)
    job.ask("sandbox", "generate", *job.world)
    return job.data_dir / "sandbox"


@pytest.fixture(scope="session")
def after_first_run(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after one undisturbed run, its sandbox stopped: tests copy it instead of running it again."""
    job = Job(tmp_path_factory.mktemp("first"))
    shutil.copytree(world, job.data_dir / "sandbox")
    began = time.monotonic()
    try:
        job.up()
        job.ask("run")
    finally:
        job.down()
    (job.data_dir / SECONDS).write_text(str(time.monotonic() - began))
    return job.data_dir


@pytest.fixture
def fresh(world: Path, after_first_run: Path, tmp_path: Path) -> Iterator[Callable[[], Job]]:
    """Makes jobs on copies of the world that never ran; they end with the test.

    Only dbt's parse of the project is taken over from another job: it is the same for all and takes longest.
    """

    def warm(job: Job) -> None:
        target = Path("dbt") / "target" / "partial_parse.msgpack"
        (job.data_dir / target).parent.mkdir(parents=True)
        shutil.copy(after_first_run / target, job.data_dir / target)

    yield from _jobs(world, tmp_path, "sandbox", warm)


@pytest.fixture
def ran(after_first_run: Path, tmp_path: Path) -> Iterator[Callable[[], Job]]:
    """Makes jobs that have run once; they end with the test."""
    yield from _jobs(after_first_run, tmp_path, "", lambda _: None)


def _jobs(template: Path, folder: Path, within: str, prepare: Callable[[Job], None]) -> Iterator[Callable[[], Job]]:
    jobs: list[Job] = []

    def make() -> Job:
        job = Job(folder / f"data_{len(jobs)}")
        shutil.copytree(template, job.data_dir / within, symlinks=True)
        prepare(job)
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
