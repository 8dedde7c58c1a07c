"""CSV files in a folder per day, read a changed day at a time: how several sources are kept.

UTF-8 with a header line. Set aside, line by line: bytes that are no UTF-8, too few or too many fields, values of the
wrong type, a day that is not the folder's, a value without a column. Whole files: a header without the columns needed,
or with one twice. A file with the content of another one is a repeat and counts as deduplicated.
"""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Any

import dlt
import pyarrow as pa

from ingest import buckets
from ingest.buckets import BucketFile
from ingest.extraction import Extraction
from ingest.typed import TypedTable
from ingest.values import column_name

# columns of ours that say where a row stood; everything else in the contract must be in the header or the folder's name
PROVENANCE = ("file_name", "line_number")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class UnreadableLineError(ValueError):
    """A line cannot be read; the text is the whole reason."""


def rows(
    extraction: Extraction, table_name: str, bucket_url: str, day_column: str, *, repeats_day: bool
) -> Iterator[pa.Table]:
    """The lines of every day that changed since the last load; also says up to when the days reach.

    The folders are `<bucket_url>/<day_column>=YYYY-MM-DD/`. Where a file `repeats_day`, every line has to say its
    folder's day; where it does not, a line has it from its folder.
    """
    table = extraction.table(table_name)
    known = extraction.known.get("days", {})
    partitions = buckets.listed(bucket_url, f"{day_column}=*/*.csv", day_column)
    days: dict[str, Any] = dlt.current.source_state().setdefault("days", {})
    contents = {
        digest: path
        for day, entry in known.items()
        for path, digest in entry.get("contents", {}).items()
        if dt.date.fromisoformat(day) in partitions
    }
    left_out = {*PROVENANCE} if repeats_day else {*PROVENANCE, day_column}
    needed = [name for name in extraction.contracts[table_name].columns if name not in left_out]
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
            _read_file(table, needed, day_column, file, content)
        days[day.isoformat()] = {
            "files": {file.path: file.fingerprint for file in files},
            "contents": digests,
        }
    if table.pending:
        yield table.drain()
    extraction.data_through_at = buckets.covered_until(partitions, extraction.as_of)


def _read_file(table: TypedTable, needed: list[str], day_column: str, file: BucketFile, content: bytes) -> None:
    lines = content.removeprefix(BYTE_ORDER_MARK).splitlines()
    try:
        header = _header(lines[0] if lines else b"", needed)
    except UnreadableLineError as wrong:
        table.reject_new(file.path, file.path, str(wrong), content.decode("utf-8", "backslashreplace"))
        return
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        location = f"{file.path}:{number}"
        shown = line.decode("utf-8", "backslashreplace")
        try:
            values = _fields(line)
        except UnreadableLineError as wrong:
            table.reject_new(location, location, str(wrong), shown)
            continue
        if len(values) != len(header):
            reason = f"The line has {len(values)} fields where the header has {len(header)}."
            table.reject_new(location, location, reason, shown)
        elif any(value.strip() and not name.strip() for name, value in zip(header, values, strict=True)):
            table.reject_new(location, location, "The line has a value in a column without a name.", shown)
        else:
            record = {name: value.strip() or None for name, value in zip(header, values, strict=True) if name.strip()}
            day = record.setdefault(day_column, file.day.isoformat())
            if day != file.day.isoformat():
                reason = f"{day_column} is {day!r}, in the folder of {file.day}."
                table.reject_new(location, location, reason, shown)
            else:
                table.add([{**record, "file_name": file.path, "line_number": number}], location)


def _header(line: bytes, needed: list[str]) -> list[str]:
    """The names of the columns.

    Raises:
        UnreadableLineError: if it cannot be read, lacks a column that is needed, or names one twice.
    """
    header = _fields(line)
    missing = [name for name in needed if name not in header]
    if missing:
        raise UnreadableLineError(f"The header has no column {missing[0]}.")
    columns = [column_name(name) for name in header if name.strip()]
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise UnreadableLineError(f"The header names the column {twice} twice.")
    return header


def _fields(line: bytes) -> list[str]:
    """The fields of one CSV line. No field of these formats spans lines.

    Raises:
        UnreadableLineError: if it is no UTF-8, or no CSV.
    """
    try:
        return next(csv.reader([line.decode("utf-8")]), [])
    except UnicodeDecodeError:
        raise UnreadableLineError("The line is not valid UTF-8.") from None
    except csv.Error as failure:
        raise UnreadableLineError(f"The line is no CSV: {failure}.") from None
