from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ingest import contracts, tables
from ingest.contracts import TableContract


def test_every_contract_can_be_created_and_creating_twice_changes_nothing(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        created = tables.create_missing(connection)
        assert len(created) == sum(len(contracts.load(source)) for source in contracts.known_sources())
        assert tables.create_missing(connection) == []


def test_a_column_that_a_contract_gained_is_added(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        tables.create_missing(connection)
        connection.execute("alter table raw_stripe.customers drop column email")
        tables.create_missing(connection)
        connection.execute("select email from raw_stripe.customers")


def test_a_contract_with_an_unknown_type_or_key_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown type money"):
        TableContract("s", "raw_s", "t", {"id": "money"})
    with pytest.raises(ValueError, match="names key as its primary_key"):
        TableContract("s", "raw_s", "t", {"id": "text"}, primary_key="key")
