from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
import silos
from harness import Ingest

from ingest import contracts, tables
from ingest.contracts import TableContract


def described(path: Path, table: str, columns: list[str]) -> dict[str, str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        found = dict(connection.execute(f"select column_name, column_type from (describe {table})").fetchall())
    return {column: found[column] for column in columns}


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


@pytest.mark.usefixtures("vendors")
def test_loaded_tables_have_the_types_of_the_contract(ingest: Ingest, data_dir: Path) -> None:
    silos.write_events(data_dir / "bucket" / "events", silos.NOW.date(), silos.event_rows(silos.NOW.date(), 3))
    for source in ("stripe", "zendesk", "bitrix24", "customerio", "product"):
        assert ingest(source).ok
        for name, table in contracts.load(source).items():
            expected = {column: contracts.DUCKDB_TYPES[kind].upper() for column, kind in table.columns.items()}
            path = data_dir / "warehouse.duckdb"
            assert described(path, f'{table.dataset}."{name}"', list(table.columns)) == expected


def test_a_contract_with_an_unknown_type_or_key_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown type money"):
        TableContract("s", "raw_s", "t", {"id": "money"})
    with pytest.raises(ValueError, match="names key as its primary_key"):
        TableContract("s", "raw_s", "t", {"id": "text"}, primary_key="key")
