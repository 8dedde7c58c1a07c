"""What a signal or an action would have done over the last N days, before it is enabled.

The past is played again day by day with the project's own compiled models, in memory, on top of the warehouse opened
for reading: each day the decisions are made with what a daily run would have known by then, and what they let out
counts against the caps and cooldowns of the days after. Only customers for whom the signal fired are played, with
everything else that competed for them. The tested actions count as enabled and switched on; arms, holdouts, consent
and permits are as the playbook has them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import io
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import duckdb

from lifecycle.dbt import PROJECT_DIR, WAREHOUSE_VARIABLE, DbtError
from lifecycle.errors import CannotRunError
from lifecycle.foresight import Foresight, foresee

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lifecycle.settings import Places

CATALOG = "warehouse"  # the name of the file is the catalog in every compiled statement
DECISIONS = (
    "int_hand_offs__followed",
    "int_outcomes__observed",
    "int_journeys__walked",
    "int_signals__told",
    "int_actions__proposed",
    "int_actions__decided",
    "action_decisions",
)
OCCURRENCES = ("int_signals__detected",)
LONGEST = 730  # days
Statement = tuple[str, str, str]  # schema, name and SQL of a model


class Subject(NamedTuple):
    """Whose past is played again: ids of the playbook, in order."""

    signals: list[str]
    actions: list[str]


@dataclass(slots=True)
class Backtest:
    """What would have happened; `per_day` has an entry for each day, the oldest first."""

    name: str
    first_day: str
    last_day: str
    signals: list[str]
    actions: list[str]
    fired: int = 0
    unknown: int = 0
    customers: int = 0
    permitted: int = 0
    customers_reached: int = 0
    fired_per_day: list[int] = field(default_factory=list)
    permitted_per_day: list[int] = field(default_factory=list)
    suppressed: dict[str, int] = field(default_factory=dict)
    overlaps: dict[str, int] = field(default_factory=dict)
    load: dict[str, dict[str, float]] = field(default_factory=dict)
    foresight: list[Foresight] = field(default_factory=list)


def days_since(warehouse: Path, first: dt.date) -> int:
    """How many days lie between a day and the newest run.

    Raises:
        CannotRunError: if that day cannot be played; the message says which days can.
    """
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        as_of: dt.datetime = _one(connection, "select max(as_of) from raw_ops.runs")
    days = (as_of.date() - first).days
    if not 1 <= days <= LONGEST:
        oldest, newest = (as_of.date() - dt.timedelta(days=each) for each in (LONGEST, 1))
        raise CannotRunError(f"--since {first} cannot be played: give a day from {oldest} to {newest}.")
    return days


def compile_decisions(places: Places) -> list[Statement]:
    """The models from proposed actions to decisions, in the order in which they are built.

    Raises:
        DbtError: if the project cannot be compiled.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager  # noqa: PLC0415 - takes seconds
    from dbt.cli.main import dbtRunner  # noqa: PLC0415

    where = ["--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR)]
    quiet = ["--quiet", "--no-version-check", "--no-write-json", "--log-path", str(places.dbt / "logs")]
    selection = ["--select", *DECISIONS, "--threads", "1", "--target-path", str(places.dbt / "backtest")]
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it shows what it compiled
            # read with the profile's own path, as a run does: what the last one has read of the project is used again
            os.environ.pop(WAREHOUSE_VARIABLE, None)
            parsed: Any = dbtRunner().invoke([*quiet, "parse", *where, "--target-path", str(places.dbt / "target")])
            os.environ[WAREHOUSE_VARIABLE] = str(places.warehouse)
            runner = dbtRunner(manifest=parsed.result)
            done: Any = runner.invoke([*quiet, "compile", *selection, *where]) if parsed.success else parsed
    finally:
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
    if not done.success:
        raise DbtError(f"The decisions cannot be compiled: {done.exception or 'see the log of dbt'}.")
    nodes = {result.node.unique_id: result.node for result in done.result if result.node.resource_type == "model"}
    return [(nodes[key].schema, nodes[key].name, nodes[key].compiled_code) for key in _in_order(nodes)]


def _in_order(nodes: dict[str, Any]) -> list[str]:
    """Parents before children; dbt has made sure that there are no cycles."""
    ordered: list[str] = []

    def visit(key: str) -> None:
        if key in nodes and key not in ordered:
            for parent in nodes[key].depends_on.nodes:
                visit(parent)
            ordered.append(key)

    for key in sorted(nodes):
        visit(key)
    return ordered


def meant(warehouse: Path, name: str) -> Subject:
    """The signals and the actions that a name stands for: an action with its signal, or a signal with all its actions.

    Raises:
        CannotRunError: if the playbook has neither a signal nor an action of that name, or was never built.
    """
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        try:
            actions = connection.execute("select action, signal_id from seeds.actions order by action").fetchall()
            known = {row[0] for row in connection.execute("select signal_id from seeds.signal_definitions").fetchall()}
        except duckdb.CatalogException:
            raise CannotRunError("The playbook is not in the warehouse yet: `lifecycle build` puts it there.") from None
    mine = [(action, signal) for action, signal in actions if name in (action, signal)]
    if not mine and name not in known:
        alike = difflib.get_close_matches(name, sorted({*known, *(action for action, _ in actions)}), 1)
        said = f"; did you mean {alike[0]}?" if alike else ", in signal_definitions.csv or actions.csv."
        raise CannotRunError(f"The playbook has no signal and no action called {name}{said}")
    return Subject(sorted({signal for _, signal in mine} or {name}), sorted({action for action, _ in mine}))


def replay(
    warehouse: Path, statements: Sequence[Statement], name: str, subject: Subject, days: int, horizon: int
) -> Backtest:
    """Play the days again for the signals and actions that are meant."""
    with duckdb.connect() as connection:
        connection.execute(f"attach '{warehouse}' as live (read_only); attach ':memory:' as {CATALOG}; use {CATALOG}")
        as_of = _one(connection, "select max(as_of) from live.raw_ops.runs")
        start = as_of - dt.timedelta(days=days)
        found = Backtest(name, f"{start:%Y-%m-%d}", f"{as_of:%Y-%m-%d}", subject.signals, subject.actions)
        _stage(connection, found, start, [f"{schema}.{model}" for schema, model, _ in statements])
        fired = connection.execute(
            "select cast(floor(epoch(occurred_at - $1::timestamp) / 86400) as bigint), customer_id, outcome"
            " from live.marts.signals"
            " where signal_id in (select unnest($2)) and occurred_at >= $1 and occurred_at < $3",
            [start, found.signals, as_of],
        ).fetchall()
        by_day = Counter(day for day, _, outcome in fired if outcome == "fired")
        found.fired_per_day = [by_day[day] for day in range(days)]
        found.fired = sum(found.fired_per_day)
        found.unknown = len(fired) - found.fired
        found.customers = len({customer for _, customer, outcome in fired if outcome == "fired"})
        found.foresight = foresee(connection, found.signals, start, as_of, dt.timedelta(days=horizon))
        if found.actions:
            _decide(connection, statements, found, [start + dt.timedelta(days=day + 1) for day in range(days)])
    return found


def _one(connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> Any:
    row = connection.execute(query, parameters).fetchone()
    return row[0] if row else None


def _stage(connection: duckdb.DuckDBPyConnection, found: Backtest, start: dt.datetime, built: Sequence[str]) -> None:
    """Every relation of the warehouse under its own name, some of them as they would have been.

    An occurrence is known to the first daily run after it; late messages count as having been in time.
    """
    connection.execute(
        "create table warehouse.main.played as select distinct customer_id from live.marts.signals"
        " where signal_id in (select unnest($1)) and occurred_at >= $2 and outcome = 'fired'",
        [found.signals, start],
    )
    connection.execute("create table warehouse.main.clock (as_of timestamp)")
    for (schema,) in connection.execute(
        "select distinct schema_name from duckdb_schemas() where database_name = 'live' and not internal"
    ).fetchall():
        connection.execute(f'create schema if not exists {CATALOG}."{schema}"')
    relations = connection.execute(
        "select schema_name, table_name from duckdb_tables() where database_name = 'live'"
        " union all select schema_name, view_name from duckdb_views() where database_name = 'live' and not internal"
    ).fetchall()
    run_after = (
        f"timestamp '{start}' + cast(ceil(epoch(occurred_at - timestamp '{start}') / 86400) as bigint) * interval 1 day"
    )
    tested = ", ".join(f"'{action}'" for action in found.actions) or "''"
    for schema, relation in relations:
        source = f'select * from live."{schema}"."{relation}"'
        if relation in OCCURRENCES:
            source = (
                f"select * replace (case when occurred_at < timestamp '{start}' then detected_at else {run_after} end"
                f" as detected_at, is_historical and occurred_at < timestamp '{start}' as is_historical)"
                f' from live."{schema}"."{relation}"'
                " where customer_id in (select customer_id from warehouse.main.played)"
                f" and case when occurred_at < timestamp '{start}' then true else {run_after}"
                " <= (select as_of from warehouse.main.clock) end"
            )
        elif (schema, relation) == ("seeds", "actions"):
            source = (
                f"select * replace (case when action in ({tested}) and mode in ('shadow', 'paused') then 'always_on'"
                f" else mode end as mode, case when action in ({tested}) then least(enabled_at, timestamp '{start}')"
                " else enabled_at end as enabled_at) from live.seeds.actions"
            )
        elif relation == "int_lifecycle__dated":  # the stays as they stood that day
            source = (
                "select stays.* replace (case when valid_to <= clock.as_of then valid_to end as valid_to,"
                " coalesce(valid_to > clock.as_of, true) as is_current)"
                f' from live."{schema}"."{relation}" as stays, {CATALOG}.main.clock as clock'
                " where stays.valid_from < clock.as_of"
                " and stays.customer_id in (select customer_id from warehouse.main.played)"
            )
        elif (schema, relation) == ("raw_ops", "runs"):
            source = "select as_of from warehouse.main.clock"
        elif relation == "int_deliveries__committed":
            connection.execute(f"create table {CATALOG}.{schema}.{relation} as {source} where sent_at < '{start}'")
            continue
        if f"{schema}.{relation}" not in built:
            connection.execute(f'create view {CATALOG}."{schema}"."{relation}" as {source}')


def _decide(
    connection: duckdb.DuckDBPyConnection, statements: Sequence[Statement], found: Backtest, days: Sequence[dt.datetime]
) -> None:
    """Decide day after day; the last word on an action is the one of the last day on which it was open."""
    verdicts: dict[str, tuple[str, str]] = {}
    sent: list[tuple[int, str, str, str]] = []
    for number, day in enumerate(days):
        connection.execute("delete from warehouse.main.clock")
        connection.execute("insert into warehouse.main.clock values (?)", [day])
        connection.execute(f"create or replace macro {CATALOG}.main.as_of() as timestamp '{day}'")
        for schema, model, sql in statements:
            connection.execute(f"create or replace table {CATALOG}.{schema}.{model} as {sql}")
        rows = connection.execute(
            f"select action_id, action, occurrence_id, customer_id, destination, decision, suppression_reason,"
            f" is_open and sent_at is null from {CATALOG}.marts.action_decisions where decided_at <= $1"
            " and decided_at > $2 and occurred_at >= $2",
            [day, days[0] - dt.timedelta(days=1)],
        ).fetchall()
        leaving = []
        for action_id, action, occurrence, customer, destination, decision, reason, is_open in rows:
            if action in found.actions and (is_open or action_id not in verdicts):
                verdicts[action_id] = (decision, reason or "")
            if decision == "permitted" and is_open:
                leaving.append((action_id, customer, action, occurrence, destination, "acknowledged", day))
                sent.append((number, action, customer, destination))
        if leaving:
            connection.executemany(
                f"insert into {CATALOG}.intermediate.int_deliveries__committed"
                " (action_id, customer_id, action, occurrence_id, destination, delivery_state, sent_at)"
                " values (?, ?, ?, ?, ?, ?, ?)",
                leaving,
            )
    _sum_up(found, verdicts, sent, len(days))


def _sum_up(
    found: Backtest, verdicts: dict[str, tuple[str, str]], sent: Sequence[tuple[int, str, str, str]], days: int
) -> None:
    own = [each for each in sent if each[1] in found.actions]
    per_day = Counter(day for day, *_ in own)
    found.permitted = len(own)
    found.permitted_per_day = [per_day[day] for day in range(days)]
    found.customers_reached = len({customer for _, _, customer, _ in own})
    found.suppressed = dict(
        Counter(reason for decision, reason in verdicts.values() if decision != "permitted").most_common()
    )
    mine = {(day, customer) for day, _, customer, _ in own}
    found.overlaps = dict(
        Counter(
            action for day, action, customer, _ in sent if action not in found.actions and (day, customer) in mine
        ).most_common()
    )
    for destination in sorted({each[3] for each in own}):
        load = Counter(day for day, _, _, where in own if where == destination)
        found.load[destination] = {
            "total": load.total(),
            "mean_per_day": round(load.total() / days, 2),
            "most_in_a_day": max(load.values()),
        }
