"""Somebody is forgotten; then the job begins again from the silos, and all that is left is the ledger and the erasures.

On the way it is killed six times, in whichever step, and a simulation goes on with it. No byte is left of who was
forgotten, reading every silo anew brings nobody back, no number moves, and nothing is delivered twice. Two builds hold
all of that: the forgetting builds again on unchanged data, and what begins again reads, builds, publishes and delivers.

What is killed here is the cheap version of the benchmark kills, which kills whole runs only, at moments that it draws.
Four more kills, of deliveries, are in test_interrupted.py.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks.job import PROJECT_DIR, Job
from benchmarks.kills import VOLATILE, published_numbers
from lifecycle import cli, simulate
from lifecycle.publication import hyper
from sandbox.store import Delivery
from sandbox.world.parameters import FOUNDED_AT

from .conftest import LEAN, PLANTED, arrived, ask_published

pytestmark = pytest.mark.end_to_end

TOTALS = """
    select
        (select sum(closing_mrr) from marts.mrr_movements),
        (select sum(mrr) from marts.customer_lifecycle),
        (select count(*) from marts.customer_lifecycle),
        (select count(*) from marts.customer_identities),
        (select sum(events) from marts.usage_daily),
        (select sum(active_users) from marts.usage_daily),
        (select sum(tickets_90d) from marts.customer_lifecycle),
        (select sum(messages_sent_90d) from marts.customer_lifecycle),
        (select count(*) from marts.signals)
"""
# a person of the product with a delivery in the ledger, known in most silos, under a name that nobody else has
SOMEBODY = """
    with people as (
        select
            people.person_id,
            min(identifiers.identifier_value) filter (where identifier_type = 'email') as address,
            count(distinct identifiers.identifier_value) filter (where identifier_type = 'email') as addresses,
            list(distinct identifiers.identifier_value) as identifiers,
            count(distinct source_system) as silos,
            min(people.record_name) filter (where source_system = 'product') as name
        from intermediate.int_identities__resolved as people
        inner join intermediate.int_identifiers__extracted as identifiers using (record_key)
        where record_level = 'member' and identifier_type in ('email', 'user_id')
        group by people.person_id
    ),
    names as (
        select record_name as name, count(distinct person_id) as bearers
        from intermediate.int_identities__resolved where record_level = 'member'
        group by record_name
    )
    select person_id, address, identifiers, name
    from people inner join names using (name)
    where silos >= 3 and addresses = 1 and bearers = 1 and list_contains(identifiers, $user)
"""
IMPERSONAL = """
    select schema_name || '.' || table_name, string_agg('"' || column_name || '"', ', ' order by column_position)
    from marts.published_columns
    where pii_class = 'none' and column_name not in ('run_id', 'unsubscribed_people') group by all order by all
"""
# what readers and the ledger know customers by, and what was decided about them
NAMES = "select customer_id, action_id from marts.action_decisions where action_id is not null order by all"
# a row in which a text is found, whatever column it stands in
ROWS = "select 1 from {source} as t where regexp_matches(lower(cast(t as varchar)), $1) limit 1"

# what is killed, in which of its steps, and the how manieth time that it is about to say there how far it is; what does
# one step alone costs no build
BEFORE = (("run", "ingest", 4), ("ingest", "ingest", 14), ("run", "build", 130))
AFTER = (("publish", "publish", 1), ("publish", "publish", 12), ("publish", "publish", 40))
# no machine is too fast or too busy to be hit there; the processes that it started are hit wherever they are
DOOMED = """
import os, signal, sys
from lifecycle.cli import app
from lifecycle.progress import Lines

command, step, left = sys.argv[1], sys.argv[2], int(sys.argv[3])

def detail(lines, _text):
    global left
    left -= lines._name == step
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

