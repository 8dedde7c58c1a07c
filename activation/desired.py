"""What should be sent: the `activation.act_*` tables of the published file, read-only."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import duckdb

from activation.compared import DIGEST, Compared, tables
from activation.errors import DesiredError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from activation.actions import Action

MEMORY_LIMIT = "80MB"  # while a plan is made, see compared.WHILE_SENDING
EVER = datetime(1, 1, 1)  # noqa: DTZ001 - naive UTC, as our times are


@dataclass(frozen=True, slots=True)
class Published:
    """One version of the published file. The link is resolved once, so that all is read from the same version."""

    path: Path

    @classmethod
    def newest(cls, link: Path) -> Published:
        """The version that the link points at now.

        Raises:
            DesiredError: if there is none.
        """
        path = link.resolve()
        if not path.exists():
            raise DesiredError(f"There is no published file at {link}; `lifecycle publish` makes it.")
        return cls(path)

    @property
    def version(self) -> str:
        """The version's name."""
        return self.path.parent.name

    def as_of(self) -> datetime | None:
        """The instant at which the version stands, if it says so.

        Raises:
            DesiredError: if the file cannot be read.
        """
        with self._connection() as connection:
            row = connection.execute(
                "select max(as_of) from published.marts.publish_log where outcome = 'published'"
            ).fetchone()
        return row[0] if row else None

    def customers(self) -> int:
        """How many customers the version knows; the base that a blast radius is a share of."""
        with self._connection() as connection:
            row = connection.execute("select count(*) from published.marts.customer_lifecycle").fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def compared(
        self,
        delivered: Iterable[str],
        reported_once: Collection[str] = (),
        welcome: Collection[str] = (),
        as_of: datetime = EVER,
    ) -> Iterator[Compared]:
        """This version against what was delivered, see Compared.

        Raises:
            DesiredError: if the file cannot be read, or a payload is not a JSON object.
        """
        with self._connection() as connection:
            yield Compared(connection, delivered, reported_once, welcome, as_of)

    def wanted(self, action_ids: Sequence[str]) -> Mapping[str, str]:
        """Of these, those that the version wants, with the digests of their payloads."""
        found: dict[str, str] = {}
        with self._connection() as connection:
            for table in tables(connection):
                query = (
                    f'select action_id, {DIGEST} from published.activation."{table}" where list_contains(?, action_id)'
                )
                found.update(connection.execute(query, [list(action_ids)]).fetchall())
        return found

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            # what does not fit in memory spills to a directory that only this user reads and that goes away
            with (
                tempfile.TemporaryDirectory(prefix="lifecycle-") as spill,
                duckdb.connect(
                    config={
                        "memory_limit": MEMORY_LIMIT,
                        "threads": 2,
                        "temp_directory": spill,
                        "preserve_insertion_order": "false",
                    }
                ) as connection,
            ):
                where = str(self.path).replace("'", "''")
                connection.execute(f"attach '{where}' as published (read_only)")
                yield connection
        except duckdb.Error as error:
            raise DesiredError(f"The published file {self.path.name} cannot be read: {error}") from error


class Recheck:
    """Looks again, right before a request leaves, whether the newest published version still wants what was planned.

    As long as the link points at the version that was planned from, the answer is known without opening anything.
    """

    def __init__(self, link: Path, planned: Published) -> None:
        self._link = link
        self._planned = planned

    def withdrawn(self, actions: Sequence[Action]) -> dict[str, str]:
        """Action id and reason of those that may not be sent any more.

        Raises:
            DesiredError: if a newer version cannot be read.
        """
        if self._link.resolve() == self._planned.path:
            return {}
        newest = Published.newest(self._link)
        wanted = newest.wanted([action.action_id for action in actions])
        found = {}
        for action in actions:
            if action.action_id not in wanted:
                found[action.action_id] = f"Version {newest.version}, published since, no longer wants it."
            elif action.digest and wanted[action.action_id] != action.digest:
                found[action.action_id] = f"Version {newest.version}, published since, wants another payload."
        return found


def read_desired(published: Path) -> list[Action]:
    """Every desired action in the published DuckDB file, in no particular order.

    Raises:
        DesiredError: if the file is missing or unreadable, a table lacks a column, or a payload is not a JSON object.
    """
    with Published.newest(published).compared([]) as compared:
        return [action for chunk in compared.others() for action in chunk]
