"""Subscriptions over their life: trial, first payment, renewal, dunning, changes, pauses, the end, and back again.

Prices and quantities change only together with an invoice whose lines say so (prorated to the second when the change
takes effect within a period), therefore the invoice lines are a complete record of what was sold when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.world import invoices, names, people
from sandbox.world.catalog import COUPON_SHARES, COUPONS, CURRENCIES, PLANS, TRIAL_DAYS
from sandbox.world.dates import months_after
from sandbox.world.parameters import DAY, HOUR, NEVER
from sandbox.world.state import Edge, Phase

if TYPE_CHECKING:
    from sandbox.world.day import Day

LIVE = ("trialing", "active", "past_due")
FAILURE_RATE = 0.035
RETRY_DAYS = (3, 5, 7, 6)
"""Days from each failed payment attempt to the next one; after the last the subscription is canceled."""


def purchase(day: Day, at: float, account: int, trial: bool) -> None:
    """A new account starts a trial, or buys at once; some do neither yet."""
    accounts = day.world.accounts
    if accounts.subscription[account] >= 0 or accounts.phase[account] == Phase.MERGED:
        return
    rng = day.rng("purchase")
    if trial and rng.random() < 0.06:
        return
    subscribe(day, at, account, trial=trial and bool(rng.random() < 0.88), customer=new_customer(day, at, account))


def new_customer(day: Day, at: float, account: int, *, duplicate: bool = False) -> str:
    """Create the billing customer of an account: addressed to a person, a shared inbox or a bookkeeper."""
    world = day.world
    accounts = world.accounts
    rng = day.rng("customer")
    frequency = world.parameters.edge_cases
    person = int(accounts.first_user[account])
    email, edges = people.address_elsewhere(day, rng, person, "billing")
    domain = str(accounts.domain[account])
    draw = rng.random()
    if draw < frequency.outsourced_billing:
        email = f"invoices@{names.BOOKKEEPERS[int(rng.integers(len(names.BOOKKEEPERS)))]}"
        edges = Edge.OUTSOURCED_BILLING
    elif draw < frequency.outsourced_billing + frequency.shared_inbox and domain.endswith(".example"):
        email = f"billing@{domain}"
        edges = Edge.SHARED_INBOX
    metadata: dict[str, str] = {}
    if not duplicate and (rng.random() < 0.85 or edges == Edge.OUTSOURCED_BILLING):
        metadata["account_id"] = str(accounts.account_id[account])
    if duplicate:
        edges |= Edge.DUPLICATE_BILLING_CUSTOMER
    customer = f"cus_{day.token('customer', 7)}"
    day.happened(
        at, "stripe.customer_created", key=customer, email=email, name=str(accounts.name[account]), metadata=metadata,
        currency=CURRENCIES[int(accounts.currency[account])],
    )  # fmt: skip
    world.identify("stripe.customer", customer, at, account=account, edges=int(edges | int(accounts.edges[account])))
    return customer


def subscribe(day: Day, at: float, account: int, *, trial: bool, customer: str) -> int:
    """Start a subscription for an account."""
    world = day.world
    accounts, subscriptions = world.accounts, world.subscriptions
    rng = day.rng("subscribe")
    seats = max(1, int(accounts.users[account]), int(rng.binomial(max(1, int(accounts.size[account])), 0.6)))
    plan = 0 if seats <= 3 else 1 if seats <= 12 else 2 if seats <= 40 else 3
    plan = min(3, plan + int(rng.random() < 0.25))
    interval = int(rng.random() < (0.14 if plan < 2 else 0.34))
    metered = bool(interval == 0 and plan >= 1 and accounts.affinity_api[account] > 0.12)
    coupon = int(rng.choice(len(COUPONS), p=COUPON_SHARES)) if rng.random() < 0.24 else -1
    currency = int(accounts.currency[account])
    if coupon >= 0 and COUPONS[coupon].currency not in (None, CURRENCIES[currency]):
        coupon = 2
    months = COUPONS[coupon].duration_in_months if coupon >= 0 else None
    subscription = subscriptions.append(
        id=f"sub_1{day.token('subscription', 11)}", account=account, customer=customer,
        item=f"si_{day.token('item', 7)}", metered_item=f"si_{day.token('item', 7)}" if metered else "",
        status="trialing" if trial else "active", plan=plan, interval=interval, currency=currency, quantity=seats,
        metered=metered, coupon=coupon, discount_id=f"di_1{day.token('discount', 11)}" if coupon >= 0 else "",
        discount_start=at, discount_end=months_after(at, months) if months else NEVER,
        anchor=at + TRIAL_DAYS * DAY if trial else at, created_at=at,
        trial_end=at + TRIAL_DAYS * DAY if trial else 0.0,
    )  # fmt: skip
    accounts.subscription[account] = subscription
    accounts.billing_customer[account] = customer
    accounts.seats[account] = seats
    accounts.phase[account] = Phase.TRIALING if trial else Phase.ACTIVE
    if months:
        world.schedule(months_after(at, months), "discount_ended", subscription)
    if trial:
        subscriptions.period_start[subscription] = at
        subscriptions.period_end[subscription] = at + TRIAL_DAYS * DAY
    else:
        begin_period(day, at, subscription, 1)
    former = ((subscriptions.customer == customer) & (subscriptions.balance != 0)).nonzero()[0]
    if former.size and former[-1] != subscription:
        subscriptions.balance[subscription] = subscriptions.balance[former[-1]]
        subscriptions.balance[former[-1]] = 0
    invoice = invoices.issue(day, at, subscription, "subscription_create", final=True)
    tell(day, at, subscription, "customer.subscription.created")
    if trial:
        trial_end = at + TRIAL_DAYS * DAY
        world.schedule(trial_end - 3 * DAY, "trial_will_end", subscription)
        world.schedule(trial_end - float(rng.uniform(0.1, 2.5)) * DAY, "trial_decision", subscription)
        world.schedule(trial_end, "renewal", subscription)
    elif invoices.amount_due(day, invoice) > 0:
        world.schedule(at + 20, "paid", subscription, invoice)
    return subscription


def tell(day: Day, at: float, subscription: int, event: str = "customer.subscription.updated") -> None:
    """Note what a subscription is like now: every change of one goes through here."""
    row = day.world.subscriptions
    coupon = int(row.coupon[subscription])
    discounted = coupon >= 0 and not row.coupon_used[subscription] and at < row.discount_end[subscription]
    day.happened(
        at, "stripe.subscription", event=event, key=str(row.id[subscription]), customer=str(row.customer[subscription]),
        item=str(row.item[subscription]), metered_item=str(row.metered_item[subscription]),
        status=str(row.status[subscription]), plan=PLANS[int(row.plan[subscription])],
        plan_number=int(row.plan[subscription]), interval=int(row.interval[subscription]),
        currency=CURRENCIES[int(row.currency[subscription])], quantity=int(row.quantity[subscription]),
        coupon=coupon if discounted else -1, discount_id=str(row.discount_id[subscription]),
        discount_start=float(row.discount_start[subscription]), discount_end=float(row.discount_end[subscription]),
        anchor=float(row.anchor[subscription]), period_start=float(row.period_start[subscription]),
        period_end=float(row.period_end[subscription]), created_at=float(row.created_at[subscription]),
        trial_end=float(row.trial_end[subscription]), ending=bool(row.ending[subscription]),
        ended_at=float(row.ended_at[subscription]), paused=bool(row.paused[subscription]),
        resumes_at=float(row.resumes_at[subscription]), canceled_at=float(row.canceled_at[subscription]),
        reason=str(row.reason[subscription]), latest_invoice=str(row.latest_invoice[subscription]),
    )  # fmt: skip


def begin_period(day: Day, start: float, subscription: int, period: int) -> None:
    """The `period`-th period since the anchor begins; its end is put on the agenda."""
    row = day.world.subscriptions
    row.period[subscription] = period
    row.period_start[subscription] = start
    end = months_after(float(row.anchor[subscription]), (12 if row.interval[subscription] else 1) * period)
    row.period_end[subscription] = end
    day.world.schedule(end, "renewal", subscription)
    if row.interval[subscription]:
        day.world.schedule(end - 30 * DAY, "renewal_upcoming", subscription)


def renewal(day: Day, at: float, subscription: int) -> None:
    """A period (or the trial) is over: end, or bill the next one."""
    world = day.world
    row = world.subscriptions
    if abs(row.period_end[subscription] - at) >= 1 or row.status[subscription] not in LIVE:
        return
    account = int(row.account[subscription])
    period = int(row.period[subscription])
    if row.ending[subscription]:
        end(day, at, subscription, "cancellation_requested")
        return
    if row.next_plan[subscription] >= 0:
        row.plan[subscription] = row.next_plan[subscription]
        row.next_plan[subscription] = -1
    if row.next_quantity[subscription] > 0:
        row.quantity[subscription] = row.next_quantity[subscription]
        row.next_quantity[subscription] = 0
    world.accounts.seats[account] = row.quantity[subscription]
    if row.status[subscription] == "trialing":
        row.status[subscription] = "active"
        world.accounts.phase[account] = Phase.ACTIVE
    usage = float(row.usage[subscription]) if period else 0.0
    previous = (float(row.period_start[subscription]), float(row.period_end[subscription]))
    row.usage[subscription] = 0.0
    begin_period(day, at, subscription, period + 1)
    paused = bool(row.paused[subscription])
    invoice = invoices.issue(
        day, at, subscription, "subscription_cycle", final=False, usage=usage, usage_period=previous
    )
    tell(day, at, subscription)
    if paused:
        world.schedule(at + HOUR, "voided", invoice)
    else:
        world.schedule(at + HOUR + 120, "finalized", subscription, invoice)


def voided(day: Day, at: float, invoice: str) -> None:
    """Nobody will have to pay this invoice."""
    invoices.settle(day, invoice)
    day.happened(at, "stripe.invoice_voided", key=invoice)


def finalized(day: Day, at: float, subscription: int, invoice: str) -> None:
    """A draft becomes final and is charged."""
    day.happened(at, "stripe.invoice_finalized", key=invoice)
    if day.world.subscriptions.status[subscription] == "canceled":
        voided(day, at + 1, invoice)
        return
    if invoices.amount_due(day, invoice) > 0 and day.rng("charge").random() < FAILURE_RATE:
        _payment_failed(day, at + 2, subscription, invoice)
    else:
        paid(day, at + 2, subscription, invoice)


def _payment_failed(day: Day, at: float, subscription: int, invoice: str) -> None:
    world = day.world
    row = world.subscriptions
    attempt = int(row.attempts[subscription]) + 1
    row.attempts[subscription] = attempt
    row.open_invoice[subscription] = invoice
    last = attempt > len(RETRY_DAYS)
    next_attempt = None if last else at + RETRY_DAYS[attempt - 1] * DAY
    day.happened(at, "stripe.payment_failed", key=invoice, attempt=attempt, next_attempt=next_attempt)
    if row.status[subscription] == "active":
        row.status[subscription] = "past_due"
        row.failed_at[subscription] = at
        world.accounts.phase[row.account[subscription]] = Phase.PAST_DUE
        day.happened(at, "stripe.customer_changed", key=str(row.customer[subscription]), changes={"delinquent": True})
        tell(day, at + 1, subscription)
        world.schedule(at + 600, "send", 5, int(world.accounts.first_user[row.account[subscription]]))
        if day.rng("charge").random() < 0.2:
            world.schedule(at + 5 * HOUR, "complain", int(row.account[subscription]), "payment")
    if last:
        day.happened(at + 60, "stripe.invoice_uncollectible", key=invoice)
        end(day, at + 60, subscription, "payment_failed")
    else:
        world.schedule(float(next_attempt or at), "retry", subscription, invoice)


def retry(day: Day, at: float, subscription: int, invoice: str) -> None:
    """Another attempt to charge an open invoice."""
    if day.world.subscriptions.status[subscription] != "past_due":
        return
    if day.rng("charge").random() < 0.36:
        paid(day, at, subscription, invoice)
    else:
        _payment_failed(day, at, subscription, invoice)


def paid(day: Day, at: float, subscription: int, invoice: str) -> None:
    """An invoice is paid; a subscription that was past due is well again."""
    world = day.world
    row, accounts = world.subscriptions, world.accounts
    account = int(row.account[subscription])
    amount = invoices.settle(day, invoice)
    day.happened(at, "stripe.invoice_paid", key=invoice)
    rng = day.rng("charge")
    if amount > 0:
        currency = CURRENCIES[int(row.currency[subscription])]
        day.payments.append((day.today(at), str(row.customer[subscription]), currency, amount))
        row.last_paid_invoice[subscription] = invoice
        row.last_paid_amount[subscription] = amount
        if accounts.first_paid_at[account] == NEVER:
            accounts.first_paid_at[account] = at
            world.schedule(at + 300, "won", account)
        if rng.random() < 0.008:
            world.schedule(at + float(rng.uniform(0.5, 9)) * DAY, "refund", subscription, invoice, amount)
    if row.status[subscription] == "past_due":
        row.status[subscription] = "active"
        row.attempts[subscription] = 0
        row.open_invoice[subscription] = ""
        row.failed_at[subscription] = NEVER
        accounts.phase[account] = Phase.ACTIVE
        day.happened(at, "stripe.customer_changed", key=str(row.customer[subscription]), changes={"delinquent": False})
        tell(day, at + 1, subscription)
    coupon = int(row.coupon[subscription])
    if amount > 0 and coupon >= 0 and COUPONS[coupon].duration == "once" and not row.coupon_used[subscription]:
        row.coupon_used[subscription] = True
        tell(day, at + 2, subscription)


def refund(day: Day, at: float, subscription: int, invoice: str, amount: int) -> None:
    """Give back a payment, in whole or in part."""
    row = day.world.subscriptions
    if invoice in day.world.refunded:
        return
    day.world.refunded.add(invoice)
    rng = day.rng("refund")
    back = amount if rng.random() < 0.6 else max(1, int(amount * rng.uniform(0.2, 0.7)))
    day.happened(
        at, "stripe.refunded", invoice=invoice, charge=f"ch_1{day.token('charge', 11)}", paid=amount, amount=back,
        refund=f"re_1{day.token('refund', 11)}", customer=str(row.customer[subscription]),
        currency=CURRENCIES[int(row.currency[subscription])],
        reason="requested_by_customer" if rng.random() < 0.8 else "duplicate",
    )  # fmt: skip


def end(day: Day, at: float, subscription: int, reason: str) -> None:
    """The subscription is over, now."""
    world = day.world
    row, accounts = world.subscriptions, world.accounts
    account = int(row.account[subscription])
    row.status[subscription] = "canceled"
    row.ended_at[subscription] = at
    if accounts.merged_into[account] < 0:
        accounts.phase[account] = Phase.GONE
    if row.canceled_at[subscription] == NEVER:
        row.canceled_at[subscription] = at
        row.reason[subscription] = reason
    invoices.settle(day, str(row.open_invoice[subscription]))
    row.open_invoice[subscription] = ""
    tell(day, at, subscription, "customer.subscription.deleted")
    world.schedule(at + 2 * HOUR, "lost", account)


def schedule_end(day: Day, at: float, subscription: int) -> None:
    """The subscription will not renew."""
    row = day.world.subscriptions
    row.ending[subscription] = True
    row.canceled_at[subscription] = at
    row.reason[subscription] = "cancellation_requested"
    tell(day, at, subscription)


def trial_will_end(day: Day, at: float, subscription: int) -> None:
    """Three days before the end of a trial Stripe says so, and marketing writes."""
    world = day.world
    if world.subscriptions.status[subscription] == "trialing":
        tell(day, at, subscription, "customer.subscription.trial_will_end")
        world.schedule(at + 900, "send", 3, int(world.accounts.first_user[world.subscriptions.account[subscription]]))


def trial_decision(day: Day, at: float, subscription: int) -> None:
    """Those who used the product stay; the others cancel before the trial ends."""
    world = day.world
    row, accounts = world.subscriptions, world.accounts
    if row.status[subscription] != "trialing" or row.ending[subscription]:
        return
    account = int(row.account[subscription])
    engagement = float(accounts.quality[account] + accounts.mood[account])
    stay = 1 / (1 + 2.718281828 ** -(1.0 + 1.3 * engagement - 1.2 * (accounts.dormant_until[account] > day.number)))
    if day.rng("trial").random() > stay:
        schedule_end(day, at, subscription)


def discount_ended(day: Day, at: float, subscription: int) -> None:
    """A repeating discount has run out."""
    row = day.world.subscriptions
    if row.status[subscription] in LIVE:
        tell(day, at, subscription)


def duplicate_customer(day: Day, at: float, account: int) -> None:
    """Somebody at the company goes through the checkout again: a second billing customer without our account id."""
    accounts = day.world.accounts
    if accounts.phase[account] == Phase.MERGED or accounts.merged_into[account] >= 0:
        return
    accounts.edges[account] |= Edge.DUPLICATE_BILLING_CUSTOMER
    customer = new_customer(day, at, account, duplicate=True)
    if accounts.phase[account] in (Phase.GONE, Phase.EVALUATING):
        subscribe(day, at, account, trial=False, customer=customer)


def merged_billing(day: Day, at: float, account: int) -> None:
    """After a merger the bought company's own subscription ends."""
    world = day.world
    subscription = int(world.accounts.subscription[account])
    world.accounts.phase[account] = Phase.MERGED
    if subscription >= 0 and world.subscriptions.status[subscription] in LIVE:
        end(day, at, subscription, "cancellation_requested")


def renewal_upcoming(day: Day, at: float, subscription: int) -> None:
    """Thirty days before an annual plan renews marketing writes."""
    row = day.world.subscriptions
    if row.status[subscription] in LIVE and not row.ending[subscription]:
        owner = int(day.world.accounts.first_user[row.account[subscription]])
        day.world.schedule(at, "send", 7, owner)
