from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from sandbox.generate import advance, clock_of, generate
from sandbox.world.catalog import MINOR_UNITS
from sandbox.world.dates import day_start, is_last_day_of_month, utc
from sandbox.world.parameters import DAY, WorldParameters
from tests.sandbox.worlds import bodies

if TYPE_CHECKING:
    from pathlib import Path

MONEY = WorldParameters(customers=400, months=9, events_per_day=200, seed=3)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data_dir = tmp_path_factory.mktemp("money")
    generate(data_dir, MONEY)
    return data_dir


def test_an_invoice_is_the_sum_of_its_lines(world: Path) -> None:
    statuses: Counter[str] = Counter()
    for invoice in bodies(world, "stripe.invoices"):
        lines = invoice["lines"]["data"]
        subtotal = sum(line["amount"] for line in lines)
        discount = sum(amount["amount"] for line in lines for amount in line["discount_amounts"])
        assert invoice["subtotal"] == subtotal
        assert invoice["total"] == subtotal - discount
        assert invoice["total_discount_amounts"] == [] or discount == invoice["total_discount_amounts"][0]["amount"]
        assert invoice["amount_due"] == max(invoice["total"] + invoice["starting_balance"], 0)
        assert invoice["amount_paid"] + invoice["amount_remaining"] in (invoice["amount_due"], 0)
        assert isinstance(invoice["total"], int)
        if invoice["status"] == "paid":
            assert invoice["amount_paid"] == invoice["amount_due"]
        statuses[invoice["status"]] += 1
    assert {"paid", "void", "uncollectible"} <= set(statuses)


def test_a_whole_line_is_quantity_times_price(world: Path) -> None:
    kinds: Counter[str] = Counter()
    for invoice in bodies(world, "stripe.invoices"):
        for line in invoice["lines"]["data"]:
            unit = Decimal(line["pricing"]["unit_amount_decimal"])
            whole = unit * line["quantity"]
            if line["parent"]["subscription_item_details"]["proration"]:
                assert abs(line["amount"]) <= whole + 1
                kinds["credit" if line["amount"] < 0 else "charge"] += 1
            elif line["description"].startswith("Trial"):
                assert line["amount"] == 0
                kinds["trial"] += 1
            else:
                assert abs(line["amount"] - whole) <= Decimal("0.5")
                kinds["period"] += 1
    assert {"credit", "charge", "trial", "period"} <= set(kinds)


def test_the_customer_balance_is_carried_from_invoice_to_invoice(world: Path) -> None:
    of_customer = defaultdict(list)
    for invoice in bodies(world, "stripe.invoices"):
        of_customer[invoice["customer"]].append(invoice)
    carried = 0
    balances = {body["id"]: body["balance"] for body in bodies(world, "stripe.customers")}
    for customer, invoices in of_customer.items():
        balance = 0
        for invoice in sorted(invoices, key=lambda one: one["created"]):
            assert invoice["starting_balance"] == balance
            balance = min(invoice["starting_balance"] + invoice["total"], 0)
            carried += balance < 0
        assert balances[customer] == balance
    assert carried


def history_of(invoices: list[dict[str, Any]]) -> list[tuple[int, int, int, str, int]]:
    """(start, end, quantity, price, created) that the lines of a subscription say, in order."""
    said = []
    for invoice in sorted(invoices, key=lambda one: one["created"]):
        for line in invoice["lines"]["data"]:
            price = line["pricing"]["price_details"]["price"]
            if line["amount"] >= 0 and not line["description"].startswith("Unused"):
                period = line["period"]
                said.append((period["start"], period["end"], line["quantity"], price, invoice["created"]))
    return said


def test_the_lines_end_with_what_the_subscription_is_now(world: Path) -> None:
    invoices = defaultdict(list)
    for invoice in bodies(world, "stripe.invoices"):
        invoices[invoice["parent"]["subscription_details"]["subscription"]].append(invoice)
    now = clock_of(MONEY.days)
    compared = 0
    for subscription in bodies(world, "stripe.subscriptions"):
        item = subscription["items"]["data"][0]
        said = [line for line in history_of(invoices[subscription["id"]]) if line[3] == item["price"]["id"]]
        start, end, quantity, _, _ = said[-1]
        assert quantity == item["quantity"]
        assert end == item["current_period_end"]
        assert start <= now
        compared += 1
    assert compared > 300


def licensed_line(invoices: list[dict[str, Any]], prices: dict[str, Any], closing: int) -> tuple[Any, Any] | None:
    """The last invoice line for seats that covers the second before a closing, with its invoice."""
    latest = None
    for invoice in sorted(invoices, key=lambda one: one["created"]):
        for line in invoice["lines"]["data"]:
            price = prices[line["pricing"]["price_details"]["price"]]
            covers = line["period"]["start"] < closing <= line["period"]["end"]
            is_credit = line["amount"] < 0 or line["description"].startswith("Unused")
            if price["recurring"]["usage_type"] == "licensed" and covers and not is_credit:
                latest = (invoice, line)
    return latest


