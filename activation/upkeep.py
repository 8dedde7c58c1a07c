"""What people do with the ledger: look at dead letters, retry or drop them, forget a customer, watch its health."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
import sqlalchemy as sa

from activation import batches
from activation.actions import DEAD_LETTERS, DOUBT, OPEN_STATES, State
from activation.batches import NOTHING
from activation.tables import IS_OUT, listed, one_of, single_attempts, singles
from activation.tables import batches as requests

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from datetime import datetime

    from activation.actions import Action
    from activation.ledger import Ledger
    from activation.tally import Tally

ERASED = "erased"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A delivery that does not go on by itself, with the vendor's words."""

    action_id: str
    destination: str
    action: str
    customer_id: str
    state: str
    reason: str
    attempt_count: int
    updated_at: datetime


def dead_letters(ledger: Ledger, destination: str | None = None, limit: int | None = None) -> list[DeadLetter]:
    """The dead letters, the latest first."""
    names = DeadLetter.__dataclass_fields__
    query = sa.select(*[singles.c[name] for name in names]).where(singles.c.state.in_(DEAD_LETTERS))
    if destination is not None:
        query = query.where(singles.c.destination == destination)
    query = query.order_by(singles.c.updated_at.desc(), singles.c.action_id).limit(limit)
    with ledger.reading() as connection:
        return [DeadLetter(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - the public name of a mapping


def retry(ledger: Ledger, action_ids: Collection[str], now: datetime) -> int:
    """Let these be sent again by the next sync that still wants them; how many there were.

    A letter whose outcome was never known goes back to that, so that it is resolved before it is sent again.
    """
    was_unknown = singles.c.reason.endswith(DOUBT)
    return _change(
        ledger,
        action_ids,
        now,
        DEAD_LETTERS,
        state=sa.case((was_unknown, str(State.UNKNOWN)), else_=str(State.WAITING)),
        given_up_at=singles.c.attempt_count,
        first_tried=None,
        tries=0,
        due=0.0,
        reason="A person asked for another try.",
    )


def drop(ledger: Ledger, action_ids: Collection[str], now: datetime) -> int:
    """Never send these payloads again; how many there were."""
    reason = sa.literal("Dropped by hand. ") + singles.c.reason
    return _change(ledger, action_ids, now, DEAD_LETTERS, state=State.DROPPED, reason=reason)


def forget(ledger: Ledger, customer_id: str, now: datetime) -> int:
    """Erase what the ledger holds about a customer except that something was sent; the number of deliveries.

    Payloads, their hashes, vendors' references and words go; what was still to be sent is dropped. In SQLite the file
    is rewritten, so that no bytes of it are left.
    """
    return forget_matching(ledger, now, lambda customer, _texts: customer == customer_id)


def forget_matching(ledger: Ledger, now: datetime, is_theirs: Callable[[str, Sequence[str]], bool]) -> int:
    """The same for deliveries that `is_theirs` says yes to, by the customer and all texts that may name a person."""
    known = singles.c
    said = [known.payload, known.reason, known.vendor_reference, known.order_key]
    with ledger.transaction() as connection:
        whole = [
            row.batch_id
            for row, actions in batches.found(connection, sa.true())
            if any(is_theirs(each.customer_id, said) for each, said in _said_of(row, actions))
        ]
        batches.take_apart(connection, whole)
        words: dict[str, list[str]] = {}
        for attempt in connection.execute(sa.select(single_attempts.c.action_id, single_attempts.c.reason)):
            words.setdefault(attempt[0], []).append(attempt[1])
        ids = []
        for row in connection.execute(sa.select(known.action_id, known.customer_id, *said)):
            texts = [text for text in (*row[2:], *words.get(row[0], ())) if text]
            if is_theirs(row[1], texts):
                ids.append(row[0])
        some = {"ids": listed(ids)}
        connection.execute(
            sa.update(single_attempts).where(one_of(single_attempts.c.action_id, "ids")).values(reason=ERASED), some
        )
        erasing = (
            sa.update(singles)
            .where(one_of(known.action_id, "ids"))
            .values(
                payload=NOTHING,
                payload_hash=ERASED,
                order_key=None,
                vendor_reference=None,
                reason="The customer was forgotten.",
                acknowledged_hash=sa.case((known.acknowledged_hash.is_not(None), ERASED)),
                state=sa.case((known.state == State.ACKNOWLEDGED, known.state), else_=State.DROPPED),
                queued=None,
                lease=None,
                updated_at=now,
            )
        )
        connection.execute(erasing, some)
    ledger.compact(now)
    return len(ids)


def _said_of(row: Any, actions: Sequence[Action]) -> Iterator[tuple[Action, list[str]]]:
    """Each action of a request, with the texts about it that may name a person."""
    names = orjson.loads(row.vendor_references) if row.vendor_references else [None] * len(actions)
    for each, name in zip(actions, names, strict=True):
        yield each, [text for text in (each.payload, row.reason, name) if text]


def expire(ledger: Ledger, before: datetime, now: datetime) -> int:
    """Erase the payloads of what was settled before an instant; how many there were.

    Their hashes stay, so that a plan knows as well as before what was delivered and what has changed since. Dead
    letters that nobody decided on in all that time cannot be tried again without a payload: they are dropped. So is
    what was still to be sent, if the time in which it could be is over for as long: nobody wants it any more.
    """
    known = singles.c
    rests = known.lease.is_(None) & (known.updated_at < before) & (known.payload != NOTHING)
    is_old = rests & known.queued.is_(None) & known.state.not_in(OPEN_STATES)
    dropped = 0
    with ledger.transaction() as connection:
        for which, why in (
            (is_old & known.state.in_(DEAD_LETTERS), "Nobody decided on it in time. "),
            (rests & known.state.in_(OPEN_STATES) & (known.expires_at < before), "Its time was over long ago. "),
        ):
            said = sa.literal(why) + known.reason
            erased = {"payload": NOTHING, "state": State.DROPPED, "queued": None, "reason": said, "updated_at": now}
            dropped += connection.execute(sa.update(singles).where(which).values(erased)).rowcount
        settled = connection.execute(sa.update(singles).where(is_old).values(payload=NOTHING)).rowcount
        settled += batches.erase_payloads(connection, before)
    if dropped + settled:
        ledger.tidy(now)
    return dropped + settled


@dataclass(frozen=True, slots=True)
class Health:
    """What is stuck: dead letters, and how long the oldest delivery has been tried without an end, in seconds."""

    dead: int
    open: int
    oldest_seconds: float


def health(ledger: Ledger, wall: float, now: datetime) -> Health:
    """The ledger's health at this moment, on the machine's clock and on the run's; what is too late is not stuck."""
    known = singles.c
    is_open = known.state.in_(OPEN_STATES) & (known.expires_at.is_(None) | (known.expires_at > now))
    query = sa.select(
        sa.func.count().filter(known.state.in_(DEAD_LETTERS)),
        sa.func.count().filter(is_open),
        sa.func.min(known.first_tried).filter(is_open),
    )
    with ledger.reading() as connection:
        row: Any = connection.execute(query).one()
        out: Any = connection.execute(
            sa.select(sa.func.coalesce(sa.func.sum(requests.c.size), 0), sa.func.min(requests.c.tried_at)).where(IS_OUT)
        ).one()
    since = min((moment for moment in (row[2], out[1]) if moment is not None), default=wall)
    return Health(row[0], row[1] + out[0], max(wall - since, 0.0))


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on somebody is told: the share of failures in a run, dead letters in all, and hours without an end."""

    failure_share: float = 0.1
    dead_letters: int = 50
    age_hours: float = 24.0


def alarms(tallies: Sequence[Tally], found: Health, thresholds: Thresholds) -> list[str]:
    """What somebody should be told, a sentence each."""
    said: list[str] = []
    for tally in tallies:
        failed = tally.rejected + tally.dead
        ended = failed + tally.acknowledged
        if ended and failed / ended > thresholds.failure_share:
            said.append(
                f"{tally.destination} refused {failed:,} of {ended:,} deliveries"
                + (f", most often with: {tally.commonest_reason}" if tally.commonest_reason else ".")
            )
        if tally.stopped:
            said.append(f"{tally.destination} was left alone: {tally.stopped}")
    if found.dead > thresholds.dead_letters:
        said.append(f"{found.dead:,} dead letters wait for a decision: `lifecycle dead list`.")
    if found.oldest_seconds > thresholds.age_hours * 3600:
        said.append(f"The oldest open delivery has been tried for {found.oldest_seconds / 3600:.0f} hours.")
    return said


def _change(
    ledger: Ledger, action_ids: Collection[str], now: datetime, states: Sequence[State], **values: object
) -> int:
    some = one_of(singles.c.action_id, "ids") & singles.c.state.in_(states)
    with ledger.transaction() as connection:
        change = sa.update(singles).where(some).values(updated_at=now, **values)
        return connection.execute(change, {"ids": listed(sorted(set(action_ids)))}).rowcount
