"""Folders of date-partitioned files, local or in object storage, read a changed partition at a time."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlt.common.configuration.exceptions import ConfigFieldMissingException
from dlt.common.exceptions import MissingDependencyException
from dlt.common.storages.fsspec_filesystem import FileItemDict
from dlt.sources.filesystem import filesystem

from ingest.errors import SourceError


@dataclass(frozen=True, slots=True)
class BucketFile:
    """One file of a partition. `fingerprint` (size and modification time) changes when the file does."""

    path: str
    day: dt.date
    fingerprint: str
    item: FileItemDict

    def read(self) -> bytes:
        """The whole content.

        Raises:
            SourceError: if the file cannot be opened or read.
        """
        try:
            content = self.item.read_bytes()
        except OSError as failure:
            raise SourceError(
                f"The file {self.path} cannot be read: {failure.strerror or type(failure).__name__}."
            ) from None
        return bytes(content)


def listed(bucket_url: str, file_glob: str, partition_key: str) -> dict[dt.date, list[BucketFile]]:
    """The files below a bucket by partition day, days and paths in order.

    A partition is a folder `<partition_key>=YYYY-MM-DD`; files outside of one are not looked at.

    Raises:
        SourceError: if the bucket cannot be listed or does not exist.
    """
    partition = re.compile(rf"(?:^|/){re.escape(partition_key)}=(\d{{4}}-\d{{2}}-\d{{2}})/")
    found: dict[dt.date, list[BucketFile]] = {}
    try:
        items = list(filesystem(bucket_url=bucket_url, file_glob=file_glob))
    except Exception as failure:  # noqa: BLE001 - every object store has its own errors
        raise SourceError(f"The folder {bucket_url} cannot be listed ({reason(failure)}).") from None
    if not items and not _exists(bucket_url):
        raise SourceError(f"The folder {bucket_url} does not exist.")
    for item in items:
        matched = partition.search(item["relative_path"])
        if not matched:
            continue
        try:
            day = dt.date.fromisoformat(matched[1])
        except ValueError:
            continue
        fingerprint = f"{item['size_in_bytes']}:{item['modification_date'].timestamp():.6f}"
        found.setdefault(day, []).append(BucketFile(item["relative_path"], day, fingerprint, item))
    return {day: sorted(files, key=lambda file: file.path) for day, files in sorted(found.items())}


def reason(failure: BaseException) -> str:
    """Why, by the kind of what failed first: texts of object stores may hold keys."""
    while failure.__cause__ is not None:
        failure = failure.__cause__
    if isinstance(failure, MissingDependencyException):
        return f"its driver is not installed: pip install '{failure.dependencies[0]}'"
    if isinstance(failure, ConfigFieldMissingException):
        return "its key is missing: give it under [sources.filesystem.credentials] in .dlt/secrets.toml"
    return type(failure).__name__


def _exists(bucket_url: str) -> bool:
    """Whether a local folder is there; object stores know no empty folders, so for them silence is an answer."""
    path = bucket_url.removeprefix("file://")
    return "://" in path or Path(path).is_dir()


def changed(
    partitions: Mapping[dt.date, list[BucketFile]], known: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[dt.date, list[BucketFile]]]:
    """The partitions whose files are not exactly those of the last load; `known` is by day, `files` by path."""
    for day, files in partitions.items():
        loaded = known.get(day.isoformat(), {}).get("files", {})
        if {file.path: file.fingerprint for file in files} != loaded:
            yield day, files


def covered_until(days: Iterable[dt.date], as_of: dt.datetime) -> dt.datetime | None:
    """The instant up to which partitions cover the world: the end of the newest day, at most `as_of` (UTC, naive)."""
    newest = max((day for day in days if day <= as_of.date()), default=None)
    if newest is None:
        return None
    return min(dt.datetime.combine(newest + dt.timedelta(days=1), dt.time.min), as_of)