def contract_mrr(
    closing: int, prices: dict[str, Any], subscriptions: dict[str, Any], invoices: dict[str, list[dict[str, Any]]]
) -> Decimal:
    """Contracted MRR in dollars of the subscriptions in dollars, just before an instant, from documents alone."""
    total = Decimal(0)
    for name, subscription in subscriptions.items():
        if subscription["currency"] != "usd" or (subscription["ended_at"] or 4e9) <= closing:
            continue
        latest = licensed_line(invoices[name], prices, closing)
        if latest is None or latest[1]["description"].startswith("Trial") or latest[0]["status"] == "void":
            continue
        price = prices[latest[1]["pricing"]["price_details"]["price"]]
        months = 12 if price["recurring"]["interval"] == "year" else 1
        total += Decimal(price["unit_amount"]) * latest[1]["quantity"] / months / MINOR_UNITS["usd"]
    return total


def test_closing_mrr_of_every_month_follows_from_the_invoice_lines(world: Path) -> None:
    """The truth, recomputed from documents alone: lines, voids, discounts and the end of subscriptions."""
    prices = {body["id"]: body for body in bodies(world, "stripe.prices")}
    subscriptions = {body["id"]: body for body in bodies(world, "stripe.subscriptions")}
    invoices = defaultdict(list)
    for invoice in bodies(world, "stripe.invoices"):
        invoices[invoice["parent"]["subscription_details"]["subscription"]].append(invoice)
    truth: dict[int, float] = defaultdict(float)
    for row in pq.read_table(world / "sandbox" / "truth" / "account_months.parquet").to_pylist():
        if row["currency"] == "usd":
            truth[int(row["month"][5:7]) + 12 * int(row["month"][:4])] += row["closing_mrr_contract"]
    closings = [day_start(day + 1) for day in range(MONEY.days) if is_last_day_of_month(day)]
    for closing in closings:
        total = contract_mrr(closing, prices, subscriptions, invoices)
        month = utc(closing - 1)
        assert float(total) == pytest.approx(truth[month.month + 12 * month.year], abs=0.01), month


def test_events_are_kept_for_thirty_days(world: Path) -> None:
    now = clock_of(MONEY.days)
    events = list(bodies(world, "stripe.events"))
    assert min(event["created"] for event in events) >= now - 30 * DAY
    wanted = {
        "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
        "customer.subscription.trial_will_end", "invoice.created", "invoice.finalized", "invoice.paid",
        "invoice.payment_failed", "customer.created", "customer.updated",
    }  # fmt: skip
    assert wanted <= {event["type"] for event in events}
    assert len({event["id"] for event in events}) == len(events)


def test_the_newest_event_of_an_object_shows_what_it_is_now(tmp_path: Path) -> None:
    generate(tmp_path, WorldParameters(customers=250, months=4, events_per_day=80, seed=5))
    kinds = ("stripe.subscriptions", "stripe.customers", "stripe.invoices")
    before = {body["id"]: body for kind in kinds for body in bodies(tmp_path, kind)}
    advance(tmp_path, 12)
    newest: dict[str, tuple[int, dict[str, Any]]] = {}
    for event in bodies(tmp_path, "stripe.events"):
        body = event["data"]["object"]
        if event["created"] > newest.get(body["id"], (0, {}))[0]:
            newest[body["id"]] = (event["created"], body)
        else:
            assert event["created"] != newest[body["id"]][0], "two events of an object in one second have no order"
    changed = 0
    for kind in kinds:
        for body in bodies(tmp_path, kind):
            if body != before.get(body["id"]):
                assert newest[body["id"]][1] == body, f"{body['id']} changed without an event that shows it"
                changed += 1
    assert changed > 100


def test_a_refund_names_a_charge_of_its_customer(world: Path) -> None:
    charges = {body["id"]: body for body in bodies(world, "stripe.charges")}
    customers = {body["id"] for body in bodies(world, "stripe.customers")}
    refunds = list(bodies(world, "stripe.refunds"))
    assert refunds
    for refund in refunds:
        charge = charges[refund["charge"]]
        assert charge["customer"] in customers
        assert 0 < refund["amount"] <= charge["amount"]
    assert len({charge["invoice"] for charge in charges.values()}) == len(charges)


def test_yen_have_no_minor_unit(world: Path) -> None:
    yen = [body for body in bodies(world, "stripe.prices") if body["currency"] == "jpy" and body["unit_amount"]]
    starter = min(price["unit_amount"] for price in yen)
    assert starter == 2200
