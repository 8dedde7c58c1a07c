"""Somebody asks to be forgotten: no byte is left, no total moves, and reading every silo anew brings nobody back."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from benchmarks.job import Job
from lifecycle import hyper

from .conftest import MODELS_ONLY

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
        for schema, table in read(path, "select schema_name, table_name from duckdb_tables()"):
            rows = f'from "{schema}"."{table}" as t where regexp_matches(lower(cast(t as varchar)), $1)'
            if read(path, f"select 1 {rows} limit 1", [wanted]):
                found.append(f"{path.name} {schema}.{table}")
    lowered = [token.lower() for token in tokens]
    for path in current.glob("*.parquet"):
        text = pq.read_table(path).to_pandas().to_csv().lower()
        found += [path.name for token in lowered if token in text]
    others = [path for path in job.data_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in others:
        if "sandbox" not in path.relative_to(job.data_dir).parts and path.suffix not in {".parquet", ".duckdb"}:
            content = path.read_bytes().lower()
            found += [str(path) for token in lowered if token.encode() in content]
    return found


def test_a_forgotten_person_leaves_no_trace_no_gap_and_does_not_come_back(ran: Callable[[], Job]) -> None:
    job = ran()
    address, tokens = somebody(job)
    published = job.data_dir / "published" / "lifecycle.duckdb"
    before = read(published, TOTALS)
    traces = found_in(job, tokens)
    assert {"ledger.sqlite", "lifecycle.duckdb"} <= {trace.split()[0].rpartition("/")[2] for trace in traces}
    (job.data_dir / "dbt" / "logs" / "old.log").write_text(f"could not parse {address.upper()}")

    receipt = job.ask("forget", address, "--yes")

    assert receipt["finished_at"]
    assert receipt["scope"] == "person"
    assert receipt["ledger_deliveries"] > 0
    assert receipt["files_overwritten"] == {"dbt": 1}
    assert len(receipt["versions_overwritten"]) == 1
    assert receipt["proof"]["tokens"] >= 2
    assert found_in(job, tokens) == []
    assert read(published, TOTALS) == before, "who it was is gone, what happened is not"
    if hyper.is_installed():
        extract = hyper.fingerprints((published.parent / hyper.FILE_NAME).resolve())
        with duckdb.connect(str(published.resolve()), read_only=True) as connection:
            expected = hyper.expected(connection, published.resolve().stem)
        flat = {mart: pq.read_metadata(published.parent / f"{mart}.parquet").num_rows for mart in expected}
        assert extract == expected
        assert flat == {mart: rows for mart, (rows, _) in expected.items()}
    unnamed = read(
        published,
        "select schema_name, table_name, column_name from marts.published_columns"
        " where pii_class <> 'personal' and data_type = 'varchar' and column_name <> 'owner_email'",
    )
    for schema, table, column in unnamed:
        query = f'select count(*) from "{schema}"."{table}" where regexp_matches("{column}", \'[^ ]@[^ ]+[.][a-z]\')'
        assert read(published, query) == [(0,)], f"{table}.{column} holds addresses and is not called personal"

    # the silos still know the person, and all of it is read again, into a warehouse that knows nothing
    # (nor are there earlier versions: a warehouse that lost its memory of closed months may not follow one that has it)
    (job.data_dir / "warehouse.duckdb").unlink()
    shutil.rmtree(published.parent)
    job.more_environment = MODELS_ONLY
    again = job.ask("run")
    assert again["exit_code"] == 0, again["messages"]
    assert found_in(job, tokens) == []
    assert read(published, TOTALS) == before
    assert job.ask("forget", address, "--yes", expect=1)["erased"] is False, "nobody is known by that address any more"
