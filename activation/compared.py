"""What is desired, compared with what was delivered, by DuckDB: neither time nor memory in Python grows with it.

Of most of what is desired nothing has to be known but that it was delivered before. Most of the rest the ledger never
heard of and nothing speaks against: that is counted where it lies (`counts`) and read only when it goes out (`fresh`).
What remains (`others`) is looked at one by one.

What DuckDB remembers of a row is its line and some numbers. Payloads are only ever looked at in passing: to join, sort
or collect them would hold them in memory, or write them to the disk and read them again, by the million.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from activation.actions import Action
from activation.errors import DesiredError
from activation.turns import CHUNK, Turns, of_any_kind, of_plain_kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    import duckdb

COLUMNS = (
    "action_id", "destination", "object", "action", "customer_id", "occurrence_id", "occurred_at", "expires_at",
    "priority", "payload",
)  # fmt: skip
TIMES = ("occurred_at", "expires_at")
# of what can be read by the column without a look at each value; the other columns are texts
PLAIN = {"occurred_at": ("TIMESTAMP",), "expires_at": ("TIMESTAMP",), "priority": ("INTEGER", "BIGINT")}
DIGEST = "md5(payload)"  # tells a changed text from the same one; nobody gains by making two texts look alike
# what can be sent is a JSON object; nothing else may be desired
IS_OBJECT = "coalesce(try(json_type(payload)) = 'OBJECT', false)"
TOGETHER = 2_048  # rows that DuckDB has in hand at a time, in each thread; it parses all of them before it lets go
PARSED = 2_000_000  # bytes of payloads that it may have in hand, for parsed they are ten times as much
AT_ONCE = 50_000  # lines that are compared together
GROUPED_AT_ONCE = 250_000
WHILE_SENDING = "32MB"
EVER = "between timestamp '0001-01-01' and timestamp '9999-12-31 23:59:59.999999'"  # times that Python has too
FRESH = (
    "coalesce(list_contains($welcome, destination), false) and (expires_at is null or expires_at > $as_of)"
    f" and occurred_at {EVER} and coalesce(expires_at {EVER}, true)"
)
KIND = ("destination", "action", "priority")


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
        self._names = tables(connection)
        self._desired = [f'published.activation."{name}"' for name in self._names]
        self._lines = [self._number(f"coalesce(max(rowid) + 1, 0) from {desired}") for desired in self._desired]
        self._counts: list[tuple[str, str, int, int]] | None = None
        self._one_reads = Lock()
        self._is_read_only = False
        # numbers instead of texts, so that a million rows fit into little memory
        connection.execute("create table delivered (action_key uhugeint, digest_key uhugeint)")
        for lines in delivered:
            connection.execute(
                "insert into delivered select md5_number(line[2]), md5_number(line[1])"
                " from (select string_split(unnest(string_split(?, chr(10))), chr(9)) as line)",
                [lines],
            )
        # what is to be sent, or to be looked at: `place` is the table's, `said` what `sync.said` says of it as new
        connection.execute(
            "create table changed"
            " (place usmallint, line bigint, kind integer, is_fresh boolean, was_delivered boolean,"
            " action_key uhugeint, said ubigint)"
        )
        # what there is at all; a line's kind is what it is counted by
        connection.execute(
            "create table kinds (kind integer, destination varchar, action varchar, priority integer, number bigint)"
        )
        if self._desired:
            rows = " union all ".join(f"select {', '.join(KIND)} from {desired}" for desired in self._desired)
            connection.execute(
                f"insert into kinds select row_number() over (), * from (select *, count(*) from ({rows}) group by all)"
            )
        given = {"welcome": list(welcome), "as_of": as_of, "once": list(reported_once)}
        for place, name in enumerate(self._names):
            fresh = FRESH if _is_plain(connection, name) else "$welcome is null and $as_of is null"
            for first in range(0, self._lines[place], AT_ONCE):
                self._compare(place, first, fresh, given)
        connection.execute("drop table delivered")
        connection.execute("drop table if exists looked_at")

    def _compare(self, place: int, first: int, fresh: str, given: dict[str, Any]) -> None:
        """Where from this line on there is what has to go out, or to be looked at."""
        desired = f"{self._desired[place]} where rowid between {first} and {first + AT_ONCE - 1}"
        same_kind = " and ".join(f"kinds.{each} is not distinct from desired.{each}" for each in KIND)
        self._connection.execute(
            "create or replace temp table looked_at as"
            " select line, kind, action_id, action_key, digest, is_once, may_be_fresh"
            f" from (select rowid as line, {', '.join(KIND)}, action_id, md5_number(action_id) as action_key,"
            f" {DIGEST} as digest, list_contains($once, destination) as is_once, {fresh} as may_be_fresh"
            f" from {desired}) as desired left join kinds on {same_kind}",
            given,
        )
        (number,) = self._connection.execute(
            f"insert into changed select {place}, line, kind, delivered.action_key is null and may_be_fresh,"
            " delivered.action_key is not null, looked_at.action_key, md5_number_lower(action_id || 'new' || digest)"
            " from delivered right join looked_at on looked_at.action_key = delivered.action_key"
            " where delivered.action_key is null or (not is_once and digest_key <> md5_number(digest))"
        ).fetchone() or (0,)
        if number:
            self._parse(place, first)

    def _parse(self, place: int, first: int) -> None:
        """See that what may be sent from this line on can be sent."""
        desired, last = self._desired[place], min(first + AT_ONCE, self._lines[place]) - 1
        longest = self._number(
            f"coalesce(max(strlen(payload)), 0) from {desired} where rowid between {first} and {last}"
        )
        is_short = longest * min(last + 1 - first, TOGETHER) <= PARSED
        width = AT_ONCE if is_short else max(PARSED // longest, 1)
        for start in range(first, last + 1, width):
            (broken,) = self._connection.execute(
                f"select min(action_id) from {desired}"
                f" where rowid between {start} and {min(start + width - 1, last)} and not {IS_OBJECT}"
            ).fetchone() or (None,)
            if broken is not None:
                raise DesiredError(
                    f"activation.{self._names[place]}: the payload of action {broken} is not a JSON object."
                )

    def unchanged(self) -> Counter[tuple[str, str]]:
        """How many were delivered just so, by destination and action."""
        found = self._connection.execute(
            "select destination, action, sum(number - coalesce(changed, 0)) as unchanged from kinds"
            " left join (select kind, count(*) as changed from changed group by all) using (kind)"
            " group by all having unchanged > 0"
        ).fetchall()
        return Counter({(destination, action): int(number) for destination, action, number in found})

    def _turns(self, chosen: str, given: Mapping[str, Any], fetch: Callable[..., Any]) -> Turns:
        columns = ", ".join([*COLUMNS, DIGEST])
        # a cursor of its own: it may be read in another thread than others
        return Turns(self._connection.cursor(), self._one_reads, self._desired, columns, chosen, given, fetch)

    def others(self) -> Iterator[list[Action]]:
        """What has changed, or has to be looked at for another reason, the most urgent first, in chunks."""
        return map(_actions, map(_naive, self._turns("not is_fresh", {}, of_any_kind).chunks()))

    def fresh_ids(self) -> Iterator[list[str]]:
        """The ids of what is fresh, in chunks."""
        for place, desired in enumerate(self._desired):
            for first in range(0, self._lines[place], CHUNK):
                last = first + CHUNK - 1
                ids = self._connection.execute(
                    f"select action_id from {desired} where rowid between {first} and {last} and rowid in (select line"
                    f" from changed where is_fresh and place = {place} and line between {first} and {last})"
                ).fetchall()
                if ids:
                    yield [each for (each,) in ids]

    def look_for_twins(self) -> None:
        """See that no fresh action's id is there twice.

        Raises:
            DesiredError: if one is.
        """
        parts = 1 + self._number("count(*) from changed") // GROUPED_AT_ONCE
        for part in range(parts):
            twin = self._connection.execute(
                f"select max((place, line)) from changed where is_fresh and hash(action_key) % {parts} = {part}"
                " group by action_key having count(*) > 1 limit 1"
            ).fetchone()
            if twin:
                place, line = twin[0]
                (found,) = self._connection.execute(
                    f"select action_id from {self._desired[place]} where rowid = {line}"
                ).fetchone() or ("",)
                raise DesiredError(f"Action {found} is desired twice; action ids are unique over all act_ models.")

    def are_known(self, action_ids: Collection[str]) -> None:
        """The ledger knows these all the same: those of them that were fresh are not, but are to be looked at."""
        if not action_ids:
            return
        self._counts = None
        self._connection.execute(
            "update changed set is_fresh = false where is_fresh and action_key in (select md5_number(unnest(?)))",
            [list(action_ids)],
        )

    def were_delivered(self, action_ids: Collection[str]) -> set[str]:
        """Those of these, which are to be looked at, that were delivered with another payload."""
        found = self._connection.execute(
            "select action_id from (select unnest(?) as action_id)"
            " where md5_number(action_id) in (select action_key from changed where was_delivered)",
            [list(action_ids)],
        ).fetchall()
        return {each for (each,) in found}

    def counts(self) -> list[tuple[str, str, int, int]]:
        """Destination, action, how many of it are fresh, and the sum of what `sync.said` says of each of them."""
        if self._counts is None:
            self._counts = self._connection.execute(
                "select destination, action, count(*), sum(said) from changed join kinds using (kind) where is_fresh"
                " group by all order by all"
            ).fetchall()
        return self._counts

    def fresh(self, destination: str, blocked: Collection[str] = ()) -> Iterator[list[Action]]:
        """What is fresh at a destination, except the blocked actions: the most urgent first, in chunks.

        Nothing can become known any more: from here on there is only as much memory as reading needs.

        Raises:
            DesiredError: if the file cannot be read any more.
        """
        here = "is_fresh and destination = $here and not list_contains($blocked, action)"
        given = {"here": destination, "blocked": list(blocked)}
        self._let_go()
        return map(_actions, self._turns(here, given, of_plain_kinds).chunks())

    def _let_go(self) -> None:
        """Of what planning needed; the memory belongs to those who send now."""
        if not self._is_read_only:
            self.counts()
            for column in ("was_delivered", "action_key", "said"):
                self._connection.execute(f"alter table changed drop column {column}")
            self._connection.execute(f"set memory_limit = '{WHILE_SENDING}'")
            self._is_read_only = True

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _number(self, what: str) -> int:
        (number,) = self._connection.execute(f"select {what}").fetchone() or (0,)
        return int(number)


def tables(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The names of the tables of desired actions in the attached published file."""
    rows = connection.execute(
        "select table_name from duckdb_tables() where database_name = 'published' and schema_name = 'activation'"
        " and table_name like 'act\\_%' escape '\\' order by table_name"
    ).fetchall()
    return [str(row[0]) for row in rows]


