"""Stripe invoices: the document, and its way from draft to paid, void or uncollectible."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.records.stripe import change, discounts_of, emit
from sandbox.world.catalog import INTERVALS, price_id, product_id

if TYPE_CHECKING:
    from sandbox.records.desk import Body, Desk


def _line(fact: Body, line: Body) -> Body:
    discounts = [fact["discount_id"]] if line["discount"] else []
    plan = line["plan"]
    name = plan.replace("_", " ").capitalize()
    words = f"{line['quantity']} x {name}"
    if line["proration"]:
        words = f"{'Unused' if line['amount'] < 0 else 'Remaining'} time on {words}"
    return {
        "id": line["id"], "object": "line_item", "amount": line["amount"], "currency": fact["currency"],
        "description": f"Trial period for {name}" if line.get("trial") else words,
        "discount_amounts": [{"amount": line["discount"], "discount": fact["discount_id"]}] if discounts else [],
        "discountable": not line["proration"], "discounts": discounts, "invoice": fact["key"], "livemode": False,
        "metadata": {},
        "parent": {
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None, "proration": line["proration"], "proration_details": {"credited_items": None},
                "subscription": fact["subscription"], "subscription_item": line["item"],
            },
            "type": "subscription_item_details",
        },
        "period": {"end": line["end"], "start": line["start"]}, "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {
                "price": price_id(plan, INTERVALS[line["interval"]], fact["currency"]), "product": product_id(plan),
            },
            "type": "price_details", "unit_amount_decimal": line["unit_amount"],
        },
        "quantity": line["quantity"], "taxes": [],
    }  # fmt: skip


def invoice_created(desk: Desk, at: float, **fact: Any) -> None:
    """An invoice: a draft for an hour, or final at once (then paid at once if nothing is due)."""
    lines = [_line(fact, line) for line in fact["lines"]]
    discount = sum(line["discount"] for line in fact["lines"])
    customer = desk.find("stripe.customers", fact["customer"])
    final = fact["final"]
    body = {
        "id": fact["key"], "object": "invoice", "account_country": "US", "amount_due": fact["amount_due"],
        "amount_overpaid": 0, "amount_paid": 0, "amount_remaining": fact["amount_due"], "amount_shipping": 0,
        "attempt_count": 0, "attempted": False, "auto_advance": True, "automatic_tax": {"enabled": False},
        "billing_reason": fact["reason"], "collection_method": "charge_automatically", "created": int(at),
        "currency": fact["currency"], "customer": fact["customer"], "customer_email": customer["email"],
        "customer_name": customer["name"], "description": None,
        "discounts": discounts_of(fact, fact["customer"], fact["subscription"]) if discount else [], "due_date": None,
        "effective_at": int(at) if final else None, "ending_balance": fact["ending_balance"] if final else None,
        "footer": None,
        "lines": {
            "object": "list", "data": lines, "has_more": False, "total_count": len(lines),
            "url": f"/v1/invoices/{fact['key']}/lines",
        },
        "livemode": False, "metadata": {}, "next_payment_attempt": None if final else int(at) + 3720,
        "number": f"{customer['invoice_prefix']}-{fact['number']:04d}" if final else None,
        "parent": {
            "quote_details": None,
            "subscription_details": {"metadata": {}, "subscription": fact["subscription"]},
            "type": "subscription_details",
        },
        "period_end": int(fact["period_end"]), "period_start": int(fact["period_start"]),
        "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0,
        "starting_balance": fact["starting_balance"], "status": "open" if final else "draft",
        "status_transitions": {
            "finalized_at": int(at) if final else None, "marked_uncollectible_at": None, "paid_at": None,
            "voided_at": None,
        },
        "subtotal": fact["subtotal"], "subtotal_excluding_tax": fact["subtotal"], "test_clock": None,
        "total": fact["total"],
        "total_discount_amounts": [{"amount": discount, "discount": fact["discount_id"]}] if discount else [],
        "total_excluding_tax": fact["total"], "total_taxes": [],
    }  # fmt: skip
    desk.create("stripe.invoices", fact["key"], at, body, parent=fact["subscription"])
    emit(desk, at, "invoice.created", body)


def _change(desk: Desk, at: float, event: str, invoice: str, changes: Body) -> None:
    change(desk, at, event, ("stripe.invoices", invoice), changes, tell_anyway=True)


def _transition(body: Body, **instants: float) -> Body:
    return {**body["status_transitions"], **{name: int(at) for name, at in instants.items()}}


def invoice_finalized(desk: Desk, at: float, *, key: str) -> None:
    """A draft gets its number and can be paid."""
    body = desk.find("stripe.invoices", key)
    customer = desk.find("stripe.customers", body["customer"])
    changes = {
        "effective_at": int(at), "ending_balance": min(body["total"] + body["starting_balance"], 0),
        "number": f"{customer['invoice_prefix']}-{key[-6:].upper()}", "status": "open",
        "status_transitions": _transition(body, finalized_at=at),
    }  # fmt: skip
    _change(desk, at, "invoice.finalized", key, changes)


def invoice_paid(desk: Desk, at: float, *, key: str) -> None:
    """Everything due is paid."""
    body = desk.find("stripe.invoices", key)
    changes = {
        "amount_paid": body["amount_due"], "amount_remaining": 0, "attempted": True, "auto_advance": False,
        "attempt_count": body["attempt_count"] + (1 if body["amount_due"] else 0), "next_payment_attempt": None,
        "status": "paid", "status_transitions": _transition(body, paid_at=at),
    }  # fmt: skip
    _change(desk, at, "invoice.paid", key, changes)


def payment_failed(desk: Desk, at: float, *, key: str, attempt: int, next_attempt: float | None) -> None:
    """An attempt to charge was refused."""
    changes = {
        "attempt_count": attempt, "attempted": True,
        "next_payment_attempt": None if next_attempt is None else int(next_attempt),
    }  # fmt: skip
    _change(desk, at, "invoice.payment_failed", key, changes)


def invoice_voided(desk: Desk, at: float, *, key: str) -> None:
    """Nobody has to pay it: collection is paused, or the subscription ended before."""
    body = desk.find("stripe.invoices", key)
    changes = {
        "amount_remaining": 0, "auto_advance": False, "next_payment_attempt": None, "status": "void",
        "status_transitions": _transition(body, voided_at=at),
    }  # fmt: skip
    _change(desk, at, "invoice.voided", key, changes)


def invoice_uncollectible(desk: Desk, at: float, *, key: str) -> None:
    """All attempts failed."""
    body = desk.find("stripe.invoices", key)
    changes = {
        "auto_advance": False, "next_payment_attempt": None, "status": "uncollectible",
        "status_transitions": _transition(body, marked_uncollectible_at=at),
    }  # fmt: skip
    _change(desk, at, "invoice.marked_uncollectible", key, changes)
