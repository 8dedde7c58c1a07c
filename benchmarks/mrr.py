"""The revenue bridge of the last twelve months against a second computation from the vendor's objects, to the cent.

The pipeline turns subscriptions into intervals with SQL. Here every subscription is asked, month by month, "what were
you worth an instant before this month closed?", in exact fractions and plain Python, from objects fetched over HTTP.
From these closings alone follow the movements (opening + movements + exchange rates = closing) and retention over
twelve months. Only the rules are shared (docs/DECISIONS.md), the exchange rates, and which billing customers are one
customer (the grain that is rounded).

    python -m benchmarks.mrr            # a world of its own
    python -m benchmarks.mrr --data-dir data
    python -m benchmarks.mrr --data-dir data --url http://127.0.0.1:8411    # where its sandbox serves already
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import duckdb

from benchmarks.figures import Figure, main
from benchmarks.job import PROJECT_DIR, Job, company_after_a_run
from benchmarks.vendor_mrr import Subscription, closing_mrr
from benchmarks.vendor_stripe import Object, fetch

MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")
ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)
Cents = int


def subscriptions_of(url: str, api_key: str) -> tuple[list[Subscription], dict[str, Object]]:
    """Every subscription with its invoices and events, and every price by its id."""
    base = f"{url}/stripe"
    found = {
        item["id"]: Subscription(item)
        for item in fetch(base, api_key, "/v1/subscriptions", status="all", **{"expand[]": "data.discounts"})
    }
    for invoice in fetch(base, api_key, "/v1/invoices", **{"expand[]": "data.discounts"}):
        details = invoice["parent"] and invoice["parent"]["subscription_details"]
        if details and details["subscription"] in found:
            found[details["subscription"]].invoices.append(invoice)
    for event in fetch(base, api_key, "/v1/events"):
        about = event["data"]["object"]
        is_snapshot = event["type"].startswith("customer.subscription.") and not event["type"].endswith("will_end")
        if is_snapshot and about["id"] in found:
            found[about["id"]].events.append(event)
    prices = {price["id"]: price for price in fetch(base, api_key, "/v1/prices")}
    return list(found.values()), prices


def rates() -> dict[tuple[str, str], Fraction]:
    """US dollars per unit by (month, currency), of the newest version of the rate table."""
    with (PROJECT_DIR / "seeds" / "definitions" / "fx_rates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    newest = max(row["fx_version"] for row in rows)
    return {(r["month"], r["currency"]): Fraction(r["usd_per_unit"]) for r in rows if r["fx_version"] == newest}


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Compare month by month; the bar is not one cent of difference."""
    if arguments.data_dir and arguments.url:
        return compare(arguments.data_dir, arguments.url)
    if arguments.data_dir:
        with Job(arguments.data_dir.resolve()).serving() as job:
            return compare(job.data_dir, job.url)
    with company_after_a_run("--customers", str(arguments.customers), "--months", "18") as job:
        return compare(job.data_dir, job.url)


@dataclass(frozen=True, slots=True)
class Close:
    """One month of every customer, from objects: what stood at its close, exactly and by currency."""

    month: str
    balances: dict[str, dict[str, Fraction]]

    def in_cents(self, customer: str, usd: dict[tuple[str, str], Fraction], month: str) -> Cents:
        """The customer's balance at the rates of a month, rounded half up to the cent."""
        held = self.balances.get(customer, {})
        exact = sum((amount * usd[month, currency] for currency, amount in held.items()), Fraction(0))
        return int((Decimal(exact.numerator * 100) / exact.denominator).quantize(Decimal(1), ROUND_HALF_UP))

    def pays(self, customer: str) -> bool:
        """Whether anything at all stood."""
        return any(amount > 0 for amount in self.balances.get(customer, {}).values())


