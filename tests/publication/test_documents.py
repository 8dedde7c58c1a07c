"""What the pages for consumers say is so: every query of docs/snippets.md runs, every setting and command exists."""

from __future__ import annotations

import re

import pytest

from lifecycle import settings
from lifecycle.cli import COMMANDS
from tests.warehouse import PROJECT_DIR, Warehouse

PAGES = ("published_files", "snippets", "forgetting")
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


def test_commands_and_settings_of_the_pages_exist() -> None:
    text = "".join((PROJECT_DIR / "docs" / f"{page}.md").read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"`?lifecycle (\w+)", text)) - {"retention"} <= set(COMMANDS)
    for name in ("tableau_extract", "personal_data", "keep_versions"):
        assert f"lifecycle.{name}" in {
            each.name for each in vars(settings).values() if isinstance(each, settings.Setting)
        }
        assert name in text
