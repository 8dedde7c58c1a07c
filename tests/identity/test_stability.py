"""Customer ids over three builds of one hand-made world.

The first build knows two companies and a support organisation that nothing ties to them. The second has the same rows
in another order, unrelated rows, and a bridge between the organisation and one company. In the third the bridge is
gone.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.tables import create_missing

REPOSITORY = Path(__file__).resolve().parents[2]
AS_OF = datetime(2026, 3, 1)  # noqa: DTZ001 - the warehouse keeps naive UTC

Row = tuple[str, dict[str, Any]]
Customers = dict[str, str]


def day(number: int) -> datetime:
    return datetime(2026, 1, 1) + timedelta(days=number)  # noqa: DTZ001 - as above


def event(number: int, kind: str, **fields: Any) -> Row:
    at = day(number)
    row = {
        "message_id": f"{kind}-{number}-{fields.get('user_id')}",
        "type": kind,
        "properties": "{}",
        "context": "{}",
        "timestamp": at,
        "received_at": at,
        "received_date": at.date(),
    }
    return "raw_product.events", row | fields


def company(name: str, born: int) -> list[Row]:
    """An account with one user, known to billing by the account id and to the CRM by its web address."""
    traits = f'{{"traits": {{"email": "Ada@{name}.example"}}}}'
    return [
        event(born, "identify", user_id=f"u_{name}", anonymous_id=f"v_{name}", context=traits),
        event(born, "group", user_id=f"u_{name}", group_id=f"acc_{name}", properties=f'{{"domain": "{name}.example"}}'),
        (
            "raw_stripe.customers",
            {
                "id": f"cus_{name}",
                "email": f"billing@{name}.example",
                "name": name,
                "created": int((day(born + 1) - datetime(1970, 1, 1)).total_seconds()),  # noqa: DTZ001 - as above
                "metadata": f'{{"account_id": "acc_{name}"}}',
            },
        ),
        (
            "raw_bitrix24.companies",
            {
                "id": born,
                "title": name,
                "fm": f'[{{"typeId": "WEB", "value": "https://www.{name}.example"}}]',
                "created_time": day(born),
                "updated_time": day(born),
            },
        ),
    ]


def support_organization(number: int, born: int) -> list[Row]:
    """An organisation that nothing ties to an account: no account id, no domain."""
    row = {"id": number, "name": "Old friends", "domain_names": "[]", "created_at": day(born), "updated_at": day(born)}
    return [("raw_zendesk.organizations", row)]


def bridge(number: int, organization: int, name: str) -> list[Row]:
    """A support user of the organisation who writes from a user's address: the only tie between the two."""
    row = {
        "id": number,
        "name": "Ada",
        "email": f"ADA+help@{name}.example",
        "role": "end-user",
        "organization_id": organization,
        "created_at": day(20),
        "updated_at": day(20),
    }
    return [("raw_zendesk.users", row)]


BASE = company("acme", 10) + company("birch", 11) + support_organization(900, 5)
UNRELATED = company("cedar", 12) + support_organization(950, 1)


@dataclass(frozen=True)
class Builds:
    """Customer by record after each build."""

    apart: Customers
    bridged: Customers
    apart_again: Customers


def write(warehouse: Path, rows: list[Row]) -> None:
    with duckdb.connect(str(warehouse)) as connection:
        create_missing(connection)
        connection.execute(
            "insert into raw_ops.runs (run_id, as_of, _dlt_load_id) values ('run', $as_of, 'run')", {"as_of": AS_OF}
        )
        for table, row in rows:
            values = row | {"_dlt_load_id": "run"}
            columns = ", ".join(f'"{name}"' for name in values)
            marks = ", ".join("?" for _ in values)
            connection.execute(f"insert into {table} ({columns}) values ({marks})", list(values.values()))


def resolve(warehouse: Path) -> Customers:
    environment = {
        **os.environ,
        "LIFECYCLE_WAREHOUSE": str(warehouse),
        "DBT_TARGET_PATH": str(warehouse.parent / "target"),
        "DBT_LOG_PATH": str(warehouse.parent / "logs"),
    }
    command = [
        sys.executable,
        "-m",
        "dbt.cli.main",
        "build",
        "--profiles-dir",
        ".",
        "--no-use-colors",
        "--threads",
        "1",
    ]
    command += ["--select", "+int_identities__resolved", "--exclude-resource-type", "test", "unit_test"]
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        found = connection.execute("select record_key, customer_id from intermediate.int_identities__resolved")
        return dict(found.fetchall())


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> Builds:
    folder = tmp_path_factory.mktemp("identity")
    write(folder / "first.duckdb", BASE)
    apart = resolve(folder / "first.duckdb")
    rows = BASE + UNRELATED + bridge(901, 900, "acme")
    random.Random(7).shuffle(rows)
    write(folder / "second.duckdb", rows)
    bridged = resolve(folder / "second.duckdb")
    with duckdb.connect(str(folder / "second.duckdb")) as connection:
        connection.execute("delete from raw_zendesk.users where id = 901")
    return Builds(apart, bridged, resolve(folder / "second.duckdb"))


def test_an_account_gathers_its_records_and_no_others(builds: Builds) -> None:
    acme = {key for key, customer in builds.apart.items() if customer == builds.apart["product:account:acc_acme"]}
    assert acme == {
        "product:account:acc_acme",
        "product:user:u_acme",
        "product:anonymous:v_acme",
        "stripe:customer:cus_acme",
        "bitrix24:company:10",
    }


def test_in_a_merge_the_older_customer_keeps_its_name(builds: Builds) -> None:
    older = builds.apart["zendesk:organization:900"]
    assert older != builds.apart["product:account:acc_acme"]
    merged = ("product:account:acc_acme", "zendesk:user:901", "stripe:customer:cus_acme", "zendesk:organization:900")
    assert {builds.bridged[key] for key in merged} == {older}


def test_another_order_of_rows_and_unrelated_rows_change_no_name(builds: Builds) -> None:
    birch = [key for key, customer in builds.apart.items() if customer == builds.apart["product:account:acc_birch"]]
    assert len(birch) == 5
    assert {builds.bridged[key] for key in birch} == {builds.apart["product:account:acc_birch"]}


def test_without_the_bridge_everything_is_as_it_was(builds: Builds) -> None:
    assert {key: builds.apart_again[key] for key in builds.apart} == builds.apart
