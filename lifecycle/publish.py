"""Publishing is a pointer flip: a new version is written beside the old one, audited, and only then linked.

    published/lifecycle.duckdb          -> current/lifecycle.duckdb
    published/customer_lifecycle.parquet -> current/customer_lifecycle.parquet   (one per mart)
    published/current                   -> versions/20261101T060000Z-1a2b3c4d   the one link that is ever flipped
    published/versions/<version>/        what it says

The DuckDB file holds the schemas marts and activation and is written in the storage format of DuckDB 1.0, so that 1.x
clients open it. Descriptions come along as comments. Primary keys do not: their uniqueness was tested before the gate
opened, a file nobody writes to has nothing left to enforce, and the indexes would double its size. Readers open it
read-only and resolve the link first: DuckDB takes the same path for the same database within one process.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

    from lifecycle.progress import Progress
    from lifecycle.settings import Places

FILE_NAME = "lifecycle.duckdb"
STORAGE_VERSION = "v1.0.0"
STORAGE_NUMBER = 64  # how the file's header spells it
SCHEMAS = ("marts", "activation")
VOLATILE = frozenset({"publish_log", "gate_results"})  # what tells two runs over the same data apart, by design
BUILDING = ".building-"


class PublishError(Exception):
    """The candidate is not what it should be, so it was not published; the message says why."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One table of the published file: where it is, how many rows it has, and a digest of them in any order."""

    schema: str
    name: str
    rows: int
    digest: str


def version_name(as_of: datetime, run_id: str) -> str:
    """The name of this run's version: sorts by as_of, unique by run."""
    return f"{as_of:%Y%m%dT%H%M%SZ}-{run_id[-8:]}"


def current_version(places: Places) -> str | None:
    """The version that serves, or None before the first publication."""
    link = places.published / "current"
    return link.readlink().name if link.is_symlink() and link.exists() else None


def content_digest(relations: list[Relation]) -> str:
    """sha256 over every published row that does not tell runs apart: equal numbers have equal digests."""
    lines = [f"{each.schema}.{each.name} {each.rows} {each.digest}" for each in relations if each.name not in VOLATILE]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def measure(connection: duckdb.DuckDBPyConnection, database: str) -> list[Relation]:
    """What is public in an attached database, table by table."""
    found = []
    for schema, name in _public(connection, database):
        row = connection.execute(
            "select count(*), coalesce(sum(cast(md5_number_lower(cast(each_row as varchar)) as hugeint)), 0)"
            f' from "{database}"."{schema}"."{name}" as each_row'
        ).fetchone()
        rows, digest = row or (0, 0)
        found.append(Relation(schema, name, int(rows), str(digest)))
    return found


def publish(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    places: Places,
    version: str,
    progress: Progress,
) -> Path:
    """Write this version from the warehouse behind `connection`, audit it, flip the link; the directory it is in.

    Raises:
        PublishError: if the candidate differs from the warehouse or is not readable by 1.x clients. The version that
            serves goes on serving.
    """
    versions = places.published / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    building = versions / f"{BUILDING}{version}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    candidate = building / FILE_NAME

    connection.execute(f"attach '{_quoted(candidate)}' as candidate (storage_version '{STORAGE_VERSION}')")
    try:
        for schema, name in _public(connection, database):
            progress.detail(f"{schema}.{name}")
            connection.execute(f'create schema if not exists candidate."{schema}"')
            connection.execute(
                f'create table candidate."{schema}"."{name}" as select * from "{database}"."{schema}"."{name}"'
            )
            if schema == "marts":
                parquet = _quoted(building / f"{name}.parquet")
                connection.execute(
                    f'copy candidate."{schema}"."{name}" to \'{parquet}\' (format parquet, compression zstd)'
                )
        _copy_comments(connection, database)
        connection.execute("checkpoint candidate")
    finally:
        connection.execute("detach candidate")

    _audit(connection, database, candidate)
    for path in sorted(building.iterdir()):
        _sync(path)
    _sync(building)
    final = versions / version
    building.rename(final)
    _sync(versions)
    _point(places.published / "current", Path("versions") / version)
    _link_names(places.published, final)
    _sync(places.published)
    return final


