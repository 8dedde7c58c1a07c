"""A run that is killed, whenever that happens, and run again ends where an undisturbed run ends."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from benchmarks.job import Job

from .conftest import SECONDS, published_numbers

pytestmark = pytest.mark.end_to_end

KILLS = 10


def test_ten_kills_lose_no_action_and_change_no_number(after_first_run: Path, fresh: Callable[[], Job]) -> None:
    seconds = float((after_first_run / SECONDS).read_text())
    killed = fresh()
    moments = random.Random(20261101)
    reached = Counter[str]()
    for _ in range(KILLS):
        process = killed.start("run", "--json")
        try:
            process.wait(timeout=moments.uniform(0.05, 0.8) * seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            reached["killed"] += 1
        process.communicate()
    assert reached["killed"] >= KILLS // 2, "most kills should hit a run at work"

    killed.ask("run")
    assert published_numbers(killed.data_dir) == published_numbers(after_first_run)
    assert delivered(killed.data_dir) == delivered(after_first_run), "an action was lost"
    assert repeats(killed) == [], "an action took effect twice"


def delivered(data_dir: Path) -> set[str]:
    with sqlite3.connect(data_dir / "ledger.sqlite") as ledger:
        return {row[0] for row in ledger.execute("select action_id from deliveries where state = 'acknowledged'")}


def repeats(job: Job) -> list[str]:
    """Tickets that exist twice at the desk for one action."""
    tickets = requests.get(
        f"{job.url}/zendesk/api/v2/incremental/tickets/cursor.json",
        params={"start_time": 1, "per_page": 1000},
        auth=("ops@sandbox.example/token", "sandbox-zendesk-token"),
        timeout=30,
    )
    tickets.raise_for_status()
    ours = Counter(ticket["external_id"] for ticket in tickets.json()["tickets"] if ticket["external_id"])
    return [action_id for action_id, number in ours.items() if number > 1]
