"""One transaction of one worker at one destination: outcomes of the requests that came back, intents of the next ones.

Everything that happened and everything that is about to happen is committed together, so the cost of a durable commit
is shared by all requests that are out at the same time, and at most those can be repeated after a crash.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson

from activation import batches
from activation import statements as sql
from activation.actions import OPEN_STATES, Action, Outcome, State
from activation.enqueue import write
from activation.tables import listed

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    import sqlalchemy as sa

    from activation.batches import Mark
    from activation.pacing import Rate

DIED_IN_FLIGHT = "The run ended between the send and the record of its outcome."
LEASE_SECONDS = 300.0  # longer than the slowest request, so that a living worker never loses one in flight


class Result(NamedTuple):
    """The outcome of one attempt for one action, whose row has this number.

    `due` is when it may be tried again (unix seconds). `is_queued` is false where this plan is not to try it again;
    `is_held` is true where the worker keeps it in hand.
    """

    action: Action
    outcome: Outcome
    due: float = 0.0
    is_queued: bool = True
    is_held: bool = False
    seq: int = 0


class Claimed(NamedTuple):
    """A delivery that this worker holds now; the numbers count the requests before the one that it is in."""

    action: Action
    seq: int  # of its row; 0 if it has none, for nobody heard of it before
    is_unknown: bool
    is_wanted: bool
    tries: int
    attempt_count: int  # since a person last asked for it
    first_tried: float | None


class Arrived(NamedTuple):
    """Deliveries of one request, all of which the vendor has: its names for them, and what it said of all."""

    items: Sequence[Claimed]
    references: Sequence[str | None]
    reason: str
    status_code: int | None
    batch: int = 0  # the number of the request, if it is kept whole


@dataclass(frozen=True, slots=True)
class Pace:
    """What the workers share about a destination."""

    tokens: float
    paused_until: float
    paused_for: str
    failures: int
    openings: int


class Step:
    """The statements of one transaction. Use `Ledger.step` to make one; leaving it commits."""

    def __init__(self, connection: sa.Connection, destination: str, worker: str, plan_id: str) -> None:
        self._connection = connection
        self._destination = destination
        self._worker = worker
        self._plan_id = plan_id

    # Pace

    def pace(self, rate: Rate, wall: float) -> Pace:
        """The destination's pace, its bucket refilled; other workers wait here for the end of this transaction.

        Where the clock was set back since the last step, by more than machines differ, waits are measured anew.
        """
        here = {"here": self._destination}
        found = sql.PACE.rows(self._connection, here)
        if not found:
            # two workers may come here first at once; PostgreSQL lets the second wait and then do nothing
            full = {"destination": self._destination, "tokens": float(rate.burst), "filled_at": wall}
            self._connection.execute(sql.START_PACE[self._connection.dialect.name], [full])
            found = sql.PACE.rows(self._connection, here)
        ((tokens, filled_at, paused_until, paused_for, failures, openings_in_a_row),) = found
        tokens = rate.refilled(tokens, filled_at, wall)
        set_back = filled_at - wall
        if set_back < LEASE_SECONDS:  # clocks of several machines differ by less
            return Pace(tokens, paused_until, paused_for, failures, openings_in_a_row)
        # what was promised for a time on the clock as it stood would wait until the clock is there again
        self._connection.execute(sql.BRING_FORWARD, {**here, "set_back": set_back})
        return Pace(tokens, paused_until - set_back, paused_for, failures, openings_in_a_row)

    def set_pace(self, changed: Pace, wall: float) -> None:
        """Write it back."""
        values = {
            "here": self._destination,
            "to_tokens": changed.tokens,
            "to_filled_at": wall,
            "to_paused_until": changed.paused_until,
            "to_paused_for": changed.paused_for,
            "to_failures": changed.failures,
            "to_openings": changed.openings,
        }
        sql.SET_PACE.run(self._connection, values)

    # Queue

    def claim(self, limit: int, wall: float) -> list[Claimed]:
        """Up to so many deliveries that are due and that nobody else holds, the most urgent first.

        They are this worker's once this transaction has noted either an intent or a hold for each of them. Of those
        that must arrive in order only the first is given out, until it has come to an end.
        """
        rows: list[Sequence[Any]] = []
        for (queue,) in sql.QUEUES.rows(self._connection, {"plan_id": self._plan_id}):
            here = {"queue": queue, "plan_id": self._plan_id, "here": self._destination, "wall": wall, "most": limit}
            found = sql.FIND.rows(self._connection, here)
            rows = sorted([*rows, *found], key=sql.URGENT)[:limit] if rows and found else [*rows, *found]
        if not rows:
            return []
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
        if self._connection.dialect.name == "sqlite":
            for place in (6, 7):  # times, of which many are the same
                read = {text: text and datetime.fromisoformat(text) for text in set(columns[place])}
                columns[place] = [read[text] for text in columns[place]]
            columns[12:14] = [list(map(bool, column)) for column in columns[12:14]]
        # made by the column and as tuples, for there are many: by its constructor each would take ten times as long
        actions = map(partial(tuple.__new__, Action), zip(*columns[:11], strict=True))
        return list(map(partial(tuple.__new__, Claimed), zip(actions, *columns[11:], strict=True)))

    def hold(self, numbers: Sequence[int], wall: float) -> None:
        """Keep what was claimed and is not sent yet from others."""
        self.stay(wall)
        sql.HOLD.run(self._connection, numbers, {"worker": self._worker})

    def stay(self, wall: float) -> None:
        """Hold on to what this worker holds; who holds something without being a worker is never taken for alive."""
        values = {"worker": self._worker, "lease_until": wall + LEASE_SECONDS if self._worker else 0.0}
        self._connection.execute(sql.STAY[self._connection.dialect.name], [values])

    def leave(self) -> None:
        """This worker holds nothing any more, and will not."""
        self._connection.execute(sql.LEAVE, {"me": self._worker})

    def release(self, numbers: Sequence[int]) -> None:
        """Give back what was claimed and not sent."""
        self._connection.execute(sql.RELEASE, {"numbers": listed(numbers), "worker": self._worker})

    def withdraw(self, withdrawn: Sequence[tuple[str, str]], now: datetime) -> None:
        """Take these out of the plan with a reason; their state stays what it is."""
        by_reason: dict[str, list[str]] = defaultdict(list)
        for action_id, reason in withdrawn:
            by_reason[reason].append(action_id)
        for reason, ids in by_reason.items():
            self._connection.execute(sql.WITHDRAW, {"ids": listed(ids), "why": reason, "now": now})

    def next_due(self, wall: float) -> float | None:
        """When the next of the queue falls due; None if it is empty."""
        here = {"plan_id": self._plan_id, "here": self._destination}
        if self._connection.execute(sql.IS_DUE, {**here, "wall": wall}).first() is not None:
            return wall  # most often; the search for the earliest of those that are not due reads the whole queue
        found: float | None = self._connection.execute(sql.NEXT_DUE, here).scalar()
        return found

    def left(self) -> dict[str, int]:
        """Per state, what this plan still has queued at this destination."""
        here = {"plan_id": self._plan_id, "here": self._destination}
        return {str(row[0]): int(row[1]) for row in self._connection.execute(sql.LEFT, here)}

    # What is in no ledger yet

    def heard_since(self, since: Mark) -> tuple[set[str], Mark]:
        """What came into the ledger for this destination after a moment; the present one."""
        return batches.heard_since(self._connection, since, self._destination)

    def begin(self, new: Sequence[Claimed], now: datetime, wall: float) -> list[Claimed]:
        """Note that these, of which nobody heard before, are about to be sent; they, with rows of their own."""
        self.stay(wall)
        values = {"plan_id": self._plan_id, "lease": self._worker}
        numbers = self._write(
            new, now, state=State.SENDING, attempt_count=1, tries=1, started_at=now, first_tried=wall, **values
        )
        return [item._replace(seq=number) for item, number in zip(new, numbers, strict=True)]

    def begin_whole(self, requests: Sequence[Sequence[Claimed]], now: datetime, wall: float) -> list[int]:
        """The same for requests of nothing else, each in a piece; their numbers."""
        self.stay(wall)
        actions = [[item[0] for item in request] for request in requests]
        return batches.begin(self._connection, self._destination, self._worker, self._plan_id, actions, now, wall)

    def take_apart(self, batch: int, items: Sequence[Claimed]) -> list[Claimed]:
        """These, which are in a request of that number, with rows of their own."""
        batches.take_apart(self._connection, [batch])
        numbers = self.numbers([item.action.action_id for item in items])
        return [item._replace(seq=numbers[item.action.action_id]) for item in items]

    def note(self, new: Sequence[Claimed], now: datetime) -> None:
        """Note that these, of which nobody heard before, were wanted; nobody is to send them."""
        self._write(new, now, state=State.PLANNED)

    def _write(self, new: Sequence[Claimed], now: datetime, **values: Any) -> Sequence[int]:
        shared = {"first_planned_at": now, "updated_at": now, "is_wanted": True, **values}
        return write(self._connection, [item.action for item in new], shared)

    # Attempts

    def numbers(self, action_ids: Sequence[str]) -> dict[str, int]:
        """The rows of these actions."""
        rows = self._connection.execute(sql.NUMBERS, {"ids": listed(action_ids)})
        return {row.action_id: row.seq for row in rows}

    def intend(
        self, numbers: Sequence[int], now: datetime, wall: float, fresh: Collection[int] = ()
    ) -> Collection[int]:
        """Note that these are about to be sent; the numbers of those that this worker may send.

        `fresh` are those that were claimed in this very transaction; of the others the lease may have been lost.
        """
        self.stay(wall)
        values: dict[str, Any] = {"now": now, "wall": wall, "to_lease": self._worker}
        old = [each for each in numbers if each not in fresh] if self._worker else []
        new = numbers if not old else [each for each in numbers if each in fresh]
        if new:
            sql.INTEND.run(self._connection, new, values)
        if not old:
            return numbers
        mine = {**values, "numbers": listed(old), "worker": self._worker}
        return {*new, *(seq for (seq,) in sql.INTEND_MINE.rows(self._connection, mine))}

    def record(self, results: Sequence[Result], now: datetime) -> None:
        """Note what became of these attempts: the new state, and one row each that is never changed again."""
        groups: dict[tuple[Any, ...], list[Result]] = defaultdict(list)
        for result in results:
            _, outcome, due, is_queued, is_held, _ = result
            groups[outcome[0], outcome[1], outcome[2], due, is_queued, is_held].append(result)
        mark = f"-at-{now:%Y%m%dT%H%M%S.%f}"
        for (state, reason, status, due, is_queued, is_held), alike in groups.items():
            numbers = [result.seq for result in alike]
            change = {"to_state": str(state), "why": reason, "when_due": due, "now": now}
            attempt = {"now": now, "to_state": str(state), "status": status, "why": reason, "mark": mark}
            sql.APPEND.run(self._connection, numbers, attempt)
            if state is State.ACKNOWLEDGED:
                self._acknowledge(numbers, [each.outcome.vendor_reference for each in alike], change)
                continue
            statement = sql.QUEUE if is_queued and state in OPEN_STATES else sql.END
            mine = {"numbers": listed(numbers), "worker": self._worker, **change}
            self._connection.execute(sql.KEEP if is_held else statement, mine)

    def arrived(self, requests: Sequence[Arrived], now: datetime) -> None:
        """Note that everything in these requests was taken; what `record` does, for many at once."""
        whole = [request for request in requests if request.batch]
        gone = batches.end(self._connection, [(each[4], each[1], each[2], each[3]) for each in whole], now)
        # if it was taken apart since (this worker was taken for dead), what the vendor has is true all the same
        again = [each._replace(items=self.take_apart(each.batch, each.items)) for each in whole if each.batch in gone]
        groups: dict[tuple[str, int | None], list[tuple[list[int], Arrived]]] = defaultdict(list)
        for request in [*again, *(each for each in requests if not each.batch)]:
            numbers = [item.seq for item in request.items]
            groups[request.reason, request.status_code].append((numbers, request))
        mark = f"-at-{now:%Y%m%dT%H%M%S.%f}"
        state = str(State.ACKNOWLEDGED)
        for (reason, status), alike in groups.items():
            alike.sort(key=lambda each: each[0][0])
            numbers = list(chain.from_iterable([each for each, _ in alike]))
            references = list(chain.from_iterable([request.references for _, request in alike]))
            attempt = {"now": now, "to_state": state, "status": status, "why": reason, "mark": mark}
            sql.APPEND.run(self._connection, numbers, attempt)
            self._acknowledge(numbers, references, {"to_state": state, "why": reason, "when_due": 0.0, "now": now})

    def _acknowledge(self, numbers: list[int], references: list[str | None], change: Mapping[str, Any]) -> None:
        first, last = numbers[0], numbers[-1]
        sizes = {each.isascii() and len(each) for each in references if each is not None}
        is_row = last - first + 1 == len(numbers) and numbers == list(range(first, last + 1))
        if is_row and len(sizes) == 1 and None not in references and self._connection.dialect.name == "sqlite":
            (size,) = sizes
            if size:
                written = "".join(cast("list[str]", references)).encode()
                row = {"first": first, "last": last, "size": size, "references": written}
                sql.ACKNOWLEDGE_ROW.run(self._connection, {**row, **change})
                return
        by_number = dict(zip(numbers, references, strict=True))
        document = orjson.dumps(by_number, option=orjson.OPT_NON_STR_KEYS).decode()
        sql.ACKNOWLEDGE.run(self._connection, {"references": document, **change})
