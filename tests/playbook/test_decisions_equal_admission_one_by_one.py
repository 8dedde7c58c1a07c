"""Decisions against an oracle that admits open actions one after the other, each looking at what was let through.

The models rank in windows, limit after limit; the oracle keeps lists. It answers twice: what is let through when every
row looks only at the rows already let through, and why not when every limit looks at what the limit before it passed
on. That the two agree on who goes is the claim that makes ranking in windows right.

Worlds are dense on purpose: few customers, several actions on one signal, caps of one and two, cooldowns, stays that
end, receipts of all states.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

AS_OF = datetime(2026, 3, 1)  # noqa: DTZ001 - the as_of that conftest compiles with
HOUR = timedelta(hours=1)
EXPIRY = 48
CAPS = (("message", 1, 10), ("message", 2, 100), ("ticket", 1, 24))
HOLDOUT = ("global", "salt", 0, 999)
STATES = ("trial", "adopted", "churned")

DETECTED = (
    "occurrence_id varchar, signal_id varchar, rearm varchar, customer_id varchar, user_id varchar, outcome varchar,"
    " occurred_at timestamp, detected_at timestamp, is_historical boolean"
)
STAYS = (
    "customer_id varchar, region varchar, state_sequence bigint, state varchar, valid_from timestamp,"
    " valid_to timestamp, is_current boolean"
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

    @property
    def row(self) -> tuple[Any, ...]:
        return (
            self.name, self.signal, self.destination, "things", "template", 1, self.team, self.priority, self.cooldown,
            EXPIRY, datetime(2026, 2, 24), self.cap_class, self.consent, self.transactional, self.spares_holdout,  # noqa: DTZ001
            self.mode, self.control, self.goal, "normal", "A test.",
        )  # fmt: skip


ACTIONS = (
    Action("hello", "s1", "customerio", "growth", 10, 72, "message", True, False, True, "always_on", 0, "s3"),
    Action("offer", "s1", "customerio", "growth", 20, 0, "message", True, False, True, "experiment", 30, None),
    Action("bill", "s2", "customerio", "finance", 5, 6, "message", False, True, False, "always_on", 0, None),
    Action("help", "s2", "customerio", "support", 15, 24, "message", True, False, True, "always_on", 0, None),
    Action("watch", "s2", "customerio", "support", 16, 24, "message", True, False, True, "shadow", 0, None),
    Action("case", "s2", "zendesk", "support", 8, 0, "ticket", False, False, False, "always_on", 0, None),
    Action("second_case", "s3", "zendesk", "sales", 9, 30, "ticket", False, False, False, "always_on", 0, None),
    Action("stage", "s3", "bitrix24", "sales", 10, 0, "crm", False, False, False, "always_on", 0, None),
    Action("off", "s3", "make", "sales", 10, 0, "routing", False, False, False, "paused", 0, None),
    Action("milestone", "once", "make", "growth", 12, 0, "routing", False, False, True, "always_on", 0, None),
)
PERMITS = (
    ("trial", "growth", "hello", 1), ("adopted", "growth", "hello", 9), ("trial", "growth", "offer", 2),
    ("adopted", "sales", "offer", 2), ("trial", "finance", "bill", 2), ("adopted", "finance", "bill", 9),
    ("adopted", "support", "help", 3), ("trial", "support", "help", 3), ("trial", "support", "watch", 1),
    ("trial", "support", "case", 2), ("adopted", "support", "case", 9), ("trial", "sales", "second_case", 9),
    ("churned", "sales", "second_case", 9), ("trial", "sales", "stage", 1), ("adopted", "sales", "off", 1),
    ("trial", "growth", "milestone", 5), ("adopted", "growth", "milestone", 5), ("churned", "growth", "milestone", 5),
)  # fmt: skip


@dataclass(frozen=True)
class Occurrence:
    """A row of int_signals__detected."""

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
        at = self.acknowledged or (self.planned if self.state in ("sending", "unknown") else None)
        return at if at is not None and at < AS_OF else None


@dataclass
class World:
    """Everything decisions look at."""

    occurrences: list[Occurrence]
    stays: dict[str, list[tuple[str, datetime, datetime | None]]]
    receipts: list[Receipt]
    people: dict[str, tuple[str | None, str | None, bool, str | None]]

    def stay_at(self, customer: str, at: datetime) -> tuple[str, datetime] | None:
        for state, start, end in self.stays[customer]:
            if start <= at and (end is None or at < end):
                return state, start
        return None


def shard(text: str) -> int:
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16) % 10_000


def standing(world: World, action: Action, occurrence: Occurrence) -> str | None:
    """The reasons that time does not heal."""
    decided = max(occurrence.detected, action.row[10])
    expires = occurrence.at + EXPIRY * HOUR
    stay = world.stay_at(occurrence.customer, min(decided, expires))
    state = stay[0] if stay else None
    teams = {team for where, team, name, _ in PERMITS if where == state and name == action.name}
    user, email, consents, deal = world.people.get(occurrence.customer, (None, None, False, None))
    recipient = {"customerio": user, "zendesk": email, "bitrix24": deal, "make": "anybody"}[action.destination]
    checks = (
        ("not_permitted_in_state", not teams),
        ("owner_mismatch", action.team not in teams),
        ("no_consent", action.consent and not consents),
        ("no_recipient", recipient is None),
        ("historical", occurrence.historical or occurrence.at < action.row[10]),
        ("stale", decided >= expires),
        ("holdout", action.spares_holdout and shard(f"salt-{occurrence.customer}") <= HOLDOUT[3]),
        (
            "control_arm",
            action.mode == "experiment" and shard(f"{action.name}-{occurrence.customer}") < action.control * 100,
        ),
        ("shadow", action.mode == "shadow"),
        ("paused", action.mode == "paused"),
    )
    return next((reason for reason, holds in checks if holds), None)


def oracle(world: World) -> dict[tuple[str, str], str | None]:  # noqa: C901, PLR0915 - one loop, read top to bottom
    """The reason for every (occurrence, action), None for permitted."""
    by_name = {action.name: action for action in ACTIONS}
    sent = [receipt for receipt in world.receipts if receipt.sent is not None]
    sent_keys = {(receipt.action, receipt.occurrence) for receipt in sent}
    answers: dict[tuple[str, str], str | None] = {}
    waiting: list[tuple[Action, Occurrence]] = []
    for occurrence in world.occurrences:
        for action in ACTIONS:
            if action.signal != occurrence.signal:
                continue
            if (action.name, occurrence.id) in sent_keys:
                answers[occurrence.id, action.name] = None
            elif (reason := standing(world, action, occurrence)) is not None:
                answers[occurrence.id, action.name] = reason
            else:
                waiting.append((action, occurrence))

    admitted: list[tuple[Action, Occurrence]] = []
    passed: list[tuple[Action, Occurrence]] = []  # no lasting or passing reason against it
    within_limits: list[tuple[Action, Occurrence]] = []  # nor cooldown or stay
    # a closed row competes with nobody and is judged alone
    for action, occurrence in sorted(
        waiting, key=lambda each: (each[0].priority, each[1].at, each[0].name, each[1].id)
    ):
        decided, expires = max(occurrence.detected, action.row[10]), occurrence.at + EXPIRY * HOUR
        is_open = expires > AS_OF
        start, end = (AS_OF if is_open else decided), min(AS_OF, expires)
        mine = [receipt for receipt in sent if receipt.customer == occurrence.customer and receipt.sent < end]
        same = [receipt for receipt in mine if receipt.action == action.name]
        entered = world.stay_at(occurrence.customer, min(decided, expires))
        now = world.stay_at(occurrence.customer, end)
        permit = {(where, team, name): most for where, team, name, most in PERMITS}
        most = permit[entered[0], action.team, action.name]
        used = len([receipt for receipt in same if receipt.sent >= entered[1]])

        def room(
            rivals_count: int, action: Action = action, mine: list[Receipt] = mine, start: datetime = start
        ) -> bool:
            for cap_class, limit, hours in CAPS:
                if cap_class == action.cap_class and not action.transactional:
                    before = [
                        receipt
                        for receipt in mine
                        if by_name[receipt.action].cap_class == cap_class
                        and not by_name[receipt.action].transactional
                        and receipt.sent > start - hours * HOUR
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

        goal_met = any(
            other.customer == occurrence.customer and other.signal == action.goal and occurrence.at < other.at < end
            for other in world.occurrences
        )
        passing = (
            ("goal_met", goal_met),
            ("state_left", now is None or (now[0], action.team, action.name) not in permit),
            ("duplicate", action.signal == "once" and bool(same)),
            (
                "cooldown",
                any(receipt.sent > start - action.cooldown * HOUR for receipt in same) and action.cooldown > 0,
            ),
        )
        reason = next((name for name, holds in passing if holds), None)
        goes = False
        if reason is None:
            let_through = rivals(admitted)
            goes = (
                is_open
                and not (action.cooldown > 0 and action in let_through)
                and used + let_through.count(action) < most
                and room(of_class(let_through))
            )
            twins = rivals(passed).count(action)
            limits = (
                ("cooldown", twins > 0 and action.cooldown > 0),
                ("stay_limit", used + twins >= most),
            )
            passed += [(action, occurrence)] if is_open else []
            reason = next((name for name, holds in limits if holds), None)
        if reason is None:
            caps = (
                ("frequency_cap", not room(0)),
                ("lost_arbitration", not room(of_class(rivals(within_limits)))),
                ("expired", not is_open),
            )
            within_limits += [(action, occurrence)] if is_open else []
            reason = next((name for name, holds in caps if holds), None)
        assert goes == (reason is None)
        answers[occurrence.id, action.name] = reason
        if goes:
            admitted.append((action, occurrence))
    return answers


def random_world(rng: random.Random, customers: int) -> World:
    """Few customers with a lot going on in the last five days."""
    world = World([], {}, [], {})
    for number in range(customers):
        customer = f"c{number}"
        moments = sorted(AS_OF - rng.randrange(1, 130) * HOUR for _ in range(rng.randrange(3)))
        starts = [AS_OF - 400 * HOUR, *moments]
        ends = [*moments, None]
        world.stays[customer] = [(rng.choice(STATES), *span) for span in zip(starts, ends, strict=True)]
        if rng.random() < 0.95:
            person = ("u" if rng.random() < 0.9 else None, "a@b.c" if rng.random() < 0.9 else None)
            world.people[customer] = (*person, rng.random() < 0.8, "7" if rng.random() < 0.8 else None)
        for _ in range(rng.randrange(1, 8)):
            signal = rng.choice(("s1", "s1", "s2", "s2", "s3", "once"))
            at = AS_OF - rng.randrange(1, 130) * HOUR
            detected = min(AS_OF, at + rng.randrange(0, 60) * HOUR)
            occurrence = Occurrence(f"{rng.getrandbits(60):015x}", signal, customer, at, detected, rng.random() < 0.05)
            world.occurrences.append(occurrence)
            for action in ACTIONS:
                if action.signal == signal and rng.random() < 0.25:
                    state = rng.choice(("acknowledged", "acknowledged", "unknown", "sending", "waiting", "rejected"))
                    planned = min(detected + rng.randrange(0, 20) * HOUR, AS_OF)
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


def decide(playbook: Any, world: World) -> dict[tuple[str, str], str | None]:
    """The same by the models."""
    playbook.connection.execute(f"create or replace table intermediate.int_signals__detected ({DETECTED})")
    playbook.connection.execute(f"create or replace table intermediate.int_lifecycle__dated ({STAYS})")
    playbook.connection.execute(
        "alter table seeds.actions alter goal_signal_id type varchar;"
        "alter table seeds.actions alter enabled_at type timestamp"
    )
    playbook.fill("seeds.actions", [action.row for action in ACTIONS])
    playbook.fill("seeds.state_permits", PERMITS)
    playbook.fill("seeds.frequency_caps", [(*cap, "A test.") for cap in CAPS])
    playbook.fill("seeds.holdouts", [(*HOLDOUT, "A test.")])
    playbook.fill(
        "intermediate.int_signals__detected",
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
        [(customer, *person, person[3], "C1:NEW") for customer, person in world.people.items()],
    )
    playbook.fill(
        "staging.stg_receipts__deliveries",
        [
            (each.id, each.customer, each.action, each.occurrence, "there", each.state, each.planned, each.acknowledged)
            for each in world.receipts
        ],
    )
    playbook.build(["int_deliveries__committed", "int_actions__proposed", "int_actions__decided"])
    rows = playbook.rows(
        "select occurrence_id, action, suppression_reason, decision from intermediate.int_actions__decided"
    )
    assert len({row[:2] for row in rows}) == len(rows)
    assert all((row[2] is None) == (row[3] == "permitted") for row in rows)
    return {(row[0], row[1]): row[2] for row in rows}


@pytest.mark.parametrize("seed", range(4))
def test_decisions_equal_admission_one_by_one(playbook: Any, seed: int) -> None:
    world = random_world(random.Random(seed), customers=150)
    expected = oracle(world)
    found = decide(playbook, world)
    differing = {key: (expected[key], found.get(key)) for key in expected if expected[key] != found.get(key)}
    assert differing == {}
    assert found.keys() == expected.keys()


def test_the_worlds_exercise_every_reason(playbook: Any, seed_reader: Any) -> None:
    world = random_world(random.Random(5), customers=400)
    seen = Counter(decide(playbook, world).values())
    reasons = {row["reason"] for row in seed_reader("suppression_reasons")}
    assert {reason for reason in reasons if seen[reason] == 0} == set()
    assert seen[None] > 100


def test_delivering_what_was_permitted_changes_nothing_but_the_open_rest(playbook: Any) -> None:
    world = random_world(random.Random(6), customers=200)
    before = decide(playbook, world)
    delivered = playbook.rows(
        "select action_id, customer_id, action, occurrence_id from intermediate.int_actions__decided"
        " where decision = 'permitted' and is_open and not is_sent"
    )
    assert len(delivered) > 20
    # receipts of this very run carry its as_of, so they are not visible to a second run at the same as_of
    done = {row[0] for row in delivered}
    world.receipts = [receipt for receipt in world.receipts if receipt.id not in done]
    world.receipts += [Receipt(*row, "acknowledged", AS_OF, AS_OF) for row in delivered]
    assert decide(playbook, world) == before
