"""The event models, built increment by increment, end with the rows of a full refresh.

The stream is made to hurt: messages repeated within and across partitions, received days late, on both sides of
midnight, and a partition of the past that is loaded again with other rows.
"""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.warehouse import Warehouse

FIRST_DAY = dt.datetime(2026, 5, 1)  # noqa: DTZ001 - the warehouse keeps naive UTC
DAYS = 12
EVENTS = (
    ("editor", "document_edited"),
    ("editor", "export_failed"),
    ("esign", "envelope_sent"),
    ("mobile", "push_received"),
    ("mobile", "app_opened"),
    ("api", "a_name_nobody_listed"),
)
COMPARED = {
    "int_events__deduplicated": "event_id, source_record_id, actor_id, product, event_name, occurred_at, received_date",
    "int_actor_usage__daily": (
        "source_record_type, source_record_id, actor_type, actor_id, product, feature_family, usage_date, events, "
        "qualifying_events, first_value_events, sessions_in_product, sessions_overall, minutes_in_product, "
        "minutes_overall, failed_exports, api_calls"
    ),
}
INCREMENTAL = ("int_events__deduplicated", "int_actor_usage__daily")
Row = dict[str, Any]


class EventWarehouse(Warehouse):
    """A warehouse whose event models are built load by load."""

    _is_new = True

    def load(self, load_id: str, days: dict[dt.date, list[Row]]) -> None:
        """Replace whole received-date partitions, as the loader does."""
        for day, rows in days.items():
            self.execute("delete from raw_product.events where received_date = ?", [day])
            self.insert(
                "raw_product.events",
                (
                    {
                        "message_id": row["message_id"],
                        "type": "track",
                        "event": row["event"],
                        "user_id": row["user_id"],
                        "group_id": row["group_id"],
                        "product": row["product"],
                        "properties": "{}",
                        "timestamp": row["at"],
                        "received_at": row["received_at"],
                        "received_date": day,
                        "_dlt_load_id": load_id,
                    }
                    for row in rows
                ),
            )

    def build(self, as_of: dt.datetime) -> None:
        """Build the event models as they stand at `as_of`; what they read that is not theirs only the first time."""
        self.stand_at(as_of)
        if self._is_new:
            self.dbt("build", "--select", "+int_actor_usage__daily", "--exclude-resource-type", "test", "unit_test")
        else:
            self.dbt("run", "--select", *INCREMENTAL)
        self._is_new = False

    def copy(self, name: str) -> EventWarehouse:
        """The same warehouse beside it, to be built further."""
        other = EventWarehouse(self.folder.parent / name)
        other.path.write_bytes(self.path.read_bytes())
        other._is_new = False
        return other

    def rows_of(self, model: str, where: str = "true") -> list[tuple[Any, ...]]:
        """The rows of a model, in an order of their own, without bookkeeping columns and calendar rows."""
        return self.rows(
            f"select {COMPARED[model]} from intermediate.{model} "
            f"where source_record_type != 'calendar' and {where} order by all"
        )


def make_stream(seed: int) -> dict[dt.date, list[Row]]:
    """Messages by day of receipt: bursts of use, a tenth of them late by up to five days, a tenth sent again later."""
    rng = random.Random(seed)
    partitions: dict[dt.date, list[Row]] = {(FIRST_DAY + dt.timedelta(days=day)).date(): [] for day in range(DAYS)}
    last_day = max(partitions)
    for number in range(600):
        product, event = rng.choice(EVENTS)
        account = rng.randrange(4)
        at = FIRST_DAY + dt.timedelta(
            days=rng.randrange(DAYS),
            hours=rng.choice((0, 9, 9, 23)),
            minutes=rng.randrange(60),
            seconds=rng.randrange(60),
        )
        received_at = at + dt.timedelta(seconds=3, days=rng.randrange(1, 6) if rng.random() < 0.1 else 0)
        row = {
            "message_id": f"m{number}", "event": event, "product": product, "user_id": f"u{account}{rng.randrange(2)}",
            "group_id": f"a{account}", "at": at, "received_at": received_at,
        }  # fmt: skip
        copies = [row]
        if rng.random() < 0.1:
            again = received_at + dt.timedelta(days=rng.choice((0, 1, 7, 8)), seconds=30)
            copies.append({**row, "received_at": again})
        for copy in copies:
            if copy["received_at"].date() <= last_day:
                partitions[copy["received_at"].date()].append(copy)
    return partitions


