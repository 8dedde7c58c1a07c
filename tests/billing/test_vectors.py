"""Every vector of `vectors.yml`, from the vendor's objects to the published cents; all of them in one build."""

from __future__ import annotations

import functools
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.billing.stories import VECTORS, copy_of, stripe_customers
from tests.warehouse import Warehouse

if TYPE_CHECKING:
    import datetime as dt

# what turns states into months
FROM_STATES_TO_BRIDGE = (
    "int_fx_rates__applied",
    "int_subscription_states__closed",
    "int_mrr__monthly",
    "int_mrr__split",
    "int_mrr_movements__dated",
    "int_mrr__bridged",
    "mrr_movements",
)
# what a vector calls it -> the column of mrr_movements
COLUMNS = {
    "opening": "opening_mrr",
    "closing": "closing_mrr",
    "contract": "closing_mrr_contract",
    "past_due": "mrr_past_due",
    "scheduled_churn": "mrr_scheduled_churn",
    "paused": "mrr_paused",
    "seat": "seat_mrr",
    "price": "price_mrr",
    "plan": "plan_mrr",
    "discount": "discount_mrr",
    "intra_month_new_churn": "intra_month_new_churn",
    "gap_days": "gap_days",
}
OTHERS = {"movements", "no_row", "ledger", "under", "own_currency"}
Row = dict[str, Any]


class Answers:
    """What the marts say, by vector."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self._owners: dict[str, str] = dict(
            warehouse.rows(
                "select source_record_id, customer_id from intermediate.int_identities__resolved"
                " where source_system = 'stripe'"
            )
        )

    def customers(self, vector: Row) -> list[str]:
        return [self._owners[f"cus_{name}"] for name in stripe_customers(vector)]

    def months(self, vector: Row) -> list[Row]:
        return self._dicts("select * from marts.mrr_movements", vector)

    def ledger(self, vector: Row) -> list[Row]:
        return self._dicts("select * from intermediate.int_mrr_movements__dated", vector, "order by occurred_at")

    def states(self, vector: Row) -> list[Row]:
        return self._dicts("select * from intermediate.int_subscription_states__closed", vector)

    def recut(self, vector: Row) -> list[Row]:
        return self._dicts("select * from intermediate.int_mrr__recut where is_final", vector)

    @functools.cache  # noqa: B019 - lives as long as the session's one warehouse
    def _all(self, query: str) -> dict[str, list[Row]]:
        with self.warehouse.connect(read_only=True) as connection:
            result = connection.execute(query)
            names = [column[0] for column in result.description or ()]
            rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        found: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            found[row["customer_id"]].append(row)
        return found

    def _dicts(self, query: str, vector: Row, order: str = "") -> list[Row]:
        everything = self._all(f"{query} {order}".strip())
        return [row for customer in self.customers(vector) for row in everything.get(customer, [])]


@pytest.fixture(scope="module")
def answers(told_warehouse: Warehouse) -> Answers:
    return Answers(told_warehouse)


def month_sums(rows: list[Row], column: str) -> dict[dt.date, Decimal]:
    sums: dict[dt.date, Decimal] = defaultdict(Decimal)
    for row in rows:
        sums[row["month"]] += row[column] or 0
    return dict(sums)


def moved(rows: list[Row]) -> dict[dt.date, dict[str, Decimal]]:
    found: dict[dt.date, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        if row["movement"] != "none":
            found[row["month"]][row["movement"]] += row["movement_mrr"]
    return {month: dict(movements) for month, movements in found.items()}


def money(value: Any) -> Any:
    """Numbers of the stories as exact cents."""
    if isinstance(value, dict):
        return {key: money(each) for key, each in value.items()}
    return Decimal(str(value)).quantize(Decimal("0.01"))


def check_months(expect: Row, rows: list[Row]) -> None:
    for name in sorted(set(expect) & set(COLUMNS)):
        sums = month_sums(rows, COLUMNS[name])
        assert {month: sums.get(month) for month in expect[name]} == money(expect[name]), name
    if "movements" in expect:
        assert moved(rows) == money(expect["movements"])
    seen = {row["month"] for row in rows}
    assert not seen & set(expect.get("no_row", ()))


@pytest.mark.parametrize("vector", VECTORS.values(), ids=list(VECTORS))
def test_vector(vector: Row, answers: Answers) -> None:
    expect = vector["expect"]
    assert not set(expect) - set(COLUMNS) - OTHERS, "a vector expects something that nobody looks at"
    check_months(expect, answers.months(vector))
    if "ledger" in expect:
        ledger = [(row["occurred_at"].date(), row["movement"], row["amount"]) for row in answers.ledger(vector)]
        assert ledger == [(day, movement, money(amount)) for day, movement, amount in expect["ledger"]]
    if "own_currency" in expect:
        own = month_sums(answers.states(vector), "mrr")
        assert {month: own.get(month) for month in expect["own_currency"]} == money(expect["own_currency"])
    for profile, closings in expect.get("under", {}).items():
        sums = month_sums([row for row in answers.recut(vector) if row["profile"] == profile], "closing_mrr")
        assert {month: sums.get(month, Decimal(0)) for month in closings} == money(closings), profile


def test_every_vector_is_somewhere() -> None:
    """V numbers that are not stories here are named in the head of the file or belong to other tables."""
    numbers = {vector["id"].split()[0] for vector in VECTORS.values()}
    assert {f"V{n}" for n in (3, 4, 5, 6, 11, 13, 16, 18, 19, 20, 21, 22, 23, 26)} <= numbers
    assert {"D1", "D2", "D3", "D6", "D8"} <= numbers
    ratios = (Path(__file__).parents[2] / "models/marts/billing/revenue_metrics.yml").read_text(encoding="utf-8")
    assert all(f"V{n}" in ratios for n in (7, 8, 9, 10, 14, 25))


def test_months_of_another_time_zone(told_warehouse: Warehouse, tmp_path: Path) -> None:
    """V23: the same warehouse built with months of New York."""
    there = copy_of(told_warehouse, tmp_path)
    there.dbt("run", "--select", *FROM_STATES_TO_BRIDGE, "--vars", "{reporting_timezone: America/New_York}")
    vector = VECTORS["V23"]
    check_months(vector["in_new_york"], Answers(there).months(vector))
