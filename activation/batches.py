"""Requests of what nobody heard of before, each kept whole: its actions in one row, its outcome in another.

Most of what is ever sent is sent once, in a request that is taken as a whole, and never looked at again one by one.
What is does not stay in its request: that is taken apart into rows of their own, as if each had been written on its
own from the start. So requests that are still out, and those that came to something else than being taken, need no
rules of their own: after a crash, a refusal, or when somebody is forgotten, they are taken apart first.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
import sqlalchemy as sa

from activation.actions import Action, State
from activation.enqueue import write
from activation.plan import Entry
from activation.prepared import Prepared, as_text
from activation.tables import IS_OUT, batches, contents, listed, one_of, references, single_attempts, singles

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

APART = "apart"  # the state of a request whose deliveries stand on their own by now
NOTHING = "{}"  # the payload that is left of an erased one
READ_AT_ONCE = 100  # requests
_STREAM = {"stream_results": True, "max_row_buffer": READ_AT_ONCE}
_ALL = (
    sa.select(batches, contents.c.facts, contents.c.payloads, references.c.vendor_references)
    .join(contents, contents.c.batch_id == batches.c.batch_id)
    .outerjoin(references, references.c.batch_id == batches.c.batch_id)
)
_LAST = Prepared(sa.select(sa.func.coalesce(sa.func.max(batches.c.batch_id), 0)))
_FIRST_OUT = Prepared(sa.select(sa.func.min(batches.c.batch_id)).where(IS_OUT))
_LAST_SINGLE = Prepared(sa.select(sa.func.coalesce(sa.func.max(singles.c.seq), 0)))
_HEARD_SINGLY = Prepared(
    sa.select(singles.c.action_id).where(
        singles.c.seq > sa.bindparam("single"), singles.c.destination == sa.bindparam("here")
    )
)
_HEARD = Prepared(
    sa.select(contents.c.lines)
    .join(batches, batches.c.batch_id == contents.c.batch_id)
    .where(contents.c.batch_id > sa.bindparam("batch"), batches.c.destination == sa.bindparam("here"))
)
_BEGIN = Prepared(
    batches.insert().values(
        {name: sa.bindparam(name) for name in ("batch_id", "destination", "size", "started_at", "tried_at", "plan_id")}
        | {"state": sa.literal_column("'sending'"), "worker": sa.bindparam("by")}
    )
)
_FILL = Prepared(contents.insert().values({column.name: sa.bindparam(column.name) for column in contents.columns}))
_OUT = Prepared(sa.select(batches.c.batch_id).where(one_of(batches.c.batch_id, "ids"), IS_OUT))
_END = Prepared(
    sa.update(batches)
    .where(batches.c.batch_id == sa.bindparam("number"), IS_OUT)
    .values(
        state=sa.literal_column("'acknowledged'"),
        finished_at=sa.bindparam("now"),
        reason=sa.bindparam("why"),
        status_code=sa.bindparam("status"),
    )
)
_REFER = Prepared(references.insert().values({column.name: sa.bindparam(column.name) for column in references.columns}))


class Mark(NamedTuple):
    """A moment in the life of a ledger: all that is kept singly up to one number, and in requests up to another."""

    single: int = 0
    batch: int = 0


BEGINNING = Mark()


class Batch(NamedTuple):
    """A request with its actions, and what else is known about it: a row of the three tables together."""

    row: Any
    actions: list[Action]


def mark(connection: sa.Connection) -> Mark:
    """This moment. Requests that are out are none of what lies before it."""
    # in this order: others go on meanwhile, and what they begin or take apart must lie after it
    ((single,),) = _LAST_SINGLE.rows(connection, {})
    ((last,),) = _LAST.rows(connection, {})
    ((out,),) = _FIRST_OUT.rows(connection, {})
    return Mark(single, last if out is None else min(last, out - 1))


def heard_since(connection: sa.Connection, since: Mark, destination: str) -> tuple[set[str], Mark]:
    """The actions for a destination that came into the ledger after a moment, and the present one.

    In a transaction that writes, what it wrote itself included.
    """
    ((single,),) = _LAST_SINGLE.rows(connection, {})
    ((last,),) = _LAST.rows(connection, {})
    heard: set[str] = set()
    if single > since.single:
        found = _HEARD_SINGLY.rows(connection, {"single": since.single, "here": destination})
        heard.update([action_id for (action_id,) in found])
    if last > since.batch:
        for (lines,) in _HEARD.rows(connection, {"batch": since.batch, "here": destination}):
            heard.update(_ids(lines))
    return heard, Mark(single, last)


def begin(
    connection: sa.Connection,
    destination: str,
    worker: str,
    plan_id: str,
    requests: Sequence[Sequence[Action]],
    now: datetime,
    wall: float,
) -> list[int]:
    """Note that these requests, of whose actions nobody heard before, are about to be sent; their numbers."""
    ((last,),) = _LAST.rows(connection, {})
    numbers = list(range(last + 1, last + 1 + len(requests)))
    shared = {"destination": destination, "by": worker, "plan_id": plan_id, "started_at": now, "tried_at": wall}
    begun: list[dict[str, Any]] = []
    filled: list[dict[str, Any]] = []
    for number, actions in zip(numbers, requests, strict=True):
        keys, _, *known, occurred, expires, priorities, payloads, digests = zip(*actions, strict=True)
        written = {moment: as_text(moment) for moment in {*occurred, *expires}}  # many are the same
        moments = [[written[moment] for moment in column] for column in (occurred, expires)]
        if not all(digests):
            digests = tuple([action.payload_hash for action in actions])
        begun.append({"batch_id": number, "size": len(actions), **shared})
        content = {
            "batch_id": number,
            "lines": "\n".join(map("\t".join, zip(digests, keys, strict=True))),
            "facts": orjson.dumps(list(zip(keys, digests, *known, *moments, priorities, strict=True))).decode(),
            "payloads": orjson.dumps(payloads).decode(),
        }
        filled.append(content)
    _BEGIN.run_each(connection, begun)
    _FILL.run_each(connection, filled)
    return numbers


def end(
    connection: sa.Connection, taken: Sequence[tuple[int, Sequence[str | None], str, int | None]], now: datetime
) -> set[int]:
    """Note that the vendor has all of these requests: number, its names for the actions, its words and status.

    Returns those that are not out any more, because somebody has taken them apart.
    """
    if not taken:
        return set()
    out = {number for (number,) in _OUT.rows(connection, {"ids": listed([each[0] for each in taken])})}
    mine = [each for each in taken if each[0] in out]
    _END.run_each(connection, [{"number": each[0], "now": now, "why": each[2], "status": each[3]} for each in mine])
    named = [
        {"batch_id": number, "vendor_references": orjson.dumps(names).decode()}
        for number, names, *_ in mine
        if any(name is not None for name in names)
    ]
    _REFER.run_each(connection, named)
    return {each[0] for each in taken}.difference(out)


def take_apart(connection: sa.Connection, numbers: Collection[int]) -> None:
    """Give each delivery of these requests a row of its own, with all that is known about it."""
    for row in connection.execute(_ALL.where(one_of(batches.c.batch_id, "ids")), {"ids": listed(numbers)}).all():
        number, actions = row.batch_id, _actions(row)
        known: dict[str, Any] = {
            "state": row.state,
            "attempt_count": 1,
            "tries": 1,
            "first_planned_at": row.started_at,
            "started_at": row.started_at,
            "updated_at": row.finished_at or row.started_at,
            "is_wanted": True,
            "plan_id": row.plan_id,
            "reason": row.reason,
        }
        if row.state == State.SENDING:
            write(connection, actions, {**known, "first_tried": row.tried_at, "lease": row.worker})
        else:
            _write_ended(connection, row, actions, {**known, "acknowledged_at": row.finished_at})
        for table in (contents, references):
            connection.execute(sa.delete(table).where(table.c.batch_id == number))
        connection.execute(sa.update(batches).where(batches.c.batch_id == number).values(state=APART))


def _write_ended(connection: sa.Connection, row: Any, actions: list[Action], known: dict[str, Any]) -> None:
    seqs = write(connection, actions, known)
    change = (
        sa.update(singles)
        .where(singles.c.seq == sa.bindparam("seq_of"))
        .values(acknowledged_hash=singles.c.payload_hash, vendor_reference=sa.bindparam("name"))
    )
    names = orjson.loads(row.vendor_references) if row.vendor_references else [None] * len(actions)
    connection.execute(change, [{"seq_of": seq, "name": name} for seq, name in zip(seqs, names, strict=True)])
    attempt = {
        "destination": row.destination,
        "attempt_number": 1,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "outcome": row.state,
        "status_code": row.status_code,
        "reason": row.reason,
    }
    tried = [{"attempt_id": f"{each.action_id}-1", "action_id": each.action_id, **attempt} for each in actions]
    connection.execute(single_attempts.insert(), tried)


def found(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Iterator[Batch]:
    """The requests of which this is true, except those that were taken apart."""
    query = _ALL.where(condition).order_by(batches.c.batch_id)
    for row in connection.execute(query, execution_options=_STREAM):
        yield Batch(row, _actions(row))


def ids(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> set[str]:
    """The actions in the requests of which this is true."""
    query = sa.select(contents.c.lines).join(batches, batches.c.batch_id == contents.c.batch_id).where(condition)
    return {action_id for lines in connection.execute(query).scalars() for action_id in _ids(lines)}


def entries(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> Iterator[tuple[str, Entry]]:
    """What is known about the actions in the requests of which this is true, by action id."""
    for row, actions in found(connection, condition):
        state = State(row.state)
        for each in actions:
            acknowledged = each.digest if state is State.ACKNOWLEDGED else None
            yield each.action_id, Entry(each, state, each.digest, acknowledged, 1, row.reason)


def delivered(connection: sa.Connection, at_once: int) -> Iterator[str]:
    """All that was acknowledged in a request, as texts of some so many lines, see `Ledger.delivered`."""
    query = (
        sa.select(batches.c.size, contents.c.lines)
        .join(contents, contents.c.batch_id == batches.c.batch_id)
        .where(batches.c.state == State.ACKNOWLEDGED)
    )
    texts: list[str] = []
    number = 0
    for size, lines in connection.execute(query, execution_options=_STREAM):
        texts.append(lines)
        number += size
        if number >= at_once:
            yield "\n".join(texts)
            texts, number = [], 0
    if texts:
        yield "\n".join(texts)


def holding(connection: sa.Connection, action_ids: Collection[str]) -> list[int]:
    """The requests that any of these actions are in. It looks through all of them."""
    wanted = set(action_ids)
    if not wanted:
        return []
    query = sa.select(contents.c.batch_id, contents.c.lines)
    rows = connection.execute(query, execution_options=_STREAM)
    return [number for number, lines in rows if not wanted.isdisjoint(_ids(lines))]


def erase_payloads(connection: sa.Connection, before: datetime) -> int:
    """Erase the payloads of what was acknowledged before an instant; of how many actions."""
    is_old = (batches.c.finished_at < before) & (batches.c.state == State.ACKNOWLEDGED)
    old = sa.select(batches.c.batch_id).where(is_old)
    is_left = contents.c.batch_id.in_(old) & contents.c.payloads.is_not(None)
    number = connection.execute(
        sa.select(sa.func.coalesce(sa.func.sum(batches.c.size), 0)).where(
            batches.c.batch_id.in_(sa.select(contents.c.batch_id).where(is_left))
        )
    ).scalar_one()
    connection.execute(sa.update(contents).where(is_left).values(payloads=None))
    return int(number)


def _ids(lines: str) -> list[str]:
    return [line.partition("\t")[2] for line in lines.split("\n")]


def _actions(row: Any) -> list[Action]:
    known: list[list[Any]] = orjson.loads(row.facts)
    payloads = orjson.loads(row.payloads) if row.payloads is not None else [NOTHING] * len(known)
    return [
        Action._make([
            facts[0], row.destination, *facts[2:6], datetime.fromisoformat(facts[6]), _moment(facts[7]), facts[8],
            payload, facts[1],
        ])
        for facts, payload in zip(known, payloads, strict=True)
    ]  # fmt: skip


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
