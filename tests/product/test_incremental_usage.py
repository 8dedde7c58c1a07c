"""The event models, built increment by increment, end with the rows of a full refresh.

The stream is made to hurt: messages repeated within and across partitions, received days late, on both sides of
midnight, and a partition of the past that is loaded again with other rows.
"""

from __future__ import annotations

import datetime as dt
import os
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt.cli.main import dbtRunner
from dbt.contracts.graph.manifest import Manifest

from ingest import tables

PROJECT = Path(__file__).parents[2]
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
Row = dict[str, Any]


class Warehouse:
    """A warehouse of its own, and dbt to build the event models in it."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        folder.mkdir()
        self.path = folder / "warehouse.duckdb"
        self.folder = folder
        self.manifest = manifest
        with duckdb.connect(str(self.path)) as connection:
            tables.create_missing(connection)

    def load(self, load_id: str, days: dict[dt.date, list[Row]]) -> None:
        """Replace whole received-date partitions, as the loader does."""
        with duckdb.connect(str(self.path)) as connection:
            for day, rows in days.items():
                connection.execute("delete from raw_product.events where received_date = ?", [day])
                for row in rows:
                    connection.execute(
                        "insert into raw_product.events by name select ? as message_id, 'track' as type, ? as event, "
                        "? as user_id, ? as group_id, ? as product, '{}' as properties, ? as timestamp, "
                        "? as received_at, ? as received_date, ? as _dlt_load_id",
                        [
                            row["message_id"], row["event"], row["user_id"], row["group_id"], row["product"],
                            row["at"], row["received_at"], day, load_id,
                        ],
                    )  # fmt: skip

    def build(self, as_of: dt.datetime, *, seeds: bool = True) -> None:
        """Build the event models as they stand at `as_of`, with the seeds of the repository or those already there."""
        with duckdb.connect(str(self.path)) as connection:
            connection.execute("delete from raw_ops.runs")
            connection.execute(
                "insert into raw_ops.runs by name select 'r' as run_id, ? as as_of, 'l' as _dlt_load_id", [as_of]
            )
        command = ["build", "--select", "+int_actor_usage__daily", "--exclude-resource-type", "test", "unit_test"]
        run_dbt(self.path, self.folder.parent, [*command, *([] if seeds else ["seed"])], self.manifest)

    def rows(self, model: str, where: str = "true") -> list[tuple[Any, ...]]:
        """The rows of a model, in an order of their own, without bookkeeping columns and calendar rows."""
        with duckdb.connect(str(self.path), read_only=True) as connection:
            columns = COMPARED[model]
            return connection.execute(
                f"select {columns} from intermediate.{model} "
                f"where source_record_type != 'calendar' and {where} order by all"
            ).fetchall()


def run_dbt(warehouse: Path, folder: Path, command: list[str], manifest: Manifest | None = None) -> Any:
    """Run dbt in this process, so that the project is parsed once, and let go of the warehouse afterwards."""
    before = os.environ.get("LIFECYCLE_WAREHOUSE")
    os.environ["LIFECYCLE_WAREHOUSE"] = str(warehouse)
    try:
        done = dbtRunner(manifest=manifest).invoke(
            [
                "--quiet", *command, "--threads", "1", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT),
                "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
            ]
        )  # fmt: skip
    finally:
        DuckDBConnectionManager.close_all_connections()
        os.environ.pop("LIFECYCLE_WAREHOUSE")
        if before is not None:
            os.environ["LIFECYCLE_WAREHOUSE"] = before
    assert done.success, done.exception or [result.message for result in done.result.results]
    return done.result


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
def manifest(folder: Path) -> Manifest:
    # every relation carries the name of the file, so the project is parsed for one that is called like the others
    parsed = run_dbt(folder / "warehouse.duckdb", folder, ["parse"])
    assert isinstance(parsed, Manifest)
    return parsed


@pytest.fixture(scope="module")
def whole(stream: dict[dt.date, list[Row]], folder: Path, manifest: Manifest) -> Warehouse:
    """Everything loaded and built at once."""
    warehouse = Warehouse(folder / "whole", manifest)
    warehouse.load("1777600000.9", stream)
    warehouse.build(end_of(max(stream)))
    return warehouse


def test_increments_end_with_the_rows_of_a_full_refresh(stream: dict[dt.date, list[Row]], whole: Warehouse) -> None:
    days = sorted(stream)
    warehouse = Warehouse(whole.folder.parent / "increments", whole.manifest)
    # the fifth day is half there at first, as a day is while it lasts; the third day lacks a file until the end
    half = {**{day: stream[day] for day in days[:4]}, days[4]: stream[days[4]][::2], days[2]: stream[days[2]][::3]}
    warehouse.load("1777600000.1", half)
    warehouse.build(dt.datetime.combine(days[4], dt.time(12)))
    warehouse.load("1777600000.2", {day: stream[day] for day in days[4:9]})
    warehouse.build(end_of(days[8]))
    warehouse.load("1777600000.3", {day: stream[day] for day in (days[2], *days[9:])})
    warehouse.build(end_of(days[-1]))
    for model in COMPARED:
        assert warehouse.rows(model) == whole.rows(model), model
    assert len(warehouse.rows("int_events__deduplicated")) < sum(len(rows) for rows in stream.values())


def test_a_new_event_list_recounts_the_past(stream: dict[dt.date, list[Row]], whole: Warehouse) -> None:
    changed = Warehouse(whole.folder.parent / "changed", whole.manifest)
    changed.load("1777600000.9", stream)
    changed.build(end_of(max(stream)))
    before = changed.rows("int_actor_usage__daily")
    with duckdb.connect(str(changed.path)) as connection:
        connection.execute("update seeds.product_events set is_qualifying = true where event_name = 'push_received'")
    changed.build(end_of(max(stream)), seeds=False)
    after = changed.rows("int_actor_usage__daily")
    assert len(after) == len(before)
    pushes = sum(row["event"] == "push_received" for rows in stream.values() for row in rows)
    gained = sum(row[8] for row in after) - sum(row[8] for row in before)
    assert 0 < gained <= pushes


def test_a_replayed_day_sees_only_what_came_before_it(stream: dict[dt.date, list[Row]], whole: Warehouse) -> None:
    as_of = dt.datetime.combine(sorted(stream)[6], dt.time(9, 30))
    seen = f"usage_date <= date '{as_of.date()}'"
    fresh = Warehouse(whole.folder.parent / "fresh", whole.manifest)
    fresh.load("1777600000.9", stream)
    fresh.build(as_of)
    replayed = Warehouse(whole.folder.parent / "replayed", whole.manifest)
    replayed.load("1777600000.9", stream)
    replayed.build(end_of(max(stream)))
    replayed.build(as_of)
    assert replayed.rows("int_actor_usage__daily", seen) == fresh.rows("int_actor_usage__daily", seen)
    fresh.build(end_of(max(stream)))
    replayed.build(end_of(max(stream)))
    for warehouse in (fresh, replayed):
        assert warehouse.rows("int_actor_usage__daily") == whole.rows("int_actor_usage__daily")
