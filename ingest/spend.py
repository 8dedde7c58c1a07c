"""Advertising spend: one CSV file per day, in a folder per day.

Data flow: <bucket_url>/spend_date=YYYY-MM-DD/*.csv -> raw_spend.ad_spend. UTF-8 with a header line; amounts stay text.
Incremental rule: a day is read again when the name, size or modification time of any of its files changed; the whole
day replaces the whole day (merge key `spend_date`).
Delete rule: rows missing from a rewritten file go with it; a day whose folder disappears is kept.
Set aside, line by line: bytes that are no UTF-8, too few or too many fields, values of the wrong type, a date that is
not the folder's. Whole files: a header without the columns needed. A file with the content of another one is a repeat
and counts as deduplicated.
Run: python -m ingest spend
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any

import dlt
import pyarrow as pa
from dlt.sources import DltResource

from ingest import buckets, contracts
from ingest.buckets import BucketFile
from ingest.extraction import Extraction
from ingest.typed import TypedTable

AD_SPEND = contracts.load("spend")["ad_spend"]
FILE_GLOB = "spend_date=*/*.csv"
# columns of ours that say where a row stood; everything else in the contract must be in the header
PROVENANCE = ("file_name", "line_number")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dlt.source(name="spend", max_table_nesting=0)
def spend(extraction: Extraction, bucket_url: str) -> DltResource:
    """The spend lines of every day that changed since the last load."""

    @dlt.resource(**AD_SPEND.hints())
    def ad_spend() -> Iterator[pa.Table]:
        table = extraction.table("ad_spend")
        known = extraction.known.get("days", {})
        partitions = buckets.listed(bucket_url, FILE_GLOB, "spend_date")
        days: dict[str, Any] = dlt.current.source_state().setdefault("days", {})
        contents = {
            digest: path
            for day, entry in known.items()
            for path, digest in entry.get("contents", {}).items()
            if dt.date.fromisoformat(day) in partitions
        }
        for day, files in buckets.changed(partitions, known):
            digests: dict[str, str] = {}
            for file in files:
                content = file.read()
                digest = hashlib.sha256(content).hexdigest()
                original = contents.get(digest)
                if original is not None and original != file.path:
                    table.repeat(max(len(content.splitlines()) - 1, 0))
                    extraction.say(f"{file.path} repeats {original} and is left out")
                    continue
                contents[digest] = file.path
                digests[file.path] = digest
                _read_file(table, file, content)
            days[day.isoformat()] = {
                "files": {file.path: file.fingerprint for file in files},
                "contents": digests,
            }
        if table.pending:
            yield table.drain()
        extraction.data_through_at = buckets.covered_until(partitions, extraction.as_of)

    return ad_spend


def _read_file(table: TypedTable, file: BucketFile, content: bytes) -> None:
    lines = content.removeprefix(BYTE_ORDER_MARK).splitlines()
    header = _fields(lines[0]) if lines else None
    needed = [name for name in AD_SPEND.columns if name not in PROVENANCE]
    missing = [name for name in needed if name not in (header or [])]
    if header is None or missing:
        reason = f"The header has no column {missing[0]}." if missing else "The file has no readable header."
        table.reject_new(file.path, file.path, reason, content.decode("utf-8", "backslashreplace"))
        return
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        location = f"{file.path}:{number}"
        shown = line.decode("utf-8", "backslashreplace")
        values = _fields(line)
        if values is None:
            table.reject_new(location, location, "The line is not valid UTF-8.", shown)
        elif len(values) != len(header):
            reason = f"The line has {len(values)} fields where the header has {len(header)}."
            table.reject_new(location, location, reason, shown)
        else:
            record = dict(zip(header, (value.strip() or None for value in values), strict=True))
            if record["spend_date"] != file.day.isoformat():
                reason = f"spend_date is {record['spend_date']!r}, in the folder of {file.day}."
                table.reject_new(location, location, reason, shown)
            else:
                table.add([{**record, "file_name": file.path, "line_number": number}], location)


def _fields(line: bytes) -> list[str] | None:
    """The fields of one CSV line, None when it is not UTF-8. No field of this format spans lines."""
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return next(csv.reader([text]), [])
