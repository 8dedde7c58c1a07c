"""Publishing is a pointer flip: a new version is written beside the old one, audited, and only then linked.

    published/lifecycle.duckdb          -> current/lifecycle.duckdb
    published/lifecycle.hyper           -> current/lifecycle.hyper              all marts for Tableau
    published/customer_lifecycle.parquet -> current/customer_lifecycle.parquet   (one per mart)
    published/catalogue.html            -> current/catalogue.html               what every column says
    published/current                   -> versions/20261101T060000Z-1a2b3c4d   the one link that is ever flipped
    published/versions/<version>/        what it says

The DuckDB file holds the schemas marts and activation and is written in the storage format of DuckDB 1.0, so that 1.x
clients open it. Descriptions come along as comments. Primary keys do not: their uniqueness was tested before the gate
opened, a file nobody writes to has nothing left to enforce, and the indexes would double its size. Readers open it
read-only and resolve the link first: DuckDB takes the same path for the same database within one process.

With personal data kept apart, none of these files has a column that names a person, and there is one file more that
only the owner may read: restricted.duckdb is the whole version, its tables with such columns in the schema pii.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError
from lifecycle.publication import catalogue, hyper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    import duckdb

    from lifecycle.progress import Progress
    from lifecycle.settings import Places

FILE_NAME = "lifecycle.duckdb"
RESTRICTED_NAME = "restricted.duckdb"
PERSONAL_SCHEMA = "pii"
STORAGE_VERSION = "v1.0.0"
STORAGE_NUMBER = 64  # how the file's header spells it
# what tells two runs over the same data apart, by design: they look at how often was loaded and published
VOLATILE = frozenset({"publish_log", "gate_results", "quality_findings"})
BUILDING = ".building-"


# the select list of each public table by (schema, table)
Shown = dict[tuple[str, str], str]


class PublishError(LifecycleError):
    """The candidate is not what it should be, so it was not published; the message says why."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One table of the published file: where it is, how many rows it has, and a digest of them in any order."""

    schema: str
    name: str
    rows: int
    digest: str


@dataclass(frozen=True, slots=True)
class Form:
    """What a version consists of. `personal` is what names a person, by (schema, table), and is kept apart if any."""

    has_extract: bool = False
    personal: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)

    @property
    def is_apart(self) -> bool:
        """Whether there is a restricted file besides."""
        return bool(self.personal)


def version_name(as_of: datetime, run_id: str, places: Places) -> str:
    """The name of this run's next version: sorts by as_of, unique by run and by how often the run was published."""
    first = f"{as_of:%Y%m%dT%H%M%SZ}-{run_id[-8:]}"
    versions = places.published / "versions"
    names = (first if number == 1 else f"{first}-{number}" for number in itertools.count(1))
    return next(name for name in names if not (versions / name).exists())


def current_version(places: Places) -> str | None:
    """The version that serves, or None before the first publication."""
    link = places.published / "current"
    return link.readlink().name if link.is_symlink() and link.exists() else None


def content_digest(relations: list[Relation]) -> str:
    """sha256 over every published row that does not tell runs apart.

    Equal digests mean equal numbers; equal numbers have equal digests as long as one version of DuckDB wrote them,
    whose hash of a row is a twentieth of the cost of a digest of its text.
    """
    lines = [f"{each.schema}.{each.name} {each.rows} {each.digest}" for each in relations if each.name not in VOLATILE]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def measure(connection: duckdb.DuckDBPyConnection, database: str) -> list[Relation]:
    """What is public in an attached database, table by table."""
    found = []
    for (schema, name), columns in _shown(connection, database, {}).items():
        rows, digest = _fingerprint(connection, database, schema, name, columns)
        found.append(Relation(schema, name, rows, str(digest)))
    return found


def publish(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    places: Places,
    version: str,
    progress: Progress,
    form: Form | None = None,
) -> Path:
    """Write this version from the warehouse behind `connection`, audit it, flip the link; the directory it is in.

    Raises:
        PublishError: if the candidate differs from the warehouse or is not readable by 1.x clients. The version that
            serves goes on serving.
    """
    form = form or Form()
    versions = places.published / "versions"
    versions.mkdir(parents=True, exist_ok=True)
    building = versions / f"{BUILDING}{version}"
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir()
    shown = _shown(connection, database, form.personal)
    extract = hyper.Extract(building / hyper.FILE_NAME) if form.has_extract else None
    try:
        _write(connection, database, building, shown, extract, progress)
        if form.is_apart:
            _write_restricted(connection, database, building / RESTRICTED_NAME, form.personal)
    finally:
        if extract is not None:
            extract.close()
    _audit(connection, database, building / FILE_NAME, shown)
    if form.is_apart:
        _audit(connection, database, building / RESTRICTED_NAME, _shown(connection, database, {}))
    if extract is not None:
        _audit_extract(connection, building, extract, progress)
    if catalogue.exists(connection, database):
        catalogue.write_page(connection, database, building / catalogue.PAGE_NAME, version)

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


def _write(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    building: Path,
    shown: Shown,
    extract: hyper.Extract | None,
    progress: Progress,
) -> None:
    """The DuckDB file, the Parquet files and, as these become ready, the extract."""
    with _candidate(connection, building / FILE_NAME):
        for (schema, name), columns in shown.items():
            progress.detail(f"{schema}.{name}")
            connection.execute(f'create schema if not exists candidate."{schema}"')
            connection.execute(
                f'create table candidate."{schema}"."{name}" as select {columns} from "{database}"."{schema}"."{name}"'
            )
            if schema == "marts":
                parquet = building / f"{name}.parquet"
                connection.execute(
                    f'copy candidate."{schema}"."{name}" to \'{_quoted(parquet)}\' (format parquet, compression zstd)'
                )
                if extract is not None:
                    extract.add(name, parquet)
        if extract is not None:
            extract.close()
        _copy_comments(connection, database)


