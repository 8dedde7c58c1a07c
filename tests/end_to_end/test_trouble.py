"""One silo down, dirty data, missing settings: what is said, what is kept, and that the next run is whole again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.job import Job

from .conftest import ask_published

pytestmark = pytest.mark.end_to_end


def test_silos_down_lose_only_themselves_and_the_next_run_recovers(ran: Callable[[], Job]) -> None:
    job = ran()
    job.ask("sandbox", "advance", "--days", "1")
    job.ask("sandbox", "faults", json.dumps([{"vendor": "zendesk", "kind": "silo_down"}]))
    key = "rk_test_wrong_and_secret"
    job.more_environment["SOURCES__STRIPE__API_KEY"] = key
    done = job.call("run", "--json")
    assert done.returncode == 2
    answer = json.loads(done.stdout)
    failed = {source["source"]: source["error"] for source in answer["sources"] if not source["ok"]}
    assert failed.keys() == {"zendesk", "stripe"}
    assert "401" in failed["stripe"], "the vendor's own answer is told"
    assert key not in done.stdout + done.stderr, "the secret is not"
    assert any("zendesk" in message for message in answer["messages"])
    stale = dict(ask_published(job, "select source, is_stale from marts.source_refresh"))
    assert stale == {source: source in failed for source in stale}, "what is old must not be shown as fresh"

    job.ask("sandbox", "faults", "--clear")
    del job.more_environment["SOURCES__STRIPE__API_KEY"]
    job.ask("run")
    assert ask_published(job, "select source from marts.source_refresh where is_stale") == []


def test_a_silo_that_never_answered_shuts_the_gate(fresh: Callable[[], Job]) -> None:
    job = fresh()
    job.ask("sandbox", "faults", json.dumps([{"vendor": "stripe", "kind": "silo_down"}]))
    answer = job.ask("run", expect=1)
    assert answer["version"] is None
    assert any("stripe" in check["check"] or "stripe" in check["message"] for check in answer["gate"]["blocking"])
    assert not (job.data_dir / "published" / "lifecycle.duckdb").exists()


def test_dirty_files_are_loaded_or_set_aside_and_nothing_is_lost(fresh: Callable[[], Job]) -> None:
    job = fresh()
    bucket = job.data_dir / "sandbox" / "bucket"
    newest = sorted((bucket / "events").iterdir())[-2] / "part-0.parquet"
    spoil_events(newest)
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
    answer = job.ask("run")
    assert answer["version"], "dirty rows are set aside, the run goes on"
    with duckdb.connect(str(job.data_dir / "warehouse.duckdb"), read_only=True) as warehouse:
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


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SOURCES__STRIPE__BASE_URL", "not an address", "base_url under [sources.stripe]"),
        ("LIFECYCLE__CLOCK", "sundial", "lifecycle.clock"),
        ("ACTIVATION__MAKE__SIGNING_SECRET", "too short", "activation.make.signing_secret"),
        ("SANDBOX__URL", "http://127.0.0.1:1", "sandbox"),
    ],
)
def test_a_wrong_setting_ends_with_one_sentence_that_names_it(
    tmp_path: Path, variable: str, value: str, words: str
) -> None:
    job = Job(tmp_path, more_environment={variable: value})
    done = job.call("run")
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert value not in done.stderr or variable != "ACTIVATION__MAKE__SIGNING_SECRET"
