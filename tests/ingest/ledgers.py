"""A delivery ledger as the source of receipts sees it: two tables, known by their columns."""

from __future__ import annotations

import datetime as dt
import sqlite3
from pathlib import Path

SCHEMA = """
create table deliveries (action_id text primary key, destination text, object text, action text, customer_id text,
    occurrence_id text, state text, payload_hash text, first_planned_at datetime, acknowledged_at datetime,
    vendor_reference text, attempt_count integer, updated_at datetime, payload text);
create table attempts (attempt_id text primary key, action_id text, destination text, attempt_number integer,
    started_at datetime, finished_at datetime, outcome text, status_code integer, reason text);
"""


def create(data_dir: Path) -> sqlite3.Connection:
    """An empty ledger where the source looks for it."""
    connection = sqlite3.connect(data_dir / "ledger.sqlite", isolation_level=None)
    connection.execute("pragma journal_mode = wal")
    connection.executescript(SCHEMA)
    return connection


def deliver(ledger: sqlite3.Connection, action: str, at: dt.datetime, state: str = "acknowledged") -> None:
    """Note an attempt to deliver an action, and how the delivery stands now."""
    moment = at.isoformat(" ", timespec="microseconds")
    ledger.execute("delete from deliveries where action_id = ?", [action])
    ledger.execute(
        "insert into deliveries (action_id, destination, state, updated_at, payload)"
        " values (?, 'make', ?, ?, 'private')",
        [action, state, moment],
    )
    number = ledger.execute("select count(*) from attempts where action_id = ?", [action]).fetchone()[0] + 1
    ledger.execute(
        "insert into attempts (attempt_id, action_id, attempt_number, started_at, finished_at) values (?, ?, ?, ?, ?)",
        [f"{action}-{number}", action, number, moment, moment],
    )
