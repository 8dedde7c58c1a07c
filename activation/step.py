"""One transaction of one worker at one destination: outcomes of the requests that came back, intents of the next ones.

Everything that happened and everything that is about to happen is committed together, so the cost of a durable commit
is shared by all requests that are out at the same time, and at most those can be repeated after a crash.
"""

from __future__ import annotations

import operator
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import orjson
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from activation.actions import OPEN_STATES, Action, Outcome, State
from activation.enqueue import write
from activation.prepared import Prepared, any_of
from activation.tables import attempts, deliveries, listed, one_of, openings, pace, pairs, workers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

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
    seq: int
    is_unknown: bool
    is_wanted: bool
    tries: int
    attempt_count: int  # since a person last asked for it
    first_tried: float | None


class Arrived(NamedTuple):
    """Deliveries of one request, all of which the vendor has: their rows, its names for them, what it said of all."""

    numbers: list[int]
    references: list[str | None]
    reason: str
    status_code: int | None


@dataclass(frozen=True, slots=True)
class Pace:
    """What the workers share about a destination."""

    tokens: float
    paused_until: float
    paused_for: str
    failures: int
    openings: int


# Statements are built once: putting one together costs more than executing it.


class Many:
    """A statement about many rows, by their numbers: from the first to the last where nothing lies between them.

    That they do is usual, because what is enqueued together goes out together.
    """

    def __init__(self, statement: Any) -> None:
        self._listed = Prepared(statement.where(one_of(_known.seq, "numbers")))
        self._ranged = Prepared(statement.where(_known.seq.between(sa.bindparam("first"), sa.bindparam("last"))))

    def run(self, connection: sa.Connection, numbers: Sequence[int], values: Mapping[str, Any]) -> None:
        """Do it to these rows, each of which is named once."""
        first, last = min(numbers), max(numbers)
        if last - first + 1 == len(numbers):
            self._ranged.run(connection, {**values, "first": first, "last": last})
        else:
            self._listed.run(connection, {**values, "numbers": listed(numbers)})