def _write_restricted(
    connection: duckdb.DuckDBPyConnection,
    database: str,
    path: Path,
    personal: Mapping[tuple[str, str], frozenset[str]],
) -> None:
    """Everything, for its owner's eyes: tables that name persons in a schema of their own, with views on them."""
    with _candidate(connection, path):
        path.chmod(0o600)
        connection.execute(f"create schema candidate.{PERSONAL_SCHEMA}")
        for schema, name in _public(connection, database):
            connection.execute(f'create schema if not exists candidate."{schema}"')
            home = PERSONAL_SCHEMA if (schema, name) in personal else schema
            connection.execute(
                f'create table candidate."{home}"."{name}" as select * from "{database}"."{schema}"."{name}"'
            )
            if home != schema:
                connection.execute(f'create view candidate."{schema}"."{name}" as select * from "{home}"."{name}"')


@contextmanager
def _candidate(connection: duckdb.DuckDBPyConnection, path: Path) -> Iterator[None]:
    connection.execute(f"attach '{_quoted(path)}' as candidate (storage_version '{STORAGE_VERSION}')")
    try:
        yield
        connection.execute("checkpoint candidate")
    finally:
        connection.execute("detach candidate")


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


def _shown(
    connection: duckdb.DuckDBPyConnection, database: str, hidden: Mapping[tuple[str, str], frozenset[str]]
) -> Shown:
    """The select list of every public table, without the hidden columns.

    From duckdb_columns, which knows the database it is asked about: information_schema binds every view there is first.
    """
    known = defaultdict(list)
    for schema, name, column in connection.execute(
        "select schema_name, table_name, column_name from duckdb_columns()"
        " where database_name = ? and schema_name in ('marts', 'activation')"
        " order by schema_name, table_name, column_index",
        [database],
    ).fetchall():
        if column not in hidden.get((schema, name), frozenset()):
            known[schema, name].append(f'"{column}"')
    return {table: ", ".join(known[table]) for table in _public(connection, database)}


def _fingerprint(
    connection: duckdb.DuckDBPyConnection, database: str, schema: str, name: str, columns: str
) -> tuple[int, int]:
    """How many rows a table has, and the sum of the hashes of these columns of them: the same in any order."""
    rows, digest = connection.execute(
        "select count(*), coalesce(sum(cast(hash(each_row) as hugeint)), 0)"
        f' from (select {columns} from "{database}"."{schema}"."{name}") as each_row'
    ).fetchall()[0]
    return int(rows), int(digest)


def _fingerprints(
    connection: duckdb.DuckDBPyConnection, database: str, shown: Shown
) -> dict[tuple[str, str], tuple[int, int]]:
    return {table: _fingerprint(connection, database, *table, columns) for table, columns in shown.items()}


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
        "select schema_name, table_name, comment from duckdb_tables() where database_name = $from"
        " union all select schema_name, view_name, comment from duckdb_views() where database_name = $from",
        {"from": database},
    ).fetchall()
    columns = connection.execute(
        "select schema_name, table_name, column_name, comment from duckdb_columns() where database_name = ?",
        [database],
    ).fetchall()
    there = set(
        connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where database_name = 'candidate'"
        ).fetchall()
    )
    there |= {(schema, table) for schema, table, _ in there}
    said = [
        f'comment on table candidate."{schema}"."{table}" is \'{_quoted(comment)}\''
        for schema, table, comment in tables
        if comment and (schema, table) in there
    ]
    said += [
        f'comment on column candidate."{schema}"."{table}"."{column}" is \'{_quoted(comment)}\''
        for schema, table, column, comment in columns
        if comment and (schema, table, column) in there
    ]
    connection.execute("; ".join(["begin", *said, "commit"]))  # hundreds of statements, one commit


def _audit(connection: duckdb.DuckDBPyConnection, database: str, candidate: Path, shown: Shown) -> None:
    """Read the closed file as a reader would, and compare it with where it came from."""
    if candidate.with_name(candidate.name + ".wal").exists():
        raise PublishError("The candidate was closed with a write-ahead log beside it; it was not published.")
    with candidate.open("rb") as file:
        number = int.from_bytes(file.read(20)[12:], "little")
    if number > STORAGE_NUMBER:
        raise PublishError(f"The candidate has storage version {number}, which DuckDB 1.x clients cannot open.")
    connection.execute(f"attach '{_quoted(candidate)}' as audited (read_only)")
    try:
        if _fingerprints(connection, "audited", shown) != _fingerprints(connection, database, shown):
            raise PublishError("The candidate's rows differ from the warehouse's; it was not published.")
    finally:
        connection.execute("detach audited")


def _audit_extract(
    connection: duckdb.DuckDBPyConnection, building: Path, extract: hyper.Extract, progress: Progress
) -> None:
    """Compare the extract, as Tableau's engine reads it, with the DuckDB file; without an engine there is none."""
    try:
        found = extract.finish()
    except hyper.HyperError as error:
        (building / hyper.FILE_NAME).unlink(missing_ok=True)
        progress.note(f"{error} The version has none.")
        return
    connection.execute(f"attach '{_quoted(building / FILE_NAME)}' as audited (read_only)")
    try:
        wanted = hyper.expected(connection, "audited")
    finally:
        connection.execute("detach audited")
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise PublishError(
            f"The Tableau extract differs from the DuckDB file in {', '.join(wrong[:5])}; not published."
        )


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
