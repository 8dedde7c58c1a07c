"""What our own actions do: a delivery that reached a vendor changes hazards and moods from the next day on.

Each effect is noted with its true size, so that experiments can be judged against the truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.world.catalog import CAMPAIGNS
from sandbox.world.parameters import HOUR, NEVER
from sandbox.world.sales import SUCCESS
from sandbox.world.state import Phase
from sandbox.world.support import AGENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.store import Delivery
    from sandbox.world.day import Day


@dataclass(frozen=True, slots=True)
class Effect:
    """What an action does to the account it reaches: one number per mechanism, all additive unless named a factor."""

    name: str
    words: tuple[str, ...] = ()
    nudge_days: int = 0  # a stuck integration is finished three times as often, quiet accounts come back
    shield_days: int = 0  # the churn hazard is 0.7 of what it was
    mood: float = 0.0
    churn_relief: float = 0.0  # share of the churn pressure that goes away
    upgrade_pressure: float = 0.0


EFFECTS = (
    Effect("unblocks_integration", ("integration", "stalled", "stuck"), nudge_days=5, mood=0.04),
    Effect("calms_after_failures", ("export", "fail", "escalat", "incident"), churn_relief=0.6, mood=0.05),
    Effect("invites_to_upgrade", ("limit", "upgrade", "expan", "seat"), upgrade_pressure=0.8),
    Effect(
        "calls_back", ("quiet", "inactiv", "dormant", "win", "return", "churn", "risk"), nudge_days=7, shield_days=21
    ),
    Effect("secures_renewal", ("renew", "payment", "past_due", "trial"), shield_days=30),
    Effect("celebrates", ("adopt", "first", "milestone", "welcome", "activat"), mood=0.10, upgrade_pressure=0.2),
)
DEFAULT_EFFECT = Effect("reminds", mood=0.03)
IGNORED_KINDS = (
    "repeated_event",
    "identify",
    "delete",
    "suppress",
    "unsuppress",
    "ignored",  # about somebody who is suppressed
    "message",
    "repeated",
    "queued_webhook",  # the scenario is switched off: accepted, and nothing happens
    "anonymous_event",  # names nobody
)


def apply(day: Day, deliveries: Sequence[Delivery]) -> None:
    """Let what was delivered since the last day take effect."""
    for delivery in deliveries:
        if not 200 <= delivery.status < 300 or delivery.kind in IGNORED_KINDS:
            continue
        account = _account_of(day, delivery)
        if account < 0:
            continue
        if delivery.vendor == "bitrix24":
            _moved_by_us(day, account, delivery)
        if delivery.vendor == "customerio":
            person = int(day.world.accounts.first_user[account])
            day.world.schedule(day.start + 600 + delivery.id % 3600, "send", CAMPAIGNS[-1].id, person)
        if delivery.vendor == "zendesk" and delivery.body.get("ticket_id"):
            _work_on(day, account, int(delivery.body["ticket_id"]))
        _take_effect(day, account, delivery)


def _work_on(day: Day, account: int, ticket: int) -> None:
    """An agent takes an escalation in the morning and solves it within days."""
    rng = day.rng("escalations")
    reply = day.start + 8 * HOUR + float(rng.exponential(2 * HOUR))
    day.world.schedule(reply, "ticket_replied", ticket, AGENTS[int(rng.integers(len(AGENTS)))])
    day.world.schedule(reply + HOUR + float(rng.exponential(20 * HOUR)), "ticket_solved", ticket, account, 2)


def _take_effect(day: Day, account: int, delivery: Delivery) -> None:
    world = day.world
    accounts = world.accounts
    action = _action_of(delivery)
    effect = next((one for one in EFFECTS if any(word in action.lower() for word in one.words)), DEFAULT_EFFECT)
    if accounts.phase[account] == Phase.MERGED:
        return
    accounts.nudged_until[account] = max(int(accounts.nudged_until[account]), day.number + effect.nudge_days)
    accounts.shielded_until[account] = max(int(accounts.shielded_until[account]), day.number + effect.shield_days)
    accounts.mood[account] += effect.mood
    accounts.churn_pressure[account] *= 1 - effect.churn_relief
    accounts.upgrade_pressure[account] += effect.upgrade_pressure
    world.effects.append(
        delivery=delivery.id, vendor=delivery.vendor, action=action[:72], account=account, effect=effect.name,
        size=effect.mood + effect.churn_relief + effect.upgrade_pressure + 0.01 * effect.nudge_days
        + 0.01 * effect.shield_days,
        at=delivery.received_at,
    )  # fmt: skip


def _moved_by_us(day: Day, account: int, delivery: Delivery) -> None:
    """Customer success does not move a deal that an action moved already."""
    accounts = day.world.accounts
    stage = (delivery.body.get("fields") or {}).get("stageId")
    if stage in SUCCESS and delivery.body.get("id") == int(accounts.success_deal[account]):
        accounts.success_stage[account] = max(int(accounts.success_stage[account]), SUCCESS.index(stage))


def _action_of(delivery: Delivery) -> str:
    """The name an action came under: an event's name, a ticket's subject, a deal's new stage, a webhook's type."""
    body = delivery.body
    nested = [body, *(value for value in body.values() if isinstance(value, dict))]
    for name in ("name", "event_name", "subject", "type", "action", "ufCrmLifecycleAction", "stageId"):
        for part in nested:
            value = part.get(name)
            if isinstance(value, str) and value not in ("person", "event", "track"):
                return value
    return delivery.kind


def _account_of(day: Day, delivery: Delivery) -> int:
    """The account that a delivery is about, by any of our identifiers in it; -1 if none is known."""
    world = day.world
    if delivery.vendor == "bitrix24":
        number = int(delivery.body.get("id") or 0)
        looked_after = (abs(world.accounts.success_deal) == number).nonzero()[0]
        sold = (abs(world.prospects.deal) == number).nonzero()[0]
        if number and looked_after.size:
            return int(looked_after[0])
        if number and sold.size:
            return int(world.prospects.account[sold[0]])
    for text in _texts(delivery.body):
        if text.startswith("usr_"):
            found = (world.people.user_id == text).nonzero()[0]
        elif text.startswith("acc_"):
            found = (world.accounts.account_id == text).nonzero()[0]
            if found.size:
                return int(found[0])
        elif "@" in text:
            known = (world.people.user_id != "") & (world.people.joined_at < NEVER)
            found = (known & (world.people.email == text)).nonzero()[0]
        else:
            continue
        if found.size:
            return int(world.people.account[found[0]])
    return -1


def _texts(value: Any) -> Iterator[str]:
    """All short texts in a JSON value."""
    if isinstance(value, dict):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, str) and len(value) < 100:
        yield value
