"""What a newcomer does, and a day later: with silos down and dirty files first, then whole again."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import identity, mrr
from benchmarks.job import Job

from .conftest import SEEDED, ask_published, disturb
from .dirty import is_bad, not_set_aside

pytestmark = pytest.mark.end_to_end

SILOS = ("stripe", "zendesk", "bitrix24", "customerio", "product", "spend")
WRONG_KEY = "rk_test_wrong_and_secret"


@pytest.fixture(scope="module")
def first(after_first_run: Path) -> Job:
    """The job after its first run, to be looked at only."""
    return Job(after_first_run)


def test_every_silo_arrives_and_every_destination_is_served(first: Job) -> None:
    assert staleness(first) == dict.fromkeys(SILOS, False)
    assert acknowledged(first), "the first run delivered nothing"
    with sqlite3.connect(first.data_dir / "ledger.sqlite") as ledger:
        assert {state for (state,) in ledger.execute("select state from deliveries")} == {"acknowledged"}
    offered = dict(ask_published(first, "select destination, count(*) from marts.action_decisions group by 1"))
    assert set(offered) == {"customerio", "bitrix24", "make", "zendesk"}


def test_bad_records_are_set_aside_each_for_its_reason_and_hold_up_nothing(first: Job) -> None:
    assert not_set_aside(first.data_dir / "warehouse.duckdb") == []


def test_the_first_load_of_history_fires_nothing_old(first: Job) -> None:
    old = ask_published(
        first,
        "select count(*) from marts.action_decisions"
        " where decision = 'permitted' and occurred_at < decided_at - interval '7' day",
    )
    assert old == [(0,)]
    held_back = ask_published(
        first, "select count(*) from marts.action_decisions where suppression_reason in ('historical', 'stale')"
    )
    assert held_back[0][0] > 100, "months of history should have been held back"


def test_customers_are_told_apart_as_the_truth_has_them(first: Job) -> None:
    figures = identity.score(first.data_dir / "published" / "lifecycle.duckdb", first.data_dir)
    assert sum(figure.bar is not None for figure in figures) == 4
    assert [figure for figure in figures if not figure.holds] == []


@dataclass(frozen=True)
class Day:
    """A day of trouble: the job, what it had delivered before, and its run while two silos were down."""

    job: Job
    before: set[str]
    run: subprocess.CompletedProcess[str]
    stale: dict[str, bool]
    serving: Path


@pytest.fixture(scope="module")
def troubled(ran: Callable[[], Job]) -> Day:
    """A day later one silo is down, another refuses the key, and files of the two that are read are dirty."""
    job = ran()
    before = acknowledged(job)
    job.ask("sandbox", "advance", "--days", "1")
    spoil_files(job.data_dir / "sandbox" / "bucket")
    job.ask("sandbox", "faults", json.dumps([{"vendor": "zendesk", "kind": "silo_down"}]))
    # the next run, which has these rows too, tests them
    job.more_environment = {"SOURCES__STRIPE__API_KEY": WRONG_KEY, **SEEDED}
    done = job.call("run", "--json")
    disturb(job)
    job.more_environment = {**SEEDED, "DBT_RESOURCE_TYPES": "model test"}
    return Day(job, before, done, staleness(job), (job.data_dir / "published" / "lifecycle.duckdb").resolve())


def test_silos_down_lose_only_themselves(troubled: Day) -> None:
    assert troubled.run.returncode == 2
    answer = json.loads(troubled.run.stdout)
    failed = {source["source"]: source["error"] for source in answer["sources"] if not source["ok"]}
    assert failed.keys() == {"zendesk", "stripe"}
    assert "401" in failed["stripe"], "the vendor's own answer is told"
    assert WRONG_KEY not in troubled.run.stdout + troubled.run.stderr, "the secret is not"
    assert any("zendesk" in message for message in answer["messages"])
    assert troubled.stale == {source: source in failed for source in SILOS}, "what is old is not shown as fresh"


def test_dirty_files_are_loaded_or_set_aside_and_nothing_is_lost(troubled: Day) -> None:
    with duckdb.connect(str(troubled.job.data_dir / "warehouse.duckdb"), read_only=True) as warehouse:
        reasons = warehouse.execute(
            "select table_name, reason from raw_ops.quarantine where source in ('product', 'spend')"
            " union all select table_name, reason from quarantine.quarantine__product"
            " union all select table_name, reason from quarantine.quarantine__spend"
        ).fetchall()
        tables = [table for table, _ in reasons]
        assert tables.count("events") >= 5
        assert tables.count("ad_spend") >= 7
        assert all(reason for _, reason in reasons)
        unbalanced = warehouse.execute(
            "select table_name from raw_ops.extract_tables where rows_extracted != rows_loaded + rows_quarantined"
            " + coalesce(rows_deduplicated, 0)"
        ).fetchall()
        assert unbalanced == []


# twenty questions a second until its input ends; without a pause it would take one of the run's processors for itself
READER = """
import duckdb, select, sys
query = "select count(*), sum(mrr) from marts.customer_lifecycle"
held = duckdb.connect(sys.argv[1], read_only=True)
first = held.execute(query).fetchall()
print("It is open.", flush=True)
reads = 0
while not select.select([sys.stdin], [], [], 0.05)[0]:
    assert held.execute(query).fetchall() == first, "what is open does not change"
    reads += 1
