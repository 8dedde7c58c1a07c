"""The tests that tests stand on: each rule of `sound` and each term of the conservation law fails when it is broken."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest

from tests.warehouse import Warehouse, manifest

AS_OF = datetime.fromisoformat("2026-06-01T06:00:00")
SEEDS = ("identifier_rules", "channels", "acquisition_channels", "currencies", "fx_rates", "usage_cohort_bands")


def queries(warehouse: Warehouse, test: str, *models: str) -> dict[str, str]:
    """What a generic test asks, per model, after it passed."""
    names = [
        node.name
        for node in manifest().nodes.values()
        if (told := getattr(node, "test_metadata", None)) is not None
        and told.name == test
        and node.attached_node.rpartition(".")[2] in models
    ]
    done = warehouse.dbt("test", "--select", *names)
    return {result.node.attached_node.rpartition(".")[2]: result.node.compiled_code for result in done.results}


def broken(warehouse: Warehouse, query: str) -> dict[str, int]:
    return Counter(str(row[0]) for row in warehouse.rows(query))


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("sound"))
    warehouse.dbt("seed", "--select", *SEEDS)
    return warehouse


PLANTED = (
    "update seeds.identifier_rules set identifier_type = null where identifier_type = 'domain'",
    "update seeds.identifier_rules set priority = null where identifier_type = 'user_id'",
    "update seeds.identifier_rules set strength = 'hunch' where identifier_type = 'email'",
    "update seeds.identifier_rules set confidence = 1.5 where identifier_type = 'account_id'",
    "insert into seeds.acquisition_channels select * from seeds.acquisition_channels where channel = 'content'",
    "update seeds.channels set channel = 'carrier_pigeon' where priority = (select min(priority) from seeds.channels)",
    "update seeds.currencies set currency = 'zzz' where currency = 'eur'",
    "insert into seeds.currencies values ('yyy', 2, false)",
    "insert into seeds.fx_rates select * replace (0 as usd_per_unit, 'zz' as currency) from seeds.fx_rates limit 1",
    "update seeds.usage_cohort_bands set band_order = 1 where product = 'api' and measure = 'mix'",
)
BROKEN = {
    "identifier_rules": {
        "identifier_type is null": 1,
        "priority is null": 1,
        "strength is not one of key, evidence, membership": 1,
        "confidence is not within 0 to 1": 1,
    },
    "acquisition_channels": {"several rows with one channel": 1},
    "channels": {"channel is not in acquisition_channels.channel": 1},
    "currencies": {"currency is not in fx_rates.currency, when is_accepted": 1},
    "fx_rates": {"not so: usd_per_unit is above 0": 1},
    "usage_cohort_bands": {"several rows with one rule_version, product, measure, band_order": 1},
}


def test_every_rule_of_sound_names_itself_and_the_row_that_breaks_it(seeded: Warehouse) -> None:
    asked = queries(seeded, "sound", *SEEDS)
    for statement in PLANTED:
        seeded.execute(statement)
    assert {seed: broken(seeded, asked[seed]) for seed in SEEDS} == BROKEN
    strength = ("strength is not one of key, evidence, membership", "identifier_type=email", "hunch")
    assert strength in seeded.rows(asked["identifier_rules"])
    assert seeded.rows(asked["acquisition_channels"]) == [
        ("several rows with one channel", "channel=content", "2 rows"),
    ]
    (law,) = seeded.rows(asked["fx_rates"])
    assert '"usd_per_unit":0' in law[2], "where no column is at fault, the whole row is shown"


STAGING, BASE, QUARANTINE = (
    "staging.stg_receipts__deliveries",
    "staging.base_receipts__deliveries",
    "quarantine.quarantine__receipts",
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, str]:
    """Deliveries of which one is staged, one a copy and one refused; and the question of the conservation law."""
    warehouse = Warehouse(tmp_path_factory.mktemp("conserves"))
    warehouse.stand_at(AS_OF)
    good = {
        "action_id": "a",
        "action": "greet",
        "customer_id": "c",
        "occurrence_id": "o",
        "state": "planned",
        "first_planned_at": AS_OF,
    }
    warehouse.insert("raw_receipts.deliveries", [good, good, {**good, "action_id": "b", "customer_id": " "}])
    warehouse.dbt("run", "--select", "+quarantine__receipts", "+stg_receipts__deliveries", "+stg_receipts__attempts")
    (query,) = queries(warehouse, "conserves_rows", "quarantine__receipts").values()
    verdicts = warehouse.rows(f"select row_verdict, count(*) from {BASE} group by 1 order by 1")
    assert verdicts == [("deduplicated", 1), ("quarantined", 1), ("staged", 1)]
    for relation in (STAGING, BASE, QUARANTINE):
        warehouse.execute(f"create table {relation}_true as select * from {relation}")
    for relation in (STAGING, BASE, QUARANTINE):
        show(warehouse, relation, "select * from {}")
    return warehouse, query


def show(warehouse: Warehouse, relation: str, query: str) -> None:
    """Let a view show something else than what it showed when it was built."""
    warehouse.execute(f"create or replace view {relation} as {query.format(relation + '_true')}")


@pytest.mark.parametrize(
    ("relation", "shows"),
    [
        pytest.param(BASE, "select * from {} where row_verdict != 'deduplicated'", id="a raw row has no verdict"),
        pytest.param(BASE, "select * replace ('lost' as row_verdict) from {}", id="a verdict nobody knows"),
        pytest.param(BASE, "select * replace (null as reject_reason) from {}", id="refused without a reason"),
        pytest.param(STAGING, "select * from {} where false", id="staging shows less than was staged"),
        pytest.param(STAGING, "select * replace (null as action_id) from {}", id="staging shows a row without a key"),
        pytest.param(QUARANTINE, "select * from {} where false", id="quarantine shows less than was refused"),
        pytest.param(
            QUARANTINE, "select * from {0} union all select * replace ('refunds' as table_name) from {0}",
            id="quarantine shows a table that nobody counts",
        ),
    ],
)  # fmt: skip
def test_no_row_may_be_lost_or_doubled_between_raw_and_staging(
    ledger: tuple[Warehouse, str], relation: str, shows: str
) -> None:
    warehouse, query = ledger
    assert warehouse.rows(query) == []
    show(warehouse, relation, shows)
    assert warehouse.rows(query), "a broken law went unseen"
    show(warehouse, relation, "select * from {}")
