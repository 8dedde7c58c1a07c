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
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path

import duckdb

from benchmarks.figures import Figure, main
from benchmarks.job import PROJECT_DIR, Job
from benchmarks.vendor_stripe import Object, fetch

GRACE_SECONDS = 30 * 86400
LAST = float("inf")
ZERO_DECIMAL = frozenset(
    ("bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf")
)
MONTHS_PER = {"day": Fraction(365, 12), "week": Fraction(52, 12), "month": Fraction(1), "year": Fraction(1, 12)}


@dataclass(slots=True)
class Subscription:
    """One subscription with everything the vendor ever said about it."""

    now: Object
    invoices: list[Object] = field(default_factory=list)
    events: list[Object] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Word:
    """What one piece of evidence says about one item: from `at` on it was sold at `price` in this quantity."""

    at: float
    trust: int
    price: Object
    quantity: int


def closing_mrr(subscription: Subscription, instant: float, prices: dict[str, Object]) -> Fraction:
    """Monthly amount in minor units of the subscription's currency, an instant before `instant` (unix seconds)."""
    now = subscription.now
    if now["status"] in {"incomplete", "incomplete_expired"}:
        return Fraction(0)
    if now["start_date"] >= instant or (now["ended_at"] or LAST) < instant:
        return Fraction(0)
    if (
        _in_trial(subscription, instant)
        or _is_paused(subscription, instant)
        or _is_lost_patience(subscription, instant)
    ):
        return Fraction(0)
    contract = Fraction(0)
    dearest: tuple[Fraction, Object] | None = None
    for item_words in _words(subscription, prices).values():
        word = _last_before(item_words, instant)
        if word is None or word.quantity == 0:
            continue
        monthly = _monthly(Fraction(word.price["unit_amount"]), word.price) * word.quantity
        contract += monthly
        if dearest is None or monthly > dearest[0]:
            dearest = (monthly, word.price)
    for percent_off, amount_off in _discounts(subscription, instant):
        if percent_off is not None:
            contract *= 1 - percent_off / 100
        elif amount_off is not None and dearest is not None:
            contract = max(contract - _monthly(amount_off, dearest[1]), Fraction(0))
    return contract


def _monthly(minor: Fraction, price: Object) -> Fraction:
    recurring = price["recurring"]
    return minor * MONTHS_PER[recurring["interval"]] / int(recurring["interval_count"])


def _first_paid(subscription: Subscription) -> float:
    paid = [
        invoice["status_transitions"]["paid_at"]
        for invoice in subscription.invoices
        if invoice["status"] == "paid" and invoice["amount_paid"] > 0
    ]
    return min(paid, default=LAST)


def _in_trial(subscription: Subscription, instant: float) -> bool:
    now = subscription.now
    if now["trial_end"] is None and now["status"] != "trialing":
        return False
    begins = now["trial_start"] or now["start_date"]
    if _first_paid(subscription) < begins:
        return False
    return bool(begins < instant <= (now["trial_end"] or LAST))


def _is_paused(subscription: Subscription, instant: float) -> bool:
    told = [event for event in subscription.events if event["created"] < instant]
    if told:
        return _shows_pause(told[-1]["data"]["object"])
    for invoice in subscription.invoices:
        was_left_alone = invoice["attempt_count"] == 0 and invoice["status"] in {"void", "uncollectible"}
        if invoice["billing_reason"] != "subscription_cycle" or invoice["total"] <= 0 or not was_left_alone:
            continue
        periods = [line["period"] for line in invoice["lines"]["data"] if not _is_proration(line)]
        if not periods:
            continue
        begins, ends = min(p["start"] for p in periods), max(p["end"] for p in periods)
        if not begins < instant <= ends:
            continue
        # events that speak about the same period know the pause to the second
        if not any(_pause_meets(subscription, index, begins, ends) for index in range(len(subscription.events))):
            return True
    return False


def _pause_meets(subscription: Subscription, index: int, begins: float, ends: float) -> bool:
    event = subscription.events[index]
    following = subscription.events[index + 1]["created"] if index + 1 < len(subscription.events) else LAST
    return _shows_pause(event["data"]["object"]) and event["created"] < ends and following > begins


def _shows_pause(snapshot: Object) -> bool:
    return snapshot.get("pause_collection") is not None or snapshot["status"] == "paused"


