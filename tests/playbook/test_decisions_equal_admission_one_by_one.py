"""Decisions against an oracle that admits open actions one after the other, each looking at what was let through.

The models rank in windows, limit after limit; the oracle keeps lists. It answers twice: what is let through when every
row looks only at the rows already let through, and why not when every limit looks at what the limit before it passed
on. That the two agree on who goes is the claim that makes ranking in windows right. Every reason is compared, not only
the first: the order of the seed decides what is said, never who gets what.

Worlds are dense on purpose: few customers, several actions on one signal, caps of one and two, cooldowns, stays that
end, receipts of all states.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.playbook.book import DECISIONS, read_seed
from tests.playbook.worlds import customers_of, rng_of, rng_of_batch

AS_OF = datetime(2026, 3, 1)  # noqa: DTZ001 - the warehouse is naive UTC
# at night, at the border of days, and where clocks change: Berlin, New York and Auckland in spring and in autumn, and
# Santiago, whose spring has a day that begins at one o'clock
INSTANTS = tuple(
    datetime.fromisoformat(instant)
    for instant in (
        "2026-03-01T00:00", "2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T05:30", "2026-10-25T00:30",
        "2026-10-25T01:30", "2026-10-25T06:00", "2026-03-08T06:30", "2026-03-08T12:00", "2026-11-01T05:30",
        "2026-11-01T06:30", "2026-09-26T14:30", "2026-04-04T14:30", "2026-04-05T03:30", "2026-09-06T03:30",
        "2026-09-06T04:30",
    )
)  # fmt: skip
HOUR = timedelta(hours=1)
EXPIRY = 48
CAPS = (
    ("message", 1, "calendar_day", None), ("message", 2, "rolling", 360_000), ("message", 1, "rolling", 36_000),
    ("ticket", 1, "rolling", 86_400),
)  # fmt: skip
LAYERS = (
    ("global", "salt", None, 0, 999), ("offers", "layer", "offer", 0, 6999), ("offers", "layer", "tour", 7000, 9999),
)  # fmt: skip
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Pacific/Auckland", "America/Santiago")
# the action that is a turn of a journey, and the delivery that all the turns follow; its goal is inherited
NEXT, FIRST = "follow", ("hello|first", "nobody", "hello", "first", "acknowledged")
SUPPRESSED = (2, 11, 20)
FREE_AGAIN = 4
PAUSED_DESTINATION = "chat"
STATES = ("trial", "adopted", "churned")

DETECTED = (
    "occurrence_id varchar, signal_id varchar, rearm varchar, customer_id varchar, user_id varchar, outcome varchar,"
    " occurred_at timestamp, detected_at timestamp, is_historical boolean"
)
STAYS = (
    "customer_id varchar, region varchar, state_sequence bigint, state varchar, valid_from timestamp,"
    " valid_to timestamp, is_current boolean"
)
TURNS = (
    "occurrence_id varchar, next_action varchar, journey varchar, journey_version bigint, path_id varchar,"
    " after_action_id varchar"
)


@dataclass(frozen=True)
class Action:
    """A row of the seed actions."""

    name: str
    signal: str
    destination: str
    team: str
    priority: int
    cooldown: int
    cap_class: str
    consent: bool
    transactional: bool
    spares_holdout: bool
    mode: str
    control: int
    goal: str | None
    value: int = 0
    night: tuple[int, int] | None = None

    @property
    def object(self) -> str:
        objects = {"customerio": "events", "zendesk": "tickets", "bitrix24": "deal_stages", "make": "webhooks"}
        return "tasks" if self.cap_class == "task" else objects.get(self.destination, "things")

    def row(self, enabled_at: datetime) -> tuple[Any, ...]:
        return (
            self.name, self.signal, self.destination, self.object, "template", 1, self.team, self.priority, self.value,
            self.cooldown, EXPIRY, *(self.night or (None, None)), enabled_at,
            self.cap_class, self.consent, self.transactional, self.spares_holdout, self.mode, self.control, self.goal,
            "normal", "A test.",
        )  # fmt: skip


ACTIONS = (
    Action(
        "hello", "s1", "customerio", "growth", 10, 72, "message", True, False, True, "always_on", 0, "s3", 5, (22, 7)
    ),
    Action("offer", "s1", "customerio", "growth", 20, 0, "message", True, False, True, "experiment", 30, None),
    Action(
        "tour", "s1", "customerio", "growth", 20, 0, "message", True, False, True, "experiment", 30, None, 3, (1, 3)
    ),
    Action("ping", "s1", "chat", "growth", 20, 0, "routing", False, False, True, "always_on", 0, None),
    Action(
        "bill", "s2", "customerio", "finance", 5, 6, "message", False, True, False, "always_on", 0, None, 9, (20, 8)
    ),
    Action("help", "s2", "customerio", "support", 15, 24, "message", True, False, True, "always_on", 0, None),
    Action("watch", "s2", "customerio", "support", 16, 24, "message", True, False, True, "shadow", 0, None),
    Action("case", "s2", "zendesk", "support", 8, 0, "ticket", False, False, False, "always_on", 0, None),
    Action("second_case", "s3", "zendesk", "sales", 9, 30, "ticket", False, False, False, "always_on", 0, None),
    Action("stage", "s3", "bitrix24", "sales", 10, 0, "crm", False, False, False, "always_on", 0, None),
    Action("call", "s3", "bitrix24", "sales", 10, 0, "task", False, False, False, "always_on", 0, None),
    Action("off", "s3", "make", "sales", 10, 0, "routing", False, False, False, "paused", 0, None),
    Action("follow", "s1", "customerio", "growth", 15, 0, "message", True, False, True, "always_on", 0, None, 4),
    Action("milestone", "once", "make", "growth", 12, 0, "routing", False, False, True, "always_on", 0, None),
)
PERMITS = (
    ("trial", "growth", "tour", 2), ("adopted", "growth", "tour", 2), ("trial", "growth", "ping", 2),
    ("trial", "growth", "hello", 1), ("adopted", "growth", "hello", 9), ("trial", "growth", "offer", 2),
    ("adopted", "sales", "offer", 2), ("trial", "finance", "bill", 2), ("adopted", "finance", "bill", 9),
    ("adopted", "support", "help", 3), ("trial", "support", "help", 3), ("trial", "support", "watch", 1),
    ("trial", "support", "case", 2), ("adopted", "support", "case", 9), ("trial", "sales", "second_case", 9),
    ("churned", "sales", "second_case", 9), ("trial", "sales", "stage", 1), ("adopted", "sales", "off", 1),
    ("trial", "sales", "call", 2), ("adopted", "sales", "call", 2),
    ("trial", "growth", "follow", 2), ("adopted", "growth", "follow", 1),
    ("trial", "growth", "milestone", 5), ("adopted", "growth", "milestone", 5), ("churned", "growth", "milestone", 5),
)  # fmt: skip


@dataclass(frozen=True)
class Occurrence:
    """A row of int_signals__told."""

    id: str
    signal: str
    customer: str
    at: datetime
    detected: datetime
    historical: bool


@dataclass(frozen=True)
class Receipt:
    """A row of the ledger."""

    id: str
    customer: str
    action: str
    occurrence: str
    state: str
    planned: datetime
    acknowledged: datetime | None

    @property
    def sent(self) -> datetime | None:
        return self.acknowledged or (self.planned if self.state in ("sending", "unknown") else None)


@dataclass(frozen=True)
class Sent:
    """A delivery that left, or may have, before as_of."""

    customer: str
    action: str
    occurrence: str
    sent: datetime


@dataclass
class World:
    """Everything decisions look at."""

    occurrences: list[Occurrence]
    stays: dict[str, list[tuple[str, datetime, datetime | None]]]
    receipts: list[Receipt]
    people: dict[str, tuple[str | None, str | None, bool, str | None, str | None]]
    turns: set[str]  # occurrences on which a customer took the turn
    as_of: datetime = AS_OF

    @property
    def enabled_at(self) -> datetime:
        """Since when all actions are enabled."""
        return self.as_of - 120 * HOUR

    def stay_at(self, customer: str, at: datetime) -> tuple[str, datetime] | None:
        for place, (state, start, end) in enumerate(self.stays[customer]):
            if (place == 0 or start <= at) and (end is None or at < end):
                return state, start
        return None


def shard(text: str) -> int:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16) % 10_000


def number_of(customer: str) -> int:
    """Which customer of its world it is."""
    return int(customer.partition("_c")[2])


def zone_of(customer: str) -> str:
    """Where a customer lives; every fifth where nobody said."""
    return ZONES[number_of(customer) % len(ZONES)]


def local(at: datetime, customer: str) -> datetime:
    """The clock where the customer is."""
    return at.replace(tzinfo=UTC).astimezone(ZoneInfo(zone_of(customer)))


def night_ends(world: World, action: Action, occurrence: Occurrence) -> datetime | None:
    """When the night ends in which the action would leave; None if it is open and no night, or not open."""
    if action.night is None or action.transactional or occurrence.at + EXPIRY * HOUR <= world.as_of:
        return None
    if max(occurrence.detected, world.enabled_at) >= occurrence.at + EXPIRY * HOUR:
        return None
    start, end = action.night
    now = local(world.as_of, occurrence.customer)
    if not (start <= now.hour < end if start < end else now.hour >= start or now.hour < end):
        return None
    morning = now.replace(hour=end, minute=0) + timedelta(days=0 if now.hour < end else 1)
    return morning.astimezone(UTC).replace(tzinfo=None)


def standing(world: World, action: Action, occurrence: Occurrence) -> set[str]:
    """The reasons that have nothing to do with what else the customer gets."""
    enabled = world.enabled_at
    decided = max(occurrence.detected, enabled)
    expires = occurrence.at + EXPIRY * HOUR
    stay = world.stay_at(occurrence.customer, min(decided, expires))
    state = stay[0] if stay else None
    teams = {team for where, team, name, _ in PERMITS if where == state and name == action.name}
    user, email, consents, deal, owner = world.people.get(occurrence.customer, (None, None, False, None, None))
    recipients = {"events": user, "tickets": email, "deal_stages": deal, "tasks": owner}
    recipient = recipients.get(action.object, "anybody")
    layer = next((row for row in LAYERS if row[2] == action.name), None)
    elsewhere = layer is not None and not layer[3] <= shard(f"layer-{occurrence.customer}") <= layer[4]
    is_experiment = action.mode == "experiment"
    is_control = is_experiment and shard(f"{action.name}-{occurrence.customer}") < action.control * 100
    reasons = {
        "not_permitted_in_state": not teams,
        "owner_mismatch": bool(teams) and action.team not in teams,
        "no_consent": action.consent and not consents,
        "no_recipient": recipient is None,
        "suppressed": number_of(occurrence.customer) in SUPPRESSED,
        "quiet_hours": night_ends(world, action, occurrence) is not None,
        "historical": occurrence.historical or occurrence.at < enabled,
        "stale": decided >= expires,
        "holdout": action.spares_holdout and shard(f"salt-{occurrence.customer}") <= LAYERS[0][4],
        "other_experiment": is_experiment and elsewhere,
        "control_arm": is_control and not elsewhere,
        "shadow": action.mode == "shadow",
        "paused": action.mode == "paused",
        "destination_paused": action.destination == PAUSED_DESTINATION,
    }
    return {reason for reason, holds in reasons.items() if holds}


def oracle(world: World) -> dict[tuple[str, str], set[str]]:  # noqa: C901, PLR0912, PLR0915 - one loop, read top to bottom
    """Every reason for every (occurrence, action), none for permitted."""
    by_name = {action.name: action for action in ACTIONS}
    sent = [
        Sent(receipt.customer, receipt.action, receipt.occurrence, receipt.sent)
        for receipt in world.receipts
        if receipt.sent is not None and receipt.sent < world.as_of
    ]
    sent_to: defaultdict[str, list[Sent]] = defaultdict(list)
    for receipt in sent:
        sent_to[receipt.customer].append(receipt)
    sent_keys = {(receipt.action, receipt.occurrence) for receipt in sent}
    answers: dict[tuple[str, str], set[str]] = {}
    waiting: list[tuple[Action, Occurrence]] = []
    for occurrence in world.occurrences:
        for action in ACTIONS:
            if action.signal != occurrence.signal or (action.name == NEXT and occurrence.id not in world.turns):
                continue
            if (action.name, occurrence.id) in sent_keys:
                answers[occurrence.id, action.name] = set()
            else:
                waiting.append((action, occurrence))

    admitted: list[tuple[Action, Occurrence]] = []
    passed: list[tuple[Action, Occurrence]] = []  # no lasting or passing reason against it
    within_limits: list[tuple[Action, Occurrence]] = []  # nor cooldown or stay
    # a closed row competes with nobody and is judged alone
    for action, occurrence in sorted(
        waiting, key=lambda each: (each[0].priority, -each[0].value, each[1].at, each[0].name, each[1].id)
    ):
        decided, expires = max(occurrence.detected, world.enabled_at), occurrence.at + EXPIRY * HOUR
        is_open = decided < expires and expires > world.as_of
        start, end = (world.as_of if is_open else decided), min(world.as_of, expires)
        mine = [receipt for receipt in sent_to[occurrence.customer] if receipt.sent < end]
        same = [receipt for receipt in mine if receipt.action == action.name]
        entered = world.stay_at(occurrence.customer, min(decided, expires))
        now = world.stay_at(occurrence.customer, end)
        permit = {(where, team, name): most for where, team, name, most in PERMITS}
        most = permit.get((entered[0], action.team, action.name), 10**6) if entered else 10**6
        used = len([receipt for receipt in same if entered and receipt.sent >= entered[1]])

        def room(rivals_count: int, action: Action = action, mine: list[Sent] = mine, start: datetime = start) -> bool:
            for cap_class, limit, _, seconds in CAPS:
                if cap_class == action.cap_class and not action.transactional:
                    before = [
                        receipt
                        for receipt in mine
                        if by_name[receipt.action].cap_class == cap_class
                        and not by_name[receipt.action].transactional
                        and (
                            receipt.sent > start - timedelta(seconds=seconds)
                            if seconds
                            else local(receipt.sent, receipt.customer).date() >= local(start, receipt.customer).date()
                        )
                    ]
                    if len(before) + rivals_count >= limit:
                        return False
            return True

        def rivals(
            ahead: list[tuple[Action, Occurrence]], occurrence: Occurrence = occurrence, is_open: bool = is_open
        ) -> list[Action]:
            return [each[0] for each in ahead if is_open and each[1].customer == occurrence.customer]

        def of_class(ahead: list[Action], action: Action = action) -> int:
            return len([each for each in ahead if each.cap_class == action.cap_class and not each.transactional])

        goal = "s3" if action.name == NEXT else action.goal
        goal_met = any(
            other.customer == occurrence.customer and other.signal == goal and occurrence.at < other.at < end
            for other in world.occurrences
        )
        reasons = standing(world, action, occurrence)
        barred = {"not_permitted_in_state", "owner_mismatch"} & reasons
        twin_free = {
            "goal_met": goal_met,
            "state_left": not barred and (now is None or (now[0], action.team, action.name) not in permit),
            "duplicate": action.signal == "once" and bool(same),
            "cooldown": action.cooldown > 0 and any(receipt.sent > start - action.cooldown * HOUR for receipt in same),
        }
        reasons |= {reason for reason, holds in twin_free.items() if holds}
        goes = False
        competes = is_open and not reasons
        if competes:
            let_through = rivals(admitted)
            goes = (
                not (action.cooldown > 0 and action in let_through)
                and used + let_through.count(action) < most
                and room(of_class(let_through))
            )
            twins = rivals(passed).count(action)
            passed.append((action, occurrence))
            if twins > 0 and action.cooldown > 0:
                reasons.add("cooldown")
            if used + twins >= most:
                reasons.add("stay_limit")
            if not reasons:
                if room(0) and not room(of_class(rivals(within_limits))):
                    reasons.add("lost_arbitration")
                within_limits.append((action, occurrence))
        if used >= most:
            reasons.add("stay_limit")
        if not room(0):
            reasons.add("frequency_cap")
        if not is_open and "stale" not in reasons:
            reasons.add("expired")
        assert goes == (not reasons)
        answers[occurrence.id, action.name] = reasons
        if goes:
            admitted.append((action, occurrence))
    return answers


def random_world(rng: random.Random, customers: list[str], as_of: datetime = AS_OF) -> World:
    """Few customers with a lot going on in the last five days."""
    world = World([], {}, [], {}, set(), as_of)
    for customer in customers:
        moments = sorted(as_of - rng.randrange(1, 130) * HOUR for _ in range(rng.randrange(3)))
        starts = [as_of - 400 * HOUR, *moments]
        ends = [*moments, None]
        world.stays[customer] = [(rng.choice(STATES), *span) for span in zip(starts, ends, strict=True)]
        if rng.random() < 0.95:
            person = ("u" if rng.random() < 0.9 else None, "a@b.c" if rng.random() < 0.9 else None)
            deal, owner = "7" if rng.random() < 0.8 else None, "12" if rng.random() < 0.8 else None
            world.people[customer] = (*person, rng.random() < 0.8, deal, owner)
        for _ in range(rng.randrange(1, 8)):
            signal = rng.choice(("s1", "s1", "s2", "s2", "s3", "once"))
            at = as_of - rng.randrange(1, 130) * HOUR
            detected = min(as_of, at + rng.randrange(0, 60) * HOUR)
            occurrence = Occurrence(f"{rng.getrandbits(60):015x}", signal, customer, at, detected, rng.random() < 0.05)
            world.occurrences.append(occurrence)
            if signal == "s1" and rng.random() < 0.5:
                world.turns.add(occurrence.id)
            for action in ACTIONS:
                if action.signal == signal and rng.random() < 0.25:
                    state = rng.choice(("acknowledged", "acknowledged", "unknown", "sending", "waiting", "rejected"))
                    planned = min(detected + rng.randrange(0, 20) * HOUR, as_of)
                    acknowledged = planned + rng.randrange(0, 2) * HOUR if state == "acknowledged" else None
                    world.receipts.append(
                        Receipt(
                            f"{action.name}|{occurrence.id}",
                            customer,
                            action.name,
                            occurrence.id,
                            state,
                            planned,
                            acknowledged,
                        )
                    )
    return world


def together(worlds: list[World]) -> World:
    """One world in which all of these happen at the same as_of, and in which the journeys' first message was sent."""
    as_of = worlds[0].as_of
    one = World([], {}, [Receipt(*FIRST, as_of - 90 * HOUR, as_of - 90 * HOUR)], {}, set(), as_of)
    for world in worlds:
        one.occurrences += world.occurrences
        one.stays |= world.stays
        one.receipts += world.receipts
        one.people |= world.people
        one.turns |= world.turns
    return one