Lines.detail = detail
app([command])
"""
PLANTED_ON = dt.datetime.fromtimestamp(FOUNDED_AT, dt.UTC).date() + dt.timedelta(days=PLANTED)


def read(path: Path, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path.resolve()), read_only=True) as connection:
        return connection.execute(query, parameters).fetchall()


def somebody(job: Job) -> tuple[str, list[str]]:
    """An address, and everything that names the person."""
    with sqlite3.connect(job.data_dir / "ledger.sqlite") as ledger:
        users = [
            json.loads(payload).get("user_id")
            for (payload,) in ledger.execute(
                "select payload from deliveries join payloads using (action_id) where destination = 'customerio'"
                " order by action_id"
            )
        ]
    for user in filter(None, users):
        for _, address, names, name in read(job.data_dir / "warehouse.duckdb", SOMEBODY, {"user": user}):
            return address, [*names, name]
    raise AssertionError("The world has nobody to whom all of this applies.")


def found_in(job: Job, tokens: list[str], within: Collection[str] = ()) -> list[str]:
    """Where any of the tokens is read by the readers of each kind of file, or lies in the bytes of other files.

    `within` are the tables and other files that are searched, by name; all of them without it.
    """
    found = []
    current = (job.data_dir / "published" / "current").resolve()
    wanted = "|".join(token.lower().replace(".", "[.]").replace("+", "[+]") for token in tokens)
    for path in [job.data_dir / "warehouse.duckdb", *current.glob("*.duckdb")]:
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, table in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                if within and table not in within:
                    continue
                if connection.execute(ROWS.format(source=f'"{schema}"."{table}"'), [wanted]).fetchall():
                    found.append(f"{path.name} {schema}.{table}")
    with duckdb.connect() as connection:
        found += [
            path.name
            for path in current.glob("*.parquet")
            if (not within or path.stem in within)
            and connection.execute(ROWS.format(source=f"read_parquet('{path}')"), [wanted]).fetchall()
        ]
    others = [path for path in job.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in others:
        if within and path.stem not in within:
            continue
        if "sandbox" not in path.relative_to(job.data_dir).parts and path.suffix not in {".parquet", ".duckdb"}:
            content = path.read_bytes().lower()
            found += [str(path) for token in tokens if token.lower().encode() in content]
    return found


def impersonal(job: Job) -> dict[str, tuple[Any, ...]]:
    """Per published table its rows and a checksum of all columns that stand for nobody.

    Left out are what differs from run to run, the links of identities (who is forgotten has fewer), and the number of
    those who may not be written to (who is forgotten is one of them).
    """
    path = job.data_dir / "published" / "lifecycle.duckdb"
    return {
        table: read(path, f"select count(*), coalesce(sum(hash({columns})::hugeint), 0) from {table}")[0]
        for table, columns in read(path, IMPERSONAL)
        if table.partition(".")[2] not in VOLATILE | {"identity_links"}
    }


def attempts(job: Job) -> list[tuple[Any, ...]]:
    """Every attempt to deliver anything."""
    with sqlite3.connect(job.data_dir / "ledger.sqlite") as ledger:
        return ledger.execute("select * from attempts order by 1").fetchall()


def dies(job: Job, command: str, step: str, far: int) -> bool:
    """Kill a command once a step has come so far; whether it came so far."""
    done = subprocess.run(
        [sys.executable, "-c", DOOMED, command, step, str(far)],
        cwd=PROJECT_DIR, env=job.environment, text=True, capture_output=True, check=False,
    )  # fmt: skip
    return done.returncode == -signal.SIGKILL


@dataclass(frozen=True)
class Erased:
    """A job that has forgotten somebody: the address, what named the person where, how it was before, the receipt."""

    job: Job
    address: str
    tokens: list[str]
    traces: list[str]
    before: list[tuple[Any, ...]]
    names: list[tuple[Any, ...]]
    figures: dict[str, tuple[Any, ...]]
    receipt: dict[str, Any]


@pytest.fixture(scope="module")
def erased(ran: Callable[..., Job]) -> Erased:
    """Somebody is forgotten after the first run, of which a simulation could make its first day."""
    job = ran("simulation")
    address, tokens = somebody(job)
    published = job.data_dir / "published" / "lifecycle.duckdb"
    traces = found_in(job, tokens, {"customer_identities", "ledger"})
    before, names = read(published, TOTALS), read(published, NAMES)
    figures = impersonal(job)
    (job.data_dir / "dbt" / "logs" / "old.log").write_text(f"could not parse {address.upper()}")
    return Erased(job, address, tokens, traces, before, names, figures, job.ask("forget", address, "--yes"))


@dataclass(frozen=True)
class Anew:
    """A job that began again: what it published before, how many kills hit it, what the simulation said."""

    job: Job
    published: dict[str, tuple[int, int]]
    inbox: list[Delivery]
    attempts: list[tuple[Any, ...]]
    hits: int
    simulated: dict[str, Any]


@pytest.fixture(scope="module")
def anew(erased: Erased) -> Anew:
    """Killed three times on the way, gone on with by a simulation to the end of the day, killed three times more."""
    job = erased.job
    published, inbox, attempted = published_numbers(job.data_dir), arrived(job.data_dir), attempts(job)
    (job.data_dir / "warehouse.duckdb").unlink()
    # nor are there earlier versions: a warehouse that lost its memory of closed months may not follow one that has it
    shutil.rmtree(job.data_dir / "published")
    job.more_environment = LEAN
    hits = sum(dies(job, *kill) for kill in BEFORE)
    (job.data_dir / simulate.DAYS).touch()  # of its days none was over
    done = Job(job.data_dir.parent, more_environment=LEAN).call("simulate", "--resume", "--days", "1", "--json")
    assert done.returncode == 1, f"one day is too few to go live\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    hits += sum(dies(job, *kill) for kill in AFTER)
    job.ask("publish")
    return Anew(job, published, inbox, attempted, hits, json.loads(done.stdout))


def test_a_forgotten_person_leaves_no_trace_and_no_gap(erased: Erased) -> None:
    job, receipt = erased.job, erased.receipt
    everywhere = {"ledger.sqlite", "warehouse.duckdb", "lifecycle.duckdb", "customer_identities.parquet"}
    assert everywhere <= {trace.split()[0].rpartition("/")[2] for trace in erased.traces}
    assert receipt["finished_at"]
    assert receipt["scope"] == "person"
    assert receipt["ledger_deliveries"] > 0
    assert receipt["files_overwritten"] == {"dbt": 1}
    assert len(receipt["versions_overwritten"]) == 1
    assert receipt["proof"]["tokens"] >= 2
    assert found_in(job, erased.tokens) == []
    published = job.data_dir / "published" / "lifecycle.duckdb"
    assert read(published, TOTALS) == erased.before, "who it was is gone, what happened is not"
    assert read(published, NAMES) == erased.names, "nobody is written to again under another id"
    assert impersonal(job) == erased.figures, "building again on unchanged data changes no number"
    if hyper.is_installed():
        extract = hyper.fingerprints((published.parent / hyper.FILE_NAME).resolve())
        with duckdb.connect(str(published.resolve()), read_only=True) as connection:
            expected = hyper.expected(connection, published.resolve().stem)
        flat = {mart: pq.read_metadata(published.parent / f"{mart}.parquet").num_rows for mart in expected}
        assert extract == expected
        assert flat == {mart: rows for mart, (rows, _) in expected.items()}
    with duckdb.connect(str(published.resolve()), read_only=True) as connection:
        unnamed = connection.execute(
            "select schema_name, table_name, column_name from marts.published_columns"
            " where pii_class <> 'personal' and data_type = 'varchar' and column_name <> 'owner_email'"
        ).fetchall()
        assert unnamed
        for schema, table, column in unnamed:
            addresses = f'select 1 from "{schema}"."{table}" where regexp_matches("{column}", $1) limit 1'
            found = connection.execute(addresses, ["[^ ]@[^ ]+[.][a-z]"]).fetchall()
            assert found == [], f"{table}.{column} holds addresses and is not called personal"


def test_reading_every_silo_anew_brings_nobody_back(erased: Erased, anew: Anew) -> None:
    """The silos still know the person, and all of it was read again, into a warehouse that knew nothing."""
    assert found_in(anew.job, erased.tokens) == []
    # in this process, where nothing has to be imported for it
    once_more = CliRunner().invoke(cli.app, ["forget", erased.address, "--yes", "--json"], env=anew.job.environment)
    assert once_more.exit_code == 1
    assert json.loads(once_more.stdout)["erased"] is False, "nobody is known by that address any more"


def test_beginning_again_and_six_kills_change_no_number(anew: Anew) -> None:
    assert anew.hits == 6, "the kills should hit a job at work"
    assert published_numbers(anew.job.data_dir) == anew.published


def test_beginning_again_delivers_nothing(anew: Anew) -> None:
    assert anew.attempts
    assert attempts(anew.job) == anew.attempts
    assert arrived(anew.job.data_dir) == anew.inbox


def test_a_changed_definition_breaks_the_row_on_its_day_and_only_there(anew: Anew) -> None:
    (day,) = anew.simulated["by_day"]
    assert day["exit_code"] == 0, day["messages"]
    assert [sentence for sentence in day["breaks"] if f"payments of {PLANTED_ON}" in sentence], day["breaks"]
    assert not [each for each in day["breaks"] if "payments" in each and str(PLANTED_ON) not in each], day["breaks"]
    streaks = {(each["metric"], each["grain"]): each for each in anew.simulated["streaks"]}
    payments = streaks["payments", "day"]
    assert payments["last_break"]["period"] == str(PLANTED_ON)
    assert payments["streak"] == 1, "the row began again on the day after"
    assert payments["last_period"] == str(PLANTED_ON + dt.timedelta(days=1))
    assert not anew.simulated["is_live"]
    differing = ask_published(
        anew.job,
        "select count(*), min(difference) from marts.reconciliation_differences"
        f" where metric = 'payments' and period = date '{PLANTED_ON}' and rule is null",
    )
    assert differing[0][0] >= 1
    assert differing[0][1] > 0, "after the fees theirs is less, customer by customer"