def _is_lost_patience(subscription: Subscription, instant: float) -> bool:
    told = [event for event in subscription.events if event["created"] < instant]
    if told and told[-1]["data"]["object"]["status"] == "unpaid":
        return True
    for invoice in subscription.invoices:
        times = invoice["status_transitions"]
        failed_at = times["finalized_at"] or invoice["created"]
        tried, left = invoice["attempt_count"], invoice["amount_remaining"]
        has_failed = (invoice["status"] == "paid" and tried > 1) or (
            invoice["status"] in {"open", "uncollectible", "void"} and tried > 0 and left > 0
        )
        if invoice["total"] <= 0 or not has_failed:
            continue
        settled_at = {"paid": times["paid_at"], "void": times["voided_at"]}.get(invoice["status"]) or LAST
        if settled_at == LAST:
            later = [
                other["status_transitions"]["paid_at"]
                for other in subscription.invoices
                if other["status"] == "paid" and other["amount_paid"] > 0 and other["created"] > failed_at
            ]
            settled_at = min(later, default=LAST)
        if failed_at + GRACE_SECONDS < instant <= settled_at:
            return True
    return False


def _is_proration(line: Object) -> bool:
    return bool(line["parent"]["subscription_item_details"]["proration"])


def _words(subscription: Subscription, prices: dict[str, Object]) -> dict[str, list[Word]]:
    """Per item what was said, oldest first, and of two that speak about one second the more trusted last."""
    words: dict[str, list[Word]] = defaultdict(list)
    for invoice in subscription.invoices:
        if invoice["status"] == "draft":
            continue
        for line in invoice["lines"]["data"]:
            price = prices[line["pricing"]["price_details"]["price"]]
            if not _is_licensed(price):
                continue
            item = line["parent"]["subscription_item_details"]["subscription_item"]
            is_credit = _is_proration(line) and line["amount"] < 0
            trust = 1 if is_credit else (2 if _is_proration(line) else 3)
            quantity = 0 if is_credit else line["quantity"]
            words[item].append(Word(line["period"]["start"], trust, price, quantity))
    seen: set[str] = set()
    for event in subscription.events:
        snapshot = event["data"]["object"]
        listed = set()
        for item in snapshot["items"]["data"]:
            if _is_licensed(item["price"]):
                words[item["id"]].append(Word(event["created"], 4, item["price"], item["quantity"]))
                listed.add(item["id"])
        gone = (seen | {item for item, said in words.items() if said[0].at < event["created"]}) - listed
        for item in gone:
            words[item].append(Word(event["created"], 4, words[item][-1].price, 0))
        seen |= listed
    for said in words.values():
        said.sort(key=lambda word: (word.at, word.trust))
    return words


def _is_licensed(price: Object) -> bool:
    return bool(price["type"] == "recurring" and price["recurring"]["usage_type"] == "licensed")


def _last_before(said: list[Word], instant: float) -> Word | None:
    known = [word for word in said if word.at < instant]
    return known[-1] if known else said[0]


def _discounts(subscription: Subscription, instant: float) -> list[tuple[Fraction | None, Fraction | None]]:
    """Recurring discounts in force, in the order in which they were given: percent, or minor units a period."""
    known: dict[str, Object] = {}
    for discount in [
        *subscription.now["discounts"],
        *(found for event in subscription.events for found in event["data"]["object"]["discounts"]),
        *(found for invoice in subscription.invoices for found in invoice["discounts"]),
    ]:
        if isinstance(discount, dict):
            known[discount["id"]] = discount
    in_force = [
        discount
        for discount in known.values()
        if discount["coupon"]["duration"] in {"forever", "repeating"}
        and discount["start"] < instant <= (discount["end"] or LAST)
    ]
    in_force.sort(key=lambda discount: (discount["start"], discount["id"]))
    return [
        (
            None if discount["coupon"]["percent_off"] is None else Fraction(str(discount["coupon"]["percent_off"])),
            None if discount["coupon"]["amount_off"] is None else Fraction(discount["coupon"]["amount_off"]),
        )
        for discount in in_force
    ]


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
        job = Job(arguments.data_dir.resolve())
        try:
            job.up()
            return compare(job.data_dir, job.url)
        finally:
            job.down()
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), ("--customers", str(arguments.customers), "--months", "18"))
        try:
            job.up()
            job.ask("run")
            return compare(job.data_dir, job.url)
        finally:
            job.down()


MOVEMENTS = ("new", "reactivation", "expansion", "contraction", "churn")
Cents = int


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