def _is_plain(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether its columns are what `of_plain_kinds` reads."""
    found = connection.execute(
        "select column_name, data_type from duckdb_columns() where database_name = 'published'"
        " and schema_name = 'activation' and table_name = ?",
        [table],
    ).fetchall()
    kinds = dict(found)
    return all(kinds.get(name) in PLAIN.get(name, ("VARCHAR",)) for name in COLUMNS)


def _actions(columns: list[Sequence[Any]]) -> list[Action]:
    """Of COLUMNS and a digest."""
    # as tuples, for there are many: by its constructor each would take ten times as long
    return list(map(partial(tuple.__new__, Action), zip(*columns[: len(Action._fields)], strict=True)))


def _naive(columns: list[Sequence[Any]]) -> list[Sequence[Any]]:
    """These with naive times in UTC, whatever kind of times they are.

    Raises:
        DesiredError: if they are none.
    """
    for place in map(COLUMNS.index, TIMES):
        kinds = {(type(value), getattr(value, "tzinfo", None)) for value in columns[place] if value is not None}
        if kinds - {(datetime, None)}:
            columns[place] = list(map(_in_utc, columns[place]))
    return columns


def _in_utc(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):  # the engine gives as text what Python's times cannot hold
        raise DesiredError(f"A time in an act_ table is {value}, which is no timestamp of the years 1 to 9999.")
    return value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
