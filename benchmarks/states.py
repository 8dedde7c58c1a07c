"""What it costs to fold all signals into states, and to decide what is to be done: the models as dbt compiles them.

200,000 customers with ten signals each, of all kinds that the playbook listens to, go through the state machine from
nothing: three regions and the state that is shown. What became of everything that was ever sent, of all stays and all
hand-offs is looked up. Then the newest occurrences are planned: every action of the playbook on every occurrence that
sets it off, with receipts of what was sent before. Times are of the models alone, on tables in a DuckDB file; compiling
is not in them. A plain loop over the same signals stands beside the fold.

    python -m benchmarks.states
    python -m benchmarks.states --customers 50000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from benchmarks.figures import Figure, main
from benchmarks.job import PROJECT_DIR
from ingest.tables import create_missing
from lifecycle.playbook import sheets

if TYPE_CHECKING:
    from collections.abc import Sequence

AS_OF = "2026-03-01 12:00:00"
FOLD = ("int_lifecycle__moved", "int_lifecycle__dated")
OUTCOMES = (
    "int_signals__defined",
    "int_deliveries__committed",
    "int_hand_offs__followed",
    "int_outcomes__observed",
    "int_journeys__walked",
)
PLAN = ("int_signals__told", "int_actions__proposed", "int_actions__decided")
SIGNALS_PER_CUSTOMER = 10
FOLD_BAR = 3.0
PLAN_BAR = 5.0
DECISIONS = 100_000
REPEATS = 3

TABLES = """
create schema if not exists staging;
create schema if not exists intermediate;
create schema if not exists seeds;
create table staging.stg_ops__extracts as
    select source, timestamp '{as_of}' as as_of, 'succeeded' as status, timestamp '{as_of}' as data_through_at
    from (values ('product'), ('stripe'), ('customerio')) as silos (source);
create table intermediate.int_customers__resolved as
    select 'c_' || substr(md5(cast(range as varchar)), 1, 16) as customer_id, timestamp '2024-09-01' as first_seen_at
    from range({customers});
create table intermediate.int_time_zones__observed as
    select customer_id, 'Europe/Berlin' as time_zone
    from intermediate.int_customers__resolved
    where customer_id < 'c_8';
create table intermediate.int_customer_marketing__current as
    select
        customer_id, 'u_' || customer_id as primary_user_id, customer_id || '@mail.example' as primary_email,
        true as has_consent, '7' as crm_deal_id, '7' as open_deal_id, 'C1:NEW' as crm_deal_stage_id,
        '12' as crm_owner_id
    from intermediate.int_customers__resolved;
create table intermediate.int_identities__resolved as
    select customer_id as record_key, customer_id, 'c_' || substr(md5(customer_id), 1, 16) as given_customer_id
    from intermediate.int_customers__resolved;
create table intermediate.int_messages__attributed as
    select
        customer_id, created_at, created_at + interval 1 day as opened_at, null::timestamp as clicked_at
    from intermediate.int_customers__resolved
    cross join (
        select timestamp '{as_of}' - range * interval 40 day as created_at from range(12)
    );
create table intermediate.int_activity__daily_edged as
    select customer_id, active_at as first_at, active_at + interval 8 hour as last_at
    from intermediate.int_customers__resolved
    cross join (select timestamp '{as_of}' - range * interval 20 day as active_at from range(24));
"""
# which signal, and when, follows from md5, so that every machine folds the same lives
OCCURRENCES = f"""
create table intermediate.int_signals__detected as
    with drawn as (
        select
            customers.customer_id,
            numbers.range as number,
            md5(customers.customer_id || '-' || numbers.range) as occurrence_id
        from intermediate.int_customers__resolved as customers
        cross join range({SIGNALS_PER_CUSTOMER}) as numbers
    ),
    kinds as (
        select *, row_number() over (order by signal_id) - 1 as kind_number, count(*) over () as kinds
        from seeds.signal_definitions
        where behaviour is not null
    ),
    timed as (
        select
            drawn.*,
            kinds.signal_id,
            kinds.rearm,
            kinds.kind,
            kinds.unit,
            kinds.max_lateness_hours,
            -- a life of eighteen months, from sign-up to now
            timestamp '{AS_OF}'
            - interval 1 minute * (1 + ('0x' || substr(drawn.occurrence_id, 1, 7))::bigint % 777600) as occurred_at
        from drawn
        inner join kinds
            on ('0x' || substr(drawn.occurrence_id, 9, 7))::bigint % kinds.kinds = kinds.kind_number
    )
    select
        occurrence_id, signal_id, 'h' as definition_hash, kind, unit, 'product' as proving_source, rearm, customer_id,
        null::varchar as user_id, 'fired' as outcome, occurred_at, occurred_at + interval 5 minute as detected_at,
        1 as proof_count, occurred_at as proof_from, occurred_at as proof_to,
        occurrence_id || ',e' as proving_event_ids, max_lateness_hours, false as is_historical
    from timed
"""
RECEIPTS = f"""
create table staging.stg_receipts__deliveries as
    select
        md5(occurrences.occurrence_id || actions.action) as action_id, occurrences.customer_id, actions.action,
        occurrences.occurrence_id, actions.destination, 'acknowledged' as delivery_state,
        occurrences.detected_at as first_planned_at, occurrences.detected_at as acknowledged_at
    from intermediate.int_signals__detected as occurrences
    inner join seeds.actions as actions on occurrences.signal_id = actions.signal_id
    where occurrences.occurred_at < timestamp '{AS_OF}' - interval 1 day
        and ('0x' || substr(occurrences.occurrence_id, 17, 7))::bigint % 10 < 3
