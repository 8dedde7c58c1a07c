"""Statements that are executed again and again, with rows as the driver gives them.

What SQLAlchemy does for every row (types, row objects) costs more than all that SQLite does for it. So in SQLite the
text is compiled once and goes straight to the driver, through SQLAlchemy's connection all the same, which makes its
errors of the driver's, without parameters. What comes back is plain: times are text there.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Prepared:
    """One statement, for either database."""

    def __init__(self, statement: Any) -> None:
        self._statement = statement
        compiled: Any = statement.compile(dialect=sqlite.dialect())
        self._text = str(compiled)
        self._order: list[str] = list(compiled.positiontup or ())
        given = {name: value for name, value in compiled.params.items() if value is not None}
        self._constants = {name: as_text(value) for name, value in given.items()}

    def run(self, connection: sa.Connection, parameters: Mapping[str, Any]) -> int:
        """Execute it; the number of rows it changed."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, parameters).rowcount
        return self._sent(connection, parameters).rowcount

    def run_each(self, connection: sa.Connection, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Execute it for each of these."""
        if not parameters:
            return
        if connection.dialect.name != "sqlite":
            connection.execute(self._statement, list(parameters))
            return
        rows = [{**self._constants, **each} for each in parameters]
        connection.exec_driver_sql(
            self._text, [tuple([as_text(row.get(name)) for name in self._order]) for row in rows]
        )

    def rows(self, connection: sa.Connection, parameters: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Execute it; what it found."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._statement, parameters).all()
        cursor: Any = self._sent(connection, parameters).cursor
        try:
            found: list[tuple[Any, ...]] = cursor.fetchall()
        except sqlite3.Error as error:
            raise sa.exc.OperationalError(None, None, error) from None
        return found

    def _sent(self, connection: sa.Connection, parameters: Mapping[str, Any]) -> sa.CursorResult[Any]:
        values = {**self._constants, **parameters}
        return connection.exec_driver_sql(self._text, tuple([as_text(values.get(name)) for name in self._order]))


def as_text(value: Any) -> Any:
    """A time as SQLAlchemy writes it in SQLite, and as PostgreSQL reads it; anything else as it is."""
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def any_of(column: sa.Column[str], values: Iterable[str]) -> sa.ColumnElement[bool]:
    """`in` a few words of ours, written into the text: parameters would be handed over again for every row."""
    return sa.or_(*[column == sa.literal_column(f"'{value}'", sa.Text) for value in values])
