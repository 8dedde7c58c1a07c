"""What is desired, compared with what was delivered, by DuckDB: neither time nor memory in Python grows with it.

Of most of what is desired nothing has to be known but that it was delivered before. Most of the rest the ledger never
heard of and nothing speaks against: that is counted where it lies (`counts`) and read only when it goes out
(`supplies`). What remains (`others`) is looked at one by one.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from activation.actions import Action
from activation.errors import DesiredError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    import duckdb

COLUMNS = (
    "action_id", "destination", "object", "action", "customer_id", "occurrence_id", "occurred_at", "expires_at",
    "priority", "payload",
)  # fmt: skip
TIMES = ("occurred_at", "expires_at")
CHUNK = 5_000
DIGEST = "md5(payload)"  # tells a changed text from the same one; nobody gains by making two texts look alike
# what can be sent is a JSON object; of what is none, there is no digest
IS_OBJECT = "json_valid(payload) and json_type(payload) = 'OBJECT'"
JOINED_AT_ONCE = 100_000
SORTED = 100_000
FRESH = (
    "coalesce(list_contains($welcome, destination), false) and (expires_at is null or expires_at > $as_of)"
    " and isfinite(occurred_at) and coalesce(isfinite(expires_at), true)"
)
IN_ORDER = " order by priority, occurred_at, action_id"


class Compared:
    """One version of the published file against what was delivered; open until it is closed.

    `delivered` is what was acknowledged: texts of lines, each a digest, a tab and an action id. At the destinations
    `reported_once` such an action counts as unchanged whatever its payload is now. What was not delivered at all, goes
    to one of the destinations that are `welcome` to it and is not expired at `as_of` is fresh, until `are_known` says
    otherwise.

    Raises:
        DesiredError: if a payload is not a JSON object.
        duckdb.Error: if the file cannot be read.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        delivered: Iterable[str],
        reported_once: Collection[str],
        welcome: Collection[str],
        as_of: datetime,
    ) -> None:
        self._connection = connection
        self._tables = tables(connection)
        self._counts: list[tuple[str, str, int, int]] | None = None
        # numbers instead of texts, so that a million rows fit into little memory; `part` lives and dies with this
        # connection, and so may use a hash that another version computes differently
        connection.execute("create table delivered (action_key uhugeint, digest_key uhugeint, part ubigint)")
        for lines in delivered:
            connection.execute(
                "insert into delivered select md5_number(line[2]), md5_number(line[1]), hash(line[2])"
                " from (select string_split(unnest(string_split(?, chr(10))), chr(9)) as line)",
                [lines],
            )
        (number,) = connection.execute("select count(*) from delivered").fetchone() or (0,)
        for place, table in enumerate(self._tables):
            connection.execute(f"create table changed_{place} (line bigint, is_fresh boolean, digest varchar)")
            self._compare(place, table, 1 + number // JOINED_AT_ONCE, list(reported_once), list(welcome), as_of)
        connection.execute("drop table delivered")

    def _compare(
        self, place: int, table: str, parts: int, once: list[str], welcome: list[str], as_of: datetime
    ) -> None:
        """Where in the table there is what has to go out, or to be looked at."""
        fresh = FRESH if _has_plain_times(self._connection, table) else "$welcome is null and $as_of is null"
        for part in range(parts):
            # no whole rows here: joining them would keep every payload in memory
            self._connection.execute(
                f"insert into changed_{place}"
                f" select line, action_key is null and {fresh}, case when {IS_OBJECT} then digest end"
                f" from (select rowid as line, *, {DIGEST} as digest"
                f'  from published.activation."{table}" where hash(action_id) % {parts} = {part}) as desired'
                f" left join (select * from delivered where part % {parts} = {part}) as delivered"
                "  on md5_number(desired.action_id) = delivered.action_key"
                " where action_key is null"
                " or (not list_contains($once, destination) and digest_key <> md5_number(digest))",
                {"welcome": welcome, "as_of": as_of, "once": once},
            )
        broken = self._connection.execute(
            f'select min(action_id) from published.activation."{table}"'
            f" where rowid in (select line from changed_{place} where digest is null)"
        ).fetchone()
        if broken and broken[0] is not None:
            raise DesiredError(f"activation.{table}: the payload of action {broken[0]} is not a JSON object.")

    def unchanged(self) -> Counter[tuple[str, str]]:
        """How many were delivered just so, by destination and action."""
        found: Counter[tuple[str, str]] = Counter()
        for place, table in enumerate(self._tables):
            for destination, action, number in self._connection.execute(
                f'select destination, action, count(*) from published.activation."{table}" as desired'
                f" anti join changed_{place} on changed_{place}.line = desired.rowid group by all"
            ).fetchall():
                found[destination, action] += number
        return found

    def others(self) -> Iterator[list[Action]]:
        """What has changed, or has to be looked at for another reason, in chunks."""
        for place, table in enumerate(self._tables):
            cursor = self._connection.cursor()
            order = IN_ORDER if self._number(f"changed_{place} where not is_fresh") <= SORTED else ""
            cursor.execute(_rows(place, table, ", ".join([*COLUMNS, "digest"]), is_fresh=False) + order)
            while rows := cursor.fetchmany(CHUNK):
                yield _actions(rows)

    def fresh_ids(self) -> Iterator[list[str]]:
        """The ids of what is fresh, in chunks.

        Raises:
            ValueError: if one is there twice.
        """
        if not self._tables:
            return
        ids = " union all ".join(self._fresh("action_id"))
        twice = self._connection.execute(f"select action_id from ({ids}) group by 1 having count(*) > 1 limit 1")
        if found := twice.fetchone():
            raise ValueError(f"Action {found[0]} is desired twice; action ids are unique over all act_ models.")
        cursor = self._connection.cursor().execute(ids)
        while rows := cursor.fetchmany(CHUNK):
            yield [each for (each,) in rows]

    def are_known(self, action_ids: Sequence[str]) -> None:
        """The ledger knows these all the same: they are not fresh, but to be looked at."""
        self._counts = None
        for place, table in enumerate(self._tables):
            self._connection.execute(
                f"update changed_{place} set is_fresh = false where line in (select rowid"
                f' from published.activation."{table}" semi join (select unnest(?) as action_id) using (action_id))',
                [list(action_ids)],
            )

    def counts(self) -> list[tuple[str, str, int, int]]:
        """Destination, action, how many of it are fresh, and the sum of what `sync.said` says of each of them."""
        if self._counts is None:
            self._counts = self._counted() if self._tables else []
        return self._counts

    def _counted(self) -> list[tuple[str, str, int, int]]:
        said = "destination, action, md5_number_lower(action_id || 'new' || digest) as said"
        return self._connection.execute(
            f"select destination, action, count(*), sum(said) from ({' union all '.join(self._fresh(said))})"
            " group by all order by all"
        ).fetchall()

    def fresh(self, destination: str, blocked: Collection[str] = ()) -> Iterator[list[Action]]:
        """What is fresh at a destination, except the blocked actions: the most urgent first, in chunks.

        Raises:
            DesiredError: if the file cannot be read any more.
        """
        cursor = self._connection.cursor()  # may be read in another thread than others
        rows = " union all ".join(self._fresh(", ".join([*COLUMNS, "digest"])))
        wanted = f"from ({rows}) where destination = $here and not list_contains($blocked, action)"
        given: dict[str, Any] = {"here": destination, "blocked": list(blocked)}
        return _read(cursor, wanted, given)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _fresh(self, columns: str) -> list[str]:
        return [_rows(place, table, columns, is_fresh=True) for place, table in enumerate(self._tables)]

    def _number(self, source: str) -> int:
        (number,) = self._connection.execute(f"select count(*) from {source}").fetchone() or (0,)
        return int(number)


def tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of the tables of desired actions in the attached published file."""
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


def _rows(place: int, table: str, columns: str, *, is_fresh: bool) -> str:
    """The query for these columns (of the table, or its rows' digest) of the rows that are fresh, or that are not."""
    return (
        f'select {columns} from published.activation."{table}" as desired'
        f" join changed_{place} as changed on changed.line = desired.rowid and changed.is_fresh = {is_fresh}"
    )


def _read(cursor: duckdb.DuckDBPyConnection, wanted: str, given: dict[str, Any]) -> Iterator[list[Action]]:
    """The rows of this, in the order of the queue.

    Where there are very many they are sorted by priority only: sorting payloads takes memory, and the last of them
    leave hours after the first whatever their order.
    """
    columns = [f"strftime({name}, '%Y-%m-%d %H:%M:%S.%f')" if name in TIMES else name for name in COLUMNS]
    query = f"select {', '.join(columns)}, digest {wanted}"
    numbers = cursor.execute(f"select priority, count(*) {wanted} group by 1 order by 1", given).fetchall()
    parts = [(query, given, sum(number for _, number in numbers))]
    if parts[0][2] > SORTED:
        parts = [
            (f"{query} and priority = $priority", {**given, "priority": priority}, number)
            for priority, number in numbers
        ]
    for part, parameters, number in parts:
        cursor.execute(part + (IN_ORDER if number <= SORTED else ""), parameters)
        while rows := cursor.fetchmany(CHUNK):
            values: list[Sequence[Any]] = list(zip(*rows, strict=True))
            for place in (6, 7):  # times, of which many are the same
                read = {text: text and datetime.fromisoformat(text) for text in set(values[place])}
                values[place] = [read[text] for text in values[place]]
            # as tuples, for there are many: by its constructor each would take ten times as long
            yield list(map(partial(tuple.__new__, Action), zip(*values, strict=True)))
    cursor.close()


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