def compare(data_dir: Path, url: str) -> list[Figure]:
    """What is published against the objects served at `url`, for the last twelve months or as many as there are."""
    with duckdb.connect(str(data_dir / "published" / "lifecycle.duckdb"), read_only=True) as published:
        as_of = published.execute("select max(as_of) from marts.publish_log").fetchall()[0][0].replace(tzinfo=UTC)
        owner: dict[str, str] = dict(
            published.execute(
                "select source_record_id, customer_id from marts.customer_identities"
                " where source_system = 'stripe' and source_record_type = 'customer'"
            ).fetchall()
        )
        result = published.execute("select * from marts.revenue_metrics")
        names = [column[0] for column in result.description or ()]
        ours = {f"{row[0]:%Y-%m-%d}": dict(zip(names, row, strict=True)) for row in result.fetchall()}
    subscriptions, prices = subscriptions_of(url, "rk_test_sandbox")
    usd = rates()
    closes = _closes(subscriptions, prices, owner, as_of)
    figures = []
    for index in range(len(closes) - 1, max(len(closes) - 13, -1), -1):
        month = closes[index].month
        bridge = _bridge(closes[: index + 1], usd)
        theirs = Decimal(bridge["closing"]) / 100
        figures.append(_difference(f"closing MRR {month:.7}", ours[month]["closing_mrr"], theirs))
        apart = max(
            abs(ours[month][f"{name}_mrr"] - Decimal(bridge[name]) / 100) for name in (*MOVEMENTS, "opening", "fx")
        )
        told = ", ".join(f"{name} {bridge[name] / 100:,.2f}" for name in MOVEMENTS)
        figures.append(Figure(f"movements {month:.7}, largest difference", float(apart), "USD", told, bar=0))
    for index in range(len(closes) - 1, 11, -1):
        month = closes[index].month
        for name, share in _retention(closes[index - 12], closes[index], usd).items():
            figures.append(_difference(f"{name} over 12 months, {month:.7}", ours[month][f"{name.lower()}_12m"], share))
    return figures


def _difference(name: str, ours: Decimal, theirs: Decimal) -> Figure:
    unit = "share" if " over " in name else "USD"
    return Figure(f"{name}, difference", float(abs(ours - theirs)), unit, f"{theirs} from objects", bar=0)


def _closes(
    subscriptions: list[Subscription], prices: dict[str, Object], owner: dict[str, str], as_of: datetime
) -> list[Close]:
    """Every closed month since the first subscription began, oldest first."""
    first = datetime.fromtimestamp(min(each.now["start_date"] for each in subscriptions), UTC)
    month = first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    closes = []
    while (ends_at := (month + timedelta(days=32)).replace(day=1)) <= as_of:
        balances: dict[str, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
        for subscription in subscriptions:
            minor = closing_mrr(subscription, ends_at.timestamp(), prices)
            if minor:
                currency = subscription.now["currency"]
                held = balances[owner[subscription.now["customer"]]]
                held[currency] += minor / (1 if currency in ZERO_DECIMAL else 100)
        closes.append(Close(f"{month:%Y-%m-%d}", {customer: dict(held) for customer, held in balances.items()}))
        month = ends_at
    return closes


def _bridge(closes: list[Close], usd: dict[tuple[str, str], Fraction]) -> dict[str, Cents]:
    """Opening, movements, exchange rates and closing of the last of these months, in cents, added over customers."""
    now = closes[-1]
    before = closes[-2] if len(closes) > 1 else Close(_month_before(now.month), {})
    paid_before = {customer for close in closes[:-1] for customer in close.balances if close.pays(customer)}
    bridge: dict[str, Cents] = dict.fromkeys((*MOVEMENTS, "opening", "fx", "closing"), 0)
    for customer in now.balances.keys() | before.balances.keys():
        opening = before.in_cents(customer, usd, before.month)
        closing = now.in_cents(customer, usd, now.month)
        at_opening_rate = now.in_cents(customer, usd, before.month)
        bridge["opening"] += opening
        bridge["closing"] += closing
        bridge["fx"] += closing - at_opening_rate
        moved = at_opening_rate - opening
        if not before.pays(customer) and now.pays(customer):
            bridge["reactivation" if customer in paid_before else "new"] += moved
        elif before.pays(customer) and not now.pays(customer):
            bridge["churn"] += moved
        else:
            bridge["expansion" if moved > 0 else "contraction"] += moved
    return bridge


def _retention(before: Close, now: Close, usd: dict[tuple[str, str], Fraction]) -> dict[str, Decimal]:
    """Net and gross retention of those who paid at the earlier close, to six decimals."""
    held = kept = opening = 0
    for customer in before.balances:
        then, later = before.in_cents(customer, usd, before.month), now.in_cents(customer, usd, now.month)
        if then > 0:
            opening, held, kept = opening + then, held + later, kept + min(then, later)
    return {
        name: (Decimal(part) / opening).quantize(Decimal("0.000001"), ROUND_HALF_UP)
        for name, part in (("NRR", held), ("GRR", kept))
    }


def _month_before(month: str) -> str:
    return f"{datetime.fromisoformat(month) - timedelta(days=1):%Y-%m-01}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="a data directory with a published file, instead of a new world")
    parser.add_argument("--url", help="where that world's sandbox serves, if it does")
    parser.add_argument("--customers", type=int, default=2000, help="size of the new world")
    main(measure, parser)
