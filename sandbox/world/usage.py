"""How the products are used: engagement drifts, people come on some days, do things, fail, integrate, invite, go quiet.

Usage is the cause of most other things here: of growth and churn (`changes`), of tickets (`support`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sandbox.world.catalog import BEHAVIOURS, PRODUCTS
from sandbox.world.dates import utc
from sandbox.world.day import UsageEvents
from sandbox.world.parameters import DAY, HOUR, NEVER
from sandbox.world.state import Integration, Phase

if TYPE_CHECKING:
    from sandbox.world.columns import Array
    from sandbox.world.day import Day

PRESENCE = 0.105
"""The chance that an average user of an average customer shows up on a working day."""
EVENTS_PER_VISIT = 3.4
"""Mean events of one user on an active day at the default 1,820 events a day of 2,000 accounts."""
BY_PHASE = np.array([0.35, 1.0, 1.0, 0.9, 0.012, 0.0])

_WEIGHTS = np.zeros((len(PRODUCTS), len(BEHAVIOURS)))
for _position, _behaviour in enumerate(BEHAVIOURS):
    _WEIGHTS[PRODUCTS.index(_behaviour.product), _position] = _behaviour.weight
_CUMULATIVE = np.cumsum(_WEIGHTS / _WEIGHTS.sum(axis=1, keepdims=True), axis=1)
_CHOICES = np.array([len(behaviour.properties) for behaviour in BEHAVIOURS])


def engagement(day: Day) -> Array:
    """Each account's engagement today on a log scale; 0 is the average customer."""
    accounts = day.world.accounts
    level = accounts.quality + accounts.mood + 0.35 * (accounts.integration >= Integration.WORKING)
    return np.asarray(level - 0.5 * (accounts.faulty_until > day.number), dtype="f8")


def drift(day: Day) -> None:
    """Moods wander back to the account's own level; pressures fade; some accounts go quiet for weeks."""
    accounts = day.world.accounts
    rng = day.rng("drift")
    n = len(accounts)
    accounts.mood[:] = 0.975 * accounts.mood + rng.normal(0, 0.075, n)
    accounts.churn_pressure *= 0.97
    accounts.upgrade_pressure *= 0.96
    live = (accounts.phase >= Phase.TRIALING) & (accounts.phase <= Phase.PAST_DUE)
    awake = accounts.dormant_until <= day.number
    hazard = (0.0032 * np.exp(-1.1 * engagement(day))).clip(0, 0.03)
    falls_asleep = live & awake & (rng.random(n) < hazard)
    accounts.dormant_until[falls_asleep] = day.number + 9 + rng.geometric(1 / 20, int(falls_asleep.sum()))
    called_back = ~awake & (accounts.nudged_until > day.number) & (rng.random(n) < 0.07)
    accounts.dormant_until[called_back] = day.number


def work(day: Day) -> None:
    """Who uses what today; the events in bulk, and the behaviours that lead to something."""
    world = day.world
    accounts, people = world.accounts, world.people
    accounts.active_users[:] = 0
    users = ((people.user_id != "") & (people.leaves_at == NEVER)).nonzero()[0]
    if not users.size:
        return
    rng = day.rng("usage")
    account = people.account[users]
    level = engagement(day)
    own = accounts.subscription.clip(min=0)
    paused = world.subscriptions.paused[own] & (accounts.subscription >= 0) if len(world.subscriptions) else False
    live = BY_PHASE[accounts.phase] * np.where(accounts.dormant_until > day.number, 0.004, 1.0)
    live = live * np.where(paused, 0.1, 1.0)
    weekend = 0.3 if utc(day.start).weekday() >= 5 else 1.15
    chance = PRESENCE * weekend * people.weight[users] * np.exp(0.75 * level[account]) * live[account]
    present = users[rng.random(users.size) < chance.clip(0, 0.9)]
    np.add.at(accounts.active_users, people.account[present], 1)
    if not present.size:
        return
    _bulk(day, present, level)
    _behave(day, present)


