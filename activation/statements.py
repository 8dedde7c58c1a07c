"""The statements of a step, see `step`: built once, because putting one together costs more than executing it."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from activation.actions import OPEN_STATES, State
from activation.prepared import Prepared, any_of
from activation.tables import listed, one_of, openings, pace, pairs, single_attempts, singles, workers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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


_known = singles.c
_NUMBERED = one_of(_known.seq, "numbers")
_MINE = _known.lease == sa.bindparam("worker")
_HERE = _known.destination == sa.bindparam("here")
_FREED = {"lease": None}
_earlier = singles.alias("earlier")
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
QUEUES = Prepared(_OPENED.order_by(openings.c.queue))
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
URGENT = operator.itemgetter(8, 6, 0)  # of such a row: priority, occurred_at, action_id
FIND = Prepared(
    sa.select(*[_known[name] for name in _CLAIMED], *_of_claimed)
    .where(_known.queued == sa.bindparam("queue"), _IS_NEXT, _known.due <= sa.bindparam("wall"))
    .order_by(_known.priority, _known.occurred_at, _known.action_id)
    .limit(sa.bindparam("most"))
)
NUMBERS = sa.select(_known.action_id, _known.seq).where(one_of(_known.action_id, "ids"))
HOLD = Many(sa.update(singles).values(lease=sa.bindparam("worker"), queued=None))
IS_DUE = sa.select(_known.action_id).where(_IS_FREE, _known.due <= sa.bindparam("wall")).limit(1)
NEXT_DUE = sa.select(sa.func.min(_known.due)).where(_IS_FREE)
_COME: dict[str, Any] = {"sqlite": sqlite.insert(workers), "postgresql": postgresql.insert(workers)}
STAY = {
    name: come.on_conflict_do_update(index_elements=["worker"], set_={"lease_until": come.excluded.lease_until})
    for name, come in _COME.items()
}
LEAVE = sa.delete(workers).where(workers.c.worker == sa.bindparam("me"))
RELEASE = sa.update(singles).where(_NUMBERED, _MINE).values(**_FREED, queued=_known.plan_id)
_intend = sa.update(singles).values(
    state=State.SENDING,
    attempt_count=_known.attempt_count + 1,
    tries=_known.tries + 1,
    started_at=sa.bindparam("now"),
    updated_at=sa.bindparam("now"),
    first_tried=sa.func.coalesce(_known.first_tried, sa.bindparam("wall")),
    lease=sa.bindparam("to_lease"),
    queued=None,
)
INTEND = Many(_intend)
INTEND_MINE = Prepared(_intend.where(_NUMBERED, _MINE).returning(_known.seq))
WITHDRAW = (
    sa.update(singles)
    .where(one_of(_known.action_id, "ids"))
    .values(**_FREED, queued=None, plan_id=None, reason=sa.bindparam("why"), updated_at=sa.bindparam("now"))
)
LEFT = sa.select(_known.state, sa.func.count()).where(_HERE, _known.queued.in_(_OPENED)).group_by(_known.state)
_CHANGE: dict[str, Any] = {
    "state": sa.bindparam("to_state"),
    "reason": sa.bindparam("why"),
    "due": sa.bindparam("when_due"),
    "updated_at": sa.bindparam("now"),
}
# a worker that lost its lease says nothing about what another one is sending by now; no worker, no lease
_STILL = sa.update(singles).where(_NUMBERED, _MINE | (sa.bindparam("worker", type_=sa.Text) == ""))
KEEP = _STILL.values(**_CHANGE)
END = _STILL.values(**_CHANGE, **_FREED, queued=None)
QUEUE = _STILL.values(**_CHANGE, **_FREED, queued=_known.plan_id)
# what the vendor has is true whoever holds the row by now
_references = pairs("references")
_acknowledge = sa.update(singles).values(
    **_CHANGE,
    **_FREED,
    queued=None,
    acknowledged_hash=_known.payload_hash,
    acknowledged_at=sa.bindparam("now"),
    first_tried=None,
)
ACKNOWLEDGE = Prepared(
    _acknowledge.where(_known.seq == sa.cast(_references.c.key, _known.seq.type)).values(
        vendor_reference=_references.c.value
    )
)
# of rows with nothing between them, whose references are equally long: one after the other, as bytes
_at = (_known.seq - sa.bindparam("first")) * sa.bindparam("size") + sa.literal_column("1")
ACKNOWLEDGE_ROW = Prepared(
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
            return Prepared(single_attempts.insert().from_select(_ATTEMPT, _attempt.where(condition)))

        self._listed = inserted(_NUMBERED)
        self._ranged = inserted(_known.seq.between(sa.bindparam("first"), sa.bindparam("last")))


APPEND = Appending()
START_PACE = {
    "sqlite": sqlite.insert(pace).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(pace).on_conflict_do_nothing(),
}
BRING_FORWARD = sa.update(singles).where(_HERE, _known.due > 0.0).values(due=_known.due - sa.bindparam("set_back"))
_BUCKET = ("tokens", "filled_at", "paused_until", "paused_for", "failures", "openings")
PACE = Prepared(
    sa.select(*[pace.c[name] for name in _BUCKET]).where(pace.c.destination == sa.bindparam("here")).with_for_update()
)
SET_PACE = Prepared(
    sa.update(pace)
    .where(pace.c.destination == sa.bindparam("here"))
    .values({name: sa.bindparam(f"to_{name}") for name in _BUCKET})
)
