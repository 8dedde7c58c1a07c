"""What became of messages, stays and hand-offs, against a reading of the same worlds row by row.

Worlds are dense: few customers, waits that overlap, answers on the edge of the deadline, silos that stand still for
days, so that what did not happen is often not known yet.
"""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.playbook.worlds import by_world, customers_of, difference, rng_of, rng_of_batch

AS_OF = datetime(2026, 3, 1)  # noqa: DTZ001 - the as_of that conftest compiles with
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LATENESS = 20
SILOS = ("product", "stripe", "customerio")
MODELS = ("int_deliveries__committed", "int_hand_offs__followed", "int_outcomes__observed")
WAITS = {
    "ignored_3d": ("ignored", 3), "silent_7d": ("ignored_in_silence", 7), "goal_10d": ("reached_goal", 10),
    "moved_10d": ("moved_on", 10), "overstayed": ("overstayed", None), "quiet_too_long": ("overstayed", None),
    "handed": ("handed_over", None), "not_taken": ("not_picked_up", None),
}  # fmt: skip
FATES = {f"hand-off {name}" for name in ("historical", "picked_up", "no_hurry", "passed_on", "dropped", "overdue")}
ACTIONS = {  # cap class, goal, owner, signal
    "invite": ("message", "came_back", "success", "went_quiet_14d"),
    "greet": ("message", None, "growth", "came_back"),
    "mark": ("crm", "came_back", "success", "went_quiet_14d"),
    "tell": ("routing", None, "success", "handed"),
}
STATES = {"trial": ("growth", 24), "adopted": ("success", 72), "at_risk": ("success", 24), "churned": ("growth", None)}
DEFINED = (
    "signal_id varchar, kind varchar, definition_hash varchar, within_seconds bigint, state varchar, unit varchar,"
    " source varchar, rearm varchar, max_lateness_hours bigint, stale_after_hours bigint, enabled_at timestamp"
)
DETECTED = (
    "occurrence_id varchar, signal_id varchar, customer_id varchar, outcome varchar, occurred_at timestamp,"
    " detected_at timestamp, proving_event_ids varchar"
)
STAYS = (
    "customer_id varchar, region varchar, state_sequence bigint, state varchar, state_before varchar,"
    " owner_team varchar, valid_from timestamp, valid_to timestamp, recorded_at timestamp, time_limit_at timestamp,"
    " reason varchar, occurrence_id varchar, proving_event_ids varchar"
)
Found = tuple[str, str, datetime, datetime]
Extract = tuple[str, datetime, str, datetime]


@dataclass
class World:
    """Plain rows, as the tables have them."""

    extracts: list[Extract] = field(default_factory=list)
    deliveries: list[tuple[str, str, str, str, datetime]] = field(default_factory=list)
    goals: list[tuple[str, str, str, str, datetime, datetime, str]] = field(default_factory=list)
    messages: list[tuple[str, datetime, datetime | None, datetime | None]] = field(default_factory=list)
    uses: list[tuple[str, datetime]] = field(default_factory=list)
    stays: list[tuple[Any, ...]] = field(default_factory=list)


def moment(rng: random.Random, days: int = 40) -> datetime:
    """Some full hour of the last days."""
    return AS_OF - rng.randrange(1, days * 24) * HOUR


def random_extracts(rng: random.Random) -> list[Extract]:
    """A run a day; one silo stands still for days."""
    standing_still = rng.choice(SILOS)
    extracts = []
    for days in range(45, 0, -1):
        at = AS_OF - days * DAY + 6 * HOUR
        for silo in SILOS:
            failed = silo == standing_still and days % 9 < 4
            extracts.append((silo, at, "failed" if failed else "succeeded", at - rng.randrange(3) * HOUR))
    return extracts