def decide(playbook: Any, world: World) -> dict[tuple[str, str], set[str]]:
    """The same by the models."""
    playbook.connection.execute(f"create or replace table intermediate.int_signals__told ({DETECTED})")
    playbook.connection.execute(f"create or replace table intermediate.int_lifecycle__dated ({STAYS})")
    playbook.connection.execute(f"create or replace table intermediate.int_journeys__walked ({TURNS})")
    playbook.fill("seeds.journeys", [("j", 2, world.as_of, "hello", "s1", NEXT, "A test.")])
    playbook.fill("intermediate.int_journeys__walked", [(each, NEXT, "j", 1, "path", FIRST[0]) for each in world.turns])
    playbook.fill("seeds.actions", [action.row(world.enabled_at) for action in ACTIONS])
    playbook.fill("seeds.state_permits", PERMITS)
    playbook.fill("seeds.frequency_caps", [(*cap, "A test.") for cap in CAPS])
    playbook.fill("seeds.holdouts", [(*layer, "A test.") for layer in LAYERS])
    zones = {"*": ZONES[0]} | {each: zone_of(each) for each in world.stays if zone_of(each) != ZONES[0]}
    playbook.fill("seeds.time_zones", [(*zone, "A test.") for zone in zones.items()])
    month = (world.as_of - 720 * HOUR, None, "test", "A test.")
    over = (world.as_of - 720 * HOUR, world.as_of, "test", "A test.")
    left_alone = [each for each in world.stays if number_of(each) in SUPPRESSED]
    free_again = [each for each in world.stays if number_of(each) == FREE_AGAIN]
    playbook.fill(
        "seeds.pauses",
        [
            *((customer, None, *month) for customer in left_alone),
            *((customer, None, *over) for customer in free_again),
            (None, PAUSED_DESTINATION, *month),
        ],
    )
    playbook.fill(
        "intermediate.int_signals__told",
        [
            (
                each.id, each.signal, "once" if each.signal == "once" else "every_time", each.customer, None, "fired",
                each.at, each.detected, each.historical,
            )
            for each in world.occurrences
        ],
    )  # fmt: skip
    playbook.fill(
        "intermediate.int_lifecycle__dated",
        [
            (customer, "customer", number, state, start, end, end is None)
            for customer, stays in world.stays.items()
            for number, (state, start, end) in enumerate(stays, start=1)
        ],
    )
    playbook.fill(
        "intermediate.int_customer_marketing__current",
        [
            (customer, user, email, consents, deal, deal, "C1:NEW", owner)
            for customer, (user, email, consents, deal, owner) in world.people.items()
        ],
    )
    playbook.fill(
        "staging.stg_receipts__deliveries",
        [
            (each.id, each.customer, each.action, each.occurrence, "there", each.state, each.planned, each.acknowledged)
            for each in world.receipts
        ],
    )
    playbook.build(DECISIONS, as_of=str(world.as_of))
    rows = playbook.rows(
        "select occurrence_id, action, held_back_by, suppression_reason, decision, release_at"
        " from intermediate.int_actions__decided"
    )
    assert len({row[:2] for row in rows}) == len(rows)
    assert all((row[2] is None) == (row[4] == "permitted") for row in rows)
    assert all((row[2] or "").split(", ")[0] == (row[3] or "") for row in rows)
    assert all((row[5] is not None) == ("quiet_hours" in (row[2] or "")) for row in rows if row[2])
    return {(row[0], row[1]): set(row[2].split(", ")) if row[2] else set() for row in rows}