def end_of(day: dt.date) -> dt.datetime:
    """06:00 on the next day."""
    return dt.datetime.combine(day, dt.time(6)) + dt.timedelta(days=1)


@pytest.fixture(scope="module")
def stream() -> dict[dt.date, list[Row]]:
    return make_stream(7)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("usage")


@pytest.fixture(scope="module")
def whole(stream: dict[dt.date, list[Row]], folder: Path) -> EventWarehouse:
    """Everything loaded and built at once."""
    warehouse = EventWarehouse(folder / "whole")
    warehouse.load("1777600000.9", stream)
    warehouse.build(end_of(max(stream)))
    return warehouse


def test_increments_end_with_the_rows_of_a_full_refresh(
    stream: dict[dt.date, list[Row]], whole: EventWarehouse
) -> None:
    days = sorted(stream)
    warehouse = EventWarehouse(whole.folder.parent / "increments")
    # the fifth day is half there at first, as a day is while it lasts; the third day lacks a file until the end
    half = {**{day: stream[day] for day in days[:4]}, days[4]: stream[days[4]][::2], days[2]: stream[days[2]][::3]}
    warehouse.load("1777600000.1", half)
    warehouse.build(dt.datetime.combine(days[4], dt.time(12)))
    warehouse.load("1777600000.2", {day: stream[day] for day in days[4:9]})
    warehouse.build(end_of(days[8]))
    warehouse.load("1777600000.3", {day: stream[day] for day in (days[2], *days[9:])})
    warehouse.build(end_of(days[-1]))
    for model in COMPARED:
        assert warehouse.rows_of(model) == whole.rows_of(model), model
    assert len(warehouse.rows_of("int_events__deduplicated")) < sum(len(rows) for rows in stream.values())


def test_a_new_event_list_recounts_the_past(stream: dict[dt.date, list[Row]], whole: EventWarehouse) -> None:
    changed = whole.copy("changed")
    before = changed.rows_of("int_actor_usage__daily")
    with duckdb.connect(str(changed.path)) as connection:
        connection.execute("update seeds.product_events set is_qualifying = true where event_name = 'push_received'")
    changed.build(end_of(max(stream)))
    after = changed.rows_of("int_actor_usage__daily")
    assert len(after) == len(before)
    pushes = sum(row["event"] == "push_received" for rows in stream.values() for row in rows)
    gained = sum(row[8] for row in after) - sum(row[8] for row in before)
    assert 0 < gained <= pushes


def test_a_replayed_day_sees_only_what_came_before_it(stream: dict[dt.date, list[Row]], whole: EventWarehouse) -> None:
    as_of = dt.datetime.combine(sorted(stream)[6], dt.time(9, 30))
    seen = f"usage_date <= date '{as_of.date()}'"
    fresh = EventWarehouse(whole.folder.parent / "fresh")
    fresh.load("1777600000.9", stream)
    fresh.build(as_of)
    replayed = whole.copy("replayed")
    replayed.build(as_of)
    assert replayed.rows_of("int_actor_usage__daily", seen) == fresh.rows_of("int_actor_usage__daily", seen)
    fresh.build(end_of(max(stream)))
    replayed.build(end_of(max(stream)))
    for warehouse in (fresh, replayed):
        assert warehouse.rows_of("int_actor_usage__daily") == whole.rows_of("int_actor_usage__daily")