def random_world(rng: random.Random, customers: list[str], extracts: list[Extract]) -> World:
    """What happened to some customers."""
    world = World(extracts=extracts)
    for customer in customers:
        for _ in range(rng.randrange(4)):
            action = rng.choice(sorted(ACTIONS))
            key = f"{rng.getrandbits(48):012x}"
            world.deliveries.append((key, customer, action, f"o{key}", moment(rng)))
        deadlines = [sent + 3 * DAY for _, who, _, _, sent in world.deliveries if who == customer]
        for _ in range(rng.randrange(3)):
            at = min(rng.choice([moment(rng), *deadlines]), AS_OF - HOUR)
            key = f"{rng.getrandbits(48):012x}"
            world.goals.append((key, "came_back", customer, "fired", at, at + 5 * HOUR, f"e{key}"))
        for _ in range(rng.randrange(4)):
            made = moment(rng)
            opened = made + rng.randrange(90) * HOUR if rng.random() < 0.6 else None
            clicked = opened + rng.randrange(30) * HOUR if opened and rng.random() < 0.3 else None
            world.messages.append((customer, made, opened, clicked))
        world.uses += [(customer, moment(rng)) for _ in range(rng.randrange(6))]
        starts = sorted({moment(rng, 60) for _ in range(rng.randrange(1, 6))})
        world.stays += random_stays(rng, customer, starts)
    return world


def together(worlds: list[World]) -> World:
    """One world in which all of these happen; they share the extracts."""
    one = World(extracts=worlds[0].extracts)
    for world in worlds:
        for name in ("deliveries", "goals", "messages", "uses", "stays"):
            getattr(one, name).extend(getattr(world, name))
    return one


def random_stays(rng: random.Random, customer: str, starts: list[datetime]) -> list[tuple[Any, ...]]:
    """Two regions that move at the same instants."""
    stays: list[tuple[Any, ...]] = []
    for region, limit, states in (("customer", 9, sorted(STATES)), ("engagement", 16, ["habitual", "quiet"])):
        before: str | None = None
        for index, (start, end) in enumerate(zip(starts, [*starts[1:], None], strict=True)):
            state = rng.choice(states)
            key = f"{rng.getrandbits(48):012x}" if index else None
            owner = STATES[state][0] if state in STATES else "success"
            time_limit = start + limit * DAY if state in ("trial", "at_risk", "quiet") else None
            stays.append((
                customer, region, index + 1, state, before, owner, start, end, start + rng.randrange(30) * HOUR,
                time_limit, "because", f"{region}{key}" if key else None, f"e{key}" if key else None,
            ))  # fmt: skip
            before = state
    return stays


def known(world: World, due: datetime) -> datetime | None:
    """The first run at which all three silos had spoken beyond the deadline."""
    heard: dict[str, datetime] = {}
    for at in sorted({each[1] for each in world.extracts}):
        for silo, when, status, through in world.extracts:
            if when == at and status == "succeeded":
                heard[silo] = max(heard.get(silo, through), through)
        if len(heard) == len(SILOS) and min(heard.values()) > due:
            return at
    return None


def reading(world: World) -> set[Found]:
    """What the models should find."""
    shown = defaultdict(list)
    for stay in sorted(world.stays, key=lambda each: each[2]):
        if stay[1] == "customer":
            shown[stay[0]].append(stay)
    found = handed(world, shown)
    for delivery in world.deliveries:
        found |= became(world, delivery, shown[delivery[1]])
    for customer, region, _, state, _, _, _, end, _, limit, _, key, _ in world.stays:
        if limit is None or limit >= AS_OF or (end is not None and end <= limit):
            continue
        at = known(world, limit)
        for signal, wanted in (("overstayed", region == "customer"), ("quiet_too_long", state == "quiet")):
            if wanted and at is not None:
                found.add((signal, f"{region}|{key or customer}", limit, at))
    return found


def became(world: World, delivery: tuple[str, str, str, str, datetime], stays: list[Any]) -> set[Found]:
    """What became of one delivery."""
    action_id, customer, action, _, sent = delivery
    cap_class, goal, *_ = ACTIONS[action]
    found: set[Found] = set()
    for signal, (kind, days) in WAITS.items():
        due = sent + (days or 0) * DAY
        goals = sorted(
            (at, key, detected)
            for key, name, who, _, at, detected, _ in world.goals
            if who == customer and name == goal and sent < at <= due
        )
        later = [stay for stay in stays if sent < stay[6] <= due]
        if kind == "reached_goal" and goals:
            found.add((signal, action_id, goals[0][0], max(goals[0][0], goals[0][2])))
        elif kind == "moved_on" and later:
            found.add((signal, action_id, later[0][6], max(later[0][6], later[0][8])))
        elif kind.startswith("ignored") and cap_class == "message" and not goals:
            at = known(world, due)
            if at is not None and not answered(world, customer, sent, due, is_use_an_answer=kind != "ignored"):
                found.add((signal, action_id, due, at))
    return found


