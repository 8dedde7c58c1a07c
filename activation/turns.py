"""Rows of the published file, read by their line numbers: the most urgent first, a few thousand at a time.

Numbers are what is joined and sorted. The rows themselves are only scanned, so that what is in memory does not depend
on how many there are, how long their payloads are, and how many couriers read at the same time.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from threading import Lock

    import duckdb

    Columns = list[Sequence[Any]]

CHUNK = 5_000  # rows that are read together where they come as they lie; at most twice as many
SORTED = 50_000
LOOKED_UP = 10_000  # rows that are read together where they come in order


def of_any_kind(cursor: duckdb.DuckDBPyConnection, *, is_last_their_order: bool = False) -> Columns:
    """The columns of a result."""
    rows = cursor.fetchall()
    if is_last_their_order:
        rows.sort(key=itemgetter(-1))
    return list(zip(*rows, strict=True))


def of_plain_kinds(cursor: duckdb.DuckDBPyConnection, *, is_last_their_order: bool = False) -> Columns:
    """The same in half of the time, where all are texts, whole numbers, or naive times of years that Python has."""
    columns = list(cursor.fetchnumpy().values())
    if is_last_their_order:
        order = columns[-1].argsort()
        columns = [column[order] for column in columns]
    return [column.tolist() for column in columns]


class Turns:
    """Those rows of the tables `desired` that are `chosen` by what is known of them in `changed` and `kinds`.

    The cursor is the reader's own, and readers of one file take turns, because each needs its memory. Where there are
    very many rows they come as they lie, by their urgency only: to look up each by itself takes time, and the last of
    them leave hours after the first whatever their order.
    """

    def __init__(
        self,
        cursor: duckdb.DuckDBPyConnection,
        one_reads: Lock,
        desired: Sequence[str],
        columns: str,
        chosen: str,
        given: Mapping[str, Any],
        fetch: Callable[..., Columns],
    ) -> None:
        self._cursor = cursor
        self._one_reads = one_reads
        self._desired = desired
        self._columns = columns
        self._chosen = f"from changed join kinds using (kind) where {chosen}"
        self._given = given
        self._fetch = fetch

    def chunks(self) -> Iterator[Columns]:
        """The columns of these rows, some thousand at a time; the last may be followed by their turns."""
        stretches = self._found(
            f"select priority, place, line // {CHUNK}, count(*) {self._chosen} group by all order by all", self._given
        )
        if sum(number for *_, number in stretches) <= SORTED:
            yield from self._in_order(sorted({place for _, place, _, _ in stretches}))
            return
        for (priority, place), group in groupby(stretches, itemgetter(0, 1)):
            for first, last, number in _spans((stretch, number) for _, _, stretch, number in group):
                query = f"select {self._columns} from {self._desired[place]} where rowid between {first} and {last}"
                if number == last + 1 - first:  # all that lie there
                    yield self._columns_of(query)
                    continue
                lines = self._found(
                    f"select line {self._chosen} and priority = {priority} and place = {place}"
                    f" and line between {first} and {last}",
                    self._given,
                )
                yield self._columns_of(f"{query} and rowid in (select unnest(?))", [[line for (line,) in lines]])

    def _in_order(self, places: Sequence[int]) -> Iterator[Columns]:
        """All of these rows, each more urgent than the next."""
        keys = " union all ".join(
            f"select {place} as place, rowid as line, priority, occurred_at, action_id from {self._desired[place]}"
            f" where rowid in (select line {self._chosen} and place = {place})"
            for place in places
        )
        if not keys:
            return
        with self._one_reads:
            self._cursor.execute(
                "create or replace temp table turns as select place, line, row_number() over"
                f" (order by priority, occurred_at, action_id) as turn from ({keys})",
                self._given,
            )
        (number,) = self._found("select count(*) from turns")[0]
        for start in range(0, number, LOOKED_UP):
            here = " union all ".join(
                f"select {self._columns}, turns.turn from {self._desired[place]} as desired join turns"
                f" on turns.line = desired.rowid and turns.place = {place}"
                f" and turns.turn between {start + 1} and {start + LOOKED_UP}"
                for place in places
            )
            # sorted here, for DuckDB would hold the payloads once more to sort them
            yield self._columns_of(here, is_last_their_order=True)

    def _columns_of(self, query: str, given: Any = None, **how: bool) -> Columns:
        with self._one_reads:
            return self._fetch(self._cursor.execute(query, given), **how)

    def _found(self, query: str, given: Any = None) -> list[tuple[Any, ...]]:
        with self._one_reads:
            return self._cursor.execute(query, given).fetchall()


def _spans(stretches: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """First and last line of stretches next to each other, as many as it takes to have enough for a chunk; how many."""
    first, rows = None, 0
    last = 0
    for stretch, number in stretches:
        first = stretch if first is None else first
        last, rows = stretch, rows + number
        if rows >= CHUNK:
            yield first * CHUNK, (last + 1) * CHUNK - 1, rows
            first, rows = None, 0
    if first is not None:
        yield first * CHUNK, (last + 1) * CHUNK - 1, rows
