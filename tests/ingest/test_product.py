from __future__ import annotations

import datetime as dt
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import silos
from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.exceptions import MissingDependencyException
from harness import NOW, Ingest, conserved, naive

from ingest import buckets
from ingest.errors import SourceError

DAY = silos.NOW.date()
YESTERDAY = DAY - dt.timedelta(days=1)


@pytest.fixture
def bucket(data_dir: Path) -> Path:
    return data_dir / "bucket" / "events"


def days(ingest: Ingest) -> dict[dt.date, int]:
    return dict(ingest.rows("select received_date, count(*) from raw_product.events group by all order by all"))


def test_only_days_whose_files_changed_are_loaded_again(ingest: Ingest, bucket: Path) -> None:
    silos.write_events(bucket, YESTERDAY, silos.event_rows(YESTERDAY, 30))
    silos.write_events(bucket, DAY, silos.event_rows(DAY, 10))
    first = ingest("product")
    assert (first.rows_loaded, first.data_through_at) == (40, NOW)
    silos.write_events(bucket, DAY, silos.event_rows(DAY, 25))
    second = ingest("product")
    assert second.rows_extracted == 25
    assert days(ingest) == {YESTERDAY: 30, DAY: 25}
    assert ingest("product").rows_extracted == 0


def test_rows_that_arrive_late_in_a_second_file_of_an_old_day_are_loaded(ingest: Ingest, bucket: Path) -> None:
    silos.write_events(bucket, YESTERDAY, silos.event_rows(YESTERDAY, 30))
    ingest("product")
    silos.write_events(bucket, YESTERDAY, silos.event_rows(YESTERDAY, 5, first=30), "part-1.parquet")
    assert ingest("product").rows_loaded == 35
    assert days(ingest) == {YESTERDAY: 35}


