"""Product usage: Segment-shaped events, exported to a bucket as Parquet, one folder per day of receipt.

Data flow: <bucket_url>/received_date=YYYY-MM-DD/*.parquet -> raw_product.events.
Incremental rule: a day is read again when the name, size or modification time of any of its files changed. The whole
day replaces the whole day (merge key `received_date`), so late rows, rewritten files and repeated runs all end the
same; events are not merged by id, which costs hundreds of times more. Duplicates between days are the models' work.
Delete rule: rows missing from a rewritten day go with it. A day whose folder disappears is kept, because buckets
expire; a day that comes back with less than half of its rows is refused.
Run: python -m ingest product
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator
from typing import Any

import dlt
import pyarrow as pa
import pyarrow.parquet as pq
from dlt.sources import DltResource

from ingest import buckets, contracts, guards
from ingest.buckets import BucketFile
from ingest.errors import UntypedFileError
from ingest.extraction import Extraction
from ingest.typed import TypedTable
from ingest.values import column_name

EVENTS = contracts.load("product")["events"]
FILE_GLOB = "received_date=*/*.parquet"
# rows handed to the loader at once: some 30 MB of events
ROWS_AT_ONCE = 100_000


@dlt.source(name="product", max_table_nesting=0)
def product(extraction: Extraction, bucket_url: str) -> DltResource:
    """The events of every day that changed since the last load."""

    @dlt.resource(**EVENTS.hints())
    def events() -> Iterator[pa.Table]:
        known = extraction.known.get("days", {})
        partitions = buckets.listed(bucket_url, FILE_GLOB, "received_date")
        days: dict[str, Any] = dlt.current.source_state().setdefault("days", {})
        waiting: list[pa.Table] = []
        for day, files in buckets.changed(partitions, known):
            loaded_rows = known.get(day.isoformat(), {}).get("rows", 0)
            rows = _read_day(extraction, day, files, is_loaded=bool(loaded_rows))
            if rows is None:
                continue
            guards.require_floor(
                f"{day} of the product events", rows.num_rows, loaded_rows, share=extraction.smallest_share
            )
            days[day.isoformat()] = {
                "files": {file.path: file.fingerprint for file in files},
                "rows": rows.num_rows,
            }
            waiting.append(rows)
            if sum(table.num_rows for table in waiting) >= ROWS_AT_ONCE:
                yield pa.concat_tables(waiting, promote_options="default")
                waiting = []
                extraction.say(f"{extraction.table('events').extracted:,} events read, up to {day}")
        if waiting:
            yield pa.concat_tables(waiting, promote_options="default")
        extraction.data_through_at = buckets.covered_until(partitions, extraction.as_of)

    return events


def _read_day(extraction: Extraction, day: dt.date, files: list[BucketFile], *, is_loaded: bool) -> pa.Table | None:
    """All rows of one day; None when a file of a day that is loaded already cannot be read: the day stays as it is.

    A file that cannot be read, or whose rows cannot be typed, counts as one record, quarantined. It is looked at again
    by every run until it can.
    """
    table = extraction.table("events")
    read, unreadable = [], False
    for file in files:
        try:
            rows = pq.read_table(io.BytesIO(file.read()), partitioning=None)
        except (pa.ArrowException, OSError) as failure:
            unreadable = True
            table.reject_new(file.path, file.path, f"The file is no readable Parquet: {_first_line(failure)}.", "")
            continue
        try:
            read.append(_typed(table, rows, day, file.path))
        except UntypedFileError as failure:
            unreadable = True
            reason = f"The rows of the file cannot be loaded: {_first_line(failure)}."
            table.reject_new(file.path, file.path, reason, "")
    if unreadable and is_loaded:
        table.withdraw(sum(rows.num_rows for rows in read))
        return None
    return pa.concat_tables(read, promote_options="default") if read else None


def _typed(table: TypedTable, rows: pa.Table, day: dt.date, path: str) -> pa.Table:
    """The rows of one file with the day of their folder: the folder decides which rows a load replaces."""
    rows = rows.drop_columns([name for name in rows.column_names if column_name(name) == "received_date"])
    days = pa.repeat(pa.scalar(day, pa.date32()), rows.num_rows)
    return table.take_arrow(rows.append_column(pa.field("received_date", pa.date32(), nullable=False), days), path)


def _first_line(failure: BaseException) -> str:
    return (str(failure).splitlines() or [type(failure).__name__])[0][:200].rstrip(".")
