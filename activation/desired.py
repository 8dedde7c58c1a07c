"""What should be sent: the `activation.act_*` tables of the published file, read-only.

Most of what is desired was delivered before. Which rows those are is found out by DuckDB, by comparing digests of the
payloads with the ledger's, so that neither time nor memory in Python grows with what did not change. What the ledger
never heard of and nothing speaks against is most of the rest, and stays as the engine gives it, see `Fresh`.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import duckdb

from activation.actions import Action
from activation.errors import DesiredError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
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
CHUNK = 5_000
DIGEST = "md5(payload)"  # tells a changed text from the same one; nobody gains by making two texts look alike
# what can be sent is a JSON object; of what is none, there is no digest
SOUND = f"case when json_valid(payload) and json_type(payload) = 'OBJECT' then {DIGEST} end"
MEMORY_LIMIT = "100MB"
JOINED_AT_ONCE = 200_000
SORTED = 100_000
# the columns of Fresh.rows after those of COLUMNS: the payload's digest, and what `sync.said` says of the row
TIMES = ("occurred_at", "expires_at")
ROW = f"{', '.join(COLUMNS)}, {SOUND}"
FRESH_ROW = ", ".join(
    [
        *[f"strftime({name}, '%Y-%m-%d %H:%M:%S.%f')" if name in TIMES else name for name in COLUMNS],
        SOUND,
        f"md5_number_lower(action_id || 'new' || {DIGEST})",
    ]
)
FRESH = (
    "coalesce(list_contains(?, destination), false) and (expires_at is null or expires_at > ?)"
    " and isfinite(occurred_at) and coalesce(isfinite(expires_at), true)"
)
EVER = datetime(1, 1, 1)  # noqa: DTZ001 - naive UTC, as our times are


@dataclass(frozen=True, slots=True)
class Fresh:
    """Desired actions that were not delivered before and that nothing speaks against, in the order of the queue.

    A row is what COLUMNS say, its times as text to the microsecond, then the md5 of its payload and a number that is
    the md5 (its last eight bytes, the least first) of action id, `new` and that md5. There are too many of them in a
    first sync to make an object of each.
    """

    rows: list[tuple[Any, ...]]

    def actions(self) -> list[Action]:
        """The same as objects."""
        read = datetime.fromisoformat
        return [Action._make((*row[:6], read(row[6]), row[7] and read(row[7]), *row[8:11])) for row in self.rows]

    def counts(self) -> Counter[tuple[str, str]]:
        """How many there are, by destination and action."""
        return Counter(map(itemgetter(1, 3), self.rows))

    def without(self, action_ids: Collection[str]) -> Fresh:
        """All but these."""
        return Fresh([row for row in self.rows if row[0] not in action_ids])


@dataclass(slots=True)
class Published:
    """One version of the published file. The link is resolved once, so that all is read from the same version."""

    path: Path
    unchanged: Counter[tuple[str, str]] = field(default_factory=Counter)  # by destination and action

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

    def changed(
        self,
        delivered: Iterable[str],
        reported_once: Collection[str] = (),
        welcome: Collection[str] = (),
        as_of: datetime = EVER,
    ) -> Iterator[list[Action] | Fresh]:
        """What is desired and was not delivered just so, in chunks; the rest is counted in `unchanged`.

        `delivered` is what was acknowledged: texts of lines, each a digest, a tab and an action id. At the destinations
        `reported_once` such an action counts as unchanged whatever its payload is now. What was not delivered at all,
        goes to one of the destinations that are `welcome` to it and is not expired at `as_of` comes as Fresh.

        Raises:
            DesiredError: if the file cannot be read, or a payload is not a JSON object.
        """
        self.unchanged.clear()
        with self._connection() as connection:
            # numbers instead of texts, so that a million rows fit into little memory; `part` lives and dies with this
            # connection, and so may use a hash that another version computes differently
            connection.execute("create temp table delivered (action_key uhugeint, digest_key uhugeint, part ubigint)")
            for lines in delivered:
                connection.execute(
                    "insert into delivered select md5_number(line[2]), md5_number(line[1]), hash(line[2])"
                    " from (select string_split(unnest(string_split(?, chr(10))), chr(9)) as line)",
                    [lines],
                )
            (number,) = connection.execute("select count(*) from delivered").fetchone() or (0,)
            parts = 1 + number // JOINED_AT_ONCE
            once = [str(name) for name in reported_once]
            for table in _tables(connection):
                may_be_fresh = FRESH if _has_plain_times(connection, table) else "? is null and ? is null"
                connection.execute("create or replace temp table changed (action_id varchar, is_fresh boolean)")
                for part in range(parts):
                    # keys first: joining whole rows would keep every payload in memory
                    connection.execute(
                        "insert into changed"
                        f" select action_id, delivered.action_key is null and {may_be_fresh}"
                        " from (select action_id, destination, occurred_at, expires_at, payload"
                        f'  from published.activation."{table}" where hash(action_id) % {parts} = {part}) as desired'
                        f" left join (select * from delivered where part % {parts} = {part}) as delivered"
                        "  on md5_number(desired.action_id) = delivered.action_key"
                        " where delivered.action_key is null or case"
                        "  when list_contains(?, desired.destination) then false"
                        f"  else delivered.digest_key <> md5_number({DIGEST}) end",
                        [[str(name) for name in welcome], as_of, once],
                    )
                totals = connection.execute(
                    f'select destination, action, count(*) from published.activation."{table}" group by all'
                ).fetchall()
                changed: Counter[tuple[str, str]] = Counter()
                for is_fresh, number in connection.execute(
                    "select is_fresh, count(*) from changed group by all order by is_fresh"
                ).fetchall():
                    cursor = connection.execute(
                        f"select {FRESH_ROW if is_fresh else ROW}"
                        f' from published.activation."{table}"'
                        f" semi join (select * from changed where is_fresh = {is_fresh}) as chosen using (action_id)"
                        # in the order of the queue, so that what is sent together lies together in the ledger; sorting
                        # more than this would take memory, and gain nothing that anybody waits for
                        + (" order by priority, occurred_at, action_id" if number <= SORTED else "")
                    )
                    while rows := cursor.fetchmany(CHUNK):
                        _check(table, rows)
                        chunk = Fresh(rows) if is_fresh else _actions(rows)
                        changed.update(chunk.counts() if isinstance(chunk, Fresh) else _counted(chunk))
                        yield chunk
                for destination, action, number in totals:
                    if number > changed[destination, action]:
                        self.unchanged[destination, action] += number - changed[destination, action]

    def wanted(self, action_ids: Sequence[str]) -> Mapping[str, str]:
        """Of these, those that the version wants, with the digests of their payloads."""
        found: dict[str, str] = {}
        with self._connection() as connection:
            for table in _tables(connection):
                query = (
                    f'select action_id, {DIGEST} from published.activation."{table}" where list_contains(?, action_id)'
                )
                found.update(connection.execute(query, [list(action_ids)]).fetchall())
        return found

    @contextmanager
    def _connection(self) -> Iterator[duckdb.DuckDBPyConnection]:
        try:
            # payloads that do not fit in memory spill to a directory that only this user reads and that goes away
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
    chunks = Published.newest(published).changed([])
    return [action for chunk in chunks for action in (chunk.actions() if isinstance(chunk, Fresh) else chunk)]


def _tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    rows = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'activation'"
        " and table_name like 'act\\_%' escape '\\' order by table_name"
    ).fetchall()
    return [str(row[0]) for row in rows]


def _has_plain_times(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether its times are naive ones, so that as text they are what the ledger holds."""
    kinds = connection.execute(
        "select data_type from duckdb_columns() where database_name = 'published' and schema_name = 'activation'"
        " and table_name = ? and list_contains(?, column_name)",
        [table, list(TIMES)],
    ).fetchall()
    return kinds == [("TIMESTAMP",)] * len(TIMES)


def _check(table: str, rows: list[tuple[Any, ...]]) -> None:
    broken = next((row[0] for row in rows if row[len(COLUMNS)] is None), None)
    if broken is not None:
        raise DesiredError(f"activation.{table}: the payload of action {broken} is not a JSON object.")


def _counted(actions: Iterable[Action]) -> Counter[tuple[str, str]]:
    return Counter([(each.destination, each.action) for each in actions])


def _actions(rows: list[tuple[Any, ...]]) -> list[Action]:
    """Rows of COLUMNS and a digest."""
    for place in (6, 7):  # occurred_at, expires_at
        # the engine gives a column one type, so the first that is there speaks for the others
        first = next((row[place] for row in rows if row[place] is not None), None)
        if first is not None and (not isinstance(first, datetime) or first.tzinfo is not None):
            rows = [(*row[:place], _naive(row[place]), *row[place + 1 :]) for row in rows]
    return list(map(Action._make, rows))


def _naive(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise DesiredError(f"A time in an act_ table is a {type(value).__name__}, not a timestamp.")
    return value.astimezone(UTC).replace(tzinfo=None)
