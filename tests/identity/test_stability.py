"""Ids over four builds of one hand-made world, each published at an instant of its own.

apart     two companies, and a support organisation that nothing ties to them
bridged   the same rows in another order, unrelated rows, and a bridge between the organisation and one company
parted    without the bridge; an older CRM company comes in, and the record that named its company goes
again     the same instant once more, everything computed anew
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import md5
from typing import Any

import pytest

from lifecycle.explain import evidence
from lifecycle.remembered import identities
from tests.warehouse import Warehouse

Row = tuple[str, dict[str, Any]]


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


def company(name: str, born: int, crm_id: int | None = None) -> list[Row]:
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
        crm_company(crm_id or born, name, born),
    ]


def crm_company(number: int, name: str, born: int) -> Row:
    row = {
        "id": number,
        "title": name,
        "fm": f'[{{"typeId": "WEB", "value": "https://www.{name}.example"}}]',
        "created_time": day(born),
        "updated_time": day(born),
    }
    return "raw_bitrix24.companies", row


def lead(number: int, name: str, born: int) -> Row:
    """Somebody of the company who asked before there was an account: the oldest record of it."""
    row = {
        "id": number,
        "title": name,
        "fm": f'[{{"typeId": "EMAIL", "value": "ada@{name}.example"}}]',
        "created_time": day(born),
        "updated_time": day(born),
    }
    return "raw_bitrix24.leads", row


def support_organization(number: int, born: int) -> list[Row]:
    """An organisation that nothing ties to an account: no account id, no domain."""
    row = {"id": number, "name": "Old friends", "domain_names": "[]", "created_at": day(born), "updated_at": day(born)}
    return [("raw_zendesk.organizations", row)]


def bridge(number: int, organization: int, name: str, born: int) -> list[Row]:
    """A support user of the organisation who writes from a user's address: the only tie between the two."""
    row = {
        "id": number,
        "name": "Ada",
        "email": f"ADA+help@{name}.example",
        "role": "end-user",
        "organization_id": organization,
        "created_at": day(born),
        "updated_at": day(born),
    }
    return [("raw_zendesk.users", row)]


LEAD_NUMBER = 7
BASE = [*company("acme", 10), *company("birch", 11), lead(LEAD_NUMBER, "birch", 8), *support_organization(900, 5)]
# never published apart: what is known of this merge is known from the silos alone
CEDARS = [*company("cedar", 12), *support_organization(950, 1), *bridge(951, 950, "cedar", 30)]
# what people decided: dogwood bought elm, an organisation is birch's, and a lead is not dogwood's Ada
DECIDED = [*company("dogwood", 13), *company("elm", 14), *support_organization(960, 15), lead(8, "dogwood", 40)]
DECISIONS = """
    insert into seeds.identity_aliases values
        ('account_id', 'acc_elm', 'acc_dogwood', timestamp '2026-02-10', 'Mo', date '2026-02-11', 'Bought'),
        ('account_id', 'acc_birch', 'acc_dogwood', timestamp '2027-01-01', 'Mo', date '2026-02-11', 'Will be bought');
    insert into seeds.identity_overrides values
        ('zendesk:organization:960', 'stripe:customer:cus_birch', 'together', 'Mo', date '2026-02-11', 'She said so'),
        ('bitrix24:lead:8', 'product:user:u_dogwood', 'apart', 'Mo', date '2026-02-11', 'Another Ada');
"""
UNRELATED = [*CEDARS, *DECIDED]
BRIDGE = bridge(901, 900, "acme", 20)
OLDER = crm_company(99, "birch", -200)

ACME, BIRCH, OLD_FRIENDS = "product:account:acc_acme", "product:account:acc_birch", "zendesk:organization:900"
LEAD, CEDAR = f"bitrix24:lead:{LEAD_NUMBER}", "product:account:acc_cedar"


