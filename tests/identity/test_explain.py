"""`lifecycle explain` over a published file written by hand: who is meant, by which chain, and how it says no."""

from __future__ import annotations

import json
from hashlib import md5
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from lifecycle import cli
from lifecycle.explain.evidence import Link, shortest_chains

if TYPE_CHECKING:
    from pathlib import Path


def id_from(record_key: str) -> str:
    return "c_" + md5(record_key.encode(), usedforsecurity=False).hexdigest()[:16]


ACME, OTHER = id_from("bitrix24:lead:1"), id_from("product:account:other")
FORMER = id_from("stripe:customer:cus_1")

PUBLISHED = f"""
create schema marts;
create table marts.customer_identities as
    select *, {{person}} as person_id, null::timestamp as first_seen_at from (values
        ('bitrix24', 'lead', '1', '{ACME}', 'email', 0.95::decimal(5, 4), 'email=ada@acme.example'),
        ('stripe', 'customer', 'cus_1', '{ACME}', 'account_id', 1, 'account_id=a'),
        ('product', 'account', 'a', '{ACME}', 'account_id', 1, 'account_id=a'),
        ('product', 'user', 'u', '{ACME}', 'product_group', 1, 'account_id=a'),
        ('product', 'account', 'other', '{OTHER}', 'account_id', 1, 'account_id=other'),
        ('zendesk', 'user', '77', '{ACME}', 'override', 1, null)
    ) as records (source_system, source_record_type, source_record_id, customer_id, match_method, match_confidence,
        matched_via);
create table marts.identity_links as
    select
        *, verdict = 'used' as is_used, timestamp '2026-01-05' as since_at, null::timestamp as valid_from,
        null::timestamp as valid_to, 1::bigint as record_count
    from (values
        ('bitrix24:lead:1', 'email=ada@acme.example', 'email', 'used', 'Ada@Acme.example', 0.95, '{ACME}', null, null),
        ('bitrix24:lead:1', 'email=office@acme.example', 'email', 'used', null, 0.95, '{ACME}', null, null),
        ('product:user:u', 'email=ada@acme.example', 'email', 'used', null, 0.95, '{ACME}', null, null),
        ('product:user:u', 'account_id=a', 'product_group', 'used', null, 1, '{ACME}', null, null),
        ('product:account:a', 'account_id=a', 'account_id', 'used', null, 1, '{ACME}', null, null),
        ('stripe:customer:cus_1', 'account_id=a', 'account_id', 'used', null, 1, '{ACME}', null, null),
        ('product:user:u', 'domain=gmail.com', 'domain', 'free-mail domain', null, 0.85, '{ACME}', null, null),
        ('product:account:other', 'domain=gmail.com', 'domain', 'free-mail domain', null, 0.85, '{OTHER}', null, null),
        ('zendesk:user:77', 'product:user:u', 'override', 'used', null, 1, '{ACME}', 'Mo', 'She said so')
    ) as links (from_node, to_node, link_type, verdict, stated_as, confidence, customer_id, decided_by, reason);
create table marts.customer_aliases as
    select
        '{FORMER}' as alias_customer_id, '{ACME}' as customer_id, timestamp '2026-02-01' as valid_from,
        null::timestamp as valid_to, true as is_current, 'published' as origin, 'stripe:customer:cus_1' as alias_record;
create table marts.identity_conflicts as
    select
        'an inbox of several customers' as conflict_kind, 'role_email=office@acme.example' as subject,
        'not used as evidence' as settlement, 2::bigint as customer_count, '{ACME}' as customer_id;
"""


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path))
    path = tmp_path / "published" / "lifecycle.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute(PUBLISHED.format(person="'p_' || source_record_id"))
    return path


def explain(*arguments: str, exit_code: int = 0) -> Any:
    answer = CliRunner().invoke(cli.app, ["explain", *arguments])
    assert answer.exit_code == exit_code, answer.output
    return answer.stdout


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    "subject",
    [
        ACME,
        FORMER,
        id_from("product:user:u"),
        "p_u",
        "stripe:customer:cus_1",
        "cus_1",
        " ADA@acme.example ",
        "ada@acme.example",
    ],
)
def test_whatever_identifies_a_customer_leads_to_it(subject: str) -> None:
    assert json.loads(explain(subject, "--json"))["subject"]["customer_id"] == ACME


