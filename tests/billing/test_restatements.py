"""What was published of closed months is remembered, and what moves them afterwards is named with its cause."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from lifecycle.remembered import closed_months
from tests.billing import stories
from tests.billing.stripe_objects import load

if TYPE_CHECKING:
    from pathlib import Path

    from tests.warehouse import Warehouse

FROM_OBJECTS_TO_RESTATEMENTS = (
    "base_stripe__invoices",
    "int_invoice_lines__unnested",
    "int_subscription_snapshots__unioned",
    "int_subscription_items__observed",
    "int_subscription_items__historized",
    "int_subscription_spells__dated",
    "int_discounts__dated",
    "int_subscription_segments__cut",
    "int_subscription_items__valued",
    "int_subscription_states__historized",
    "int_subscription_states__closed",
    "int_fx_rates__applied",
    "int_mrr__monthly",
    "int_mrr__split",
    "int_mrr_movements__dated",
    "int_mrr__bridged",
    "mrr_movements",
    "mrr_restatements",
)
MAY = dt.date(2026, 5, 1)
Row = dict[str, Any]


def remember(warehouse: Warehouse, run_id: str, day: int) -> int:
    moment = stories.AS_OF + dt.timedelta(days=day)
    with warehouse.connect() as connection:
        return closed_months.remember(connection, run_id, moment, moment + dt.timedelta(minutes=5))


def stand(warehouse: Warehouse, run_id: str, day: int, version: str = "1.0.0") -> None:
    run = {"run_id": run_id, "as_of": stories.AS_OF + dt.timedelta(days=day), "project_version": version}
    warehouse.insert("raw_ops.runs", [run])


Told = Callable[..., dict[str, list[Row]]]


@pytest.fixture(scope="module")
def restatements(told_warehouse: Warehouse) -> Told:
    """Asks a warehouse for rows of the mart, by the billing customer that a customer was made of at first."""
    owners = dict(
        told_warehouse.rows(
            "select customer_id, source_record_id from intermediate.int_identities__resolved"
            " where source_system = 'stripe'"
        )
    )

    def told(warehouse: Warehouse, where: str = "published_at is null") -> dict[str, list[Row]]:
        with warehouse.connect(read_only=True) as connection:
            result = connection.execute(f"select * from marts.mrr_restatements where {where} order by month, revision")
            names = [column[0] for column in result.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        found: dict[str, list[Row]] = {}
        for row in rows:
            found.setdefault(owners[row["customer_id"]].removeprefix("cus_"), []).append(row)
        return found

    return told


@pytest.fixture(scope="module")
def warehouse(told_warehouse: Warehouse, tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """Published once; then a row came late, two customers turned out to be one, and a rate was corrected."""
    warehouse = stories.copy_of(told_warehouse, tmp_path_factory.mktemp("restated"))
    warehouse.execute("delete from raw_ops.runs")
    stand(warehouse, "run-1", 0)
    assert remember(warehouse, "run-1", 0) > len(stories.VECTORS)
    assert remember(warehouse, "run-1", 0) == 0

    later = stories.vendor()
    addition = {"at": dt.date(2026, 3, 16), "lines": [{"price": "m100", "quantity": 2, "period": MARCH_TO_APRIL}]}
    present = {**stories.BYSTANDERS["late"]["subscriptions"][0], "items": {"seat": ["m100", 2]}, "invoices": [addition]}
    later.tell("late", {"subscriptions": [present]})
    with warehouse.connect() as connection:
        load(connection, {name: later.objects[name] for name in ("subscriptions", "invoices")}, "2000.5")
        connection.execute(
            "update intermediate.int_identities__resolved set customer_id = ("
            "  select customer_id from intermediate.int_identities__resolved where source_record_id = 'cus_kept')"
            " where source_record_id = 'cus_merged'"
        )
        connection.execute(
            "insert into seeds.fx_rates select '2', month, currency, usd_per_unit"
            " + case when month = ? and currency = 'eur' then 0.1 else 0 end from seeds.fx_rates",
            [MAY],
        )
    stand(warehouse, "run-2", 1)
    warehouse.dbt("run", "--select", *FROM_OBJECTS_TO_RESTATEMENTS, "--vars", '{fx_version: "2"}')
    return warehouse


MARCH_TO_APRIL = (dt.date(2026, 3, 16), dt.date(2026, 4, 16))


def test_nobody_else_is_restated(restatements: Told, warehouse: Warehouse) -> None:
    assert set(restatements(warehouse)) == {"late", "kept", "merged", "euro", "euro_yearly"}


def test_a_row_that_came_late(restatements: Told, warehouse: Warehouse) -> None:
    rows = restatements(warehouse)["late"]
    # November is open: it is news there, not a restatement
    assert [row["month"].month for row in rows] == list(range(3, 11))
    assert {(row["old_mrr"], row["new_mrr"], row["difference"]) for row in rows} == {(100, 200, 100)}
    assert {row["cause"] for row in rows} == {"late_data"}
    assert {row["causes"] for row in rows} == {"late_data"}
    assert {(row["first_published_run_id"], row["restated_run_id"]) for row in rows} == {("run-1", "run-2")}
    assert all("sub_late_a" in row["evidence"] or "invoice in_" in row["evidence"] for row in rows)


def test_two_customers_turned_out_to_be_one(restatements: Told, warehouse: Warehouse) -> None:
    found = restatements(warehouse)
    gone, kept = found["merged"], found["kept"]
    assert [(row["month"].month, row["new_mrr"]) for row in gone] == [(month, 0) for month in range(7, 11)]
    assert [(row["month"], -row["difference"]) for row in gone] == [(row["month"], row["difference"]) for row in kept]
    assert {row["cause"] for row in gone + kept} == {"identity"}
    assert "cus_merged went to" in gone[0]["evidence"]
    assert "cus_merged came from" in kept[0]["evidence"]


def test_a_rate_was_corrected(restatements: Told, warehouse: Warehouse) -> None:
    found = restatements(warehouse)
    for (row,) in (found["euro"], found["euro_yearly"]):
        assert (row["month"], row["cause"], row["difference"]) == (MAY, "exchange_rate", Decimal("10.00"))
        assert row["evidence"].startswith("eur ")


def test_a_definition_changed_after_that_was_published(
    restatements: Told, warehouse: Warehouse, tmp_path: Path
) -> None:
    copy = stories.copy_of(warehouse, tmp_path)
    before = restatements(copy)
    changed = sum(len(rows) for rows in before.values())
    # the closed months that nobody had published are none; only what was restated is appended
    assert remember(copy, "run-2", 1) == changed
    stand(copy, "run-3", 2, version="1.1.0")
    patience = '{fx_version: "2", definition_version: "2", past_due_grace_days: 60}'
    copy.dbt("run", "--select", *FROM_OBJECTS_TO_RESTATEMENTS, "--vars", patience)

    known = restatements(copy, "restated_run_id = 'run-2'")
    told = ("month", "old_mrr", "new_mrr", "cause", "causes", "evidence", "first_published_run_id")
    assert {name: [[row[key] for key in told] for row in rows] for name, rows in known.items()} == {
        name: [[row[key] for key in told] for row in rows] for name, rows in before.items()
    }
    assert all(row["published_at"] is not None for rows in known.values() for row in rows)

    rows = restatements(copy)["owing"]
    assert [(row["month"].month, row["old_mrr"], row["new_mrr"]) for row in rows] == [(9, 0, 100)]
    assert rows[0]["cause"] == "definition"
    assert rows[0]["causes"] == "definition, software"
    assert rows[0]["evidence"] == "definitions 1 is 2; project 1.0.0 is 1.1.0"
    # what was first published and every change since is what is published now
    assert not copy.rows(
        "select customer_id, month from ("
        " select customer_id, month, closing_cents / 100.0 as amount from raw_ops.mrr_figures where cause is null"
        " union all select customer_id, month, difference from marts.mrr_restatements"
        " union all select customer_id, month, -closing_mrr from marts.mrr_movements where not is_open_month"
        ") as parts group by all having round(sum(amount), 2) != 0"
    )
