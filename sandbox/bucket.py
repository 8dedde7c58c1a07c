"""The bucket: product events as Parquet by the day the collector received them, spend as one CSV file per day.

A file is written beside its final name and renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import csv
import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sandbox.world.catalog import BEHAVIOURS, CHANNEL_NAMES, CONTEXTS, TIME_ZONES
from sandbox.world.dates import date_text
from sandbox.world.parameters import DAY, HOUR
from sandbox.world.randomness import generator, message_ids
from sandbox.world.state import EVENT_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from sandbox.world.columns import Array
    from sandbox.world.day import Day, DayEvents
    from sandbox.world.state import World

DUPLICATE_SHARE = 0.003
"""Of all events: sent again with the same message id, hours or a day later."""
HOURS_LATE_SHARE, DAYS_LATE_SHARE = 0.025, 0.004

EVENTS_AT_ONCE = 20_000
"""How many events are collected before their partitions are written: enough rows for columns to be worth it."""

_INSTANTS = ("original_timestamp", "sent_at", "received_at", "timestamp")
_RECEIVED = _INSTANTS.index("received_at")
_SAID = [name for name in EVENT_SCHEMA.names if name not in _INSTANTS]
_NOTHING_SAID = EVENT_SCHEMA.empty_table().select(_SAID)
_EVENT_NAMES = pa.array([behaviour.event for behaviour in BEHAVIOURS])
_EVENT_PRODUCTS = pa.array([behaviour.product for behaviour in BEHAVIOURS])
_PROPERTIES = pa.array([text for behaviour in BEHAVIOURS for text in behaviour.properties])
_FIRST_PROPERTY = np.concatenate([[0], np.cumsum([len(behaviour.properties) for behaviour in BEHAVIOURS])[:-1]])
_HOURS = np.array(sorted(TIME_ZONES))
_CONTEXTS = pa.array(
    [
        # a server knows its own clock and not its caller's
        text if "analytics-node" in text else f'{text[:-1]},"timezone":"{TIME_ZONES[hours]}"}}'
        for text in CONTEXTS
        for hours in _HOURS.tolist()
    ]
)
_CONTEXT_OF_PRODUCT = {"editor": (0, 1), "esign": (1, 2), "api": (3, 3), "mobile": (4, 5)}
_FIRST_CONTEXT = np.array([_CONTEXT_OF_PRODUCT[behaviour.product][0] for behaviour in BEHAVIOURS])
_LAST_CONTEXT = np.array([_CONTEXT_OF_PRODUCT[behaviour.product][1] for behaviour in BEHAVIOURS])
_MOBILE = np.array([behaviour.product == "mobile" for behaviour in BEHAVIOURS])


@dataclass(frozen=True, slots=True)
class Names:
    """What people and accounts are called, by their positions in the world."""

    users: Array
    accounts: Array


@dataclass(slots=True)
class Events:
    """Events on their way: what they say (one row of `said` each) and when (microseconds since 1970, UTC).

    `said` holds the columns of `EVENT_SCHEMA` up to `context`; a message that was sent twice is two events that say
    the same. The instants are those of the specification, in the order in which they stand in `EVENT_SCHEMA`:
    timestamp = received_at - (sent_at - original_timestamp).
    """

    said: pa.Table
    which: Array
    instants: Array  # one row per event, one column per instant

    @property
    def received(self) -> Array:
        """When the collector received each event."""
        return np.asarray(self.instants[:, _RECEIVED])

    def table(self, rows: Array) -> pa.Table:
        """Some of the events, in the order given, with all columns of `EVENT_SCHEMA`."""
        table = self.said.take(pa.array(self.which[rows]))
        for name, column in zip(_INSTANTS, self.instants[rows].T, strict=True):
            table = table.append_column(name, pa.array(column, pa.int64()).cast(pa.timestamp("us")))
        return table.cast(EVENT_SCHEMA)


def _instants_of(table: pa.Table) -> Array:
    return np.stack([table[name].cast(pa.int64()).to_numpy() for name in _INSTANTS], axis=1)


def _sent(days: Sequence[DayEvents], names: Names, late: pa.Table) -> Events:
    """The late events, and then what was sent on each day, in the order of the days; repeated messages included."""
    contexts, which, instants = [], [np.arange(late.num_rows)], [_instants_of(late)]
    next_bulk = late.num_rows
    next_tracked = next_bulk + sum(day.in_bulk for day in days)
    for day in days:
        rng = generator(day.seed, day.number, "delivery")
        contexts.append(rng.random(day.in_bulk))
        at = np.array([event.at for event in day.tracked])
        is_mobile = np.zeros(len(at), "?")
        if day.usage:
            at = np.concatenate([day.usage.at, at])
            is_mobile = np.concatenate([_MOBILE[day.usage.behaviour], is_mobile])
        first = _journeys(rng, at, is_mobile)
        saying = np.concatenate([next_bulk + np.arange(day.in_bulk), next_tracked + np.arange(len(day.tracked))])
        again, later = _repeats(rng, len(at))
        copies = first[again]
        copies[:, _RECEIVED] += later
        which += [saying, saying[again]]
        instants += [first, copies]
        next_bulk += day.in_bulk
        next_tracked += len(day.tracked)
    said = pa.concat_tables([late.select(_SAID), _bulk(days, names, np.concatenate(contexts)), _tracked(days)])
    return Events(said.combine_chunks(), np.concatenate(which), np.concatenate(instants))


def _journeys(rng: np.random.Generator, at: Array, is_mobile: Array) -> Array:
    """When events that happened at some instants (unix seconds) were sent and received, by which clock."""
    n = len(at)
    delay = rng.gamma(1.5, 0.9, n)
    draw = rng.random(n) / np.where(is_mobile, 2.0, 1.0)
    delay = np.where(draw < HOURS_LATE_SHARE, rng.exponential(5 * HOUR, n), delay)
    delay = np.where(draw < DAYS_LATE_SHARE, rng.uniform(1, 6, n) * DAY, delay)
    skew = np.where(rng.random(n) < 0.01, rng.normal(0, 2 * HOUR, n), rng.normal(0, 1.5, n))
    received = at + delay
    instants = {
        "original_timestamp": at + skew, "sent_at": received + skew, "received_at": received, "timestamp": at,
    }  # fmt: skip
    seconds = np.stack([instants[name] for name in _INSTANTS], axis=1)
    return np.asarray((np.round(seconds, 3) * 1000).astype("i8") * 1000)


def _repeats(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """Which of `n` messages are sent again, and how many microseconds later than the first time."""
    again = np.flatnonzero(rng.random(n) < DUPLICATE_SHARE)
    if not again.size:
        return again, np.zeros(0, "i8")
    soon, later = rng.exponential(2 * HOUR, again.size), rng.uniform(0.5, 2.5, again.size) * DAY
    repeat = np.where(rng.random(again.size) < 0.5, soon, later)
    return again, (repeat * 1e6).astype("i8")


def _bulk(days: Sequence[DayEvents], names: Names, context_draws: Array) -> pa.Table:
    """What the usage of some days says, day by day."""
    usages = [day.usage for day in days if day.usage]
    if not usages:
        return _NOTHING_SAID
    person, account, behaviour, choice, zone = (
        np.concatenate([getattr(usage, name) for usage in usages])
        for name in ("person", "account", "behaviour", "choice", "zone")
    )
    spread = _LAST_CONTEXT[behaviour] - _FIRST_CONTEXT[behaviour] + 1
    device = _FIRST_CONTEXT[behaviour] + (context_draws * spread).astype("i4")
    context = device * len(_HOURS) + np.searchsorted(_HOURS, zone)
    ids = _ids(days, [np.arange(day.in_bulk, dtype="u8") for day in days])
    return pa.table(
        {
            "message_id": ids,
            "type": pa.repeat("track", len(ids)),
            "event": _EVENT_NAMES.take(pa.array(behaviour)),
            "user_id": pa.array(names.users).take(pa.array(person)),
            "anonymous_id": pa.nulls(len(ids), pa.string()),
            "group_id": pa.array(names.accounts).take(pa.array(account)),
            "product": _EVENT_PRODUCTS.take(pa.array(behaviour)),
            "properties": _PROPERTIES.take(pa.array(_FIRST_PROPERTY[behaviour] + choice)),
            "context": _CONTEXTS.take(pa.array(context)),
        }
    )


def _tracked(days: Sequence[DayEvents]) -> pa.Table:
    """What the events that were tracked one by one say, day by day."""
    events = [event for day in days for event in day.tracked]
    ids = _ids(days, [day.in_bulk + np.arange(len(day.tracked), dtype="u8") for day in days])
    columns = {name: pa.array([getattr(event, name) for event in events], pa.string()) for name in _SAID[1:]}
    return pa.table({"message_id": ids, **columns})


def _ids(days: Sequence[DayEvents], positions: Sequence[Array]) -> pa.Array:
    """The ids of the messages at some positions within each day."""
    found = [message_ids(day.seed, day.number, within) for day, within in zip(days, positions, strict=True)]
    return pa.array(np.concatenate(found)).cast(pa.string())


class EventWriter:
    """Writes the partitions of a bucket, some days at once, in a thread of its own while the simulation goes on.

    `late` are the events of earlier days that are received from now on. Days are collected because a day of the default
    world is so small that most of its cost would be the calls.
    """

    def __init__(self, bucket: Path, late: pa.Table) -> None:
        self._bucket = bucket
        self._late = late
        self._days: list[DayEvents] = []
        self._names = Names(np.zeros(0, "U16"), np.zeros(0, "U16"))
        self._until = 0.0
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[pa.Table] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def write(self, day: Day, until: float) -> None:
        """Have the partition of a finished day written, sooner or later; days come in their order.

        Raises:
            OSError: if a partition before could not be written.
        """
        self._days.append(day.events)
        self._until = until
        # taken here, where the world stands still: a name never changes once it is given
        self._names = Names(day.world.people.user_id, day.world.accounts.account_id)
        if sum(one.in_bulk for one in self._days) >= EVENTS_AT_ONCE:
            self._hand_over()

    def late(self) -> pa.Table:
        """The events that are received after the last written day; waits until all partitions are there.

        Raises:
            OSError: if a partition could not be written.
        """
        if self._days:
            self._hand_over()
        self._wait()
        return self._late

    def _hand_over(self) -> None:
        self._wait()
        days, self._days = self._days, []
        self._writing = self._thread.submit(write_events, days, self._names, self._late, self._bucket, self._until)

    def _wait(self) -> None:
        if self._writing:
            self._late = self._writing.result()
            self._writing = None


def write_events(days: Sequence[DayEvents], names: Names, late: pa.Table, bucket: Path, until: float) -> pa.Table:
    """Write the partitions of consecutive days: what is received on each and before `until` (unix seconds).

    Returns:
        What is received after these days, for later partitions.
    """
    events = _sent(days, names, late)
    received = events.received
    end = days[-1].end * 1_000_000
    shown = np.flatnonzero(received < min(end, int(until * 1_000_000)))
    order = shown[np.argsort(received[shown], kind="stable")]
    table = events.table(order)
    # all that is received before the second day is the first one's: nothing arrives before it happened
    borders = np.searchsorted(received[order], [day.end * 1_000_000 for day in days])
    first = 0
    for day, border in zip(days, borders.tolist(), strict=True):
        folder = bucket / "events" / f"received_date={date_text(day.number)}"
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / ".part-0.parquet"
        pq.write_table(table.slice(first, border - first), temporary, compression="snappy", write_statistics=False)
        temporary.replace(folder / "part-0.parquet")
        first = border
    return events.table(np.flatnonzero(received >= end))


def write_spend(world: World, number: int, bucket: Path) -> None:
    """Write the spend of one day; today's is known tomorrow."""
    spend = world.spend
    first, last = np.searchsorted(spend.day, [number, number + 1])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["spend_date", "channel", "campaign", "platform", "cost_type", "currency", "amount", "impressions", "clicks"]
    )
    names = ("channel", "campaign", "platform", "cost_type", "currency", "amount", "impressions", "clicks")
    rows = zip(*(getattr(spend, name)[first:last].tolist() for name in names), strict=True)
    date = date_text(number)
    for channel, campaign, platform, cost_type, currency, amount, impressions, clicks in rows:
        name = CHANNEL_NAMES[channel]
        writer.writerow([date, name, campaign, platform, cost_type, currency, f"{amount:.2f}", impressions, clicks])
    folder = bucket / "spend" / f"spend_date={date_text(number)}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".spend.csv"
    temporary.write_text(text.getvalue(), encoding="utf-8")
    temporary.replace(folder / "spend.csv")