@dataclass(frozen=True)
class Build:
    """What one build says."""

    customers: dict[str, str]
    persons: dict[str, str]
    aliases: list[dict[str, Any]]


def build(warehouse: Warehouse, rows: list[Row], at: int, *extra: str) -> Build:
    """Put exactly these rows into the raw tables and resolve them as of that day."""
    tables: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for table, row in rows:
        tables[table].append(row)
    for table in {table for table, _ in [*BASE, *UNRELATED, *BRIDGE]}:
        warehouse.execute(f"delete from {table}")
        warehouse.insert(table, tables[table])
    warehouse.stand_at(day(at))
    warehouse.dbt("build", "--select", *extra, "--exclude-resource-type", "test", "unit_test")
    with warehouse.connect(read_only=True) as connection:
        found = connection.execute(
            "select record_key, customer_id, person_id from intermediate.int_identities__resolved"
        )
        resolved = found.fetchall()
        aliases = connection.execute("select * from marts.customer_aliases order by alias_customer_id, valid_from")
        names = [column[0] for column in aliases.description or ()]
        return Build(
            {key: customer for key, customer, _ in resolved},
            {key: person for key, _, person in resolved},
            [dict(zip(names, row, strict=True)) for row in aliases.fetchall()],
        )


def publish(warehouse: Warehouse, at: int) -> None:
    with warehouse.connect() as connection:
        identities.remember(connection, f"run-{at}", day(at))


def id_from(record_key: str) -> str:
    return "c_" + md5(record_key.encode(), usedforsecurity=False).hexdigest()[:16]


@dataclass(frozen=True)
class World:
    """The builds, and the warehouse of the last."""

    apart: Build
    bridged: Build
    parted: Build
    again: Build
    warehouse: Warehouse


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    warehouse = Warehouse(tmp_path_factory.mktemp("identity"))
    # views and seeds are there after the first time
    models = "path:models/intermediate/identity", "customer_aliases"
    marts = "identity_links", "identity_conflicts", "customer_identities"
    apart = build(warehouse, BASE, 60, "+customer_aliases", "identity_overrides")
    publish(warehouse, 60)
    warehouse.execute(DECISIONS)
    rows = [*BASE, *UNRELATED, *BRIDGE]
    random.Random(7).shuffle(rows)
    bridged = build(warehouse, rows, 61, *models)
    publish(warehouse, 61)
    rows = [row for row in [*BASE, *UNRELATED, OLDER] if row[1].get("id") != LEAD_NUMBER]
    parted = build(warehouse, rows, 62, *models)
    publish(warehouse, 62)
    again = build(warehouse, rows[::-1], 62, *models, *marts, "--full-refresh")
    return World(apart, bridged, parted, again, warehouse)


def test_an_account_gathers_its_records_and_no_others(world: World) -> None:
    acme = {key for key, customer in world.apart.customers.items() if customer == world.apart.customers[ACME]}
    assert acme == {
        ACME,
        "product:user:u_acme",
        "product:anonymous:v_acme",
        "stripe:customer:cus_acme",
        "bitrix24:company:10",
    }


def test_a_customer_and_a_person_are_named_after_the_oldest_member(world: World) -> None:
    assert world.apart.customers[BIRCH] == id_from(LEAD)
    assert world.apart.persons["product:user:u_birch"] == "p_" + id_from(LEAD)[2:]


def test_in_a_merge_the_older_customer_keeps_its_name_and_the_other_becomes_an_alias(world: World) -> None:
    older, younger = world.apart.customers[OLD_FRIENDS], world.apart.customers[ACME]
    merged = (ACME, "zendesk:user:901", "stripe:customer:cus_acme", OLD_FRIENDS)
    assert {world.bridged.customers[key] for key in merged} == {older}
    (alias,) = [each for each in world.bridged.aliases if each["alias_customer_id"] == younger]
    assert (alias["customer_id"], alias["valid_from"], alias["valid_to"]) == (older, day(61), None)
    assert alias["origin"] == "published"


