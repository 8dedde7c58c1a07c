"""What a newcomer does, twice, and a day later."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Callable

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
    sent_to = dict(
        ask_published(
            job, "select destination, count(*) from marts.action_decisions where decision = 'permitted' group by 1"
        )
    )
    assert set(sent_to) == {"customerio", "bitrix24", "make", "zendesk"}


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
    numbers, inbox = published_numbers(job), received(job)
    again = job.ask("run")
    assert sum(tally["acknowledged"] for tally in again["destinations"]) == 0
    assert received(job) == inbox
    assert published_numbers(job) == numbers


def test_a_day_later_only_what_is_new_is_loaded(ran: Callable[[], Job]) -> None:
    job = ran()
    before = acknowledged(job)
    job.ask("sandbox", "advance", "--days", "1")
    later = job.ask("run")
    loaded = {source["source"]: source["rows_loaded"] for source in later["sources"]}
    events = ask_published(job, "select sum(qualifying_events) from marts.usage_daily where product != 'all'")[0][0]
    assert 0 < loaded["product"] < 0.05 * int(str(events)), "a day should load days, not the history"
    assert acknowledged(job) >= before, "what was delivered stays delivered"
    back = ask_published(job, "select count(*) from marts.action_deliveries where outcome = 'acknowledged'")
    assert back[0][0] == len(before), "a day later the receipts are a source like any other"


def test_a_reader_of_the_published_file_sees_no_error_while_a_run_publishes(ran: Callable[[], Job]) -> None:
    job = ran()
    job.ask("sandbox", "advance", "--days", "1")
    stop = job.data_dir / "stop"
    reader = subprocess.Popen(
        [
            sys.executable,
            "-c",
            textwrap.dedent(f"""
                import duckdb, pathlib
                held = duckdb.connect({str(job.data_dir / "published" / "lifecycle.duckdb")!r}, read_only=True)
                first = held.execute("select count(*), sum(mrr) from marts.customer_lifecycle").fetchall()
                reads = 0
                while not pathlib.Path({str(stop)!r}).exists():
                    assert held.execute("select count(*), sum(mrr) from marts.customer_lifecycle").fetchall() == first
                    reads += 1
                print(reads)
            """),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    job.ask("run")
    stop.touch()
    out, err = reader.communicate(timeout=60)
    assert reader.returncode == 0, err
    assert int(out) > 100


def test_a_second_run_beside_a_running_one_says_so(ran: Callable[[], Job]) -> None:
    job = ran()
    first = job.start("run")
    try:
        assert first.stderr is not None
        first.stderr.readline()  # it has begun to speak, so it holds the lock
        second = job.call("run")
        assert second.returncode == 2
        assert str(first.pid) in second.stderr
    finally:
        first.communicate()


def test_plain_dbt_works_on_the_same_warehouse(ran: Callable[[], Job]) -> None:
    job = ran()
    numbers = published_numbers(job)
    done = subprocess.run(
        [str(PROJECT_DIR / ".venv" / "bin" / "dbt"), "build", "--profiles-dir", ".", "--select", "mrr_movements"],
        cwd=PROJECT_DIR,
        env={
            **job.environment,
            "LIFECYCLE_WAREHOUSE": str(job.data_dir / "warehouse.duckdb"),
            "DBT_TARGET_PATH": str(job.data_dir / "target"),
            "DBT_LOG_PATH": str(job.data_dir / "logs"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert published_numbers(job) == numbers, "nothing outside `publish` touches the published file"
