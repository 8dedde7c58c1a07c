"""The published file as the pages read it: read-only, one version from the first question to the last."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import duckdb

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Row = dict[str, Any]
AGAIN = "+"  # a version shown again after a run that was held back is called by its first name, this, and that run


class NothingPublishedError(Exception):
    """There is no published version to make pages from; the message says how to get one."""


@dataclass(slots=True)
class Published:
    """One published version, and the one before it if it is still there."""

    connection: duckdb.DuckDBPyConnection
    version: str
    has_previous: bool

    def rows(self, question: str, parameters: object = None) -> list[Row]:
        """The answer to a question, one dict a row, in the question's order. Decimals stay decimals."""
        found = self.connection.execute(question, parameters)
        names = [column[0] for column in found.description or []]
        return [dict(zip(names, row, strict=True)) for row in found.fetchall()]

    def row(self, question: str, parameters: object = None) -> Row:
        """The first row of the answer.

        Raises:
            LookupError: if there is none.
        """
        found = self.rows(question, parameters)
        if not found:
            raise LookupError(f"The published file has no answer to: {' '.join(question.split())}")
        return found[0]


@contextmanager
def opened(pointer: Path) -> Iterator[Published]:
    """The version the pointer names now. Later publications do not change what is read here.

    Raises:
        NothingPublishedError: if nothing is published yet.
    """
    if not pointer.exists():
        raise NothingPublishedError("Nothing is published yet: `lifecycle run` publishes a first version.")
    current = pointer.resolve()
    earlier = sorted(
        folder / current.name
        for folder in current.parent.parent.iterdir()
        if not folder.name.startswith(".")
        and folder.name.split(AGAIN)[0] < current.parent.name.split(AGAIN)[0]
        and (folder / current.name).exists()
    )
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"attach '{_quoted(current)}' as now (read_only)")
        if earlier:
            connection.execute(f"attach '{_quoted(earlier[-1])}' as previous (read_only)")
        connection.execute("use now")
        yield Published(connection, current.parent.name, bool(earlier))


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
