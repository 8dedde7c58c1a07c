"""What customers decide about their subscription each day, from how they use the product; and the doing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sandbox.world import billing, invoices
from sandbox.world.catalog import CHANNELS, INCLUDED_SEATS
from sandbox.world.dates import months_after
from sandbox.world.parameters import DAY, DAYS_PER_MONTH, NEVER
from sandbox.world.state import Phase
from sandbox.world.usage import engagement

if TYPE_CHECKING:
    from sandbox.world.columns import Array
    from sandbox.world.day import Day

BASE_CHURN = np.array([channel.monthly_churn for channel in CHANNELS])


def churn_hazards(day: Day) -> Array:
    """Each account's probability of deciding today to leave; zero for those who have nothing to leave."""
    world = day.world
    accounts, subscriptions = world.accounts, world.subscriptions
    paying = (accounts.phase == Phase.ACTIVE) & (accounts.subscription >= 0)
    hazard = BASE_CHURN[accounts.channel] / DAYS_PER_MONTH * np.exp(-0.9 * engagement(day))
    hazard *= (1 + accounts.churn_pressure) * np.where(accounts.dormant_until > day.number, 2.2, 1.0)
    hazard *= np.where(accounts.shielded_until > day.number, 0.7, 1.0)
    if len(subscriptions):
        own = accounts.subscription.clip(min=0)
        yearly = subscriptions.interval[own] == 1
        near_renewal = subscriptions.period_end[own] - day.start < 45 * DAY
        hazard *= np.where(yearly, np.where(near_renewal, 2.5, 0.25), 1.0)
    return np.where(paying, hazard.clip(0, 0.08), 0.0)


def decide(day: Day) -> None:
    """Draw today's decisions and put them on today's agenda."""
    world = day.world
    accounts, subscriptions = world.accounts, world.subscriptions
    n = len(accounts)
    hazard = churn_hazards(day)
    accounts.hazard_sum[:] += hazard.astype("f4")
    accounts.exposure_days[:] += hazard > 0
    if not len(subscriptions):
        return
    rng = day.rng("decisions")
    level = engagement(day)
    own = accounts.subscription.clip(min=0)
    free = (accounts.phase == Phase.ACTIVE) & ~subscriptions.ending[own] & ~subscriptions.paused[own]
    monthly = subscriptions.interval[own] == 0
    plan = subscriptions.plan[own]
    crowded = accounts.users > accounts.seats
    per_month = {
        "upgrade": 0.013 * np.exp(0.8 * level) * (1 + 5 * accounts.upgrade_pressure) * (plan < 3),
        "more_seats": np.where(crowded, 9.0, 0.015 * np.exp(0.9 * level)),
        "downgrade": 0.006 * np.exp(-0.7 * level) * (plan > 0),
        "fewer_seats": 0.012 * np.exp(-0.8 * level) * (accounts.seats > 2),
        "pause": 0.004 * np.exp(-0.5 * level) * monthly,
        "go_yearly": 0.010 * monthly * (subscriptions.metered_item[own] == ""),
    }
    decided = {"cancel": free & (rng.random(n) < hazard)}
    for what, rate in per_month.items():
        decided[what] = free & (rng.random(n) < rate / DAYS_PER_MONTH)
    gone = (accounts.phase == Phase.GONE) & (accounts.first_paid_at < NEVER) & (accounts.merged_into < 0)
    decided["come_back"] = gone & (rng.random(n) < 0.016 * np.exp(0.6 * accounts.quality) / DAYS_PER_MONTH)
    for what, who in decided.items():
        for account in who.nonzero()[0].tolist():
            at = day.within_hours(rng, int(accounts.zone[account]))
            if what in ("upgrade", "cancel", "downgrade") and accounts.first_user[account] >= 0:
                page = "pricing_viewed" if what == "upgrade" else "billing_page_viewed"
                person = int(accounts.first_user[account])
                day.track(max(at - 600, day.start), page, person=person, account=account, product="editor")
            world.schedule(at, what, account)


def _open_to_change(day: Day, at: float, account: int) -> int:
    """The account's subscription if it can be changed now, else -1."""
    row = day.world.subscriptions
    subscription = int(day.world.accounts.subscription[account])
    if subscription < 0 or row.status[subscription] != "active" or row.ending[subscription] or row.paused[subscription]:
        return -1
    return subscription if row.period_start[subscription] + 3600 < at < row.period_end[subscription] - 3600 else -1


def _change(day: Day, at: float, subscription: int, plan: int, quantity: int) -> None:
    """Another plan or number of seats from this second on, invoiced at once."""
    world = day.world
    row = world.subscriptions
    lines = invoices.proration_lines(day, at, subscription, plan, quantity)
    row.plan[subscription] = plan
    row.quantity[subscription] = quantity
    row.next_plan[subscription], row.next_quantity[subscription] = -1, 0
    world.accounts.seats[row.account[subscription]] = quantity
    invoice = invoices.issue(day, at, subscription, "subscription_update", final=True, lines=lines)
    billing.tell(day, at, subscription)
    if invoices.amount_due(day, invoice) > 0:
        world.schedule(at + 15, "paid", subscription, invoice)


def upgrade(day: Day, at: float, account: int) -> None:
    """The next larger plan, at once."""
    subscription = _open_to_change(day, at, account)
    row, accounts = day.world.subscriptions, day.world.accounts
    if subscription >= 0 and row.plan[subscription] < 3:
        accounts.upgrade_pressure[account] = 0.0
        _change(day, at, subscription, int(row.plan[subscription]) + 1, int(row.quantity[subscription]))


