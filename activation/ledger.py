"""The durable record of every delivery: intent committed before a send, outcome after it.

SQLite in WAL mode with synchronous=FULL, through SQLAlchemy Core, so that a commit survives a power cut. One row per
action in `deliveries` (its present state), one row per finished attempt in `attempts`, which is only ever appended to.
A process that dies between send and outcome leaves the state `sending`; `heal` turns that into `unknown` in the next
run, because nobody can know whether the vendor got it.

Times are naive UTC on the run's clock (as_of or later), except `not_before`, which is a promise to a vendor and
therefore on the wall clock.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from activation.actions import Action, Outcome, State
from activation.plan import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

metadata = sa.MetaData()

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("action_id", sa.Text, primary_key=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("customer_id", sa.Text, nullable=False),
    sa.Column("occurrence_id", sa.Text, nullable=False),
    sa.Column("occurred_at", sa.DateTime, nullable=False),
    sa.Column("expires_at", sa.DateTime),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("payload_hash", sa.Text, nullable=False),
    sa.Column("acknowledged_hash", sa.Text),
    sa.Column("vendor_reference", sa.Text),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("attempt_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("first_planned_at", sa.DateTime, nullable=False),
    sa.Column("acknowledged_at", sa.DateTime),
    sa.Column("not_before", sa.DateTime),
    sa.Column("updated_at", sa.DateTime, nullable=False),
    sa.Index("deliveries_by_state", "destination", "state"),
)

attempts = sa.Table(
    "attempts",
    metadata,
    sa.Column("attempt_id", sa.Text, primary_key=True),
    sa.Column("action_id", sa.Text, nullable=False, index=True),
    sa.Column("destination", sa.Text, nullable=False),
    sa.Column("attempt_number", sa.Integer, nullable=False),
    sa.Column("started_at", sa.DateTime, nullable=False),
    sa.Column("finished_at", sa.DateTime, nullable=False),
    sa.Column("outcome", sa.Text, nullable=False),
    sa.Column("status_code", sa.Integer),
    sa.Column("reason", sa.Text, nullable=False),
)

DIED_IN_FLIGHT = "The run ended between the send and the record of its outcome."


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one attempt for one action. `is_send` is false where the vendor was only asked (read back)."""

    action: Action
    outcome: Outcome
    not_before: datetime | None = None
    is_send: bool = True