_known = deliveries.c
_NUMBERED = one_of(_known.seq, "numbers")
_MINE = _known.lease == sa.bindparam("worker")
_HERE = _known.destination == sa.bindparam("here")
_FREED = {"lease": None}
_earlier = deliveries.alias("earlier")
_IS_BEHIND = (
    sa.exists()
    .where(_earlier.c.destination == _known.destination)
    .where(_earlier.c.order_key == _known.order_key)
    .where(_earlier.c.plan_id == _known.plan_id)
    .where(any_of(_earlier.c.state, OPEN_STATES))
    .where(
        sa.tuple_(_earlier.c.priority, _earlier.c.occurred_at, _earlier.c.action_id)
        < sa.tuple_(_known.priority, _known.occurred_at, _known.action_id)
    )
)
_OPENED = sa.select(openings.c.queue).where(openings.c.plan_id == sa.bindparam("plan_id"))
# for what must arrive in order, nothing earlier stands before it
_IS_NEXT = _HERE & (_known.order_key.is_(None) | ~_IS_BEHIND)
_IS_FREE = _known.queued.in_(_OPENED) & _IS_NEXT
_QUEUES = Prepared(_OPENED.order_by(openings.c.queue))
_CLAIMED = (
    "action_id", "destination", "object", "action", "customer_id", "occurrence_id", "occurred_at", "expires_at",
    "priority", "payload", "payload_hash", "seq",
)  # fmt: skip
_of_claimed = (
    sa.case((_known.state == sa.literal_column("'unknown'"), True), else_=False),
    _known.is_wanted,
    _known.tries,
    _known.attempt_count - _known.given_up_at,
    _known.first_tried,
)
_URGENT = operator.itemgetter(8, 6, 0)  # of such a row: priority, occurred_at, action_id
_FIND = Prepared(
    sa.select(*[_known[name] for name in _CLAIMED], *_of_claimed)
    .where(_known.queued == sa.bindparam("queue"), _IS_NEXT, _known.due <= sa.bindparam("wall"))
    .order_by(_known.priority, _known.occurred_at, _known.action_id)
    .limit(sa.bindparam("most"))
)
_KNOWN = Prepared(sa.select(_known.action_id).where(one_of(_known.action_id, "ids")))
_LAST = sa.select(sa.func.coalesce(sa.func.max(_known.seq), 0))
_DRAWN = "select nextval(pg_get_serial_sequence('deliveries', 'seq')) from generate_series(1, %s)"
_NUMBERS = sa.select(_known.action_id, _known.seq).where(one_of(_known.action_id, "ids"))
_HOLD = Many(sa.update(deliveries).values(lease=sa.bindparam("worker"), queued=None))
_IS_DUE = sa.select(_known.action_id).where(_IS_FREE, _known.due <= sa.bindparam("wall")).limit(1)
_NEXT_DUE = sa.select(sa.func.min(_known.due)).where(_IS_FREE)
_COME: dict[str, Any] = {"sqlite": sqlite.insert(workers), "postgresql": postgresql.insert(workers)}
_STAY = {
    name: come.on_conflict_do_update(index_elements=["worker"], set_={"lease_until": come.excluded.lease_until})
    for name, come in _COME.items()
}
_LEAVE = sa.delete(workers).where(workers.c.worker == sa.bindparam("me"))
_RELEASE = sa.update(deliveries).where(_NUMBERED, _MINE).values(**_FREED, queued=_known.plan_id)
_intend = sa.update(deliveries).values(
    state=State.SENDING,
    attempt_count=_known.attempt_count + 1,
    tries=_known.tries + 1,
    started_at=sa.bindparam("now"),
    updated_at=sa.bindparam("now"),
    first_tried=sa.func.coalesce(_known.first_tried, sa.bindparam("wall")),
    lease=sa.bindparam("to_lease"),
    queued=None,
)
_INTEND = Many(_intend)
_INTEND_MINE = Prepared(_intend.where(_NUMBERED, _MINE).returning(_known.seq))
_WITHDRAW = (
    sa.update(deliveries)
    .where(one_of(_known.action_id, "ids"))
    .values(**_FREED, queued=None, plan_id=None, reason=sa.bindparam("why"), updated_at=sa.bindparam("now"))
)
_LEFT = sa.select(_known.state, sa.func.count()).where(_HERE, _known.queued.in_(_OPENED)).group_by(_known.state)
_CHANGE: dict[str, Any] = {
    "state": sa.bindparam("to_state"),
    "reason": sa.bindparam("why"),
    "due": sa.bindparam("when_due"),
    "updated_at": sa.bindparam("now"),
}
# a worker that lost its lease says nothing about what another one is sending by now; no worker, no lease
_STILL = sa.update(deliveries).where(_NUMBERED, _MINE | (sa.bindparam("worker", type_=sa.Text) == ""))
_KEEP = _STILL.values(**_CHANGE)
_END = _STILL.values(**_CHANGE, **_FREED, queued=None)
_QUEUE = _STILL.values(**_CHANGE, **_FREED, queued=_known.plan_id)
# what the vendor has is true whoever holds the row by now
_references = pairs("references")
_acknowledge = sa.update(deliveries).values(
    **_CHANGE,
    **_FREED,
    queued=None,
    acknowledged_hash=_known.payload_hash,
    acknowledged_at=sa.bindparam("now"),
    first_tried=None,
)
_ACKNOWLEDGE = Prepared(
    _acknowledge.where(_known.seq == sa.cast(_references.c.key, _known.seq.type)).values(
        vendor_reference=_references.c.value
    )
)
# of rows with nothing between them, whose references are equally long: one after the other, as bytes
_at = (_known.seq - sa.bindparam("first")) * sa.bindparam("size") + sa.literal_column("1")
_ACKNOWLEDGE_ROW = Prepared(
    _acknowledge.where(_known.seq.between(sa.bindparam("first"), sa.bindparam("last"))).values(
        vendor_reference=sa.cast(
            sa.func.substr(sa.bindparam("references", type_=sa.LargeBinary), _at, sa.bindparam("size")), sa.Text
        )
    )
)
_ATTEMPT = (
    "attempt_id", "action_id", "destination", "attempt_number", "started_at", "finished_at", "outcome", "status_code",
    "reason",
)  # fmt: skip
_attempt = sa.select(
    # what is recorded about an attempt that has ended already (a read-back, a late answer) gets an id of its own
    _known.action_id
    + "-"
    + sa.cast(_known.attempt_count, sa.Text)
    + sa.case((_known.state == State.SENDING, ""), else_=sa.bindparam("mark", type_=sa.Text)),
    _known.action_id,
    _known.destination,
    _known.attempt_count,
    sa.case(
        (_known.state == State.SENDING, sa.func.coalesce(_known.started_at, _known.updated_at)),
        else_=sa.bindparam("now", type_=sa.DateTime),
    ),
    sa.bindparam("now", type_=sa.DateTime),
    sa.bindparam("to_state", type_=sa.Text),
    sa.bindparam("status", type_=sa.Integer),
    sa.bindparam("why", type_=sa.Text),
)


