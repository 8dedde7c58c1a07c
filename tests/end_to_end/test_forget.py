"""Somebody asks to be forgotten: no byte is left, no total moves, and reading every silo anew brings nobody back."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from benchmarks.job import Job
from lifecycle import cli, hyper

from .conftest import LEAN

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
# what readers and the ledger know customers by, and what was decided about them
NAMES = "select customer_id, action_id from marts.action_decisions where action_id is not null order by all"
# a row in which a text is found, whatever column it stands in
ROWS = "select 1 from {source} as t where regexp_matches(lower(cast(t as varchar)), $1) limit 1"


def read(path: Path, query: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path.resolve()), read_only=True) as connection:
        return connection.execute(query, parameters).fetchall()


def somebody(job: Job) -> tuple[str, list[str]]:
    """An address, and everything that names the person."""
    with sqlite3.connect(job.data_dir / "ledger.sqlite") as ledger:
        users = [
            json.loads(payload).get("user_id")
            for (payload,) in ledger.execute("select payload from deliveries where destination = 'customerio'")
        ]
    for user in filter(None, users):
        for _, address, names, name in read(job.data_dir / "warehouse.duckdb", SOMEBODY, {"user": user}):
            return address, [*names, name]
    raise AssertionError("The world has nobody to whom all of this applies.")


def found_in(job: Job, tokens: list[str]) -> list[str]:
    """Where any of the tokens is read by the readers of each kind of file, or lies in the bytes of other files."""
    found = []
    current = (job.data_dir / "published" / "current").resolve()
    wanted = "|".join(token.lower().replace(".", "[.]").replace("+", "[+]") for token in tokens)
    for path in [job.data_dir / "warehouse.duckdb", *current.glob("*.duckdb")]:
        with duckdb.connect(str(path), read_only=True) as connection:
            for schema, table in connection.execute("select schema_name, table_name from duckdb_tables()").fetchall():
                if connection.execute(ROWS.format(source=f'"{schema}"."{table}"'), [wanted]).fetchall():
                    found.append(f"{path.name} {schema}.{table}")
    with duckdb.connect() as connection:
        found += [
            path.name
            for path in current.glob("*.parquet")
            if connection.execute(ROWS.format(source=f"read_parquet('{path}')"), [wanted]).fetchall()
        ]
    others = [path for path in job.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in others:
        if "sandbox" not in path.relative_to(job.data_dir).parts and path.suffix not in {".parquet", ".duckdb"}:
            content = path.read_bytes().lower()
            found += [str(path) for token in tokens if token.lower().encode() in content]
    return found


@dataclass(frozen=True)
class Erased:
    """A job that has forgotten somebody: the address, what named the person where, the totals before, the receipt."""

    job: Job
    address: str
    tokens: list[str]
    traces: list[str]
    before: list[tuple[Any, ...]]
    names: list[tuple[Any, ...]]
    receipt: dict[str, Any]


@pytest.fixture(scope="module")
def erased(ran: Callable[[], Job]) -> Erased:
    """Somebody is forgotten after the first run."""
    job = ran()
    address, tokens = somebody(job)
    published = job.data_dir / "published" / "lifecycle.duckdb"
    traces, before, names = found_in(job, tokens), read(published, TOTALS), read(published, NAMES)
    (job.data_dir / "dbt" / "logs" / "old.log").write_text(f"could not parse {address.upper()}")
    return Erased(job, address, tokens, traces, before, names, job.ask("forget", address, "--yes"))


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


def test_reading_every_silo_anew_brings_nobody_back_and_moves_no_total(erased: Erased) -> None:
    """The silos still know the person, and all of it is read again, into a warehouse that knows nothing."""
    job, published = erased.job, erased.job.data_dir / "published" / "lifecycle.duckdb"
    (job.data_dir / "warehouse.duckdb").unlink()
    # nor are there earlier versions: a warehouse that lost its memory of closed months may not follow one that has it
    shutil.rmtree(published.parent)
    job.more_environment = LEAN
    again = job.ask("run")
    assert again["exit_code"] == 0, again["messages"]
    assert found_in(job, erased.tokens) == []
    assert read(published, TOTALS) == erased.before
    # in this process, where nothing has to be imported for it
    once_more = CliRunner().invoke(cli.app, ["forget", erased.address, "--yes", "--json"], env=job.environment)
    assert once_more.exit_code == 1
    assert json.loads(once_more.stdout)["erased"] is False, "nobody is known by that address any more"