def differing(playbook: Any, numbers: range) -> dict[int, Any]:
    """The worlds in which the models decide otherwise than the oracle, or let a night end at another instant."""
    as_of = rng_of_batch(numbers).choice(INSTANTS)
    worlds = {number: random_world(rng_of(number), customers_of(number), as_of) for number in numbers}
    reasons = decide(playbook, together(list(worlds.values())))
    released = playbook.rows(
        "select occurrence_id, action, release_at from intermediate.int_actions__decided where release_at is not null"
    )
    releases = {row[:2]: row[2] for row in released}
    differ: dict[int, tuple[Any, Any]] = {}
    decided = 0
    for number, world in worlds.items():
        occurrences = {each.id: each for each in world.occurrences}
        by_name = {action.name: action for action in ACTIONS}
        for key, expected in oracle(world).items():
            is_night = "quiet_hours" in expected
            until = night_ends(world, by_name[key[1]], occurrences[key[0]]) if is_night else None
            found = (reasons.get(key), releases.get(key) if is_night else None)
            decided += 1
            if found != (expected, until):
                differ[number] = ((key, expected, until), found)
    assert decided == len(reasons), "a decision about nothing that occurred"
    return differ


@pytest.mark.parametrize("start", [0, 25, 50, 75])
def test_decisions_equal_admission_one_by_one(playbook: Any, start: int) -> None:
    assert differing(playbook, range(start, start + 4)) == {}


