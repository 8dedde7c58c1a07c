"""Rows of the published file, read by their line numbers: the most urgent first, a few thousand at a time.

Numbers are what is joined and sorted. The rows themselves are only scanned, so that what is in memory does not depend
on how many there are, how long their payloads are, and how many couriers read at the same time.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from threading import Lock

    import duckdb

CHUNK = 5_000  # rows that are read together where they come as they lie; at most twice as many
SORTED = 50_000
LOOKED_UP = 10_000  # rows that are read together where they come in order


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
    ) -> None:
        self._cursor = cursor
        self._one_reads = one_reads
        self._desired = desired
        self._columns = columns
        self._chosen = f"from changed join kinds using (kind) where {chosen}"
        self._given = given

    def rows(self) -> Iterator[list[tuple[Any, ...]]]:
        """The columns of these rows, in chunks."""
        stretches = self._found(
            f"select priority, place, line // {CHUNK}, count(*) {self._chosen} group by all order by all", self._given
        )
        if sum(number for *_, number in stretches) <= SORTED:
            yield from self._in_order(sorted({place for _, place, _, _ in stretches}))
            return
        for (priority, place), group in groupby(stretches, itemgetter(0, 1)):
            for first, last in _spans((stretch, number) for _, _, stretch, number in group):
                lines = self._found(
                    f"select line {self._chosen} and priority = {priority} and place = {place}"
                    f" and line between {first} and {last}",
                    self._given,
                )
                yield list(self._read(place, [line for (line,) in lines]).values())

    def _in_order(self, places: Sequence[int]) -> Iterator[list[tuple[Any, ...]]]:
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
            yield [row[:-1] for row in sorted(self._found(here), key=itemgetter(-1))]

    def _read(self, place: int, lines: list[int]) -> dict[int, tuple[Any, ...]]:
        """The rows with these numbers in one of the tables, by number."""
        first, last = min(lines), max(lines)
        query = f"select {self._columns}, rowid from {self._desired[place]} where rowid between {first} and {last}"
        if len(lines) <= last - first:
            rows = self._found(f"{query} and rowid in (select unnest(?))", [lines])
        else:
            rows = self._found(query)
        return {row[-1]: row[:-1] for row in rows}

    def _found(self, query: str, given: Any = None) -> list[tuple[Any, ...]]:
        with self._one_reads:
            return self._cursor.execute(query, given).fetchall()


def _spans(stretches: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """First and last line of stretches next to each other, as many as it takes to have rows enough for a chunk."""
    first, rows = None, 0
    last = 0
    for stretch, number in stretches:
        first = stretch if first is None else first
        last, rows = stretch, rows + number
        if rows >= CHUNK:
            yield first * CHUNK, (last + 1) * CHUNK - 1
            first, rows = None, 0
    if first is not None:
        yield first * CHUNK, (last + 1) * CHUNK - 1
