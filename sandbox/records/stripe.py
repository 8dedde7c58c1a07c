"""Stripe objects (API version 2025-03-31.basil) and the events that every change of one emits.

Discounts are kept expanded, with their coupon; the server shows ids where expansion was not asked for. Events are kept
for the last thirty days only, as Stripe keeps them.
"""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from sandbox.world.catalog import (
    COUPONS,
    CURRENCIES,
    INTERVALS,
    METERED_PRICES,
    PLANS,
    price_id,
    product_id,
    unit_amount,
)  # fmt: skip
from sandbox.world.parameters import FOUNDED_AT, NEVER

if TYPE_CHECKING:
    from sandbox.records.desk import Body, Desk

API_VERSION = "2025-03-31.basil"
EVENT_DAYS = 30
_CATALOG_AT = FOUNDED_AT + 60


def open_account(desk: Desk) -> None:
    """The catalogue: products, prices, coupons."""
    for plan in (*PLANS, "api_calls"):
        body = {
            "id": product_id(plan), "object": "product", "active": True, "created": _CATALOG_AT, "updated": _CATALOG_AT,
            "default_price": None, "description": None, "images": [], "livemode": False, "marketing_features": [],
            "metadata": {"plan": plan}, "name": plan.replace("_", " ").capitalize(), "type": "service",
            "unit_label": "seat" if plan in PLANS else "call", "url": None,
        }  # fmt: skip
        desk.create("stripe.products", body["id"], _CATALOG_AT, body)
        for currency in CURRENCIES:
            for interval in range(2 if plan in PLANS else 1):
                price = _price(plan, interval, currency)
                desk.create("stripe.prices", price["id"], _CATALOG_AT, price)
    for number in range(len(COUPONS)):
        coupon = _coupon(number)
        desk.create("stripe.coupons", coupon["id"], _CATALOG_AT, coupon)


@cache
def _price(plan: str, interval: int, currency: str) -> Body:
    metered = plan == "api_calls"
    amount = None if metered else unit_amount(PLANS.index(plan), interval, currency)
    return {
        "id": price_id(plan, INTERVALS[interval], currency), "object": "price", "active": True,
        "billing_scheme": "per_unit", "created": _CATALOG_AT, "currency": currency, "custom_unit_amount": None,
        "livemode": False, "lookup_key": f"{plan}_{INTERVALS[interval]}_{currency}", "metadata": {},
        "nickname": f"{plan} per {INTERVALS[interval]}", "product": product_id(plan),
        "recurring": {
            "interval": INTERVALS[interval], "interval_count": 1, "meter": "mtr_api_calls" if metered else None,
            "trial_period_days": None, "usage_type": "metered" if metered else "licensed",
        },
        "tax_behavior": "unspecified", "tiers_mode": None, "transform_quantity": None, "type": "recurring",
        "unit_amount": amount, "unit_amount_decimal": METERED_PRICES[currency] if metered else str(amount),
    }  # fmt: skip


@cache
def _coupon(number: int) -> Body:
    coupon = COUPONS[number]
    return {
        "id": coupon.id, "object": "coupon", "amount_off": coupon.amount_off, "created": _CATALOG_AT,
        "currency": coupon.currency, "duration": coupon.duration, "duration_in_months": coupon.duration_in_months,
        "livemode": False, "max_redemptions": None, "metadata": {}, "name": coupon.name,
        "percent_off": coupon.percent_off, "redeem_by": None, "times_redeemed": 0, "valid": True,
    }  # fmt: skip


def emit(desk: Desk, at: float, event: str, body: Body, previous: Body | None = None) -> None:
    """Write the event of a change; older than thirty days it would be gone by now."""
    if at < desk.events_since:
        return
    name = blake2b(f"{event}:{body['id']}:{at}:{body.get('attempt_count')}".encode(), digest_size=11).hexdigest()
    data: Body = {"object": body}
    if event.endswith("updated") or previous:
        data["previous_attributes"] = previous or {}
    event_body = {
        "id": f"evt_1{name}", "object": "event", "api_version": API_VERSION, "created": int(at), "data": data,
        "livemode": False, "pending_webhooks": 0, "request": {"id": None, "idempotency_key": None}, "type": event,
    }  # fmt: skip
    desk.create("stripe.events", event_body["id"], at, event_body, parent=event)


def change(desk: Desk, at: float, event: str, document: tuple[str, str], changes: Body, *, tell_anyway: bool) -> None:
    """Set fields of an object and emit the event of it; with nothing new only if it is to be told anyway."""
    before = desk.change(*document, at, changes)
    if at < desk.events_since:
        return
    previous = {name: before.get(name) for name, new in changes.items() if before.get(name) != new}
    if previous or tell_anyway:
        emit(desk, at, event, desk.find(*document), previous)


def customer_created(
    desk: Desk,
    at: float,
    *,
    key: str,
    email: str,
    name: str,
    metadata: dict[str, str],
    currency: str,
) -> None:
    """A billing customer."""
    body: Body = {
        "id": key, "object": "customer", "address": None, "balance": 0, "created": int(at), "currency": currency,
        "default_source": None, "delinquent": False, "description": None, "email": email,
        "invoice_prefix": key[-8:].upper(), "livemode": False, "metadata": metadata, "name": name, "phone": None,
        "preferred_locales": [], "shipping": None, "tax_exempt": "none", "test_clock": None,
    }  # fmt: skip
    desk.create("stripe.customers", key, at, body)
    emit(desk, at, "customer.created", body)