def one_world(seed: int, size: int) -> World:
    return together([random_world(random.Random(seed), customers_of(0, size))])


def test_the_worlds_exercise_every_reason(playbook: Any) -> None:
    world = one_world(5, 400)
    found = decide(playbook, world).values()
    seen = Counter(reason for reasons in found for reason in reasons)
    order = [row["reason"] for row in sorted(read_seed("suppression_reasons"), key=lambda row: int(row["position"]))]
    assert {reason for reason in order if seen[reason] == 0} == set()
    assert set(seen) <= set(order)
    assert sum(not reasons for reasons in found) > 100
    lists = playbook.rows("select distinct held_back_by from intermediate.int_actions__decided where not is_sent")
    for (reasons,) in lists:
        named = reasons.split(", ") if reasons else []
        assert named == sorted(named, key=order.index)


def test_a_night_ends_on_the_clock_of_the_customer(playbook: Any) -> None:
    world = one_world(5, 400)
    decide(playbook, world)
    rows = playbook.rows(
        "select distinct time_zone, release_at from intermediate.int_actions__decided"
        " where release_at is not null and action = 'hello' order by all"
    )
    # as_of is midnight UTC: 19:00 in New York, 21:00 in Santiago and 13:00 in Auckland are no night
    assert rows == [
        ("Europe/Berlin", datetime(2026, 3, 1, 6)),  # noqa: DTZ001
        ("UTC", datetime(2026, 3, 1, 7)),  # noqa: DTZ001
    ]


