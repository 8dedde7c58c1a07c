"""What should be sent: the `activation.act_*` tables of the published file, read-only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb

from activation.actions import Action, canonical

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    "action_id",
    "destination",
    "object",
    "action",
    "customer_id",
    "occurrence_id",
    "occurred_at",
    "expires_at",
    "priority",
    "payload",
)


class DesiredError(Exception):
    """The published file does not hold what can be sent; the message says what is wrong with it."""


def read_desired(published: Path) -> list[Action]:
    """Every desired action in the published DuckDB file, in no particular order.

    The link is resolved first: DuckDB would otherwise hand back an older version that this process has open under the
    same path.

    Raises:
        DesiredError: if the file is missing or unreadable, a table lacks a column, or a payload is not a JSON object.
    """
    path = published.resolve()
    if not path.exists():
        raise DesiredError(f"There is no published file at {published}; `lifecycle publish` makes it.")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            tables = connection.execute(
                "select table_name from information_schema.tables"
                " where table_schema = 'activation' and table_name like 'act\\_%' escape '\\' order by table_name"
            ).fetchall()
            rows = [
                (table, row)
                for (table,) in tables
                for row in connection.execute(f'select {", ".join(COLUMNS)} from activation."{table}"').fetchall()
            ]
    except duckdb.Error as error:
        raise DesiredError(f"The published file {path.name} cannot be read: {error}") from error
    return [_action(table, row) for table, row in rows]


def _action(table: str, row: tuple[object, ...]) -> Action:
    values = dict(zip(COLUMNS, row, strict=True))
    try:
        payload = canonical(str(values["payload"]))
    except ValueError:
        raise DesiredError(f"activation.{table}: the payload of action {values['action_id']} is not JSON.") from None
    return Action(
        action_id=str(values["action_id"]),
        destination=str(values["destination"]),
        object=str(values["object"]),
        action=str(values["action"]),
        customer_id=str(values["customer_id"]),
        occurrence_id=str(values["occurrence_id"]),
        occurred_at=_naive(values["occurred_at"]),
        expires_at=None if values["expires_at"] is None else _naive(values["expires_at"]),
        priority=int(str(values["priority"])),
        payload=payload,
    )


def _naive(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise DesiredError(f"A time in an act_ table is a {type(value).__name__}, not a timestamp.")
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
