"""The job as a user drives it: one small world is made and run once, every test lives in a copy of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests

from benchmarks.job import Job
from sandbox import detached, generate
from sandbox.store import Delivery, Store
from sandbox.world.parameters import WorldParameters
from tests import warehouse
from tests.shared import made_once

from .dirty import spoil_documents

SIZE = WorldParameters(customers=150, months=8, events_per_day=300)
# for a day, five before the first run, which is the first to judge it, finance counts payments after the card fees
PLANTED = SIZE.days - 5
WORLD = replace(SIZE, net_of_fees=(PLANTED, PLANTED + 1))
PARSED = Path("dbt") / "target" / "partial_parse.msgpack"

# a run without data tests, for runs that are not to end well and for data that have passed them: no model needs them;
# nor does one run more have to show that a Tableau extract can be written
LEAN = {"DBT_RESOURCE_TYPES": "model seed", "LIFECYCLE__TABLEAU_EXTRACT": "false"}
# the same for a warehouse that an earlier run has put the seeds into
SEEDED = {**LEAN, "DBT_RESOURCE_TYPES": "model"}


@pytest.fixture(scope="session")
def world(common: Path) -> Path:
    """A generated world with its files, bad records in every silo, and dbt's parse of the project; tests copy it."""

    def make(folder: Path) -> None:
        generate.generate(folder, WORLD)
        spoil_documents(folder)
        # asked for last: another process may have parsed meanwhile
        shutil.copytree(_parsed(common), folder, dirs_exist_ok=True)

    return made_once(common / "world", make)


@pytest.fixture(scope="session")
def after_first_run(world: Path, common: Path) -> Path:
    """A data directory after one undisturbed run, its sandbox stopped: tests copy it instead of running it again."""

    def make(folder: Path) -> None:
        job = Job(folder)
        shutil.copytree(world, folder, dirs_exist_ok=True)
        try:
            done = job.call("run", "--sandbox")
            assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        finally:
            detached.stop_running(folder)

    return made_once(common / "after_first_run", make)


@pytest.fixture(scope="module")
def ran(after_first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Job]]:
    """Makes jobs that have run once, in folders of the name that is asked for; they end with the module."""
    jobs: list[Job] = []

    def make(name: str = "data") -> Job:
        job = Job(tmp_path_factory.mktemp("job") / name)
        shutil.copytree(after_first_run, job.data_dir, symlinks=True)
        jobs.append(job)
        detached.ensure_running(job.data_dir, job.port)
        return job

    yield make
    for job in jobs:
        detached.stop_running(job.data_dir)
        shutil.rmtree(job.data_dir)


def _parsed(common: Path) -> Path:
    """A data directory with dbt's parse of the project and nothing else."""

    def make(folder: Path) -> None:
        (folder / PARSED).parent.mkdir(parents=True)
        (folder / PARSED).write_bytes(warehouse.remembered())

    return made_once(common / "parsed", make)


def ask_published(job: Job, query: str) -> list[tuple[object, ...]]:
    """A query over what is published."""
    with duckdb.connect(str((job.data_dir / "published" / "lifecycle.duckdb").resolve()), read_only=True) as published:
        return published.execute(query).fetchall()


def disturb(job: Job, *rules: dict[str, Any]) -> None:
    """Let the vendors of a job fail like this too; without any rule, no longer."""
    url = f"{job.url}/_sandbox/faults"
    answer = requests.post(url, json=rules, timeout=60) if rules else requests.delete(url, timeout=60)
    answer.raise_for_status()


def arrived(data_dir: Path) -> list[Delivery]:
    """What the destinations of actions got; the team's chat, which is told what the gate flagged, is none of them."""
    store = Store(detached.store_path(data_dir))
    try:
        return [each for each in store.deliveries() if each.vendor != "chat"]
    finally:
        store.close()