def _bulk(day: Day, present: Array, level: Array) -> None:
    world = day.world
    accounts, people = world.accounts, world.people
    rng = day.rng("events")
    account = people.account[present]
    scale = world.parameters.events_per_day / world.parameters.customers / 0.91
    mean = EVENTS_PER_VISIT * scale * np.exp(0.25 * level[account])
    count = 1 + rng.poisson(np.maximum(mean - 1, 0.0))
    total = int(count.sum())
    visit = np.repeat(np.arange(present.size), count)
    person, account = present[visit], account[visit]
    may_call = accounts.integration[account] >= Integration.WORKING
    shares = np.stack(
        [
            accounts.affinity_editor[account],
            accounts.affinity_esign[account],
            accounts.affinity_api[account] * may_call * 1.5,
            accounts.affinity_mobile[account] * people.mobile[person] * 2.0,
        ],
        axis=1,
    ).astype("f8")
    shares[:, 0] += 1e-6
    cumulative = np.cumsum(shares, axis=1)
    whole_visit = rng.random(present.size)[visit]
    draw = np.where(rng.random(total) < 0.75, whole_visit, rng.random(total)) * cumulative[:, -1]
    product = (draw[:, None] >= cumulative[:, :-1]).sum(axis=1)
    behaviour = (rng.random(total)[:, None] >= _CUMULATIVE[product]).sum(axis=1).clip(0, len(BEHAVIOURS) - 1)
    begin = 13.0 - accounts.zone[account] + rng.normal(0, 2.7, present.size)[visit]
    gaps = rng.exponential(150.0, total) + np.where(rng.random(total) < 0.05, rng.exponential(2.0 * HOUR, total), 0.0)
    elapsed = np.cumsum(gaps)
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    at = day.start + np.mod(begin, 24.0) * HOUR + (elapsed - elapsed[first][visit])
    day.events.usage = UsageEvents(
        at=np.minimum(np.round(at, 3), day.end - 1.0), person=person, account=account, behaviour=behaviour,
        choice=(rng.random(total) * _CHOICES[behaviour]).astype("i4"), zone=accounts.zone[account],
    )  # fmt: skip
    calls = np.bincount(account[product == 2], minlength=len(accounts))
    using = (calls > 0) & (accounts.subscription >= 0)
    world.subscriptions.usage[accounts.subscription[using]] += calls[using] * 350


def _behave(day: Day, present: Array) -> None:
    """The behaviours with consequences, drawn for accounts that have somebody at work today."""
    world = day.world
    accounts = world.accounts
    rng = day.rng("behaviour")
    n = len(accounts)
    someone = np.full(n, -1)
    someone[world.people.account[present]] = present
    busy = (someone >= 0) & (accounts.phase >= Phase.EVALUATING) & (accounts.phase <= Phase.PAST_DUE)
    faulty = accounts.faulty_until > day.number
    level = engagement(day)
    can_integrate = np.minimum(accounts.affinity_api * 3, 1.0)
    inviting = (0.022 * np.exp(0.5 * level)).clip(0, 0.1)
    started = {
        "exports_fail": busy & (rng.random(n) < np.where(faulty, 0.30, 0.0055)),
        "integrate": busy & (accounts.integration == Integration.NONE) & (rng.random(n) < 0.030 * can_integrate),
        "integrate_again": busy & (accounts.integration == Integration.WORKING) & (rng.random(n) < 0.008),
        "invite": busy & (accounts.users < accounts.size) & (rng.random(n) < inviting),
        "look_at_prices": busy & (rng.random(n) < 0.010),
        "usage_limit": busy & (accounts.phase == Phase.ACTIVE) & (rng.random(n) < 0.004 * np.exp(0.8 * level)),
    }
    stalled = np.isin(accounts.integration, (Integration.STARTED, Integration.EXTENDING)) & busy
    finish = np.where(accounts.nudged_until > day.number, 0.11, 0.035)
    started["finish_integration"] = stalled & (rng.random(n) < finish)
    for what, who in started.items():
        for account in who.nonzero()[0].tolist():
            at = day.within_hours(rng, int(accounts.zone[account]))
            world.schedule(at, what, account, int(someone[account]))


