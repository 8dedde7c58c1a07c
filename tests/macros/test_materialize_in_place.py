"""What our own materializations take over from dbt: contracts hold, descriptions arrive, data tests can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.warehouse import Warehouse, manifest

MODEL, SEED = "model.customer_lifecycle.mrr_rules", "mrr_rule_profiles"


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    opened = Warehouse(tmp_path)
    opened.dbt("seed", "--select", SEED)
    return opened


def test_a_contract_is_enforced_and_a_described_column_says_so(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.dbt("run", "--select", "+mrr_rules", "--exclude", "resource_type:seed")
    described = "select comment from duckdb_columns() where table_name = 'mrr_rules' and column_name = 'rule_order'"
    assert warehouse.rows(described) == [(manifest().nodes[MODEL].columns["rule_order"].description,)]
    assert warehouse.rows("select comment from duckdb_tables() where table_name = 'mrr_rules'") == [
        (manifest().nodes[MODEL].description,)
    ]
    monkeypatch.setattr(manifest().nodes[MODEL].columns["rule_order"], "data_type", "bigint")
    with pytest.raises(AssertionError, match=r"(?s)enforced contract.*rule_order"):
        warehouse.dbt("run", "--select", "mrr_rules")
    assert warehouse.rows("select count(*) > 0 from marts.mrr_rules") == [(True,)], "what was there stays"


def test_a_seed_that_gained_a_column_with_an_upgrade_is_made_anew(warehouse: Warehouse) -> None:
    warehouse.execute(f"alter table seeds.{SEED} drop column rule_id")
    warehouse.dbt("seed", "--select", SEED)
    assert warehouse.rows(f"select count(*) > 0 and count(*) = count(rule_id) from seeds.{SEED}") == [(True,)]


def test_a_data_test_fails_and_keeps_its_rows_when_asked_to(warehouse: Warehouse) -> None:
    warehouse.execute(f"update seeds.{SEED} set rule_id = null")
    for asked in ((), ("--store-failures",)):
        with pytest.raises(AssertionError, match=r"Got [1-9]"):
            warehouse.dbt("test", "--select", f"{SEED}_is_sound", *asked)
    stored = warehouse.rows("select table_name from duckdb_tables() where schema_name = 'test_failures'")
    assert len(stored) == 1
    assert warehouse.rows(f"select count(*) > 0 from test_failures.{stored[0][0]}") == [(True,)]