def answered(world: World, customer: str, sent: datetime, due: datetime, *, is_use_an_answer: bool) -> bool:
    """Whether anybody took notice in time."""
    mine = [(opened, clicked) for who, made, opened, clicked in world.messages if who == customer and made >= sent]
    used = any(who == customer and sent < at <= due for who, at in world.uses)
    return any(at is not None and at <= due for pair in mine for at in pair) or (is_use_an_answer and used)


def handed(world: World, shown: dict[str, list[Any]]) -> set[Found]:
    """Hand-offs by their proving occurrence, and those that nobody picked up."""
    found: set[Found] = set()
    for customer, stays in shown.items():
        changes = [stay for index, stay in enumerate(stays) if index and stays[index - 1][5] != stay[5]]
        for index, stay in enumerate(changes):
            owner, begin, recorded, key = stay[5], stay[6], stay[8], stay[11]
            end = changes[index + 1][6] if index + 1 < len(changes) else None
            if end is None or end > recorded:
                found.add(("handed", key, begin, max(begin, recorded)))
            hours = STATES[stay[3]][1]
            by = recorded + hours * HOUR if hours and recorded <= begin + LATENESS * HOUR else None
            picked = [
                sent for _, who, action, _, sent in world.deliveries
                if who == customer and ACTIONS[action][2] == owner and action != "tell"
                and begin <= sent and (end is None or sent < end)
            ]  # fmt: skip
            at = known(world, by) if by and by < AS_OF else None
            if by and at and (end is None or end > by) and (not picked or min(picked) > by):
                found.add(("not_taken", key, by, at))
            found.add((f"hand-off {fate(stay, end, picked)}", key, begin, min(picked, default=begin)))
    return found


def fate(stay: tuple[Any, ...], end: datetime | None, picked: list[datetime]) -> str:
    """What became of a hand-off, given when the responsibility ended and when its owner acted."""
    begin, recorded, hours = stay[6], stay[8], STATES[stay[3]][1]
    if recorded > begin + LATENESS * HOUR or (end is not None and end <= recorded):
        return "historical"
    by = recorded + hours * HOUR if hours else None
    if picked:
        return "picked_up_late" if by and min(picked) > by else "picked_up"
    if by is None:
        return "no_hurry"
    if end is not None:
        return "passed_on" if end <= by else "dropped"
    return "overdue" if by <= AS_OF else "waiting"


