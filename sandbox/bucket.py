"""The bucket: product events as Parquet by the day the collector received them, spend as one CSV file per day.

A file is written beside its final name and renamed, so that a reader never sees half of one.
"""

from __future__ import annotations

import csv
import io
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sandbox.world.catalog import BEHAVIOURS, CHANNEL_NAMES, CONTEXTS
from sandbox.world.dates import date_text
from sandbox.world.parameters import DAY, HOUR
from sandbox.world.randomness import generator, message_ids
from sandbox.world.state import EVENT_SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.world.day import Day
    from sandbox.world.state import World

DUPLICATE_SHARE = 0.003
"""Of all events: sent again with the same message id, hours or a day later."""
HOURS_LATE_SHARE, DAYS_LATE_SHARE = 0.025, 0.004

_EVENT_NAMES = pa.array([behaviour.event for behaviour in BEHAVIOURS])
_EVENT_PRODUCTS = pa.array([behaviour.product for behaviour in BEHAVIOURS])
_PROPERTIES = pa.array([text for behaviour in BEHAVIOURS for text in behaviour.properties])
_FIRST_PROPERTY = np.concatenate([[0], np.cumsum([len(behaviour.properties) for behaviour in BEHAVIOURS])[:-1]])
_CONTEXTS = pa.array(CONTEXTS)
_CONTEXT_OF_PRODUCT = {"editor": (0, 1), "esign": (1, 2), "api": (3, 3), "mobile": (4, 5)}
_FIRST_CONTEXT = np.array([_CONTEXT_OF_PRODUCT[behaviour.product][0] for behaviour in BEHAVIOURS])
_LAST_CONTEXT = np.array([_CONTEXT_OF_PRODUCT[behaviour.product][1] for behaviour in BEHAVIOURS])
_MOBILE = np.array([behaviour.product == "mobile" for behaviour in BEHAVIOURS])


def received_events(day: Day) -> pa.Table:
    """A day's events with the times of their journey, duplicates included, in the order of arrival."""
    seed, number = day.seed, day.number
    rng = generator(seed, number, "delivery")
    tables = [_bulk(day, rng), _tracked(day)]
    events = pa.concat_tables(table for table in tables if table is not None)
    n = events.num_rows
    at = np.concatenate([table["at"].to_numpy() for table in tables if table is not None]) if n else np.empty(0)
    mobile = np.concatenate([table["mobile"].to_numpy() for table in tables if table is not None]) if n else np.empty(0)
    delay = rng.gamma(1.5, 0.9, n)
    draw = rng.random(n) / np.where(mobile, 2.0, 1.0)
    delay = np.where(draw < HOURS_LATE_SHARE, rng.exponential(5 * HOUR, n), delay)
    delay = np.where(draw < DAYS_LATE_SHARE, rng.uniform(1, 6, n) * DAY, delay)
    skew = np.where(rng.random(n) < 0.01, rng.normal(0, 2 * HOUR, n), rng.normal(0, 1.5, n))
    times = _times(at, at + delay, skew)
    ids = pa.array(message_ids(seed, number, n).astype("U16")) if n else pa.array([], pa.string())
    table = events.drop_columns(["at", "mobile"]).add_column(0, "message_id", ids)
    for name, column in times.items():
        table = table.append_column(name, column)
    again = np.flatnonzero(rng.random(n) < DUPLICATE_SHARE)
    if again.size:
        soon, later = rng.exponential(2 * HOUR, again.size), rng.uniform(0.5, 2.5, again.size) * DAY
        repeat = np.where(rng.random(again.size) < 0.5, soon, later)
        copies = table.take(pa.array(again))
        received = pc.add(copies["received_at"], pa.array((repeat * 1e6).astype("i8"), pa.duration("us")))
        copies = copies.set_column(copies.schema.get_field_index("received_at"), "received_at", received)
        table = pa.concat_tables([table, copies])
    return table.select(EVENT_SCHEMA.names).cast(EVENT_SCHEMA)


def _times(at: Any, received: Any, skew: Any) -> dict[str, pa.Array]:
    """The specification's four instants: timestamp = received_at - (sent_at - original_timestamp)."""
    columns = {
        "original_timestamp": at + skew,
        "sent_at": received + skew,
        "received_at": received,
        "timestamp": at,
    }
    return {
        name: pa.array((np.round(values, 3) * 1000).astype("i8") * 1000, pa.timestamp("us"))
        for name, values in columns.items()
    }


def _bulk(day: Day, rng: np.random.Generator) -> pa.Table | None:
    usage = day.usage
    if usage is None:
        return None
    n = len(usage.at)
    spread = _LAST_CONTEXT[usage.behaviour] - _FIRST_CONTEXT[usage.behaviour] + 1
    context = _FIRST_CONTEXT[usage.behaviour] + (rng.random(n) * spread).astype("i4")
    return pa.table(
        {
            "type": pa.array(["track"]).take(pa.array(np.zeros(n, "i4"))),
            "event": _EVENT_NAMES.take(pa.array(usage.behaviour)),
            "user_id": pa.array(usage.user_id),
            "anonymous_id": pa.nulls(n, pa.string()),
            "group_id": pa.array(usage.group_id),
            "product": _EVENT_PRODUCTS.take(pa.array(usage.behaviour)),
            "properties": _PROPERTIES.take(pa.array(_FIRST_PROPERTY[usage.behaviour] + usage.choice)),
            "context": _CONTEXTS.take(pa.array(context)),
            "at": usage.at,
            "mobile": _MOBILE[usage.behaviour],
        }
    )


def _tracked(day: Day) -> pa.Table:
    events = day.tracked
    texts = ("type", "event", "user_id", "anonymous_id", "group_id", "product", "properties", "context")
    columns: dict[str, Any] = {name: pa.array([getattr(e, name) for e in events], pa.string()) for name in texts}
    columns["at"] = pa.array([event.at for event in events], pa.float64())
    columns["mobile"] = pa.array([False] * len(events), pa.bool_())
    return pa.table(columns)


class EventWriter:
    """Writes the partitions of a bucket in a thread of its own, while the simulation lives the next day.

    `late` are the events of earlier days that are received from now on.
    """

    def __init__(self, bucket: Path, late: pa.Table) -> None:
        self._bucket = bucket
        self._late = late
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._writing: Future[pa.Table] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def write(self, day: Day, until: float) -> None:
        """Have the partition of a finished day written; waits for the one before.

        Raises:
            OSError: if the partition before could not be written.
        """
        late = self.late()
        self._writing = self._thread.submit(write_events, day, late, self._bucket, until)

    def late(self) -> pa.Table:
        """The events that are received after the last written day; waits until that is known."""
        if self._writing:
            self._late = self._writing.result()
            self._writing = None
        return self._late


def write_events(day: Day, late: pa.Table, bucket: Path, until: float) -> pa.Table:
    """Write the partition of a day: what is received that day and before `until` (unix seconds).

    Returns:
        What is received on later days, for their partitions.
    """
    events = pa.concat_tables([late, received_events(day)])
    received = events["received_at"].cast(pa.int64()).to_numpy()
    today = received < day.end * 1_000_000
    shown = np.flatnonzero(today & (received < until * 1_000_000))
    order = shown[np.argsort(received[shown], kind="stable")]
    folder = bucket / "events" / f"received_date={date_text(day.number)}"
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / ".part-0.parquet"
    pq.write_table(events.take(pa.array(order)), temporary, compression="snappy", write_statistics=False)
    temporary.replace(folder / "part-0.parquet")
    return events.filter(pa.array(~today)).combine_chunks()


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
