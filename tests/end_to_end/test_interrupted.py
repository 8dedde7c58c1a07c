"""A delivery that is killed four times and started again loses no action and repeats none.

Six more kills, of the steps before it, are in test_begun_again.py.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from benchmarks.job import Job
from benchmarks.kills import delivered, kill_after, repeats
from sandbox import detached

from .conftest import arrived, disturb

pytestmark = pytest.mark.end_to_end

HANGING = (1, 3, 6, 2)  # it is killed when so many of its requests wait for answers that never come


def silence(turn: int) -> list[dict[str, Any]]:
    """Of what a vendor is sent it answers nothing, or the first request; it takes two more in, and then nothing.

    So a kill finds some deliveries made, some made and not known to be, some on their way and some not begun, and no
    machine is too fast or too busy for that.
    """
    silent = {"kind": "timeout", "method": "POST", "skip": turn % 2}
    return [
        {"vendor": vendor, **silent, **more}
        for vendor in ("customerio/track", "bitrix24", "make", "zendesk")
        for more in ({"phase": "after", "times": 2}, {"phase": "before"})
    ]


def hanging(job: Job) -> int:
    """How many requests got no answer since the vendors were told to be silent."""
    return sum(rule["hits"] for rule in requests.get(f"{job.url}/_sandbox/faults", timeout=60).json())


@pytest.fixture(scope="module")
def killed(world: Path, after_first_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    """What the undisturbed run published, delivered to silos that know of no action yet; then the rest of it."""
    job = Job(tmp_path_factory.mktemp("interrupted") / "data")
    shutil.copytree(after_first_run / "published", job.data_dir / "published", symlinks=True)
    shutil.copytree(world / "sandbox", job.data_dir / "sandbox")
    try:
        detached.ensure_running(job.data_dir, job.port)
        dead = []
        for turn, most in enumerate(HANGING):
            disturb(job)
            disturb(job, *silence(turn))
            process = job.start("sync")
            while process.poll() is None and hanging(job) < most:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=0.03)
            dead.append(kill_after(process, 0))
        assert all(dead), "the kills should hit a job at work"
        disturb(job)
        job.ask("sync")
        yield job
    finally:
        detached.stop_running(job.data_dir)


def keys(data_dir: Path) -> set[tuple[str, str]]:
    """What the destinations got, by what they may tell repeats by; Bitrix24 gets nothing of that kind."""
    found = {(each.vendor, each.idempotency_key) for each in arrived(data_dir) if each.idempotency_key}
    assert {vendor for vendor, _ in found} == {"customerio", "make", "zendesk"}
    return found


def test_kills_lose_no_action(killed: Job, after_first_run: Path) -> None:
    assert delivered(killed.data_dir) == delivered(after_first_run) != set()
    assert keys(killed.data_dir) == keys(after_first_run), "what is acknowledged has arrived"


def test_after_kills_no_action_took_effect_twice(killed: Job) -> None:
    assert repeats(killed) == []
