"""What an invoice says: exact lines in minor units, discounts, the customer's balance, and what is left to pay.

total = sum of line amounts - sum of discounts; amount due = what the balance leaves of it, never below zero.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any

from sandbox.world.catalog import COUPONS, CURRENCIES, METERED_PRICES, PLANS, unit_amount

if TYPE_CHECKING:
    from sandbox.world.day import Day

Line = dict[str, Any]


def issue(
    day: Day, at: float, subscription: int, reason: str, *, final: bool, lines: list[Line] | None = None,
    usage: float = 0.0, usage_period: tuple[float, float] = (0.0, 0.0),
) -> str:  # fmt: skip
    """Write an invoice for a subscription and return its id.

    Args:
        day: Today.
        at: When it is created.
        subscription: Position in `subscriptions`.
        reason: Stripe's `billing_reason`.
        final: Finalised at once, otherwise a draft for an hour.
        lines: The lines, if they are not simply those of the new period.
        usage: Metered calls of the period that ended.
        usage_period: That period.
    """
    row = day.world.subscriptions
    if lines is None:
        lines = [period_line(day, subscription, trial=row.status[subscription] == "trialing")]
        if row.metered[subscription] and usage > 0:
            lines.append(_usage_line(day, subscription, int(usage), usage_period))
    discount = discount_in_force(day, subscription, at)
    _discount(lines, discount)
    subtotal = sum(line["amount"] for line in lines)
    total = subtotal - sum(line["discount"] for line in lines)
    balance = int(row.balance[subscription])
    amount_due = max(total + balance, 0)
    row.balance[subscription] = min(total + balance, 0)
    row.invoices[subscription] += 1
    invoice = f"in_1{day.token('invoice', 11)}"
    row.latest_invoice[subscription] = invoice
    day.happened(
        at, "stripe.invoice_created", key=invoice, customer=str(row.customer[subscription]),
        subscription=str(row.id[subscription]), reason=reason, final=final, lines=lines, subtotal=subtotal, total=total,
        amount_due=amount_due, starting_balance=balance, ending_balance=int(row.balance[subscription]),
        currency=CURRENCIES[int(row.currency[subscription])], number=int(row.invoices[subscription]),
        coupon=int(row.coupon[subscription]) if discount else -1, discount_id=str(row.discount_id[subscription]),
        discount_start=float(row.discount_start[subscription]), discount_end=float(row.discount_end[subscription]),
        period_start=usage_period[0] or at, period_end=at,
    )  # fmt: skip
    if row.balance[subscription] != balance:
        day.happened(
            at, "stripe.customer_changed", key=str(row.customer[subscription]),
            changes={"balance": int(row.balance[subscription])},
        )  # fmt: skip
    if amount_due > 0:
        day.world.dues[invoice] = amount_due
    elif final:
        day.happened(at + 1, "stripe.invoice_paid", key=invoice)
    return invoice


def amount_due(day: Day, invoice: str) -> int:
    """What is still to be paid on an invoice, in minor units; zero once it is settled."""
    return day.world.dues.get(invoice, 0)


def settle(day: Day, invoice: str) -> int:
    """Nothing is to be paid any more: it was paid, voided or given up. Returns what was due."""
    return day.world.dues.pop(invoice, 0)


def discount_in_force(day: Day, subscription: int, at: float) -> bool:
    """Whether the subscription's coupon still works at an instant."""
    row = day.world.subscriptions
    running = row.discount_start[subscription] <= at < row.discount_end[subscription]
    return bool(row.coupon[subscription] >= 0 and running and not row.coupon_used[subscription])


def _line(day: Day, subscription: int, **fields: Any) -> Line:
    row = day.world.subscriptions
    coupon = int(row.coupon[subscription])
    return {
        "id": f"il_1{day.token('line', 11)}", "item": str(row.item[subscription]),
        "plan": PLANS[int(row.plan[subscription])], "interval": int(row.interval[subscription]),
        "proration": False, "discount": 0, "coupon": coupon, **fields,
    }  # fmt: skip


def period_line(day: Day, subscription: int, *, trial: bool = False) -> Line:
    """The line of the period that begins: all seats for all of it; nothing to pay while trialing."""
    row = day.world.subscriptions
    quantity = int(row.quantity[subscription])
    price = _price(day, subscription)
    return _line(
        day, subscription, quantity=quantity, unit_amount=str(price), amount=0 if trial else quantity * price,
        start=int(row.period_start[subscription]), end=int(row.period_end[subscription]), trial=trial,
    )  # fmt: skip


def _usage_line(day: Day, subscription: int, calls: int, period: tuple[float, float]) -> Line:
    currency = CURRENCIES[int(day.world.subscriptions.currency[subscription])]
    unit = Decimal(METERED_PRICES[currency])
    amount = int((unit * calls).quantize(Decimal(1), ROUND_HALF_UP))
    return _line(
        day, subscription, plan="api_calls", item=str(day.world.subscriptions.metered_item[subscription]),
        quantity=calls, unit_amount=str(unit), amount=amount, start=int(period[0]), end=int(period[1]),
    )  # fmt: skip


def _price(day: Day, subscription: int) -> int:
    row = day.world.subscriptions
    currency = CURRENCIES[int(row.currency[subscription])]
    return unit_amount(int(row.plan[subscription]), int(row.interval[subscription]), currency)


def proration_lines(day: Day, at: float, subscription: int, plan: int, quantity: int) -> list[Line]:
    """Credit for the unused time at the old price and quantity, charge for the remaining time at the new ones.

    Prorated to the second, net of a percentage discount in force: a credit never exceeds what was paid.
    """
    row = day.world.subscriptions
    start, end = float(row.period_start[subscription]), float(row.period_end[subscription])
    share = (end - at) / (end - start)
    coupon = COUPONS[int(row.coupon[subscription])] if discount_in_force(day, subscription, at) else None
    if coupon and coupon.percent_off and coupon.duration != "once":
        share *= 1 - coupon.percent_off / 100
    currency = CURRENCIES[int(row.currency[subscription])]
    interval = int(row.interval[subscription])
    before = (int(row.plan[subscription]), int(row.quantity[subscription]), -1)
    lines = []
    for number, seats, sign in (before, (plan, quantity, 1)):
        price = unit_amount(number, interval, currency)
        lines.append(
            _line(
                day, subscription, plan=PLANS[number], quantity=seats, unit_amount=str(price), proration=True,
                amount=sign * round(price * seats * share), start=int(at), end=int(end),
            )
        )  # fmt: skip
    return lines


def _discount(lines: list[Line], in_force: bool) -> None:
    """Spread the coupon over the lines it applies to; prorations are net of it already."""
    for line in lines:
        coupon = COUPONS[line["coupon"]] if in_force and line["coupon"] >= 0 else None
        if coupon is None or line["proration"] or line["amount"] <= 0:
            continue
        if coupon.percent_off:
            line["discount"] = round(line["amount"] * coupon.percent_off / 100)
        elif coupon.amount_off and not any(other["discount"] for other in lines):
            line["discount"] = min(coupon.amount_off, line["amount"])