def more_seats(day: Day, at: float, account: int) -> None:
    """Enough seats for everybody who is there, and some more; a full plan means a larger one."""
    subscription = _open_to_change(day, at, account)
    if subscription < 0:
        return
    row, accounts = day.world.subscriptions, day.world.accounts
    now = int(row.quantity[subscription])
    wanted = max(now + 1 + int(day.rng("seats").integers(3)), int(accounts.users[account]))
    plan = int(row.plan[subscription])
    if wanted > INCLUDED_SEATS[plan] and plan < 3 and day.rng("seats").random() < 0.4:
        plan += 1
    _change(day, at, subscription, plan, wanted)


def downgrade(day: Day, at: float, account: int) -> None:
    """A smaller plan: at the next renewal or at once."""
    subscription = _open_to_change(day, at, account)
    row = day.world.subscriptions
    if subscription < 0 or row.plan[subscription] == 0:
        return
    smaller = int(row.plan[subscription]) - 1
    if day.rng("downgrade").random() < 0.5:
        row.next_plan[subscription] = smaller
    else:
        _change(day, at, subscription, smaller, int(row.quantity[subscription]))


def fewer_seats(day: Day, at: float, account: int) -> None:
    """Seats that nobody uses are given back: at the next renewal or at once."""
    subscription = _open_to_change(day, at, account)
    row, accounts = day.world.subscriptions, day.world.accounts
    if subscription < 0 or row.quantity[subscription] < 2:
        return
    now = int(row.quantity[subscription])
    wanted = max(1, min(now - 1, int(accounts.users[account])))
    if day.rng("downgrade").random() < 0.5:
        row.next_quantity[subscription] = wanted
    else:
        _change(day, at, subscription, int(row.plan[subscription]), wanted)


def go_yearly(day: Day, at: float, account: int) -> None:
    """From monthly to annual billing: the rest of the month is credited, a year begins now."""
    world = day.world
    row = world.subscriptions
    subscription = _open_to_change(day, at, account)
    if subscription < 0 or row.interval[subscription] or row.metered_item[subscription]:
        return
    plan, quantity = int(row.plan[subscription]), int(row.quantity[subscription])
    credit = invoices.proration_lines(day, at, subscription, plan, quantity)[:1]
    row.interval[subscription] = 1
    row.anchor[subscription] = at
    billing.begin_period(day, at, subscription, 1)
    row.next_plan[subscription], row.next_quantity[subscription] = -1, 0
    lines = [*credit, invoices.period_line(day, subscription)]
    invoice = invoices.issue(day, at, subscription, "subscription_update", final=True, lines=lines)
    billing.tell(day, at, subscription)
    if invoices.amount_due(day, invoice) > 0:
        world.schedule(at + 15, "paid", subscription, invoice)


def pause(day: Day, at: float, account: int) -> None:
    """Collection will pause with the next period, for one to three of them."""
    world = day.world
    row = world.subscriptions
    subscription = _open_to_change(day, at, account)
    if subscription < 0 or row.interval[subscription]:
        return
    world.schedule(float(row.period_end[subscription]) - 300, "pause_begins", subscription)


def pause_begins(day: Day, at: float, subscription: int) -> None:
    """Collection stops shortly before the period that is not to be paid."""
    world = day.world
    row = world.subscriptions
    on_time = abs(row.period_end[subscription] - 300 - at) < 1
    if row.status[subscription] != "active" or row.ending[subscription] or row.paused[subscription] or not on_time:
        return
    row.paused[subscription] = True
    months = 1 + int(day.rng("pause").integers(3))
    ends = months_after(float(row.anchor[subscription]), int(row.period[subscription]) + months) - 200
    row.resumes_at[subscription] = ends
    billing.tell(day, at, subscription)
    world.schedule(ends, "pause_ends", subscription)


def pause_ends(day: Day, at: float, subscription: int) -> None:
    """Collection resumes shortly before the next renewal; some leave instead."""
    row = day.world.subscriptions
    if row.status[subscription] != "active" or not row.paused[subscription]:
        return
    row.paused[subscription] = False
    billing.tell(day, at, subscription)
    if day.rng("pause").random() < 0.25:
        cancel(day, at + 1, int(row.account[subscription]))


def cancel(day: Day, at: float, account: int) -> None:
    """The customer leaves: mostly at the end of what is paid, sometimes at once."""
    world = day.world
    row = world.subscriptions
    subscription = int(world.accounts.subscription[account])
    if subscription < 0 or row.status[subscription] not in billing.LIVE or row.ending[subscription]:
        return
    rng = day.rng("cancel")
    if rng.random() < 0.2:
        billing.end(day, at, subscription, "cancellation_requested")
        if row.last_paid_invoice[subscription] and rng.random() < 0.15:
            amount = int(row.last_paid_amount[subscription])
            world.schedule(at + DAY, "refund", subscription, str(row.last_paid_invoice[subscription]), amount)
        return
    billing.schedule_end(day, at, subscription)
    if rng.random() < 0.12:
        world.schedule(at + float(rng.uniform(0.5, 12)) * DAY, "stay_after_all", subscription)


def stay_after_all(day: Day, at: float, subscription: int) -> None:
    """A scheduled cancellation is taken back."""
    row = day.world.subscriptions
    if row.status[subscription] == "active" and row.ending[subscription] and at < row.period_end[subscription] - 60:
        row.ending[subscription] = False
        row.canceled_at[subscription], row.reason[subscription] = NEVER, ""
        billing.tell(day, at, subscription)


def come_back(day: Day, at: float, account: int) -> None:
    """A customer who left subscribes again."""
    world = day.world
    if world.accounts.phase[account] != Phase.GONE:
        return
    world.accounts.mood[account] = max(float(world.accounts.mood[account]), 0.1)
    world.accounts.dormant_until[account] = day.number
    customer = str(world.accounts.billing_customer[account])
    billing.subscribe(day, at, account, trial=False, customer=customer)