"""


def compiled(folder: Path) -> dict[str, str]:
    """The SQL that dbt makes of the models, at a fixed as_of."""
    warehouse = folder / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        create_missing(connection)
    command = [
        str(Path(sys.executable).with_name("dbt")), "--quiet", "compile", "--vars", f"{{as_of: '{AS_OF}'}}",
        "--threads", "1", "--project-dir", str(PROJECT_DIR), "--profiles-dir", str(PROJECT_DIR),
        "--target-path", str(folder / "target"), "--log-path", str(folder / "logs"),
        "--select", *FOLD, *OUTCOMES, *PLAN,
    ]  # fmt: skip
    environment = {**os.environ, "LIFECYCLE_WAREHOUSE": str(warehouse)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    warehouse.unlink()
    return {path.stem: path.read_text() for path in (folder / "target" / "compiled").rglob("*.sql")}


def load_seeds(connection: duckdb.DuckDBPyConnection) -> None:
    """The playbook as the files have it, with the declared types."""
    for sheet in sheets.read():
        if sheets.is_playbook(sheet):
            columns = ", ".join(f"{name} {kind}" for name, kind in sheet.types.items())
            connection.execute(f"create table seeds.{sheet.name} ({columns})")
            connection.execute(f"copy seeds.{sheet.name} from '{PROJECT_DIR / sheet.file}' (header)")


def seconds(connection: duckdb.DuckDBPyConnection, models: Sequence[str], sql: dict[str, str]) -> float:
    """The fastest of some builds of these models, one after the other."""
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for model in models:
            connection.execute(f"create or replace table intermediate.{model} as {sql[model]}")
        times.append(time.perf_counter() - started)
    return min(times)


def plain_loop(connection: duckdb.DuckDBPyConnection) -> tuple[float, int]:
    """The regions by a plain loop, fetching included; how long it takes, and how many moves it finds."""
    playbook = sheets.read()
    rows = playbook.rows("lifecycle_transitions")
    states = playbook.by("lifecycle_states", "state")
    moves = {(row["from_state"], row["signal_id"]): row["to_state"] for row in rows}
    priority = {row["signal_id"]: row.whole("priority") for row in rows}
    initial = {row["region"]: name for name, row in states.items() if row.is_true("is_initial")}
    interrupts = {name for name, row in states.items() if row.is_true("is_interruption")}
    started = time.perf_counter()
    lives: defaultdict[str, list[tuple[object, int, str, str]]] = defaultdict(list)
    query = "select customer_id, occurred_at, signal_id, occurrence_id from intermediate.int_signals__detected"
    for customer, at, signal, occurrence in connection.execute(query).fetchall():
        if signal in priority:
            lives[customer].append((at, priority[signal], signal, occurrence))
    made = 0
    for life in lives.values():
        now, before = dict(initial), dict[str, str]()
        for _, _, signal, _ in sorted(life):
            for region, state in now.items():
                target = moves.get((state, signal))
                if target is None:
                    continue
                target = before[region] if target == "resume" else target
                if target in interrupts and state not in interrupts:
                    before[region] = state
                now[region] = target
                made += 1
    return time.perf_counter() - started, made


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Fold and plan, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sql = compiled(folder)
        with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
            connection.execute(TABLES.format(customers=int(arguments.customers), as_of=AS_OF))
            load_seeds(connection)
            connection.execute(OCCURRENCES)
            connection.execute(RECEIPTS)
            signals = _count(connection, "intermediate.int_signals__detected")
            fold = seconds(connection, FOLD, sql)
            moved = _count(
                connection, "intermediate.int_lifecycle__dated where region != 'customer' and occurrence_id is not null"
            )
            loop, made = plain_loop(connection)
            outcomes = seconds(connection, OUTCOMES, sql)
            became = _count(connection, "intermediate.int_outcomes__observed")
            # what became of years is not planned again
            connection.execute(
                "create or replace table intermediate.int_outcomes__observed as"
                " select * from intermediate.int_outcomes__observed"
                f" where occurred_at > timestamp '{AS_OF}' - interval 3 day"
            )
            # plan what is recent: so many occurrences that about 100,000 decisions follow
            per_occurrence = connection.execute(
                "select count(*) from intermediate.int_signals__detected inner join seeds.actions using (signal_id)"
            ).fetchall()[0][0]
            share = min(1.0, DECISIONS / per_occurrence)
            connection.execute(
                "create or replace table intermediate.int_signals__detected as"
                " select * from intermediate.int_signals__detected order by occurred_at desc limit ?",
                [int(signals * share)],
            )
            plan = seconds(connection, PLAN, sql)
            decisions = _count(connection, "intermediate.int_actions__decided")
            permitted = _count(connection, "intermediate.int_actions__decided where decision = 'permitted'")
    size = f"{arguments.customers:,} customers, {signals:,} signals; a plain loop {loop:.2f} s"
    return [
        Figure("a full fold", fold, "s", size, ratio=fold / loop, bar=FOLD_BAR),
        Figure("moves that the loop finds differently", abs(made - moved), "moves", f"of {made:,}", bar=0),
        Figure("outcomes of everything sent", outcomes, "s", f"{became:,} outcomes"),
        Figure("planning", plan, "s", f"{decisions:,} decisions, {permitted:,} permitted", bar=PLAN_BAR),
    ]  # fmt: skip


def _count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    return int(connection.execute(f"select count(*) from {what}").fetchall()[0][0])


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--customers", type=int, default=200_000)
    main(measure, options)
