"""Every published column says what it is; whoever adds one without is told where and what to write."""

from __future__ import annotations

import csv
from typing import Any

import pytest

from tests.warehouse import PROJECT_DIR, manifest

CLASSES = {"none", "pseudonym", "personal"}
BY_TYPE = {"varchar", "boolean", "timestamp", "date"}  # what a value of these is, the type says
IN_EVERY_MART = {"data_through_at", "definition_version"}


@pytest.fixture(scope="module")
def public() -> list[Any]:
    """The models whose tables are published."""
    return [
        node
        for node in manifest().nodes.values()
        if node.resource_type == "model" and node.schema in ("marts", "activation")
    ]


@pytest.fixture(scope="module")
def definitions() -> dict[str, str]:
    """The definitions of the seed and where each says it is published."""
    with (PROJECT_DIR / "seeds" / "definitions" / "definitions.csv").open(encoding="utf-8") as file:
        return {row["definition_id"]: row["source"] for row in csv.DictReader(file)}


def meta_of(column: Any) -> dict[str, Any]:
    return column.meta or column.config.meta


def test_every_published_column_is_described_with_unit_definition_owner_and_class(public: Any) -> None:
    owners = {group.name: group.owner for group in manifest().groups.values()}
    missing = []
    for node in public:
        where = f"{node.original_file_path.replace('.sql', '.yml')}:"
        if not node.config.meta.get("definition"):
            missing.append(f"{where} config.meta.definition, the definition that its columns follow")
        if node.config.group not in owners:
            missing.append(f"{where} config.group, the team that answers for it")
        if node.schema == "marts":
            missing += [
                f"{where} {name}: the column, which every mart has" for name in IN_EVERY_MART - set(node.columns)
            ]
        for name, column in node.columns.items():
            if not column.description.strip():
                missing.append(f"{where} {name}: description")
            if (column.data_type or "") not in BY_TYPE and not meta_of(column).get("unit"):
                missing.append(f"{where} {name}: config.meta.unit, the unit of the number")
            if meta_of(column).get("pii", "none") not in CLASSES:
                missing.append(f"{where} {name}: config.meta.pii is none of {sorted(CLASSES)}")
    assert not missing, "Missing in the catalogue:\n" + "\n".join(sorted(missing))


def test_every_definition_that_a_column_follows_exists(public: Any, definitions: dict[str, str]) -> None:
    unknown = set()
    for node in public:
        named = {node.config.meta.get("definition")} | {meta_of(c).get("definition") for c in node.columns.values()}
        unknown |= {f"{node.name}: {name}" for name in named - {None} - set(definitions)}
    assert not unknown, f"seeds/definitions/definitions.csv has no row for {sorted(unknown)}"


def test_a_column_that_a_definition_names_as_its_own_names_it_too(public: Any, definitions: dict[str, str]) -> None:
    known = {f"{node.name}.{name}": (node, column) for node in public for name, column in node.columns.items()}
    wrong = [
        f"{source} follows {meta_of(known[source][1]).get('definition')}, the seed says {definition}"
        for definition, source in definitions.items()
        if source in known
        and definition not in (meta_of(known[source][1]).get("definition"), known[source][0].config.meta["definition"])
    ]
    assert not wrong, "\n".join(wrong)


def test_ids_that_stand_for_somebody_are_pseudonyms(public: Any) -> None:
    for node in public:
        for name, column in node.columns.items():
            if name in {"customer_id", "person_id", "user_id"}:
                assert meta_of(column).get("pii") == "pseudonym", f"{node.name}.{name}"


def test_the_table_is_what_the_yaml_says(public: Any, tmp_path: Any) -> None:
    from tests.warehouse import Warehouse  # noqa: PLC0415 - only this test builds

    warehouse = Warehouse(tmp_path)
    warehouse.dbt("run", "--select", "published_columns")
    found = {
        (table, column): (unit, definition, pii, owner)
        for table, column, unit, definition, pii, owner in warehouse.rows(
            "select table_name, column_name, unit, definition_id, pii_class, owner from marts.published_columns"
        )
    }
    assert len(found) == sum(len(node.columns) for node in public) > 700
    assert found["customer_lifecycle", "mrr"] == ("USD a month", "mrr", "none", "Lifecycle")
    assert found["customer_lifecycle", "customer_name"][2] == "personal"
    assert found["act_zendesk__tickets", "payload"][2] == "personal"
    assert found["usage_daily", "data_through_at"] == ("UTC instant", "refresh", "none", "Product analytics")
    assert not [key for key, values in found.items() if None in values]
