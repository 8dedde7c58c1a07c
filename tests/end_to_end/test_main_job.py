"""What a newcomer does, twice, and a day later."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
import requests

from benchmarks.job import PROJECT_DIR, Job

from .conftest import ask_published, published_numbers

pytestmark = pytest.mark.end_to_end


def acknowledged(job: Job) -> set[str]:
    with sqlite3.connect(job.data_dir / "ledger.sqlite") as ledger:
        return {row[0] for row in ledger.execute("select action_id from deliveries where state = 'acknowledged'")}


def received(job: Job) -> list[dict[str, object]]:
    answer = requests.get(f"{job.url}/_sandbox/inbox", timeout=30)
    answer.raise_for_status()
    found: list[dict[str, object]] = answer.json()
    return found


def test_every_silo_arrives_and_every_destination_is_served(ran: Callable[[], Job]) -> None:
    job = ran()
    silos = dict(ask_published(job, "select source, is_stale from marts.source_refresh"))
    assert silos == dict.fromkeys(("stripe", "zendesk", "bitrix24", "customerio", "product", "spend"), False)
    assert acknowledged(job), "the first run delivered nothing"
    with sqlite3.connect(job.data_dir / "ledger.sqlite") as ledger:
        assert {state for (state,) in ledger.execute("select state from deliveries")} == {"acknowledged"}
    offered = dict(ask_published(job, "select destination, count(*) from marts.action_decisions group by 1"))
    assert set(offered) == {"customerio", "bitrix24", "make", "zendesk"}


def test_the_first_load_of_history_fires_nothing_old(ran: Callable[[], Job]) -> None:
    job = ran()
    old = ask_published(
        job,
        "select count(*) from marts.action_decisions"
        " where decision = 'permitted' and occurred_at < decided_at - interval '7' day",
    )
    assert old == [(0,)]
    held_back = ask_published(
        job, "select count(*) from marts.action_decisions where suppression_reason in ('historical', 'stale')"
    )
    assert held_back[0][0] > 100, "months of history should have been held back"


def test_a_second_run_delivers_nothing_and_changes_no_number(ran: Callable[[], Job]) -> None:
    job = ran()
    numbers, inbox = published_numbers(job.data_dir), received(job)
    again = job.ask("run")
    assert sum(tally["acknowledged"] for tally in again["destinations"]) == 0
    assert received(job) == inbox
    assert published_numbers(job.data_dir) == numbers


READER = """
import duckdb, pathlib, sys
published, stop = sys.argv[1:]
query = "select count(*), sum(mrr) from marts.customer_lifecycle"
held = duckdb.connect(published, read_only=True)
first = held.execute(query).fetchall()
reads = 0
while not pathlib.Path(stop).exists():
    assert held.execute(query).fetchall() == first, "what is open does not change"
    reads += 1
print(reads)
"""


def test_a_day_later_readers_read_on_and_only_what_is_new_is_loaded(ran: Callable[[], Job]) -> None:
    job = ran()
    before = acknowledged(job)
    job.ask("sandbox", "advance", "--days", "1")

    stop = job.data_dir / "stop"
    published = str(job.data_dir / "published" / "lifecycle.duckdb")
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, published, str(stop)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    first = job.start("run")
    assert first.stderr is not None
    first.stderr.readline()  # it has begun to speak, so it holds the lock
    second = job.call("run")
    _, errors = first.communicate()
    stop.touch()
    reads, trouble = reader.communicate(timeout=60)

    assert first.returncode == 0, errors
    assert second.returncode == 2, "a second run beside a running one does not work on"
    assert str(first.pid) in second.stderr, "it says which one is running"
    assert reader.returncode == 0, trouble
    assert int(reads) > 100

    extracts = (
        "select t.table_name, t.rows_loaded from raw_ops.extract_tables as t"
        " inner join (select max(as_of) as as_of from raw_ops.runs) as newest on true"
        " inner join raw_ops.extracts as e on t.extract_id = e.extract_id and e.as_of = newest.as_of"
    )
    with duckdb.connect(str(job.data_dir / "warehouse.duckdb"), read_only=True) as warehouse:
        loaded = dict(warehouse.execute(extracts).fetchall())
        everything = warehouse.execute("select count(*) from raw_product.events").fetchall()[0][0]
    assert 0 < loaded["events"] < everything / 10, "a day should load days, not the history"
    assert acknowledged(job) >= before, "what was delivered stays delivered"
    back = ask_published(job, "select count(*) from marts.action_deliveries where outcome = 'acknowledged'")
    assert back[0][0] == len(before), "a day later the receipts are a source like any other"


def test_plain_dbt_works_on_the_same_warehouse(ran: Callable[[], Job]) -> None:
    job = ran()
    numbers = published_numbers(job.data_dir)
    done = subprocess.run(
        [str(Path(sys.executable).with_name("dbt")), "build", "--profiles-dir", ".", "--select", "mrr_movements"],
        cwd=PROJECT_DIR,
        env={
            **job.environment,
            "LIFECYCLE_WAREHOUSE": str(job.data_dir / "warehouse.duckdb"),
            "DBT_TARGET_PATH": str(job.data_dir / "dbt" / "target"),
            "DBT_LOG_PATH": str(job.data_dir / "logs"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert published_numbers(job.data_dir) == numbers, "nothing outside `publish` touches the published file"
