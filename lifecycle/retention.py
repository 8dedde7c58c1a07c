"""How long what is personal stays when nobody asks for it to go: every run erases what is past its term.

Only what no number is computed from has a term. Revenue, usage and states are history, and whom they are about is
erased by `lifecycle forget`. DuckDB frees blocks and does not wipe them: the bytes of what expired there go when their
blocks are written anew, or with the next `lifecycle forget`, which rewrites the file.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from activation import upkeep
from lifecycle import settings
from lifecycle.ledger import existing_ledger

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

    from ingest.setting import Setting
    from lifecycle.settings import Places

# (what, its setting, table, column, what is left of it, since when it rests). A record that is set aside again keeps
# the first note, and a ticket that is touched again is read again: neither comes back before it is new.
IN_THE_WAREHOUSE = (
    ("records in quarantine", settings.KEEP_QUARANTINE, "raw_ops.quarantine", "payload", "'{}'", "seen_at"),
    ("texts of tickets", settings.KEEP_TICKETS, "raw_zendesk.tickets", "description", "null", "updated_at"),
)


def expire(connection: duckdb.DuckDBPyConnection, places: Places, as_of: datetime) -> dict[str, int]:
    """Erase what is past its term from the warehouse behind `connection` and from the ledger; how much of what.

    A setting that is not given keeps everything.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    erased: dict[str, int] = {}
    for what, setting, table, column, left, since in IN_THE_WAREHOUSE:
        before = _before(setting, as_of)
        if before is not None and _has(connection, table, column):
            erasing = f"update {table} set {column} = {left} where {since} < ? and {column} is distinct from {left}"
            erased[what] = connection.execute(erasing, [before]).fetchall()[0][0]
    before = _before(settings.KEEP_DELIVERIES, as_of)
    if before is not None:
        with existing_ledger(places) as ledger:
            erased["payloads of deliveries"] = upkeep.expire(ledger, before, as_of) if ledger is not None else 0
    return {what: count for what, count in erased.items() if count}


def _has(connection: duckdb.DuckDBPyConnection, table: str, column: str) -> bool:
    """Whether the vendor ever sent the column: no contract asks for texts that nothing reads."""
    found = connection.execute(
        "select count(*) from duckdb_columns()"
        " where schema_name || '.' || table_name = ? and column_name = ? and database_name = current_database()",
        [table, column],
    ).fetchall()
    return bool(found[0][0])


def _before(setting: Setting, as_of: datetime) -> datetime | None:
    days = setting.find() or settings.FOREVER
    return None if days == settings.FOREVER else as_of - timedelta(days=float(days))
