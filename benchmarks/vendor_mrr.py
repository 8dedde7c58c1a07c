"""What a subscription was worth at an instant, from the vendor's objects alone: the other side of benchmarks/mrr.py.

Exact fractions and plain Python, written from the rules (docs/DECISIONS.md) and not from the models, so that a slip in
one of the two shows.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction

from benchmarks.vendor_stripe import Object

GRACE_SECONDS = 30 * 86400
LAST = float("inf")
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
