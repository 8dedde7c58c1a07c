"""A job that is killed, in whichever step, and started again ends where an undisturbed one ends, and then rests.

The cheap version of the benchmark kills, which kills whole runs only, ten or as many as it is told.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.job import Job
from benchmarks.kills import delivered, kill_after, published_numbers, repeats

from .conftest import BEGINNINGS, MODELS_ONLY, SECONDS, received

pytestmark = pytest.mark.end_to_end

# in which step `lifecycle run` is killed, one run each, and within which part of the time that the step took (a run is
# faster beside less other work); then `publish` and `sync`, which do the last steps alone: no kill there costs a build
RUNS = (
    ("ingest", 0.9, {}),
    ("ingest", 0.9, {}),
    ("build", 0.6, {}),
    ("publish", 0.9, MODELS_ONLY),
)
PUBLICATIONS, DELIVERIES = 2, 4
# so that a kill finds some deliveries made, some on their way and some not begun
SLOW = [
    {"vendor": vendor, "kind": "slow_body", "method": "POST", "seconds": 0.3}
    for vendor in ("customerio/track", "bitrix24", "make", "zendesk")
]


@pytest.fixture(scope="module")
def killed(after_first_run: Path, fresh: Callable[[], Job]) -> Job:
    """A job that had never run, killed ten times; then what was left to do was done."""
    seconds = json.loads((after_first_run / SECONDS).read_text())
    job = fresh()
    moments = random.Random(20261101)
    job.ask("sandbox", "faults", json.dumps(SLOW))
    dead = []
    for step, part, environment in RUNS:
        job.more_environment = environment
        dead.append(dies(job.start("run"), moments.uniform(0.05, part) * seconds[step], after=BEGINNINGS[step]))
    job.more_environment = {}
    dead += [dies(job.start("publish"), moments.uniform(0.1, 0.7) * seconds["publish"]) for _ in range(PUBLICATIONS)]
    job.ask("publish")
    for _ in range(DELIVERIES):
        process, before = job.start("sync", "--json"), len(received(job))
        arrivals = moments.randint(1, 6)
        while process.poll() is None and len(received(job)) < before + arrivals:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.03)
        dead.append(dies(process, 0))
    job.ask("sandbox", "faults", "--clear")
    job.ask("sync")
    assert len(dead) == 10
    assert sum(dead) >= 7, "the kills should hit a job at work"
    return job


def test_ten_kills_lose_no_action_and_change_no_number(killed: Job, after_first_run: Path) -> None:
    assert published_numbers(killed.data_dir) == published_numbers(after_first_run)
    assert delivered(killed.data_dir) == delivered(after_first_run), "an action was lost"
    assert repeats(killed) == [], "an action took effect twice"


def test_running_it_again_delivers_nothing_and_changes_no_number(killed: Job, after_first_run: Path) -> None:
    inbox = sent_away(killed)
    killed.more_environment = MODELS_ONLY
    again = killed.ask("run")
    assert again["exit_code"] == 0, again["messages"]
    assert sum(tally["acknowledged"] for tally in again["destinations"]) == 0
    assert sent_away(killed) == inbox
    assert published_numbers(killed.data_dir) == published_numbers(after_first_run)


def sent_away(job: Job) -> list[dict[str, Any]]:
    """What the destinations of actions got: the team's chat may be told of what the gate flagged."""
    return [each for each in received(job) if each["vendor"] != "chat"]


def dies(process: subprocess.Popen[str], seconds: float, after: str = "") -> bool:
    """Kill a command some seconds after it has said that a step begins; whether it was still at work."""
    assert process.stderr is not None
    if after:
        for line in process.stderr:
            if after in line:
                break
    return kill_after(process, seconds)