@pytest.mark.parametrize(
    ("cap", "asked", "may_go"),
    [
        (("message", 1, "calendar_day", None), "04:59", set()),
        (("message", 1, "calendar_day", None), "05:00", {"m_c6"}),
        (("message", 1, "rolling", 86_400), "05:00", set()),
    ],
)
def test_a_message_at_eleven_at_night_and_one_at_midnight(
    playbook: Any, monkeypatch: pytest.MonkeyPatch, cap: tuple[Any, ...], asked: str, may_go: set[str]
) -> None:
    """Both were written to at 04:00 UTC. That is 23:00 in New York, where the next day begins at 05:00 UTC.

    A cap per calendar day lets New York have the next message an hour later, at midnight, and UTC not before its own; a
    rolling day asks nobody what day it is.
    """
    monkeypatch.setitem(globals(), "CAPS", (cap,))
    as_of = datetime.fromisoformat(f"2026-03-02T{asked}")
    written = datetime.fromisoformat("2026-03-02T04:00")
    world = World([], {}, [], {}, set(), as_of)
    for customer in ("m_c5", "m_c6"):
        world.stays[customer] = [("trial", as_of - 400 * HOUR, None)]
        world.people[customer] = ("u", "a@b.c", True, "7", "12")
        world.occurrences.append(Occurrence(f"help {customer}", "s2", customer, as_of - HOUR, as_of - HOUR, False))
        world.receipts.append(Receipt(f"r {customer}", customer, "hello", "earlier", "acknowledged", written, written))
    assert [zone_of(customer) for customer in world.stays] == ["UTC", "America/New_York"]
    reasons = decide(playbook, world)
    held = {customer: reasons[f"help {customer}", "help"] for customer in world.stays}
    assert {customer for customer, found in held.items() if not found} == may_go
    assert all(found <= {"frequency_cap"} for found in held.values())


