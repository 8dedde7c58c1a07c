"""A job that is killed, in whichever step, and started again ends where an undisturbed one ends, and then rests.

The cheap version of the benchmark kills, which kills whole runs only, at moments that it draws, ten or as many as it is
told.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.job import Job
from benchmarks.kills import delivered, kill_after, published_numbers, repeats

from .conftest import LEAN, disturb, received

pytestmark = pytest.mark.end_to_end

# what is killed, in which of its steps, and how far it has come by then; what does one step alone costs no build
KILLS = (
    ("run", "ingest", 4),
    ("ingest", "ingest", 14),
    ("run", "build", 130),
    ("run", "publish", 2),
    ("publish", "publish", 1),
    ("publish", "publish", 6),
)
DELIVERIES = (1, 3, 6, 2)  # and `sync`, when so many more have arrived
# so that a kill finds some deliveries made, some on their way and some not begun
SLOW = [
    {"vendor": vendor, "kind": "slow_body", "method": "POST", "seconds": 0.3}
    for vendor in ("customerio/track", "bitrix24", "make", "zendesk")
]
# with these a command shows how far it is, as to a person at a terminal: "⠋ build  12 of 504  seed seeds.actions"
TERMINAL = {"FORCE_COLOR": "1", "COLUMNS": "200"}
SHOWN = re.compile(r"\b(ingest|build|publish)  ((?:(\d+) of)?.*\S)")
STYLE = re.compile(r"\x1b\[[\d;?]*[a-zA-Z]")


@pytest.fixture(scope="module")
def killed(fresh: Callable[[], Job]) -> Job:
    """A job that had never run, killed ten times; then what was left to do was done."""
    job = fresh()
    disturb(job, *SLOW)
    job.more_environment = {**TERMINAL, **LEAN}
    dead = [dies(job.start(command), step, far) for command, step, far in KILLS]
    job.ask("publish")
    for more in DELIVERIES:
        process, before = job.start("sync"), len(received(job))
        while process.poll() is None and len(received(job)) < before + more:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=0.03)
        dead.append(kill_after(process, 0))
    disturb(job)
    job.ask("sync")
    assert len(dead) == 10
    assert sum(dead) >= 8, "the kills should hit a job at work"
    return job


@pytest.fixture(scope="module")
def undisturbed(killed: Job, request: pytest.FixtureRequest) -> Path:  # noqa: ARG001 - is not waited for before it
    """The data directory of the run that nobody disturbed, which another process may have made meanwhile."""
    made: Path = request.getfixturevalue("after_first_run")
    return made


def test_ten_kills_change_no_number(killed: Job, undisturbed: Path) -> None:
    assert published_numbers(killed.data_dir) == published_numbers(undisturbed)


def test_ten_kills_lose_no_action(killed: Job, undisturbed: Path) -> None:
    assert delivered(killed.data_dir) == delivered(undisturbed)


def test_after_ten_kills_no_action_took_effect_twice(killed: Job) -> None:
    assert repeats(killed) == []


def test_running_it_again_delivers_nothing_and_changes_no_number(killed: Job, undisturbed: Path) -> None:
    inbox = sent_away(killed)
    killed.more_environment = LEAN
    again = killed.ask("run")
    assert again["exit_code"] == 0, again["messages"]
    assert sum(tally["acknowledged"] for tally in again["destinations"]) == 0
    assert sent_away(killed) == inbox
    assert published_numbers(killed.data_dir) == published_numbers(undisturbed)


def sent_away(job: Job) -> list[dict[str, Any]]:
    """What the destinations of actions got: the team's chat may be told of what the gate flagged."""
    return [each for each in received(job) if each["vendor"] != "chat"]


def dies(process: subprocess.Popen[str], step: str, far: int) -> bool:
    """Kill a command once a step has come so far (by its count, or by how often what it shows has changed)."""
    assert process.stderr is not None
    changes = set()
    for line in process.stderr:
        shown = SHOWN.search(STYLE.sub("", line))
        if shown and shown[1] == step:
            changes.add(shown[2])
            if int(shown[3] or len(changes)) >= far:
                break
    return kill_after(process, 0)
