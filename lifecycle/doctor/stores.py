"""What runs left: warehouse, published files, ledger, and when the last run ended."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
from sqlalchemy.exc import SQLAlchemyError

from ingest import contracts
from lifecycle import delivered, last_run, settings, watch
from lifecycle.doctor.finding import FAIL, OK, WARN, Finding
from lifecycle.errors import ConfigurationError
from lifecycle.ledger import LEDGER_URL, existing_ledger
from lifecycle.publication import publish, standing

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.settings import Places


def warehouse(places: Places) -> list[Finding]:
    """Whether it opens, has every raw table of the contracts, and was closed properly."""
    path = places.warehouse
    if not path.exists():
        return [Finding("warehouse", "file", OK, "There is none yet; the first run makes it.")]
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            rows = connection.execute("select schema_name || '.' || table_name from duckdb_tables()").fetchall()
            has_runs = connection.execute("select 1 from duckdb_tables() where table_name = 'runs'").fetchone()
            if has_runs:
                connection.execute("select max(as_of) from raw_ops.runs").fetchone()
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            return [Finding("warehouse", "file", WARN, "Somebody has it open, as a run at work does.", "Ask later.")]
        return [
            Finding("warehouse", "file", FAIL, "It cannot be opened.", "Restore it, or start with an empty data_dir.")
        ]
    except duckdb.Error as error:
        said = f"It opens and cannot be read ({type(error).__name__})."
        return [Finding("warehouse", "file", FAIL, said, "Restore it, or start with an empty data_dir.")]
    found = [Finding("warehouse", "file", OK, f"{path.stat().st_size / 1e6:,.0f} MB, {len(rows)} tables.")]
    if path.with_name(path.name + ".wal").exists():
        said = "A write-ahead log lies beside it: a run was killed."
        found.append(
            Finding("warehouse", "log", WARN, said, "The next run takes it in; do not move either file alone.")
        )
    wanted = {
        f"{table.dataset}.{table.name}"
        for source in contracts.known_sources()
        for table in contracts.load(source).values()
    }
    missing = sorted(wanted - {name for (name,) in rows})
    if missing:
        said = f"{len(missing)} raw tables are missing ({', '.join(missing[:3])})."
        found.append(Finding("warehouse", "raw tables", WARN, said, "The next run makes them, empty at first."))
    return found


def published(places: Places) -> list[Finding]:
    """Whether readers can open what serves, and whether it is the newest."""
    version = publish.current_version(places)
    pointer = places.published / "current"
    if version is None and pointer.is_symlink():
        said = f"The pointer leads to {pointer.readlink()}, which is gone."
        return [Finding("published", "pointer", FAIL, said, f"`lifecycle run` sets it anew, or {_by_hand(places)}.")]
    if version is None:
        return [Finding("published", "version", WARN, "Nothing is published yet.", "`lifecycle run` does it.")]
    try:
        with duckdb.connect(str(places.published_file.resolve()), read_only=True) as connection:
            tables = connection.execute(
                "select count(*) from information_schema.tables where table_schema = 'marts'"
            ).fetchall()
    except duckdb.Error as error:
        said = f"Version {version} cannot be opened ({type(error).__name__})."
        remedy = f"`lifecycle run` writes another, or {_by_hand(places, version)}."
        return [Finding("published", "version", FAIL, said, remedy)]
    found = [Finding("published", "version", OK, f"{standing.origin(version)}, {tables[0][0]} marts.")]
    broken = sorted(link.name for link in places.published.iterdir() if link.is_symlink() and not link.exists())
    if broken:
        said = f"Links lead nowhere: {', '.join(broken[:3])}."
        found.append(Finding("published", "links", FAIL, said, "`lifecycle publish` sets them anew."))
    torn = sorted(path.name for path in places.published.glob("*.parquet") if path.exists() and not _is_whole(path))
    if torn:
        said = f"Files of version {version} are damaged: {', '.join(torn[:3])}."
        remedy = f"`lifecycle run` writes another version, or {_by_hand(places, version)}."
        found.append(Finding("published", "files", FAIL, said, remedy))
    if standing.MARK in version:
        said = "Newer numbers were held back by the gate."
        found.append(Finding("published", "gate", WARN, said, "`lifecycle status` names what blocked; docs/gates.md."))
    return found


def _by_hand(places: Places, besides: str = "") -> str:
    """How to show an earlier version at once."""
    versions = places.published / "versions"
    kept = [path for path in versions.iterdir() if path.name != besides] if versions.is_dir() else []
    if not kept:
        return "restore it from a copy; no other version is kept"
    newest = max(kept, key=lambda path: (path.stat().st_mtime_ns, path.name))
    return f"`ln -sfn versions/{newest.name} {places.published}/current` shows the one before"


def _is_whole(path: Path) -> bool:
    """Whether a Parquet file has its end, which is written last."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 4))
        return file.read() == b"PAR1"


def ledger(places: Places) -> list[Finding]:
    """Whether the SQLite file is whole; a ledger elsewhere answers for itself."""
    if LEDGER_URL.find() is not None:
        return [_database(places)]
    if not places.ledger.exists() and (sentence := delivered.missing(places, None)):
        return [Finding("ledger", "file", FAIL, sentence)]
    if not places.ledger.exists():
        return [Finding("ledger", "file", OK, "There is none yet; the first delivery makes it.")]
    try:
        connection = sqlite3.connect(f"{places.ledger.resolve().as_uri()}?mode=ro", uri=True)
        try:
            (answer,) = connection.execute("pragma quick_check(1)").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        answer = type(error).__name__
    if answer != "ok":
        said = f"It is damaged ({answer})."
        return [
            Finding("ledger", "file", FAIL, said, "Deliver nothing; restore it, or what was sent may be sent again.")
        ]
    return [_complete(places, "file", "It is whole.")]


def _database(places: Places) -> Finding:
    try:
        return _complete(places, "database", "It answers.")
    except (ConfigurationError, SQLAlchemyError) as error:
        said = str(error) if isinstance(error, ConfigurationError) else f"It does not answer ({type(error).__name__})."
        return Finding("ledger", "database", FAIL, said, f"See {LEDGER_URL.name}.")


def _complete(places: Places, subject: str, said: str) -> Finding:
    with existing_ledger(places) as found:
        sentence = delivered.missing(places, found)
    return Finding("ledger", subject, FAIL if sentence else OK, sentence or said)


def runs(places: Places) -> list[Finding]:
    """Whether the last run is recent, by the watch's own rule."""
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    try:
        hours = float(settings.ALERT_AFTER_HOURS.read())
    except ConfigurationError as error:
        return [Finding("runs", "last", FAIL, str(error))]
    late = watch.troubles(places, hours, now)
    if late:
        return [Finding("runs", "last", WARN, trouble.text) for trouble in late]
    last = last_run.read(places)
    return [Finding("runs", "last", OK, f"{last.run_id} ended at {last.ended_at} UTC.")]