assert held.execute(query).fetchall() == first, "nor after the run"
print(reads)
"""


def test_the_next_run_is_whole_again_beside_readers_and_loads_only_what_is_new(troubled: Day) -> None:
    job, pipe = troubled.job, subprocess.PIPE
    published = str(job.data_dir / "published" / "lifecycle.duckdb")
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, published], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "It is open.\n"
    first = job.start("run")
    assert first.stderr is not None
    first.stderr.readline()  # it has begun to speak, so it holds the lock
    second = job.call("run")
    _, errors = first.communicate()
    reads, trouble = reader.communicate()

    assert first.returncode == 0, errors
    assert second.returncode == 2, "a second run beside a running one does not work on"
    assert str(first.pid) in second.stderr, "it says which one is running"
    assert reader.returncode == 0, trouble
    assert int(reads) > 1
    assert staleness(job) == dict.fromkeys(SILOS, False)

    with duckdb.connect(str(job.data_dir / "warehouse.duckdb"), read_only=True) as warehouse:
        loaded = warehouse.execute(
            "select t.table_name, sum(t.rows_loaded) from raw_ops.extract_tables as t"
            " inner join raw_ops.extracts as e on t.extract_id = e.extract_id"
            " where e.as_of = (select max(as_of) from raw_ops.runs) group by 1"
        ).fetchall()
        everything = warehouse.execute("select count(*) from raw_product.events").fetchall()[0][0]
        tickets = warehouse.execute("select count(*) from raw_zendesk.tickets").fetchall()[0][0]
    assert 0 < dict(loaded)["events"] < everything / 10, "a day loads days, not the history"
    assert 0 < dict(loaded)["tickets"] < tickets / 4
    assert acknowledged(job) >= troubled.before, "what was delivered stays delivered"
    back = ask_published(job, "select count(*) from marts.action_deliveries where outcome = 'acknowledged'")
    assert back[0][0] >= len(troubled.before), "a day later the receipts are a source like any other"
    verdicts = dict(ask_published(job, "select verdict, count(*) from marts.crm_readback group by verdict"))
    assert not verdicts.keys() & {"not_kept", "gone"}, "what the CRM acknowledged is what it shows"
    deals = ask_published(
        job,
        "select count(distinct vendor_reference) from marts.action_deliveries"
        " where destination = 'bitrix24' and object = 'deal_stages' and outcome = 'acknowledged'",
    )
    assert sum(verdicts.values()) == deals[0][0], "every deal that was set is looked at"


def test_revenue_is_what_a_second_computation_from_the_objects_finds(
    troubled: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = mrr.fetch

    def without_bad_records(*arguments: Any, **parameters: Any) -> list[Any]:
        return [item for item in honest(*arguments, **parameters) if "id" in item and not is_bad(item["id"])]

    monkeypatch.setattr(mrr, "fetch", without_bad_records)
    figures = mrr.compare(troubled.job.data_dir, troubled.job.url)
    assert sum(figure.name.startswith("closing MRR") for figure in figures) >= 8
    assert [figure for figure in figures if not figure.holds] == []


def acknowledged(job: Job) -> set[str]:
    with sqlite3.connect(job.data_dir / "ledger.sqlite") as ledger:
        return {row[0] for row in ledger.execute("select action_id from deliveries where state = 'acknowledged'")}


def staleness(job: Job) -> dict[str, bool]:
    return dict(ask_published(job, "select source, is_stale from marts.source_refresh"))


def spoil_files(bucket: Path) -> None:
    """Make the newest full day of events and the newest day of spend dirty in every way we know."""
    spoil_events(sorted((bucket / "events").iterdir())[-2] / "part-0.parquet")
    spend = max((bucket / "spend").iterdir()) / "spend.csv"
    spend.write_bytes(
        spend.read_bytes()
        + b"2025-07-01,paid_search,caf\xe9,google,media,USD,12.00,1,1\n"  # no UTF-8
        + b"2025-07-01,paid_search,c,google,media,XXX,12.00,1,1\n"  # no such currency
        + b"2025-07-01,paid_search,c,google,media,USD,-12.00,1,1\n"
        + b"2025-07-01,paid_search,c,google,media,USD,99999999999999999999.00,1,1\n"
        + b"not a date,paid_search,c,google,media,USD,12.00,1,1\n"
        + b"2099-07-01,paid_search,c,google,media,USD,12.00,1,1\n"
        + b"1999-07-01,paid_search,c,google,media,USD,12.00,1,1\n"
        + b"2025-07-01,paid_search\n"
    )


def spoil_events(path: Path) -> None:
    """Turn five events of a partition into events that nobody can use, each for another reason."""
    table = pq.read_table(path, partitioning=None)
    rows = table.to_pylist()
    assert len(rows) > 10
    far = pa.scalar(4102444800000000, pa.timestamp("us")).as_py()
    old = pa.scalar(946684800000000, pa.timestamp("us")).as_py()
    for row, changes in zip(
        rows,
        (
            {"message_id": None},
            {"timestamp": far, "original_timestamp": far},
            {"timestamp": old, "original_timestamp": old},
            {"product": "typewriter"},
            {"properties": '{"cut off'},
        ),
        strict=False,
    ):
        row.update(changes)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
