"""The page of questions is true: every query of docs/snippets.md runs."""

from __future__ import annotations

import re

import pytest

from tests.warehouse import PROJECT_DIR, Warehouse

SNIPPETS = re.findall(
    r"```sql\n(.*?)```", (PROJECT_DIR / "docs" / "snippets.md").read_text(encoding="utf-8"), re.DOTALL
)


def tables_of(query: str) -> set[str]:
    return set(re.findall(r"(?:from|join) marts\.(\w+)", query))


@pytest.fixture(scope="module")
def empty_marts(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Every mart that a snippet reads, as its contract says it is, without rows."""
    from tests.warehouse import manifest  # noqa: PLC0415 - parses the project

    wanted = set().union(*map(tables_of, SNIPPETS))
    warehouse = Warehouse(tmp_path_factory.mktemp("marts"))
    warehouse.execute("create schema marts")
    contracts = {
        node.name: node.columns.values() for node in manifest().nodes.values() if node.resource_type == "model"
    }
    for table in wanted:
        columns = ", ".join(f'"{column.name}" {column.data_type}' for column in contracts[table])
        warehouse.execute(f"create table marts.{table} ({columns})")
    return warehouse


def test_there_are_snippets() -> None:
    assert len(SNIPPETS) >= 9
    assert all(tables_of(snippet) for snippet in SNIPPETS)


@pytest.mark.parametrize("query", SNIPPETS, ids=[min(tables_of(snippet)) for snippet in SNIPPETS])
def test_every_snippet_runs_on_what_the_contracts_promise(empty_marts: Warehouse, query: str) -> None:
    empty_marts.rows(query)