def test_a_merge_that_no_publication_saw_is_dated_by_its_evidence(world: World) -> None:
    cedar = world.bridged.customers[CEDAR]
    assert cedar == id_from("zendesk:organization:950")
    (alias,) = [each for each in world.bridged.aliases if each["customer_id"] == cedar]
    assert (alias["origin"], alias["valid_from"]) == ("derived", day(30))
    assert alias["alias_customer_id"] in {id_from(key) for key, of in world.bridged.customers.items() if of == cedar}


def test_another_order_of_rows_and_unrelated_rows_change_no_id(world: World) -> None:
    birch = [key for key, customer in world.apart.customers.items() if customer == world.apart.customers[BIRCH]]
    assert len(birch) == 6
    assert {key: world.bridged.customers[key] for key in birch} == {key: world.apart.customers[key] for key in birch}
    assert {key: world.bridged.persons[key] for key in birch} == {key: world.apart.persons[key] for key in birch}


def test_without_the_bridge_everything_is_as_it_was(world: World) -> None:
    known = set(world.apart.customers) - {LEAD}
    assert {key: world.parted.customers[key] for key in known} == {key: world.apart.customers[key] for key in known}
    assert {key: world.parted.persons[key] for key in known} == {key: world.apart.persons[key] for key in known}
    younger = world.apart.customers[ACME]
    (alias,) = [each for each in world.parted.aliases if each["alias_customer_id"] == younger]
    assert (alias["valid_from"], alias["valid_to"], alias["is_current"]) == (day(61), day(62), False)


def test_neither_an_older_record_nor_a_deleted_one_renames_what_was_published(world: World) -> None:
    assert LEAD not in world.parted.customers
    assert world.parted.customers["bitrix24:company:99"] == id_from(LEAD)
    assert world.parted.customers[BIRCH] == id_from(LEAD)


def test_people_have_the_last_word(world: World) -> None:
    customers = world.bridged.customers
    assert customers["product:account:acc_elm"] == customers["product:account:acc_dogwood"] != customers[BIRCH]
    assert customers["zendesk:organization:960"] == customers[BIRCH]
    assert customers["bitrix24:lead:8"] != customers["product:user:u_dogwood"]
    (alias,) = [each for each in world.bridged.aliases if each["customer_id"] == customers["product:account:acc_elm"]]
    assert alias["valid_from"] == datetime(2026, 2, 10)  # noqa: DTZ001 - the warehouse keeps naive UTC
    with world.warehouse.connect(read_only=True) as connection:
        found = connection.execute(
            "select conflict_kind, subject, customer_id from marts.identity_conflicts"
        ).fetchall()
        decided = evidence.gather(connection, evidence.find(connection, "acc_elm")[0]).decided
    joined = ("several product accounts in one customer", "account_id=acc_dogwood, account_id=acc_elm")
    assert (*joined, customers["product:account:acc_elm"]) in found
    assert {kind for kind, *_ in found} == {joined[0], "records that a human set apart"}
    assert [(link.link_type, link.decided_by, link.reason) for link in decided] == [
        ("alias", "Mo", "Bought"),
        ("override", "Mo", "Another Ada"),
    ]


def test_computing_everything_anew_at_the_same_instant_gives_the_same_rows(world: World) -> None:
    assert world.again == world.parted


def test_every_record_has_a_chain_of_evidence_from_the_oldest_member(world: World) -> None:
    with world.warehouse.connect(read_only=True) as connection:
        (subject,) = evidence.find(connection, "Ada@CEDAR.example")
        explained = evidence.gather(connection, subject)
    assert [record.key for record in explained.records if record.chain is None] == []
    assert explained.oldest == "zendesk:organization:950"
    (account,) = [record for record in explained.records if record.key == CEDAR]
    assert account.chain is not None
    assert [step.reached for step in account.chain][-1] == CEDAR
    assert "zendesk:user:951" in {step.reached for step in account.chain}