def exports_fail(day: Day, at: float, account: int, person: int) -> None:
    """A run of failing exports within less than an hour; many of those hit ask for help."""
    world = day.world
    rng = day.rng("faults")
    at = min(at, day.end - HOUR - 60)
    attempts = 3 + int(rng.integers(4)) if rng.random() < 0.8 else 2
    reason = ("timeout", "font_missing", "too_large")[int(rng.integers(3))]
    moments = at + np.sort(rng.uniform(0, 50 * 60, attempts))
    for moment in moments.tolist():
        day.track(
            moment, "export_failed", person=person, account=account, product="editor",
            properties={"format": "pdf", "reason": reason},
        )  # fmt: skip
    accounts = world.accounts
    if accounts.faulty_until[account] <= day.number:
        accounts.faulty_until[account] = day.number + 1 + int(rng.geometric(0.45))
    accounts.churn_pressure[account] = min(float(accounts.churn_pressure[account]) + 0.5, 3.0)
    if rng.random() < 0.5:
        patience = 300 + float(rng.exponential(1.5 * HOUR))
        world.schedule(float(moments[-1]) + patience, "complain", account, "export", person)


def integrate(day: Day, at: float, account: int, person: int) -> None:
    """Somebody sets up the API: most finish within two days, some get stuck."""
    world = day.world
    rng = day.rng("integration")
    world.accounts.integration[account] = Integration.STARTED
    world.accounts.integration_started_at[account] = at
    kind = ("crm", "erp", "storage", "forms")[int(rng.integers(4))]
    day.track(at - 300, "api_key_created", person=person, account=account, product="api", properties={"scope": "write"})
    day.track(at, "integration_started", person=person, account=account, product="api", properties={"kind": kind})
    if rng.random() < 0.55:
        effort = min(HOUR * float(rng.lognormal(1.8, 1.0)), 1.9 * DAY)
        world.schedule(at + effort, "integration_done", account, person, kind)


def integration_done(day: Day, at: float, account: int, person: int, kind: str) -> None:
    """The integration works: from now on the account calls the API, and leaves less easily."""
    accounts = day.world.accounts
    open_work = accounts.integration[account] in (Integration.STARTED, Integration.EXTENDING)
    if not open_work or accounts.phase[account] in (Phase.GONE, Phase.MERGED):
        return
    accounts.integration[account] = Integration.WORKING
    accounts.churn_pressure[account] *= 0.5
    day.track(at, "integration_completed", person=person, account=account, product="api", properties={"kind": kind})
    if day.rng("integration").random() < 0.6:
        day.track(
            at + 600, "webhook_configured", person=person, account=account, product="api",
            properties={"topic": "envelope.completed"},
        )  # fmt: skip


def finish_integration(day: Day, at: float, account: int, person: int) -> None:
    """A stuck integration is finished after all, days later."""
    started = float(day.world.accounts.integration_started_at[account])
    if at - started > 2 * DAY:
        integration_done(day, at, account, person, "crm")


def integrate_again(day: Day, at: float, account: int, person: int) -> None:
    """Another integration of an account that knows how; it too can get stuck."""
    world = day.world
    world.accounts.integration[account] = Integration.EXTENDING
    world.accounts.integration_started_at[account] = at
    day.track(at, "integration_started", person=person, account=account, product="api", properties={"kind": "storage"})
    if day.rng("integration").random() < 0.7:
        world.schedule(at + 2700, "integration_done", account, person, "storage")


def invite(day: Day, at: float, account: int, person: int) -> None:
    """A user invites a colleague; a full plan says so."""
    world = day.world
    accounts = world.accounts
    full = accounts.subscription[account] >= 0 and accounts.users[account] >= accounts.seats[account]
    if full:
        _limit(day, at - 60, account, person, "seats")
    day.track(at, "user_invited", person=person, account=account, product="editor", properties={"role": "member"})
    if not full or day.rng("invite").random() < 0.75:
        world.schedule(at + 600 + float(day.rng("invite").exponential(0.7 * DAY)), "invited", account)


def usage_limit(day: Day, at: float, account: int, person: int) -> None:
    """The monthly allowance is used up."""
    _limit(day, at, account, person, "envelopes")


def _limit(day: Day, at: float, account: int, person: int, which: str) -> None:
    accounts = day.world.accounts
    accounts.upgrade_pressure[account] = min(float(accounts.upgrade_pressure[account]) + 1.0, 3.0)
    day.track(at, "plan_limit_reached", person=person, account=account, product="editor", properties={"limit": which})


def look_at_prices(day: Day, at: float, account: int, person: int) -> None:
    """Somebody compares the plans; most do nothing about it."""
    day.track(at, "pricing_viewed", person=person, account=account, product="editor")
    day.world.accounts.upgrade_pressure[account] += 0.2
