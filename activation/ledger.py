"""The durable record of every delivery: intent committed before a send, outcome after it.

SQLite (WAL, synchronous=FULL, so that a commit survives a power cut) or PostgreSQL, through SQLAlchemy Core. One row
per action in `deliveries` (its present state and its place in the queue), one row per finished attempt in `attempts`,
which is only ever appended to. What workers share beyond that, the pace of each destination, is in `pace`.

A worker holds what it works on by a lease. One that dies between send and outcome leaves the state `sending`; `heal`
turns that into `unknown`, because nobody can know whether the vendor got it.

Times are naive UTC on the run's clock (as_of or later); what is a promise to a vendor or another worker (`due`, leases,
the pace) is on the wall clock, in unix seconds.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from activation.actions import Action, Outcome, State
from activation.enqueue import Enqueueing, rows_of
from activation.plan import Entry
from activation.step import DIED_IN_FLIGHT, Result, Step
from activation.tables import (
    IS_UNKNOWN,
    attempts,
    deliveries,
    engine_for,
    is_gone,
    listed,
    metadata,
    one_of,
    openings,
    workers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

__all__ = ["DIED_IN_FLIGHT", "Ledger", "Result", "metadata"]

CHUNK = 5_000
DELIVERED_AT_ONCE = 50_000
OPENED_SECONDS = 7 * 86400.0  # for how long it is remembered that a queue was opened; no run takes that long


class Ledger:
    """The ledger behind a path (SQLite) or a database address; every method is one transaction.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: if it cannot be opened, is locked for more than 30 seconds, or the disk is full.
            Nothing was sent in that case: the intent comes first.
    """

    def __init__(self, where: Path | str) -> None:
        self.path = where if isinstance(where, Path) else Path(str(sa.make_url(where).database))
        self._engine = engine_for(f"sqlite:///{where}" if isinstance(where, Path) else where)
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        dialect = self._engine.dialect
        self._enqueueing = {changed: Enqueueing(dialect, is_changed=changed) for changed in (False, True)}

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        if self.is_sqlite:
            with self.reading() as connection:
                connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
        self._engine.dispose()

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Writes that are committed together."""
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A look that holds up nobody."""
        with self._engine.connect().execution_options(only_reads=True) as connection:
            yield connection

    @contextmanager
    def step(self, destination: str, worker: str, plan_id: str) -> Iterator[Step]:
        """What a worker does with its destination's queue at once; see Step."""
        with self._engine.begin() as connection:
            yield Step(connection, destination, worker, plan_id)

    # What is known

    def snapshot(self) -> dict[str, Entry]:
        """Every action the ledger knows, by id."""
        with self.reading() as connection:
            return {row.action_id: entry_of(row) for row in connection.execute(sa.select(deliveries))}

    def entries(self, action_ids: Sequence[str]) -> dict[str, Entry]:
        """What is known about these."""
        query = sa.select(deliveries).where(one_of(deliveries.c.action_id, "ids"))
        with self.reading() as connection:
            return {row.action_id: entry_of(row) for row in connection.execute(query, {"ids": listed(action_ids)})}

    def known(self, action_ids: Sequence[str]) -> set[str]:
        """Those of these that the ledger has heard of."""
        query = sa.select(deliveries.c.action_id).where(one_of(deliveries.c.action_id, "ids"))
        with self.reading() as connection:
            return set(connection.execute(query, {"ids": listed(action_ids)}).scalars())

    def unresolved(self) -> dict[str, Entry]:
        """What was sent and may have arrived."""
        with self.reading() as connection:
            # nobody sends anything unless there is a worker; an index says what else is open
            is_sent = connection.execute(sa.select(workers.c.worker).limit(1)).first() is not None
            states = deliveries.c.state.in_([State.SENDING, State.UNKNOWN]) if is_sent else IS_UNKNOWN
            query = sa.select(deliveries).where(states)
            return {row.action_id: entry_of(row) for row in connection.execute(query)}

    def delivered(self) -> Iterator[str]:
        """All that was acknowledged, as texts of lines: the payload's hash, a tab, the action id.

        The database puts the lines together, because a million rows as objects would cost more than all that is done
        with them.
        """
        known = deliveries.c
        place = sa.tuple_(known.acknowledged_at, known.action_id)
        there = sa.select(known.acknowledged_at, known.action_id).where(
            known.state == sa.literal_column("'acknowledged'")
        )
        line = known.payload_hash + sa.literal_column("'\t'") + known.action_id
        lines = sa.select(sa.func.aggregate_strings(line, "\n")).where(
            known.state == sa.literal_column("'acknowledged'")
        )
        with self.reading() as connection:
            last: Any = None
            while True:
                after = place > sa.tuple_(*last) if last else sa.true()
                query = there.where(after).order_by(*place.clauses)
                end = connection.execute(query.offset(DELIVERED_AT_ONCE - 1).limit(1)).one_or_none()
                chunk: str | None = connection.execute(
                    lines.where(after, place <= sa.tuple_(*end) if end else sa.true())
                ).scalar()
                if chunk:
                    yield chunk
                if end is None:
                    return
                last = end

    def counts(self) -> dict[str, dict[str, int]]:
        """Actions per destination and state."""
        statement = (
            sa.select(deliveries.c.destination, deliveries.c.state, sa.func.count())
            .group_by(deliveries.c.destination, deliveries.c.state)
            .order_by(deliveries.c.destination, deliveries.c.state)
        )
        found: dict[str, dict[str, int]] = {}
        with self.reading() as connection:
            for row in connection.execute(statement):
                found.setdefault(str(row[0]), {})[str(row[1])] = int(row[2])
        return found

    def latest(self) -> datetime | None:
        """When anything in it changed last, on the run's clock."""
        with self.reading() as connection:
            found: datetime | None = connection.execute(sa.select(sa.func.max(deliveries.c.updated_at))).scalar()
        return found

    # The queue

    def enqueue(
        self,
        actions: Iterable[Action],
        now: datetime,
        plan_id: str | None = None,
        *,
        queue: str | None = None,
        order_key: Callable[[Action], str | None] = lambda _action: None,
        is_changed: bool = False,
        is_wanted: bool = True,
    ) -> None:
        """Note that these are wanted under a plan, before anything is sent; in a queue that waits for `open_queue`.

        Those already known keep their history. One that another worker settled in the meantime stays settled, unless
        `is_changed` says that its payload is another one now; one that is being sent is left to its worker.
        """
        for chunk in _chunks(actions, CHUNK):
            rows = rows_of(chunk, now, plan_id=plan_id, queued=queue, order_key=order_key, is_wanted=is_wanted)
            with self.transaction() as connection:
                self._enqueueing[is_changed].run(connection, rows)

    def open_queue(self, queue: str, plan_id: str, blocked: Collection[str] = ()) -> None:
        """Let the workers of a plan have what was enqueued there, except the blocked actions."""
        wall = time.time()
        with self.transaction() as connection:
            if blocked:
                mine = sa.update(deliveries).where(deliveries.c.queued == queue, deliveries.c.action.in_(blocked))
                connection.execute(mine.values(queued=None, plan_id=None))
            old = openings.c.opened_at < wall - OPENED_SECONDS
            connection.execute(sa.delete(openings).where(old | openings.c.queue.in_([queue, plan_id])))
            # the second is where what has to be tried again comes back
            names = sorted({queue, plan_id})
            rows = [{"queue": name, "plan_id": plan_id, "opened_at": wall} for name in names]
            connection.execute(openings.insert(), rows)

    def compact(self) -> None:
        """Rewrite the tables, so that nothing is left in them of what was erased.

        What a PostgreSQL server keeps beside its tables (its log, its backups) is its owner's to dispose of.
        """
        if self.is_sqlite:
            with self.reading() as connection:
                connection.exec_driver_sql("vacuum")
                connection.exec_driver_sql("pragma wal_checkpoint(truncate)")
            return
        alone = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT", only_reads=True)
        with alone as connection:
            for table in (deliveries, attempts):
                connection.exec_driver_sql(f"vacuum full {table.name}")

    def waits_for_a_hand(self, plan_id: str) -> dict[str, int]:
        """Per destination, what is queued under this plan."""
        opened = sa.select(openings.c.queue).where(openings.c.plan_id == plan_id)
        query = sa.select(deliveries.c.destination, sa.func.count()).where(deliveries.c.queued.in_(opened))
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(deliveries.c.destination))}

    def heal(self, now: datetime, wall: float | None = None) -> int:
        """Take back what dead workers held; the number of actions whose outcome became unknown by it.

        A worker of this machine is dead when its process is; one of another machine when its lease has run out.
        """
        wall = time.time() if wall is None else wall
        held = deliveries.c
        with self.reading() as connection:  # most often there is nothing, and looking takes no lock
            leases = connection.execute(sa.select(workers)).all()
        dead = [row.worker for row in leases if row.lease_until < wall or is_gone(row.worker)]
        if not dead:
            return 0
        lost = held.lease.in_(dead)
        with self.transaction() as connection:
            stuck = connection.execute(sa.select(deliveries).where(lost & (held.state == State.SENDING))).all()
            if stuck:
                connection.execute(attempts.insert(), [died(row, now) for row in stuck])
            change = sa.update(deliveries).where(lost)
            freed: Mapping[str, Any] = {"lease": None, "queued": held.plan_id}
            connection.execute(
                change.where(held.state == State.SENDING).values(
                    state=State.UNKNOWN, reason=DIED_IN_FLIGHT, updated_at=now, **freed
                )
            )
            connection.execute(change.where(held.lease.is_not(None)).values(**freed))
            connection.execute(sa.delete(workers).where(workers.c.worker.in_(dead)))
        return len(stuck)

    # One at a time, for those who do without a queue

    def intend(self, actions: Sequence[Action], now: datetime) -> None:
        """Commit that these are about to be sent, as they were enqueued.

        Raises:
            LookupError: if an action was not enqueued before.
        """
        with self.step("", "", "") as step:
            found = step.numbers([action.action_id for action in actions])
            missing = len(actions) - len(found)
            if missing:
                raise LookupError(f"{missing} action(s) were to be sent without having been enqueued.")
            step.intend(list(found.values()), now, 0.0)

    def record(self, results: Sequence[Result], now: datetime) -> None:
        """Commit what became of these attempts, and append one row for each."""
        with self.step("", "", "") as step:
            found = step.numbers([result.action.action_id for result in results])
            step.record([each._replace(seq=found[each.action.action_id]) for each in results], now)


