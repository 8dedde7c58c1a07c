"""The whole job killed at random moments and run again, against one that nobody disturbed.

`lifecycle run` is killed with SIGKILL a number of times, each time at a moment drawn evenly from how long an
undisturbed run takes, and then run to its end. What is published then, table by table, and which actions were delivered
must be what the undisturbed run of the same world published and delivered; nothing may have taken effect twice. Before
that the undisturbed job is run once more, on unchanged data: it has to change no published number and deliver nothing.

    python -m benchmarks.kills                  # ten kills
    python -m benchmarks.kills --kills 50 --seed 2
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections import Counter
from pathlib import Path

import duckdb
import requests

from benchmarks.figures import Figure, main
from benchmarks.job import Job
from sandbox.detached import store_path
from sandbox.store import Store

# what differs from run to run by its nature: the log of runs, of their checks, and of when which silo was read
VOLATILE = frozenset({"publish_log", "gate_results", "quality_findings", "source_refresh"})
# every column but the name that a run draws for itself
NAMED = "columns(lambda name: name <> 'run_id')"


def published_numbers(data_dir: Path) -> dict[str, tuple[int, int]]:
    """Per published table its rows and a checksum of their contents, without what differs by nature."""
    with duckdb.connect(str((data_dir / "published" / "lifecycle.duckdb").resolve()), read_only=True) as published:
        tables = published.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema in ('marts', 'activation') order by all"
        ).fetchall()
        return {
            f"{schema}.{name}": published.execute(
                f"select count(*), coalesce(sum(hash(t)::hugeint), 0) from (select {NAMED} from {schema}.{name}) as t"
            ).fetchall()[0]
            for schema, name in tables
            if name not in VOLATILE
        }


def delivered(data_dir: Path) -> set[str]:
    """The actions that a destination has acknowledged."""
    with sqlite3.connect(data_dir / "ledger.sqlite") as ledger:
        return {row[0] for row in ledger.execute("select action_id from deliveries where state = 'acknowledged'")}


def repeats(job: Job) -> list[str]:
    """Actions for which there is more than one ticket at the desk of a job's sandbox."""
    tickets = requests.get(
        f"{job.url}/zendesk/api/v2/incremental/tickets/cursor.json",
        params={"start_time": 1, "per_page": 1000},
        auth=("ops@sandbox.example/token", "sandbox-zendesk-token"),
        timeout=30,
    )
    tickets.raise_for_status()
    ours = Counter(ticket["external_id"] for ticket in tickets.json()["tickets"] if ticket["external_id"])
    return [action_id for action_id, number in ours.items() if number > 1]


def _arrived(job: Job) -> int:
    """How many deliveries the destinations of a job's sandbox got."""
    store = Store(store_path(job.data_dir))
    try:
        return sum(delivery.vendor != "chat" for delivery in store.deliveries())
    finally:
        store.close()


def kill_after(process: subprocess.Popen[str], seconds: float) -> bool:
    """Kill a command after so many seconds; whether it was still at work."""
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """One world, run twice: undisturbed, and killed again and again."""
    world = ("--customers", str(arguments.customers), "--months", "8", "--events-per-day", "300")
    moments = random.Random(arguments.seed)  # noqa: S311 - moments to be repeated, not secrets
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = Job(Path(folder) / "undisturbed"), Job(Path(folder) / "killed")
        try:
            undisturbed.ask("sandbox", "generate", *world)
            shutil.copytree(undisturbed.data_dir / "sandbox", killed.data_dir / "sandbox")
            undisturbed.up()
            began = time.monotonic()
            undisturbed.ask("run")
            seconds = time.monotonic() - began
            once, sent = published_numbers(undisturbed.data_dir), _arrived(undisturbed)
            undisturbed.ask("run")
            again, sent_again = published_numbers(undisturbed.data_dir), _arrived(undisturbed) - sent
            killed.up()
            hits = sum(
                kill_after(killed.start("run", "--json"), moments.uniform(0.02, 1) * seconds)
                for _ in range(arguments.kills)
            )
            killed.ask("run")
            expected, found = published_numbers(undisturbed.data_dir), published_numbers(killed.data_dir)
            wanted, got = delivered(undisturbed.data_dir), delivered(killed.data_dir)
            twice = len(repeats(killed))
        finally:
            undisturbed.down()
            killed.down()
    different = {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}
    changed = [name for name in once.keys() | again.keys() if once.get(name) != again.get(name)]
    return [
        Figure("published tables that a second run changes", len(changed), "", f"{len(once)} tables", bar=0),
        Figure("deliveries that a second run makes", sent_again, "", f"{sent} in the first", bar=0),
        Figure("kills that hit a run at work", hits, "", f"{arguments.kills} kills, one run takes {seconds:.0f} s"),
        Figure("published tables that differ", len(different), "", f"{len(expected)} tables", bar=0),
        Figure("actions lost", len(wanted - got), "", f"{len(wanted)} delivered undisturbed", bar=0),
        Figure("actions that nobody asked for", len(got - wanted), "", "", bar=0),
        Figure("actions that took effect twice", twice, "", "counted at the desk", bar=0),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--customers", type=int, default=150)
    parser.add_argument("--seed", type=int, default=20261101)
    main(measure, parser)