class Ledger:
    """The ledger in one file; every method is one transaction.

    Raises:
        sqlalchemy.exc.OperationalError: if the file cannot be opened, is locked for more than 30 seconds, or the
            disk is full. Nothing was sent in that case: the intent comes first.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})
        sa.event.listen(self._engine, "connect", _configure)
        sa.event.listen(self._engine, "begin", _begin_immediate)
        metadata.create_all(self._engine)
        path.chmod(0o600)  # payloads hold e-mail addresses

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        with self._engine.connect() as connection:
            connection.connection.cursor().execute("pragma wal_checkpoint(truncate)")
        self._engine.dispose()

    def snapshot(self) -> dict[str, Entry]:
        """Every action the ledger knows, by id."""
        with self._engine.connect() as connection:
            return {row.action_id: _entry(row) for row in connection.execute(sa.select(deliveries))}

    def heal(self, now: datetime) -> int:
        """Turn what a dead process left in `sending` into `unknown`; the number of such actions.

        Only call it while holding the run's lock: what looks stuck would otherwise be another process at work.
        """
        with self._transaction() as connection:
            stuck = connection.execute(sa.select(deliveries).where(deliveries.c.state == State.SENDING)).all()
            if stuck:
                connection.execute(
                    insert(attempts).on_conflict_do_nothing(),
                    [_attempt(row, row.updated_at, now, Outcome.unknown(DIED_IN_FLIGHT)) for row in stuck],
                )
                connection.execute(
                    sa.update(deliveries)
                    .where(deliveries.c.state == State.SENDING)
                    .values(state=State.UNKNOWN, reason=DIED_IN_FLIGHT, updated_at=now)
                )
        return len(stuck)

    def enqueue(self, actions: Iterable[Action], now: datetime) -> None:
        """Note that these are wanted, before anything is sent. Those already known keep their history."""
        rows = [
            {
                **_identity(action),
                "state": State.PLANNED,
                "payload": action.payload,
                "payload_hash": action.payload_hash,
                "first_planned_at": now,
                "updated_at": now,
            }
            for action in actions
        ]
        if rows:
            with self._transaction() as connection:
                connection.execute(insert(deliveries).on_conflict_do_nothing(), rows)

    def intend(self, actions: Sequence[Action], now: datetime) -> None:
        """Commit that these are about to be sent, with exactly these payloads.

        Raises:
            LookupError: if an action was not enqueued before.
        """
        statement = (
            sa.update(deliveries)
            .where(deliveries.c.action_id == sa.bindparam("id"))
            .values(
                state=State.SENDING,
                payload=sa.bindparam("sent_payload"),
                payload_hash=sa.bindparam("sent_hash"),
                expires_at=sa.bindparam("expiry"),
                attempt_count=deliveries.c.attempt_count + 1,
                not_before=None,
                updated_at=now,
            )
        )
        with self._transaction() as connection:
            done = connection.execute(
                statement,
                [
                    {
                        "id": action.action_id,
                        "sent_payload": action.payload,
                        "sent_hash": action.payload_hash,
                        "expiry": action.expires_at,
                    }
                    for action in actions
                ],
            )
            if done.rowcount != len(actions):
                raise LookupError(f"{len(actions) - done.rowcount} action(s) were sent without having been enqueued.")

    def record(self, results: Sequence[Result], now: datetime) -> None:
        """Commit what became of these attempts, and append one row for each."""
        with self._transaction() as connection:
            for result in results:
                row = connection.execute(
                    sa.select(deliveries).where(deliveries.c.action_id == result.action.action_id)
                ).one()
                connection.execute(
                    insert(attempts).on_conflict_do_nothing(),
                    [_attempt(row, row.updated_at if result.is_send else now, now, result.outcome, result.is_send)],
                )
                changes: dict[str, Any] = {
                    "state": result.outcome.state,
                    "reason": result.outcome.reason,
                    "not_before": result.not_before,
                    "updated_at": now,
                }
                if result.outcome.state is State.ACKNOWLEDGED:
                    changes |= {
                        "acknowledged_hash": row.payload_hash,
                        "acknowledged_at": now,
                        "vendor_reference": result.outcome.vendor_reference,
                    }
                connection.execute(
                    sa.update(deliveries).where(deliveries.c.action_id == result.action.action_id).values(changes)
                )

    def counts(self) -> dict[str, dict[str, int]]:
        """Actions per destination and state."""
        statement = (
            sa.select(deliveries.c.destination, deliveries.c.state, sa.func.count())
            .group_by(deliveries.c.destination, deliveries.c.state)
            .order_by(deliveries.c.destination, deliveries.c.state)
        )
        found: dict[str, dict[str, int]] = {}
        with self._engine.connect() as connection:
            for row in connection.execute(statement):
                found.setdefault(str(row[0]), {})[str(row[1])] = int(row[2])
        return found

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._engine.begin() as connection:
            yield connection


def _configure(raw: Any, _record: Any) -> None:
    # the driver must not open transactions by itself: `begin immediate` below takes the write lock up front, so that
    # two threads wait for each other instead of failing half-way
    raw.isolation_level = None
    cursor = raw.cursor()
    cursor.execute("pragma journal_mode = wal")
    cursor.execute("pragma synchronous = full")
    cursor.execute("pragma busy_timeout = 30000")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    connection.exec_driver_sql("begin immediate")


def _identity(action: Action) -> dict[str, Any]:
    return {
        "action_id": action.action_id,
        "destination": action.destination,
        "object": action.object,
        "action": action.action,
        "customer_id": action.customer_id,
        "occurrence_id": action.occurrence_id,
        "occurred_at": action.occurred_at,
        "expires_at": action.expires_at,
        "priority": action.priority,
    }


def _entry(row: Any) -> Entry:
    action = Action(
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
    )
    return Entry(
        action=action,
        state=State(row.state),
        payload_hash=row.payload_hash,
        acknowledged_hash=row.acknowledged_hash,
        attempt_count=row.attempt_count,
        reason=row.reason,
        not_before=row.not_before,
    )


def _attempt(
    row: Any, started_at: datetime, finished_at: datetime, outcome: Outcome, is_send: bool = True
) -> dict[str, Any]:
    return {
        "attempt_id": f"{row.action_id}-{row.attempt_count}" + ("" if is_send else "-read-back"),
        "action_id": row.action_id,
        "destination": row.destination,
        "attempt_number": row.attempt_count,
        "started_at": started_at,
        "finished_at": finished_at,
        "outcome": str(outcome.state),
        "status_code": outcome.status_code,
        "reason": outcome.reason,
    }