def died(row: Any, now: datetime) -> dict[str, Any]:
    """The attempt of a worker that did not live to record it."""
    outcome = Outcome.unknown(DIED_IN_FLIGHT)
    started = row.started_at or row.updated_at
    return {
        "attempt_id": f"{row.action_id}-{row.attempt_count}",
        "action_id": row.action_id,
        "destination": row.destination,
        "attempt_number": row.attempt_count,
        "started_at": started,
        "finished_at": max(now, started),
        "outcome": str(outcome.state),
        "status_code": None,
        "reason": outcome.reason,
    }


def entry_of(row: Any) -> Entry:
    """A row as plan knows it."""
    return Entry(
        action=Action(
            action_id=row.action_id,
            destination=row.destination,
            object=row.object,
            action=row.action,
            customer_id=row.customer_id,
            occurrence_id=row.occurrence_id,
            occurred_at=row.occurred_at,
            expires_at=row.expires_at,
            priority=row.priority,
            payload=row.payload,
            digest=row.payload_hash,
        ),
        state=State(row.state),
        payload_hash=row.payload_hash,
        acknowledged_hash=row.acknowledged_hash,
        attempt_count=row.attempt_count,
        reason=row.reason,
    )


def _chunks(things: Iterable[Action], size: int) -> Iterator[Collection[Action]]:
    left = iter(things)
    while chunk := list(islice(left, size)):
        yield chunk