def prune(places: Places, keep: int) -> list[str]:
    """Remove all but the newest `keep` versions and what a killed run left half-built; the names of what went.

    A reader that still has an old file open keeps reading it: its bytes go when the last reader lets go.
    """
    versions = places.published / "versions"
    if not versions.is_dir():
        return []
    serving = current_version(places)
    by_age = sorted(
        (path for path in versions.iterdir() if not path.name.startswith(BUILDING)),
        key=lambda path: (path.stat().st_mtime_ns, path.name),
        reverse=True,
    )
    doomed = [path for path in by_age[keep:] if path.name != serving]
    doomed += [path for path in versions.iterdir() if path.name.startswith(BUILDING)]
    for path in doomed:
        shutil.rmtree(path)
    return sorted(path.name for path in doomed)


def _fingerprints(connection: duckdb.DuckDBPyConnection, database: str) -> list[tuple[object, ...]]:
    """Every public table with its rows and a sum of their hashes.

    The engine's own hash is twenty times faster than a digest of the text and means nothing outside this process.
    """
    return [
        connection.execute(
            f"select '{schema}.{name}', count(*), sum(cast(hash(each_row) as hugeint))"
            f' from "{database}"."{schema}"."{name}" as each_row'
        ).fetchall()[0]
        for schema, name in _public(connection, database)
    ]


def _public(connection: duckdb.DuckDBPyConnection, database: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = connection.execute(
        "select table_schema, table_name from information_schema.tables"
        " where table_catalog = ? and table_schema in ('marts', 'activation') order by all",
        [database],
    ).fetchall()
    if not found:
        raise PublishError(
            "There is nothing to publish: the warehouse has no schema marts; `lifecycle build` makes it."
        )
    return found


def _copy_comments(connection: duckdb.DuckDBPyConnection, database: str) -> None:
    tables = connection.execute(
        "select schema_name, table_name, comment from duckdb_tables() where database_name = ? and comment is not null"
        " union all"
        " select schema_name, view_name, comment from duckdb_views() where database_name = ? and comment is not null",
        [database, database],
    ).fetchall()
    columns = connection.execute(
        "select schema_name, table_name, column_name, comment from duckdb_columns()"
        " where database_name = ? and comment is not null",
        [database],
    ).fetchall()
    connection.execute("begin")  # hundreds of statements, one commit
    for schema, table, comment in tables:
        if schema in SCHEMAS:
            connection.execute(f'comment on table candidate."{schema}"."{table}" is \'{_quoted(comment)}\'')
    for schema, table, column, comment in columns:
        if schema in SCHEMAS:
            connection.execute(f'comment on column candidate."{schema}"."{table}"."{column}" is \'{_quoted(comment)}\'')
    connection.execute("commit")


def _audit(connection: duckdb.DuckDBPyConnection, database: str, candidate: Path) -> None:
    """Read the closed file as a reader would, and compare it with where it came from."""
    if candidate.with_name(candidate.name + ".wal").exists():
        raise PublishError("The candidate was closed with a write-ahead log beside it; it was not published.")
    with candidate.open("rb") as file:
        number = int.from_bytes(file.read(20)[12:], "little")
    if number > STORAGE_NUMBER:
        raise PublishError(f"The candidate has storage version {number}, which DuckDB 1.x clients cannot open.")
    connection.execute(f"attach '{_quoted(candidate)}' as audited (read_only)")
    try:
        if _fingerprints(connection, "audited") != _fingerprints(connection, database):
            raise PublishError("The candidate's rows differ from the warehouse's; it was not published.")
    finally:
        connection.execute("detach audited")


def _point(link: Path, target: Path) -> None:
    """Make `link` point at `target` in one step: a reader sees the old or the new, never neither."""
    fresh = link.with_name(f".{link.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def _link_names(published: Path, version: Path) -> None:
    """The stable names go through `current`, so they are made once and follow every flip."""
    wanted = {path.name for path in version.iterdir()}
    for name in sorted(wanted):
        target = Path("current") / name
        link = published / name
        if not link.is_symlink() or link.readlink() != target:
            _point(link, target)
    for link in published.iterdir():
        if link.is_symlink() and link.name != "current" and link.name not in wanted:
            link.unlink()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _quoted(value: object) -> str:
    return str(value).replace("'", "''")
