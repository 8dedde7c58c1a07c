"""What detecting signals costs: ten kinds over ten million events, and a day more on top of one and of ten million.

The project's own models are built by dbt in a warehouse of their own, from `int_events__deduplicated` on; every
twentieth event is a behaviour that a signal listens to, and every fourth counts as use. The increment is a day of the
same volume in both histories. What is found by the increment is compared with a full refresh.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.figures import Figure, main
from ingest.tables import create_missing
from lifecycle.dbt import PROJECT_DIR, WAREHOUSE_VARIABLE

AS_OF = dt.datetime(2026, 6, 1)  # noqa: DTZ001 - the warehouse is naive UTC
EVENTS_PER_DAY = 27_400
CUSTOMERS = 20_000
FULL_BAR_SECONDS = 15.0
GROWTH_BAR = 1.5
DETECTION = ("int_behaviours__found", "int_signals__defined", "int_behaviours__unioned", "int_signals__occurred")
COLUMNS = (
    "signal_id", "kind", "behaviour", "until_behaviour", "then_behaviour", "last_behaviour", "occurrences",
    "within_seconds", "period", "in_periods", "of_periods", "direction", "threshold", "rearm_threshold", "lead_seconds",
    "state", "unit", "rearm", "rearm_after_seconds", "max_lateness_hours", "stale_after_hours", "enabled_at", "meaning",
)  # fmt: skip
TYPES = dict.fromkeys(
    ("occurrences", "within_seconds", "in_periods", "of_periods", "lead_seconds", "rearm_after_seconds",
     "max_lateness_hours", "stale_after_hours"), "bigint",
) | {"threshold": "decimal(18, 6)", "rearm_threshold": "decimal(18, 6)", "enabled_at": "timestamp"}  # fmt: skip
SIGNALS: tuple[dict[str, Any], ...] = (
    {"kind": "first", "behaviour": "b0", "rearm": "once"},
    {"kind": "every", "behaviour": "b1", "rearm": "after_cooldown", "rearm_after_seconds": 604800},
    {"kind": "count_within", "behaviour": "b2", "occurrences": 3, "within_seconds": 3600, "rearm": "rising_edge"},
    {"kind": "absence", "behaviour": "b3", "until_behaviour": "b4", "within_seconds": 172800},
    {"kind": "sequence", "behaviour": "b5", "then_behaviour": "b6", "last_behaviour": "b7", "within_seconds": 604800},
    {"kind": "regular", "behaviour": "day", "occurrences": 3, "period": "week", "in_periods": 3, "of_periods": 4,
     "rearm": "rising_edge"},
    {"kind": "stopped", "behaviour": "use", "within_seconds": 1209600},
    {"kind": "restarted", "behaviour": "use", "within_seconds": 1209600},
    {"kind": "crossed", "behaviour": "metric", "direction": "below", "threshold": 4, "rearm_threshold": 8},
    {"kind": "due", "behaviour": "promise", "until_behaviour": "day", "occurrences": 4, "within_seconds": 2419200,
     "direction": "below", "lead_seconds": 2592000},
)  # fmt: skip


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Seconds for the full detection, for an increment on either history, and their ratio."""
    with tempfile.TemporaryDirectory() as folder:
        small, _ = _world(Path(folder) / "1x", arguments.events // 10)
        large, full = _world(Path(folder) / "10x", arguments.events)
    total = f"{arguments.events:,} events, ten signals"
    return [
        Figure("full detection", full, "s", total, bar=FULL_BAR_SECONDS),
        Figure("a day more, history 1x", small, "s", f"{EVENTS_PER_DAY:,} events on {arguments.events // 10:,}"),
        Figure(
            "a day more, history 10x", large, "s", f"{EVENTS_PER_DAY:,} events on {arguments.events:,}", large / full
        ),
        Figure("growth of the increment", large / small, "x", "ten times the history", bar=GROWTH_BAR),
    ]


def _world(folder: Path, events: int) -> tuple[float, float]:
    """Seconds of the increment and of the full detection."""
    folder.mkdir()
    warehouse = folder / "warehouse.duckdb"
    days = max(events // EVENTS_PER_DAY, 1)
    with duckdb.connect(str(warehouse)) as connection:
        create_missing(connection)
        _inputs(connection)
        _append(connection, 0, events, AS_OF - dt.timedelta(days=days), days, "1")
        _stand(connection, AS_OF)
    full = _detect(folder, "--full-refresh")
    later = AS_OF + dt.timedelta(days=1)
    with duckdb.connect(str(warehouse)) as connection:
        _append(connection, events, EVENTS_PER_DAY, AS_OF, 1, "2")
        _stand(connection, later)
    increment = _detect(folder)
    grown = _found(warehouse)
    _detect(folder, "--full-refresh")
    if _found(warehouse) != grown:
        sys.exit("The increment and the full refresh disagree.")
    return increment, full


def _inputs(connection: duckdb.DuckDBPyConnection) -> None:
    """Everything that detection reads apart from the events."""
    columns = ", ".join(f"{name} {TYPES.get(name, 'varchar')}" for name in COLUMNS)
    connection.execute(
        "create schema intermediate; create schema seeds; create schema staging;"
        " create table intermediate.int_events__deduplicated (event_id varchar, source_record_type varchar,"
        " source_record_id varchar, user_id varchar, event_type varchar, event_name varchar, product varchar,"
        " properties varchar, time_zone varchar, occurred_at timestamp, received_at timestamp, received_date date,"
        " _dlt_load_id varchar);"
        " create table intermediate.int_billing_behaviours__derived (customer_id varchar, behaviour varchar,"
        " occurred_at timestamp, event_id varchar, properties varchar);"
        " create table intermediate.int_support_behaviours__derived"
        " as from intermediate.int_billing_behaviours__derived;"
        " create table intermediate.int_crm_behaviours__derived as from intermediate.int_billing_behaviours__derived;"
        " create table intermediate.int_silos__observed (source varchar, observed_through_at timestamp);"
        f" create table seeds.signal_definitions ({columns});"
        " create table seeds.behaviours (behaviour varchar, source varchar, event_name varchar, product varchar,"
        " property_name varchar, property_test varchar, property_value varchar, grain varchar, meaning varchar);"
    )
    for signal in SIGNALS:
        row = {"rearm": "every_time", "signal_id": signal["kind"], "unit": "customer", "max_lateness_hours": 72,
               "stale_after_hours": 168, **signal}  # fmt: skip
        connection.execute(
            f"insert into seeds.signal_definitions values ({', '.join('?' * len(COLUMNS))})",
            [row.get(column) for column in COLUMNS],
        )
    connection.execute(
        "insert into seeds.behaviours (behaviour, source, event_name, grain)"
        " select 'b' || n, 'product', 'e' || n, 'event' from range(8) as t (n)"
        " union all values ('use', 'product', '*', 'day_edges'), ('day', 'product', '*', 'day'),"
        " ('metric', 'product', 'metric', 'measured'), ('promise', 'product', 'promise', 'measured');"
        # names e0 to e159, so eight of them are one event in twenty
        " create table seeds.product_events as select 'editor' as product, 'e' || n as event_name,"
        " n >= 120 as is_qualifying from range(160) as t (n);"
        " create table intermediate.int_identities__resolved as select 'product' as source_system,"
        " 'account' as source_record_type, 'acc_' || n as source_record_id, 'c_' || substr(md5('' || n), 1, 16)"
        f" as customer_id from range({CUSTOMERS}) as t (n);"
        " create view intermediate.int_events__attributed as select events.*, customer_id, is_qualifying"
        " from intermediate.int_events__deduplicated as events"
        " join intermediate.int_identities__resolved using (source_record_type, source_record_id)"
        " join seeds.product_events using (product, event_name)"
        " where occurred_at < (select max(as_of) from raw_ops.runs)"
        " and received_at < (select max(as_of) from raw_ops.runs);"
        # a figure a week, up to 27, and one promise each, made on one of 300 days and due 65 days later; by md5 as well
        " create table intermediate.int_signals__measured as"
        " select customer_id, 'metric' as event_name, 'product' as source, null::varchar as product,"
        f" timestamp '{AS_OF}' - interval 1 week * n as occurred_at, 'metric:' || customer_id || n as event_id,"
        " null::varchar as properties, (('0x' || substr(md5(customer_id || n), 1, 8))::bigint % 28)::double"
        " as measured_value, null::timestamp as due_at, null::timestamp as gone_at"
        " from intermediate.int_identities__resolved, range(1, 30) as t (n)"
        " union all select customer_id, 'promise', 'product', null, made_at, 'promise:' || customer_id, null, null,"
        " made_at + interval 65 day, null"
        " from (select customer_id,"
        f" timestamp '{AS_OF}' - interval 1 day * (('0x' || substr(md5(customer_id), 1, 8))::bigint % 300) as made_at"
        " from intermediate.int_identities__resolved)"
    )


def _append(
    connection: duckdb.DuckDBPyConnection, first: int, events: int, start: dt.datetime, days: int, load: str
) -> None:
    """Events at regular distances; customers and names by md5, so that every run has the same."""
    connection.execute(
        "insert into intermediate.int_events__deduplicated"
        " select substr(key, 1, 16), 'account', 'acc_' || account, 'usr_' || account || '_' || (number % 3), 'track',"
        " 'e' || ('0x' || substr(key, 17, 8))::bigint % 160, 'editor', '{}', 'Europe/Berlin',"
        " happened_at, happened_at + interval 2 second, happened_at::date, $1"
        " from (select number, md5('' || number) as key,"
        # customers differ in how much they do: the product of two even draws
        f" floor({CUSTOMERS} * (('0x' || substr(md5('a' || number), 1, 8))::bigint / 4294967296.0)"
        " * (('0x' || substr(md5('b' || number), 1, 8))::bigint / 4294967296.0))::bigint as account,"
        " $2::timestamp + to_microseconds((number - $3) * ($4::bigint * 86400000000 // $5)) as happened_at"
        " from range($3, $3 + $5) as t (number))",
        [load, start, first, days, events],
    )


def _stand(connection: duckdb.DuckDBPyConnection, as_of: dt.datetime) -> None:
    connection.execute("delete from raw_ops.runs")
    connection.execute("insert into raw_ops.runs (run_id, as_of, _dlt_load_id) values ('benchmark', ?, '1')", [as_of])
    connection.execute("delete from intermediate.int_silos__observed")
    connection.execute("insert into intermediate.int_silos__observed values ('product', ?)", [as_of])


def _detect(folder: Path, *arguments: str) -> float:
    """Build the models; seconds at work in them, without reading the project."""
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415 - takes seconds
    from dbt.cli.main import dbtRunner  # noqa: PLC0415

    os.environ[WAREHOUSE_VARIABLE] = str(folder / "warehouse.duckdb")
    places = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR), "--target-path",
              str(folder / "target"), "--log-path", str(folder / "logs")]  # fmt: skip
    started = time.perf_counter()
    done: Any = dbtRunner().invoke(
        ["--quiet", "--no-version-check", "run", "--threads", "1", "--select", *DETECTION, *arguments, *places]
    )
    DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not done.success:
        sys.exit(str([result.message for result in done.result or ()] or done.exception))
    seconds = {result.node.name: result.execution_time for result in done.result}
    sys.stderr.write(f"{seconds} of {time.perf_counter() - started:.1f} s\n")
    return float(sum(seconds.values()))


def _found(warehouse: Path) -> Any:
    """Everything that was found, as one number and how many per kind."""
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        return connection.execute(
            "select kind, count(*),"
            " sum(hash(occurrence_id, customer_id, outcome, occurred_at, proving_event_ids)::hugeint)"
            " from intermediate.int_signals__occurred where kind != 'listened' group by kind order by kind"
        ).fetchall()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000_000, help="how many events the large history has")
    main(measure, parser)