def test_a_day_that_shrank_to_less_than_half_is_refused_and_kept(
    ingest: Ingest, bucket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    silos.write_events(bucket, DAY, silos.event_rows(DAY, 100))
    ingest("product")
    silos.write_events(bucket, DAY, silos.event_rows(DAY, 3))
    refused = ingest("product")
    assert not refused.ok
    assert "3 rows where the last good answer had 100" in str(refused.error)
    assert days(ingest) == {DAY: 100}
    monkeypatch.setenv("INGEST__SMALLEST_SHARE", "0.01")
    assert ingest("product").ok
    assert days(ingest) == {DAY: 3}


def test_a_day_whose_folder_disappears_stays(ingest: Ingest, bucket: Path) -> None:
    path = silos.write_events(bucket, YESTERDAY, silos.event_rows(YESTERDAY, 30))
    silos.write_events(bucket, DAY, silos.event_rows(DAY, 10))
    ingest("product")
    path.unlink()
    path.parent.rmdir()
    assert ingest("product").ok
    assert days(ingest) == {YESTERDAY: 30, DAY: 10}


def test_an_unreadable_file_is_set_aside_and_the_other_days_are_loaded(ingest: Ingest, bucket: Path) -> None:
    path = silos.write_events(bucket, YESTERDAY, silos.event_rows(YESTERDAY, 30))
    path.write_bytes(path.read_bytes()[:200])
    silos.write_events(bucket, DAY, silos.event_rows(DAY, 10))
    result = ingest("product")
    assert result.ok
    assert conserved(result)
    assert (result.rows_extracted, result.rows_loaded, result.rows_quarantined) == (11, 10, 1)
    ((table, key, reason),) = ingest.quarantined("product")
    assert (table, key) == ("events", f"received_date={YESTERDAY}/part-0.parquet")
    assert reason.startswith("The file is no readable Parquet")


def test_a_day_that_was_loaded_keeps_its_rows_when_one_of_its_files_breaks(load: Ingest, bucket: Path) -> None:
    silos.write_events(bucket, DAY, silos.event_rows(DAY, 10))
    broken = silos.write_events(bucket, DAY, silos.event_rows(DAY, 10, first=10), "part-1.parquet")
    load("product")
    content = broken.read_bytes()
    broken.write_bytes(content[:100])
    result = load("product")
    assert conserved(result)
    assert days(load) == {DAY: 20}
    broken.write_bytes(content)
    assert load("product").rows_loaded == 20
    assert load.count("raw_ops.quarantine") == 1


def test_rows_of_the_wrong_type_are_set_aside_with_their_payload(ingest: Ingest, bucket: Path) -> None:
    rows = [
        {"message_id": "m1", "event": "x", "received_at": "2026-11-01 05:00:00", "properties": {"a": 1}, "sdk": 3},
        {"message_id": "m2", "event": "x", "received_at": "not a time", "properties": {"a": 2}, "sdk": 4},
    ]
    folder = bucket / f"received_date={DAY}"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-0.parquet")
    result = ingest("product")
    assert (result.rows_extracted, result.rows_loaded, result.rows_quarantined) == (2, 1, 1)
    assert ingest.quarantined("product") == [("events", "", "received_at is not a time, not of type timestamp.")]
    assert ingest.rows("select message_id, received_at, properties, sdk, product from raw_product.events") == [
        ("m1", naive(2026, 11, 1, 5), '{"a":1}', "3", None)
    ]


def test_the_folder_decides_the_day_whatever_the_file_says(ingest: Ingest, bucket: Path) -> None:
    rows = [{"message_id": "m1", "received_date": dt.date(2020, 1, 1)}]
    folder = bucket / f"received_date={DAY}"
    folder.mkdir()
    pq.write_table(pa.Table.from_pylist(rows), folder / "part-0.parquet")
    ingest("product")
    assert days(ingest) == {DAY: 1}


def test_files_of_one_load_may_have_different_added_columns(ingest: Ingest, bucket: Path) -> None:
    for day, column in ((YESTERDAY, "sdk"), (DAY, "build")):
        folder = bucket / f"received_date={day}"
        folder.mkdir()
        pq.write_table(pa.Table.from_pylist([{"message_id": "m", column: "1"}]), folder / "part-0.parquet")
    assert ingest("product").ok
    assert ingest.rows("select sdk, build from raw_product.events order by received_date") == [("1", None), (None, "1")]


def test_a_rewrite_with_the_same_size_is_noticed_by_its_time(ingest: Ingest, bucket: Path) -> None:
    path = silos.write_events(bucket, DAY, silos.event_rows(DAY, 10))
    ingest("product")
    stat = path.stat()
    os.utime(path, (stat.st_atime, stat.st_mtime + 1))
    assert ingest("product").rows_extracted == 10


def test_an_old_newest_day_says_how_far_the_events_reach(ingest: Ingest, bucket: Path) -> None:
    silos.write_events(bucket, DAY - dt.timedelta(days=3), silos.event_rows(DAY, 1))
    assert ingest("product").data_through_at == dt.datetime.combine(DAY - dt.timedelta(days=2), dt.time.min)


def test_an_object_store_that_cannot_be_asked_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: Any = SimpleNamespace(__resolved_fields_set__=())
    for cause, words in (
        (MissingDependencyException("s3", ["dlt[s3]"]), r"its driver is not installed: pip install 'dlt\[s3\]'"),
        (
            ConfigFieldMissingException(asked, {}),
            r"its key is missing: give it under \[sources.filesystem.credentials\]",
        ),
        (PermissionError("key AKIA123"), r"\(PermissionError\)"),
    ):

        def fails(*, cause: Exception = cause, **_: str) -> None:
            raise RuntimeError("In processing pipe") from cause

        monkeypatch.setattr(buckets, "filesystem", fails)
        with pytest.raises(SourceError, match=f"s3://b cannot be listed .*{words}"):
            buckets.listed("s3://b", "**", "received_date")


def test_a_bucket_that_is_not_there_covers_nothing(ingest: Ingest, bucket: Path) -> None:
    bucket.rmdir()
    result = ingest("product")
    assert not result.ok
    assert "does not exist" in str(result.error)


def put(bucket: Path, day: dt.date, rows: pa.Table) -> None:
    folder = bucket / f"received_date={day}"
    folder.mkdir()
    pq.write_table(rows, folder / "part-0.parquet")


def test_a_text_that_is_no_utf8_costs_its_row_and_not_the_load(load: Ingest, bucket: Path) -> None:
    names = pa.array([b"good", b"\xff\xfe", None, b"more"]).view(pa.string())
    put(bucket, DAY, pa.table({"message_id": ["m1", "m2", "m3", "m4"], "event": names}))
    result = load("product")
    assert conserved(result)
    assert (result.rows_loaded, result.rows_quarantined) == (3, 1)
    assert load.quarantined("product") == [("events", "", "event is not valid UTF-8.")]
    assert load.rows("select message_id from raw_product.events order by all") == ["m1", "m3", "m4"]
    (payload,) = load.rows("select payload from raw_ops.quarantine")
    assert '"message_id":"m2","event":"\\\\xff\\\\xfe"' in payload


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("messageId", pa.array(["a", "b"]), "are both message_id"),
        ("ratio", pa.array([1, 2], pa.decimal256(60, 2)), "Unsupported"),
        ("marks", pa.array([[("a", 1), ("a", 2)], []], pa.map_(pa.string(), pa.int64())), "duplicate key"),
    ],
)
def test_a_file_that_cannot_be_typed_is_set_aside_and_the_other_days_are_loaded(
    ingest: Ingest, bucket: Path, column: str, values: pa.Array, reason: str
) -> None:
    silos.write_events(bucket, YESTERDAY, silos.event_rows(YESTERDAY, 3))
    put(bucket, DAY, pa.table({"message_id": ["m1", "m2"], column: values}))
    result = ingest("product")
    assert result.ok
    assert conserved(result)
    assert (result.rows_loaded, result.rows_quarantined) == (3, 1)
    ((_, key, said),) = ingest.quarantined("product")
    assert key == f"received_date={DAY}/part-0.parquet"
    assert said.startswith("The rows of the file cannot be loaded: ")
    assert reason in said


def test_columns_are_known_in_any_spelling(ingest: Ingest, bucket: Path) -> None:
    put(bucket, DAY, pa.table({"messageId": ["m1"], "Event": ["x"], "receivedDate": ["?"], "имя": ["y"]}))
    assert ingest("product").ok
    assert ingest.rows("select message_id, event, received_date from raw_product.events") == [("m1", "x", DAY)]
