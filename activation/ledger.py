"""The durable record of every delivery: intent committed before a send, outcome after it.

SQLite (WAL, synchronous=FULL, so that a commit survives a power cut) or PostgreSQL, through SQLAlchemy Core. To those
who read it, it is one row per action in `deliveries` (its present state and its place in the queue) and one row per
finished attempt in `attempts`, which is only ever added to. Most actions are kept with the request they went out in,
see `batches`, the others singly. What workers share beyond that, the pace of each destination, is in `pace`.

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

from activation import batches
from activation.actions import Action, Outcome, State
from activation.batches import Mark
from activation.enqueue import Enqueueing, known_singly, rows_of
from activation.plan import Entry
from activation.step import DIED_IN_FLIGHT, Result, Step
from activation.tables import (
    BATCHED,
    IS_OUT,
    IS_UNKNOWN,
    engine_for,
    listed,
    metadata,
    one_of,
    openings,
    single_attempts,
    singles,
    workers,
)
from activation.tables import batches as requests
from activation.workers import is_gone

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

__all__ = ["DIED_IN_FLIGHT", "Ledger", "Result", "metadata"]

CHUNK = 5_000
DELIVERED_AT_ONCE = 50_000
REWRITTEN_DAYS = 30  # of the run's clock
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
            self._truncate_log()
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

    def mark(self) -> Mark:
        """The present moment, to ask later what came into the ledger after it."""
        with self.reading() as connection:
            return batches.mark(connection)

    def snapshot(self) -> dict[str, Entry]:
        """Every action the ledger knows, by id."""
        with self.reading() as connection:
            found = {row.action_id: entry_of(row) for row in connection.execute(sa.select(singles))}
            return {**found, **dict(batches.entries(connection, sa.true()))}

    def entries(self, action_ids: Sequence[str]) -> dict[str, Entry]:
        """What is known about these, of those that are kept singly."""
        query = sa.select(singles).where(one_of(singles.c.action_id, "ids"))
        with self.reading() as connection:
            return {row.action_id: entry_of(row) for row in connection.execute(query, {"ids": listed(action_ids)})}

    def batched(self, since: Mark) -> dict[str, Entry]:
        """What is known about the actions in requests that were begun after a moment, or were out then."""
        with self.reading() as connection:
            return dict(batches.entries(connection, requests.c.batch_id > since.batch))

    def batched_ever(self, action_ids: Collection[str]) -> dict[str, Entry]:
        """The same about these actions, whenever they went out; it looks through all requests there ever were."""
        wanted = set(action_ids)
        with self.reading() as connection:
            numbers = batches.holding(connection, wanted)
            found = batches.entries(connection, requests.c.batch_id.in_(numbers)) if numbers else ()
            return {action_id: entry for action_id, entry in found if action_id in wanted}

    def known(self, action_ids: Sequence[str]) -> set[str]:
        """Those of these that the ledger keeps singly."""
        with self.reading() as connection:
            return known_singly(connection, action_ids)

    def single_ids(self) -> Iterator[Collection[str]]:
        """All that it keeps singly, some thousand at a time."""
        with self.reading() as connection:
            found = connection.execute(sa.select(singles.c.action_id), execution_options={"stream_results": True})
            yield from found.scalars().partitions(CHUNK)

    def unresolved(self) -> dict[str, Entry]:
        """What was sent and may have arrived."""
        with self.reading() as connection:
            # nobody sends anything unless there is a worker; an index says what else is open
            is_sent = connection.execute(sa.select(workers.c.worker).limit(1)).first() is not None
            states = singles.c.state.in_([State.SENDING, State.UNKNOWN]) if is_sent else IS_UNKNOWN
            query = sa.select(singles).where(states)
            found = {row.action_id: entry_of(row) for row in connection.execute(query)}
            return {**found, **(dict(batches.entries(connection, IS_OUT)) if is_sent else {})}

    def delivered(self) -> Iterator[str]:
        """All that was acknowledged, as texts of lines: the payload's hash, a tab, the action id.

        The database puts the lines together, because a million rows as objects would cost more than all that is done
        with them.
        """
        known = singles.c
        place = sa.tuple_(known.acknowledged_at, known.action_id)
        there = sa.select(known.acknowledged_at, known.action_id).where(
            known.state == sa.literal_column("'acknowledged'")
        )
        line = known.payload_hash + sa.literal_column("'\t'") + known.action_id
        lines = sa.select(sa.func.aggregate_strings(line, "\n")).where(
            known.state == sa.literal_column("'acknowledged'")
        )
        with self.reading() as connection:
            yield from batches.delivered(connection, DELIVERED_AT_ONCE)
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
        one_by_one = sa.select(singles.c.destination, singles.c.state, sa.literal_column("1").label("size"))
        is_whole = requests.c.state != batches.APART
        whole = sa.select(requests.c.destination, requests.c.state, requests.c.size).where(is_whole)
        both = sa.union_all(one_by_one, whole).subquery().c
        statement = sa.select(both.destination, both.state, sa.func.sum(both.size)).group_by(both[0], both[1])
        found: dict[str, dict[str, int]] = {}
        with self.reading() as connection:
            for row in connection.execute(statement.order_by(both[0], both[1])):
                found.setdefault(str(row[0]), {})[str(row[1])] = int(row[2])
        return found

    def latest(self) -> datetime | None:
        """When anything in it changed last, on the run's clock."""
        with self.reading() as connection:
            moments = connection.execute(
                sa.select(
                    sa.select(sa.func.max(singles.c.updated_at)).scalar_subquery(),
                    sa.select(sa.func.max(requests.c.started_at)).scalar_subquery(),
                    sa.select(sa.func.max(requests.c.finished_at)).scalar_subquery(),
                )
            ).one()
        return max((moment for moment in moments if moment is not None), default=None)

    def size(self) -> int:
        """How many deliveries it has; none is ever taken out."""
        whole = sa.select(sa.func.sum(requests.c.size)).where(requests.c.state != batches.APART)
        with self.reading() as connection:
            singly = connection.execute(sa.select(sa.func.count()).select_from(singles)).scalar()
            return int(singly or 0) + int(connection.execute(whole).scalar() or 0)

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
        since: Mark | None = None,
    ) -> None:
        """Note that these are wanted under a plan, before anything is sent; in a queue that waits for `open_queue`.

        Those already known keep their history. One that another worker settled in the meantime stays settled, unless
        `is_changed` says that its payload is another one now; one that is being sent is left to its worker. Of those
        that went out in a request this is true if it was begun after `since`, or is still out.
        """
        for chunk in _chunks(actions, CHUNK):
            with self.transaction() as connection:
                if is_changed:
                    singly = known_singly(connection, [each.action_id for each in chunk])
                    in_requests = [each.action_id for each in chunk if each.action_id not in singly]
                    batches.take_apart(connection, batches.holding(connection, in_requests))
                begun = requests.c.batch_id > since.batch if since is not None else IS_OUT
                gone = batches.ids(connection, begun)
                rows = rows_of(
                    [each for each in chunk if each.action_id not in gone], now,
                    plan_id=plan_id, queued=queue, order_key=order_key, is_wanted=is_wanted,
                )  # fmt: skip
                if rows:
                    self._enqueueing[is_changed].run(connection, rows)

    def open_queue(self, queue: str, plan_id: str, blocked: Collection[str] = ()) -> None:
        """Let the workers of a plan have what was enqueued there, except the blocked actions."""
        wall = time.time()
        with self.transaction() as connection:
            if blocked:
                mine = sa.update(singles).where(singles.c.queued == queue, singles.c.action.in_(blocked))
                connection.execute(mine.values(queued=None, plan_id=None))
            old = openings.c.opened_at < wall - OPENED_SECONDS
            connection.execute(sa.delete(openings).where(old | openings.c.queue.in_([queue, plan_id])))
            # the second is where what has to be tried again comes back
            names = sorted({queue, plan_id})
            rows = [{"queue": name, "plan_id": plan_id, "opened_at": wall} for name in names]
            connection.execute(openings.insert(), rows)

    def compact(self, now: datetime) -> None:
        """Rewrite the tables, so that nothing is left in them of what was erased. Nobody else can work meanwhile.

        What a PostgreSQL server keeps beside its tables (its log, its backups) is its owner's to dispose of.
        """
        if self.is_sqlite:
            with self.reading() as connection:
                connection.exec_driver_sql(f"pragma user_version = {now.toordinal()}")
                connection.exec_driver_sql("vacuum")
            self._truncate_log()
        else:
            self._vacuum("vacuum full")

    def tidy(self, now: datetime) -> None:
        """Let go of what was erased, without stopping those who work, except for a moment once in `REWRITTEN_DAYS`.

        SQLite overwrites what it erases, but where a row moved to another page before, the old one may hold a copy:
        such copies go when the file is rewritten. PostgreSQL keeps what was erased until something new is written over
        it. To rewrite its tables would lock them, so that is done when somebody is forgotten, or by their owner.
        """
        if not self.is_sqlite:
            self._vacuum("vacuum")
            return
        with self.reading() as connection:
            rewritten: int = connection.exec_driver_sql("pragma user_version").scalar_one()
        if 0 <= now.toordinal() - rewritten < REWRITTEN_DAYS:
            self._truncate_log()
        else:
            self.compact(now)

    def _truncate_log(self) -> None:
        with self.reading() as connection:
            connection.exec_driver_sql("pragma wal_checkpoint(truncate)")

    def _vacuum(self, how: str) -> None:
        alone = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT", only_reads=True)
        with alone as connection:
            for table in (singles, single_attempts, *BATCHED):
                connection.exec_driver_sql(f"{how} {table.name}")

    def waits_for_a_hand(self, plan_id: str) -> dict[str, int]:
        """Per destination, what is queued under this plan."""
        opened = sa.select(openings.c.queue).where(openings.c.plan_id == plan_id)
        query = sa.select(singles.c.destination, sa.func.count()).where(singles.c.queued.in_(opened))
        with self.reading() as connection:
            return {row[0]: row[1] for row in connection.execute(query.group_by(singles.c.destination))}

    def heal(self, now: datetime, wall: float | None = None) -> int:
        """Take back what dead workers held; the number of actions whose outcome became unknown by it.

        A worker of this machine is dead when its process is; one of another machine when its lease has run out.
        """
        wall = time.time() if wall is None else wall
        held = singles.c
        with self.reading() as connection:  # most often there is nothing, and looking takes no lock
            leases = connection.execute(sa.select(workers)).all()
        dead = [row.worker for row in leases if row.lease_until < wall or is_gone(row.worker)]
        if not dead:
            return 0
        lost = held.lease.in_(dead)
        with self.transaction() as connection:
            out = sa.select(requests.c.batch_id).where(requests.c.worker.in_(dead), IS_OUT)
            batches.take_apart(connection, connection.execute(out).scalars().all())
            stuck = connection.execute(sa.select(singles).where(lost & (held.state == State.SENDING))).all()
            if stuck:
                connection.execute(single_attempts.insert(), [died(row, now) for row in stuck])
            change = sa.update(singles).where(lost)
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