def test_delivering_what_was_permitted_changes_nothing_but_the_open_rest(playbook: Any) -> None:
    world = one_world(6, 200)
    before = decide(playbook, world)
    delivered = playbook.rows(
        "select action_id, customer_id, action, occurrence_id from intermediate.int_actions__decided"
        " where decision = 'permitted' and is_open and not is_sent"
    )
    assert len(delivered) > 20
    # receipts of this very run carry its as_of, so they are not visible to a second run at the same as_of
    done = {row[0] for row in delivered}
    world.receipts = [receipt for receipt in world.receipts if receipt.id not in done]
    world.receipts += [
        Receipt(key, customer, action, occurrence, "acknowledged", AS_OF, AS_OF)
        for key, customer, action, occurrence in delivered
    ]
    assert decide(playbook, world) == before


def test_what_happened_before_a_customer_was_known_finds_them_in_their_first_state(playbook: Any) -> None:
    """A ticket of long ago that was given to another organization: everybody is in a state at any decision."""
    world = World(
        [],
        {"late_c5": [("churned", AS_OF - 20 * HOUR, AS_OF - 10 * HOUR), ("trial", AS_OF - 10 * HOUR, None)]},
        [],
        {},
        set(),
    )
    world.people["late_c5"] = ("u", "a@b.c", True, "7", "12")
    world.occurrences = [
        Occurrence(f"help {hours}", "s2", "late_c5", AS_OF - hours * HOUR, AS_OF - hours * HOUR, False)
        for hours in (25, 15, 5)
    ]
    decide(playbook, world)
    found = "select occurrence_id, state_at_decision from intermediate.int_actions__proposed where action = 'help'"
    states = {"help 25": "churned", "help 15": "churned", "help 5": "trial"}
    assert dict(playbook.rows(found)) == states