class Appending(Many):
    """Many, where the rows are those that a select finds."""

    def __init__(self) -> None:
        def inserted(condition: Any) -> Prepared:
            return Prepared(attempts.insert().from_select(_ATTEMPT, _attempt.where(condition)))

        self._listed = inserted(_NUMBERED)
        self._ranged = inserted(_known.seq.between(sa.bindparam("first"), sa.bindparam("last")))


_APPEND = Appending()
_START_PACE = {
    "sqlite": sqlite.insert(pace).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(pace).on_conflict_do_nothing(),
}
_BRING_FORWARD = sa.update(deliveries).where(_HERE, _known.due > 0.0).values(due=_known.due - sa.bindparam("set_back"))
_BUCKET = ("tokens", "filled_at", "paused_until", "paused_for", "failures", "openings")
_PACE = Prepared(
    sa.select(*[pace.c[name] for name in _BUCKET]).where(pace.c.destination == sa.bindparam("here")).with_for_update()
)
_SET_PACE = Prepared(
    sa.update(pace)
    .where(pace.c.destination == sa.bindparam("here"))
    .values({name: sa.bindparam(f"to_{name}") for name in _BUCKET})
)


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
        found = _PACE.rows(self._connection, here)
        if not found:
            # two workers may come here first at once; PostgreSQL lets the second wait and then do nothing
            full = {"destination": self._destination, "tokens": float(rate.burst), "filled_at": wall}
            self._connection.execute(_START_PACE[self._connection.dialect.name], [full])
            found = _PACE.rows(self._connection, here)
        ((tokens, filled_at, paused_until, paused_for, failures, openings_in_a_row),) = found
        tokens = rate.refilled(tokens, filled_at, wall)
        set_back = filled_at - wall
        if set_back < LEASE_SECONDS:  # clocks of several machines differ by less
            return Pace(tokens, paused_until, paused_for, failures, openings_in_a_row)
        # what was promised for a time on the clock as it stood would wait until the clock is there again
        self._connection.execute(_BRING_FORWARD, {**here, "set_back": set_back})
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
        _SET_PACE.run(self._connection, values)

    # Queue

    def claim(self, limit: int, wall: float) -> list[Claimed]:
        """Up to so many deliveries that are due and that nobody else holds, the most urgent first.

        They are this worker's once this transaction has noted either an intent or a hold for each of them. Of those
        that must arrive in order only the first is given out, until it has come to an end.
        """
        rows: list[Sequence[Any]] = []
        for (queue,) in _QUEUES.rows(self._connection, {"plan_id": self._plan_id}):
            here = {"queue": queue, "plan_id": self._plan_id, "here": self._destination, "wall": wall, "most": limit}
            found = _FIND.rows(self._connection, here)
            rows = sorted([*rows, *found], key=_URGENT)[:limit] if rows and found else [*rows, *found]
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
        _HOLD.run(self._connection, numbers, {"worker": self._worker})

    def stay(self, wall: float) -> None:
        """Hold on to what this worker holds; who holds something without being a worker is never taken for alive."""
        values = {"worker": self._worker, "lease_until": wall + LEASE_SECONDS if self._worker else 0.0}
        self._connection.execute(_STAY[self._connection.dialect.name], [values])

    def leave(self) -> None:
        """This worker holds nothing any more, and will not."""
        self._connection.execute(_LEAVE, {"me": self._worker})

    def release(self, numbers: Sequence[int]) -> None:
        """Give back what was claimed and not sent."""
        self._connection.execute(_RELEASE, {"numbers": listed(numbers), "worker": self._worker})

    def withdraw(self, withdrawn: Sequence[tuple[str, str]], now: datetime) -> None:
        """Take these out of the plan with a reason; their state stays what it is."""
        by_reason: dict[str, list[str]] = defaultdict(list)
        for action_id, reason in withdrawn:
            by_reason[reason].append(action_id)
        for reason, ids in by_reason.items():
            self._connection.execute(_WITHDRAW, {"ids": listed(ids), "why": reason, "now": now})

    def next_due(self, wall: float) -> float | None:
        """When the next of the queue falls due; None if it is empty."""
        here = {"plan_id": self._plan_id, "here": self._destination}
        if self._connection.execute(_IS_DUE, {**here, "wall": wall}).first() is not None:
            return wall  # most often; the search for the earliest of those that are not due reads the whole queue
        found: float | None = self._connection.execute(_NEXT_DUE, here).scalar()
        return found

    def left(self) -> dict[str, int]:
        """Per state, what this plan still has queued at this destination."""
        here = {"plan_id": self._plan_id, "here": self._destination}
        return {str(row[0]): int(row[1]) for row in self._connection.execute(_LEFT, here)}

    # What is in no ledger yet

    def unheard_of(self, actions: Sequence[Action]) -> list[Claimed]:
        """Those that the ledger has not heard of, as claimed, with the numbers that their rows will have.

        They are this worker's if this very transaction begins them.
        """
        if not actions:
            return []
        ids = {"ids": listed([action.action_id for action in actions])}
        known = {action_id for (action_id,) in _KNOWN.rows(self._connection, ids)}
        new = [action for action in actions if action.action_id not in known] if known else actions
        numbers: Iterable[int]
        if self._connection.dialect.name == "sqlite":
            last = int(self._connection.execute(_LAST).scalar() or 0)
            numbers = range(last + 1, last + 1 + len(new))
        else:
            drawn = self._connection.exec_driver_sql(_DRAWN, (len(new),))
            numbers = sorted(drawn.scalars())
        return [
            tuple.__new__(Claimed, (action, seq, False, True, 0, 0, None))
            for action, seq in zip(new, numbers, strict=True)
        ]

    def begin(self, new: Sequence[Claimed], now: datetime, wall: float) -> None:
        """Note that these, of which nobody heard before, are about to be sent."""
        self.stay(wall)
        values = {"plan_id": self._plan_id, "lease": self._worker}
        self._write(new, now, state=State.SENDING, attempt_count=1, tries=1, started_at=now, first_tried=wall, **values)

    def note(self, new: Sequence[Claimed], now: datetime) -> None:
        """Note that these, of which nobody heard before, were wanted; nobody is to send them."""
        self._write(new, now, state=State.PLANNED)

    def _write(self, new: Sequence[Claimed], now: datetime, **values: Any) -> None:
        shared = {"first_planned_at": now, "updated_at": now, "is_wanted": True, **values}
        write(self._connection, [item.seq for item in new], [item.action for item in new], shared)

    # Attempts

    def numbers(self, action_ids: Sequence[str]) -> dict[str, int]:
        """The rows of these actions."""
        rows = self._connection.execute(_NUMBERS, {"ids": listed(action_ids)})
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
            _INTEND.run(self._connection, new, values)
        if not old:
            return numbers
        mine = {**values, "numbers": listed(old), "worker": self._worker}
        return {*new, *(seq for (seq,) in _INTEND_MINE.rows(self._connection, mine))}

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
            _APPEND.run(self._connection, numbers, attempt)
            if state is State.ACKNOWLEDGED:
                self._acknowledge(numbers, [each.outcome.vendor_reference for each in alike], change)
                continue
            statement = _QUEUE if is_queued and state in OPEN_STATES else _END
            mine = {"numbers": listed(numbers), "worker": self._worker, **change}
            self._connection.execute(_KEEP if is_held else statement, mine)

    def arrived(self, requests: Sequence[Arrived], now: datetime) -> None:
        """Note that everything in these requests was taken; what `record` does, for many at once."""
        groups: dict[tuple[str, int | None], list[Arrived]] = defaultdict(list)
        for request in requests:
            groups[request.reason, request.status_code].append(request)
        mark = f"-at-{now:%Y%m%dT%H%M%S.%f}"
        state = str(State.ACKNOWLEDGED)
        for (reason, status), alike in groups.items():
            alike.sort(key=lambda request: request.numbers[0])
            numbers = list(chain.from_iterable([request.numbers for request in alike]))
            references = list(chain.from_iterable([request.references for request in alike]))
            attempt = {"now": now, "to_state": state, "status": status, "why": reason, "mark": mark}
            _APPEND.run(self._connection, numbers, attempt)
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
                _ACKNOWLEDGE_ROW.run(self._connection, {**row, **change})
                return
        by_number = dict(zip(numbers, references, strict=True))
        document = orjson.dumps(by_number, option=orjson.OPT_NON_STR_KEYS).decode()
        _ACKNOWLEDGE.run(self._connection, {"references": document, **change})