def customer_changed(desk: Desk, at: float, *, key: str, changes: Body) -> None:
    """A changed balance or delinquency."""
    change(desk, at, "customer.updated", ("stripe.customers", key), changes, tell_anyway=False)


def _instant(value: float) -> int | None:
    return None if value in (0.0, NEVER) else int(value)


def discounts_of(fact: Body, customer: str, subscription: str) -> list[Body]:
    """The discount in force, expanded, or nothing."""
    if fact["coupon"] < 0:
        return []
    return [
        {
            "id": fact["discount_id"], "object": "discount", "checkout_session": None,
            "coupon": _coupon(fact["coupon"]), "customer": customer, "end": _instant(fact["discount_end"]),
            "invoice": None, "invoice_item": None, "promotion_code": None, "start": int(fact["discount_start"]),
            "subscription": subscription, "subscription_item": None,
        }
    ]  # fmt: skip


def _items(fact: Body) -> Body:
    created = int(fact["created_at"])
    data: list[Body] = []
    for item, plan, quantity in (
        (fact["item"], fact["plan"], fact["quantity"]), (fact["metered_item"], "api_calls", None),
    ):  # fmt: skip
        if not item:
            continue
        body: Body = {
            "id": item, "object": "subscription_item", "billing_thresholds": None, "created": created,
            "current_period_end": int(fact["period_end"]), "current_period_start": int(fact["period_start"]),
            "discounts": [], "metadata": {}, "price": _price(plan, fact["interval"], fact["currency"]),
            "subscription": fact["key"], "tax_rates": [],
        }  # fmt: skip
        if quantity is not None:
            body["quantity"] = quantity
        data.append(body)
    url = f"/v1/subscription_items?subscription={fact['key']}"
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}


def subscription(desk: Desk, at: float, **fact: Any) -> None:
    """What a subscription is like after a change, or in the beginning."""
    trial_end = _instant(fact["trial_end"])
    paused = fact["paused"]
    changes: Body = {
        "billing_cycle_anchor": int(fact["anchor"]),
        "cancel_at": int(fact["period_end"]) if fact["ending"] else None,
        "cancel_at_period_end": fact["ending"],
        "canceled_at": _instant(fact["canceled_at"]),
        "cancellation_details": {"comment": None, "feedback": None, "reason": fact["reason"] or None},
        "discounts": discounts_of(fact, fact["customer"], fact["key"]),
        "ended_at": _instant(fact["ended_at"]),
        "items": _items(fact),
        "latest_invoice": fact["latest_invoice"] or None,
        "pause_collection": {"behavior": "void", "resumes_at": _instant(fact["resumes_at"])} if paused else None,
        "status": fact["status"],
    }
    if fact["event"] == "customer.subscription.created":
        body = {
            "id": fact["key"], "object": "subscription", "application": None, "automatic_tax": {"enabled": False},
            "collection_method": "charge_automatically", "created": int(fact["created_at"]),
            "currency": fact["currency"], "customer": fact["customer"], "days_until_due": None,
            "default_payment_method": None, "description": None, "livemode": False, "metadata": {},
            "next_pending_invoice_item_invoice": None, "pending_update": None, "schedule": None,
            "start_date": int(fact["created_at"]), "test_clock": None, "trial_end": trial_end,
            "trial_settings": {"end_behavior": {"missing_payment_method": "cancel"}},
            "trial_start": int(fact["created_at"]) if trial_end else None, **changes,
        }  # fmt: skip
        desk.create("stripe.subscriptions", fact["key"], at, body, parent=fact["customer"])
        emit(desk, at, fact["event"], body)
        return
    is_reminder = fact["event"] == "customer.subscription.trial_will_end"
    change(desk, at, fact["event"], ("stripe.subscriptions", fact["key"]), changes, tell_anyway=is_reminder)


def refunded(desk: Desk, at: float, **fact: Any) -> None:
    """A payment that was given back: the charge it was made with, and the refund."""
    charge, invoice, currency, customer = fact["charge"], fact["invoice"], fact["currency"], fact["customer"]
    refund, paid, amount, reason = fact["refund"], fact["paid"], fact["amount"], fact["reason"]
    payment = f"pi_1{charge[4:]}"
    charged = int(desk.find("stripe.invoices", invoice)["status_transitions"]["paid_at"] or at)
    body = {
        "id": charge, "object": "charge", "amount": paid, "amount_captured": paid, "amount_refunded": amount,
        "captured": True, "created": charged, "currency": currency, "customer": customer, "description": None,
        "disputed": False, "failure_code": None, "invoice": invoice, "livemode": False, "metadata": {}, "paid": True,
        "payment_intent": payment, "refunded": amount == paid, "status": "succeeded",
    }  # fmt: skip
    desk.create("stripe.charges", charge, charged, body)
    refund_body = {
        "id": refund, "object": "refund", "amount": amount, "balance_transaction": None, "charge": charge,
        "created": int(at), "currency": currency, "metadata": {}, "payment_intent": payment, "reason": reason,
        "receipt_number": None, "source_transfer_reversal": None, "status": "succeeded", "transfer_reversal": None,
    }  # fmt: skip
    desk.create("stripe.refunds", refund, at, refund_body, parent=charge)
    emit(desk, at, "refund.created", refund_body)
    emit(desk, at, "charge.refunded", body, {"amount_refunded": 0, "refunded": False})
