"""The job as a user drives it: one small world is made and run once, every test lives in a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests

from benchmarks.job import Job
from sandbox import detached
from tests import warehouse
from tests.shared import made_once

from .dirty import spoil_documents

WORLD = ("--customers", "150", "--months", "8", "--events-per-day", "300")
PARSED = Path("dbt") / "target" / "partial_parse.msgpack"

# a run without data tests, for runs that are not to end well and for data that have passed them: no model needs them;
# nor does one run more have to show that a Tableau extract can be written
LEAN = {"DBT_RESOURCE_TYPES": "model seed", "LIFECYCLE__TABLEAU_EXTRACT": "false"}


@pytest.fixture(scope="session")
def bare(common: Path) -> Path:
    """A data directory with dbt's parse of the project and nothing else; tests copy it."""
    return _bare(common)


@pytest.fixture(scope="session")
def world(common: Path) -> Path:
    """A generated world with its files, bad records in every silo, and dbt's parse of the project; tests copy it."""

    def make(folder: Path) -> None:
        job = Job(folder, WORLD)
        job.ask("sandbox", "generate", *job.world)
        spoil_documents(folder)
        # asked for last: another process may have parsed meanwhile
        shutil.copytree(_bare(common), folder, dirs_exist_ok=True)

    return made_once(common / "world", make)


@pytest.fixture(scope="session")
def after_first_run(world: Path, common: Path) -> Path:
    """A data directory after one undisturbed run, its sandbox stopped: tests copy it instead of running it again."""

    def make(folder: Path) -> None:
        job = Job(folder)
        shutil.copytree(world, folder, dirs_exist_ok=True)
        try:
            job.up()
            done = job.call("run")
            assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        finally:
            job.down()

    return made_once(common / "after_first_run", make)


@pytest.fixture(scope="module")
def fresh(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Job]]:
    """Makes jobs on copies of the world that never ran; they end with the module."""
    yield from _jobs(world, tmp_path_factory)


@pytest.fixture(scope="module")
def ran(after_first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Job]]:
    """Makes jobs that have run once; they end with the module."""
    yield from _jobs(after_first_run, tmp_path_factory)


def _bare(common: Path) -> Path:
    def make(folder: Path) -> None:
        warehouse.manifest()
        (folder / PARSED).parent.mkdir(parents=True)
        shutil.copy(warehouse.PROJECT_DIR / "target" / PARSED.name, folder / PARSED)

    return made_once(common / "bare", make)


def _jobs(template: Path, factory: pytest.TempPathFactory) -> Iterator[Callable[[], Job]]:
    jobs: list[Job] = []

    def make() -> Job:
        job = Job(factory.mktemp("job") / "data")
        shutil.copytree(template, job.data_dir, symlinks=True)
        jobs.append(job)
        detached.ensure_running(job.data_dir, job.port)
        return job

    try:
        yield make
    finally:
        for job in jobs:
            detached.stop_running(job.data_dir)
            shutil.rmtree(job.data_dir)


def ask_published(job: Job, query: str) -> list[tuple[object, ...]]:
    """A query over what is published."""
    with duckdb.connect(str((job.data_dir / "published" / "lifecycle.duckdb").resolve()), read_only=True) as published:
        return published.execute(query).fetchall()


def disturb(job: Job, *rules: dict[str, Any]) -> None:
    """Let the vendors of a job fail like this too; without any rule, no longer."""
    url = f"{job.url}/_sandbox/faults"
    answer = requests.post(url, json=rules, timeout=30) if rules else requests.delete(url, timeout=30)
    answer.raise_for_status()


def received(job: Job) -> list[dict[str, Any]]:
    """What the destinations of a job have been sent."""
    answer = requests.get(f"{job.url}/_sandbox/inbox", timeout=30)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found
