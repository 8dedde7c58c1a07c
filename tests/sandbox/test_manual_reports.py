"""The reports that the simulated company's people make: right but for the mistakes that the truth knows."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sandbox import generate
from sandbox.store import Store
from sandbox.world.dates import utc
from sandbox.world.parameters import WorldParameters

Filed = dict[tuple[str, str, str], list[tuple[str, list[dict[str, str]]]]]
MONTH = "2025-09-01"
PROJECT_DIR = Path(__file__).resolve().parents[2]
PARAMETERS = WorldParameters(customers=80, months=5, events_per_day=120, net_of_fees=(140, 142))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A world with two days on which finance reports payments after the fees."""
    folder = tmp_path_factory.mktemp("reports")
    generate.generate(folder, PARAMETERS)
    generate.advance(folder, 3)
    return folder / "sandbox"


@pytest.fixture(scope="module")
def filed(world: Path) -> Filed:
    """By metric, grain and period: each filing, the oldest first, with its lines."""
    found: Filed = defaultdict(list)
    for path in sorted((world / "bucket" / "reports").glob("*/*.csv")):
        lines: dict[tuple[str, str, str], list[dict[str, str]]] = defaultdict(list)
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                lines[row["metric"], row["grain"], row["period"]].append(row)
        for key, rows in lines.items():
            found[key].append((path.parent.name.removeprefix("filed_on="), rows))
    return found


def total(rows: list[dict[str, str]]) -> float:
    return next(float(row["value"]) for row in rows if not row["customer"])


def test_every_mistake_is_in_the_truth_and_every_other_total_is_the_sum_of_its_list(world: Path, filed: Filed) -> None:
    truth = pq.read_table(world / "truth" / "report_mistakes.parquet").to_pylist()
    mistyped = {(row["metric"], row["period"]) for row in truth if row["kind"] == "swapped digits"}
    assert {row["kind"] for row in truth} >= {"swapped digits", "left out", "not filed", "net of fees"}
    for (metric, grain, period), filings in filed.items():
        if grain == "month":
            continue
        for number, (_, rows) in enumerate(filings):
            agrees = total(rows) == pytest.approx(sum(float(row["value"]) for row in rows if row["customer"]))
            assert agrees != ((metric, period) in mistyped and number == 0), (metric, period)


def test_what_was_left_out_or_not_filed_is_filed_two_days_later(world: Path, filed: Filed) -> None:
    truth = pq.read_table(world / "truth" / "report_mistakes.parquet").to_pylist()
    last_filed = max(on for filings in filed.values() for on, _ in filings)
    due = [row for row in truth if row["corrected_on"] and row["corrected_on"] <= last_filed]
    assert due
    for row in due:
        filings = filed[row["metric"], "day", row["period"]]
        assert filings[-1][0] == row["corrected_on"]
        assert len(filings) == (1 if row["kind"] == "not filed" else 2)
        if row["kind"] != "not filed":
            assert total(filings[0][1]) - total(filings[-1][1]) == pytest.approx(row["amount"])


def test_a_month_of_payments_is_what_billing_was_paid_at_the_treasury_rates(world: Path, filed: Filed) -> None:
    store = Store(world / "silos.sqlite")
    try:
        invoices = [item.body for item in store.page("stripe.invoices", limit=100_000, offset=0)]
    finally:
        store.close()
    with (PROJECT_DIR / "seeds" / "definitions" / "fx_rates.csv").open(encoding="utf-8") as file:
        rates = {row["currency"]: float(row["usd_per_unit"]) for row in csv.DictReader(file) if row["month"] == MONTH}
    paid = [
        round(row["amount_paid"] / (1 if row["currency"] == "jpy" else 100) * rates[row["currency"]], 2)
        for row in invoices
        if row["status"] == "paid" and utc(row["status_transitions"]["paid_at"]).strftime("%Y-%m-01") == MONTH
    ]
    rows = filed["payments", "month", MONTH][-1][1]
    assert len([amount for amount in paid if amount]) > 20
    assert total(rows) == pytest.approx(sum(paid), abs=0.01 * len(paid))


def test_a_month_of_sign_ups_is_who_signed_up(world: Path, filed: Filed) -> None:
    accounts = pq.read_table(world / "truth" / "accounts.parquet").to_pylist()
    signed_up = sum(row["signed_up_at"].strftime("%Y-%m-01") == MONTH for row in accounts)
    assert total(filed["signups", "month", MONTH][-1][1]) == signed_up > 0