def observed(playbook: Any, world: World) -> list[tuple[Any, ...]]:
    """The same by the models, each row with the customer it is about."""
    run = playbook.connection.execute
    run(f"create or replace table intermediate.int_signals__defined ({DEFINED})")
    run(f"create or replace table intermediate.int_signals__detected ({DETECTED})")
    run(f"create or replace table intermediate.int_lifecycle__dated ({STAYS})")
    days_of_use = "customer_id varchar, first_at timestamp, last_at timestamp"
    run(f"create or replace table intermediate.int_activity__daily_edged ({days_of_use})")
    run(
        "create or replace table intermediate.int_messages__attributed"
        " (customer_id varchar, created_at timestamp, opened_at timestamp, clicked_at timestamp)"
    )
    playbook.fill(
        "intermediate.int_signals__defined",
        [
            (name, kind, f"h_{name}", days and days * 86_400, "quiet" if name == "quiet_too_long" else None, "customer",
             "states", "every_time", 72, 72, None)
            for name, (kind, days) in WAITS.items()
        ],
    )  # fmt: skip
    set_actions(playbook)
    run("delete from seeds.lifecycle_states")
    for position, (state, (owner, hours)) in enumerate(STATES.items()):
        run(
            "insert into seeds.lifecycle_states by name select ? as state, 'customer' as region, ? as position,"
            " ? as owner_team, ? as pick_up_hours",
            [state, position, owner, hours],
        )
    days = defaultdict(list)
    for customer, at in world.uses:
        days[customer, at.date()].append(at)
    playbook.fill(
        "intermediate.int_activity__daily_edged", [(who, min(times), max(times)) for (who, _), times in days.items()]
    )
    playbook.fill("intermediate.int_signals__detected", world.goals)
    playbook.fill("intermediate.int_lifecycle__dated", world.stays)
    playbook.fill("intermediate.int_messages__attributed", world.messages)
    playbook.fill("staging.stg_ops__extracts", world.extracts)
    playbook.fill(
        "staging.stg_receipts__deliveries",
        [
            (key, customer, action, occurrence, "there", "acknowledged", sent, sent)
            for key, customer, action, occurrence, sent in world.deliveries
        ],
    )
    playbook.build(MODELS)
    rows = playbook.rows(
        "select outcomes.signal_id, coalesce(hand_offs.proof_occurrence_id, outcomes.subject_id), outcomes.occurred_at,"
        " outcomes.detected_at, outcomes.customer_id from intermediate.int_outcomes__observed as outcomes"
        " left join intermediate.int_hand_offs__followed as hand_offs on outcomes.subject_id = hand_offs.hand_off_id"
    )
    rows += playbook.rows(
        "select 'hand-off ' || outcome, proof_occurrence_id, handed_at, coalesce(picked_up_at, handed_at), customer_id"
        " from intermediate.int_hand_offs__followed"
    )
    assert len(set(rows)) == len(rows)
    return list(rows)


def set_actions(playbook: Any) -> None:
    """The actions of the test, each listening to a signal that exists."""
    run = playbook.connection.execute
    run("delete from seeds.actions")
    run("delete from seeds.signal_definitions")
    run("insert into seeds.signal_definitions by name select 'went_quiet_14d' as signal_id, 'stopped' as kind")
    run("insert into seeds.signal_definitions by name select 'came_back' as signal_id, 'restarted' as kind")
    run("insert into seeds.signal_definitions by name select 'handed' as signal_id, 'handed_over' as kind")
    run(
        "insert into seeds.signal_definitions by name select 'not_taken' as signal_id, 'not_picked_up' as kind,"
        f" {LATENESS} as max_lateness_hours"
    )
    for name, (cap_class, goal, owner, signal) in ACTIONS.items():
        run(
            "insert into seeds.actions by name select ? as action, ? as cap_class, ? as goal_signal_id,"
            " ? as owner_team, ? as signal_id, 1 as priority",
            [name, cap_class, goal, owner, signal],
        )


def differing(playbook: Any, numbers: range) -> dict[int, Any]:
    """The worlds in which the models see other outcomes than the reading; the runs are the same in all of them."""
    extracts = random_extracts(rng_of_batch(numbers))
    worlds = {world: random_world(rng_of(world), customers_of(world), extracts) for world in numbers}
    expected = {number: sorted(reading(world), key=repr) for number, world in worlds.items()}
    assert {each[0] for outcomes in expected.values() for each in outcomes} >= {*WAITS, *FATES}
    found = by_world(observed(playbook, together(list(worlds.values()))), 4)
    return difference(expected, {world: [row[:4] for row in rows] for world, rows in found.items()}, numbers)


@pytest.mark.parametrize("start", [0, 25])
def test_outcomes_equal_a_reading(playbook: Any, start: int) -> None:
    assert differing(playbook, range(start, start + 5)) == {}


def test_a_silo_that_stands_still_makes_us_wait(playbook: Any) -> None:
    sent = AS_OF - 5 * DAY
    world = World(deliveries=[("d1", "c1", "greet", "o1", sent)])
    world.extracts = [(silo, AS_OF, "succeeded", AS_OF) for silo in SILOS[:2]]
    world.extracts.append(("customerio", AS_OF, "succeeded", sent + 3 * DAY))
    assert observed(playbook, world) == []
    world.extracts.append(("customerio", AS_OF, "succeeded", sent + 3 * DAY + HOUR))
    assert observed(playbook, world) == [("ignored_3d", "d1", sent + 3 * DAY, AS_OF, "c1")]