@pytest.mark.usefixtures("published")
def test_the_chain_is_the_shortest_from_the_oldest_member_and_says_why() -> None:
    found = json.loads(explain("--json", "cus_1"))
    assert found["oldest"] == "bitrix24:lead:1"
    chains = {record["key"]: record["chain"] for record in found["records"]}
    assert chains["bitrix24:lead:1"] == []
    assert [step["reached"] for step in chains["stripe:customer:cus_1"]] == [
        "email=ada@acme.example",
        "product:user:u",
        "account_id=a",
        "stripe:customer:cus_1",
    ]
    assert [step["link"]["link_type"] for step in chains["stripe:customer:cus_1"]] == [
        "email",
        "email",
        "product_group",
        "account_id",
    ]
    assert [link["to_node"] for link in found["refused"]] == ["domain=gmail.com"]
    assert [alias["alias_customer_id"] for alias in found["aliases"]] == [FORMER]


@pytest.mark.usefixtures("published")
def test_a_person_reads_chain_decision_former_id_conflict_and_refusal() -> None:
    text = " ".join(explain(FORMER).split())
    for part in (
        f"{ACME}: 5 records, found by an id it had before.",
        "by email (0.95, 2026-01-05) to email=ada@acme.example",
        "zendesk:user:77 and product:user:u are one since 2026-01-05, Mo: She said so",
        f"{FORMER} since 2026-02-01 (published)",
        "an inbox of several customers: role_email=office@acme.example, not used as evidence (2 customers)",
        "domain=gmail.com: free-mail domain (1 record)",
    ):
        assert part in text


@pytest.mark.usefixtures("published")
def test_what_several_customers_share_explains_none_of_them() -> None:
    assert json.loads(explain("gmail.com", "--json", exit_code=1))["customers"] == sorted([ACME, OTHER])
    assert "of 2 customers" in explain("gmail.com", exit_code=1)


def test_nobody_is_an_answer_and_no_file_is_a_sentence(published: Path) -> None:
    assert "Nobody is known as 'x@y.example'." in explain("x@y.example", exit_code=1)
    assert "lifecycle build" in json.loads(explain("x@y.example", "--warehouse", "--json", exit_code=2))["error"]
    with duckdb.connect(str(published)) as connection:
        connection.execute("drop table marts.identity_links")
    assert "identity_links" in json.loads(explain(ACME, "--json", exit_code=2))["error"]


@pytest.mark.usefixtures("published")
def test_a_command_of_its_own_is_not_taken_for_a_subject() -> None:
    assert "customer" in explain("--help")
    assert "Nobody is known as 'mrr'." in explain("customer", "mrr", exit_code=1)


def link(left: int, right: int, confidence: float) -> Link:
    return Link(str(left), str(right), "x", True, "used", None, None, None, None, confidence, None, None)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.5, 0.9, 1.0])), max_size=20),
    st.randoms(),
)
def test_chains_are_as_short_as_a_search_by_levels_and_depend_on_no_order(pairs: Any, rng: Any) -> None:
    links = [link(*pair) for pair in pairs]
    levels, reached = [{"0"}], {"0"}
    while levels[-1]:
        ends = [(each.from_node, each.to_node) for each in links]
        beside = {b for a, b in [*ends, *((b, a) for a, b in ends)] if a in levels[-1]}
        levels.append(beside - reached)
        reached |= beside
    chains = shortest_chains("0", links)
    assert {node: len(chain) for node, chain in chains.items()} == {
        node: distance for distance, nodes in enumerate(levels) for node in nodes
    }
    for chain in chains.values():
        here = "0"
        for step in chain:
            assert {here, step.reached} == {step.link.from_node, step.link.to_node}
            here = step.reached
    shuffled = list(links)
    rng.shuffle(shuffled)
    assert shortest_chains("0", shuffled) == chains
