"""The state machine against a plain loop over the signals, with the shipped transitions and with random ones.

Three regions move next to each other and one shown state is derived from them; the loop does both in one pass.
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.playbook.book import read_seed
from tests.playbook.worlds import BATCH, by_world, customers_of, difference, rng_of, rng_of_batch

AS_OF = datetime(2026, 3, 1)  # noqa: DTZ001 - the as_of that conftest compiles with
ORIGIN = datetime(2025, 6, 1)  # noqa: DTZ001 - the warehouse is naive UTC
DETECTED = (
    "signal_id varchar, customer_id varchar, occurrence_id varchar, outcome varchar, occurred_at timestamp,"
    " detected_at timestamp, proving_event_ids varchar"
)

Occurrence = tuple[str, str, str, str, datetime, datetime, str]
Entry = tuple[str, "str | None", "str | None", datetime]
Stay = tuple[str, str, int, str, "str | None", "str | None", datetime, "datetime | None"]


def fold(customer: str, first_seen: datetime, occurrences: list[Occurrence], seeds: Any) -> list[Stay]:
    """The stays of one customer, from its own occurrences: region by region, signal by signal, and what is shown."""
    moves = {(row["from_state"], row["signal_id"]): row for row in seeds("lifecycle_transitions")}
    priority = {row["signal_id"]: int(row["priority"]) for row in moves.values()}
    states = {row["state"]: row for row in seeds("lifecycle_states")}
    now = {row["region"]: row["state"] for row in states.values() if row["is_initial"] == "true"}
    mine = [each for each in occurrences if each[3] == "fired" and each[0] in priority]
    mine.sort(key=lambda each: (each[4], priority[each[0]], each[0], each[2]))
    start = min([first_seen, *(each[4] for each in mine)])
    entered: dict[str, list[Entry]] = {region: [(state, None, None, start)] for region, state in now.items()}
    entered["customer"] = [(show(now, seeds), None, None, start)]
    interrupted: dict[str, str] = {}
    for occurrence in mine:
        for region, state in now.items():
            move = moves.get((state, occurrence[0]))
            if move is None:
                continue
            target = interrupted[region] if move["to_state"] == "resume" else move["to_state"]
            if states[target]["is_interruption"] == "false":
                interrupted.pop(region, None)
            elif states[state]["is_interruption"] == "false":
                interrupted[region] = state
            entered[region].append((target, state, occurrence[2], occurrence[4]))
            now = {**now, region: target}
        shown, before = show(now, seeds), entered["customer"][-1][0]
        if shown != before:
            entered["customer"].append((shown, before, occurrence[2], occurrence[4]))
    stays = []
    for region, entries in entered.items():
        ends = [*(each[3] for each in entries[1:]), None]
        stays += [
            (customer, region, number, where, before, proof, begin, end)
            for number, ((where, before, proof, begin), end) in enumerate(zip(entries, ends, strict=True), start=1)
        ]
    return stays


def show(now: dict[str, str], seeds: Any) -> str:
    """The state of the first rule that applies."""
    for rule in seeds("lifecycle_display"):
        if all(not rule[region] or state in rule[region].split() for region, state in now.items()):
            return str(rule["state"])
    raise AssertionError(f"no rule shows a state for {now}")


def random_life(rng: random.Random, customer: str, signals: list[str]) -> tuple[datetime, list[Occurrence]]:
    """When a customer was first seen, and its occurrences, on few distinct instants so that ties are common."""
    occurrences: list[Occurrence] = []
    for _ in range(rng.randrange(90)):
        at = ORIGIN + timedelta(days=rng.randrange(60))
        key = f"{rng.getrandbits(64):016x}"
        outcome = "unknown" if rng.random() < 0.1 else "fired"
        occurrences.append((rng.choice(signals), customer, key, outcome, at, at + timedelta(hours=5), f"e{key}"))
    return ORIGIN + timedelta(days=rng.randrange(30)), occurrences


def random_machine(rng: random.Random) -> dict[str, list[dict[str, str]]]:
    """The seeds of a machine that `lifecycle check` need not like, but that can run: dead ends, circles, detours."""
    states: list[dict[str, str]] = []
    transitions: list[dict[str, str]] = []
    signals = [f"s{number}" for number in range(rng.randrange(3, 12))]
    priorities = rng.sample(range(1, 100), len(signals))
    for region in ("engagement", "revenue", "risk"):
        names = [f"{region}_{number}" for number in range(rng.randrange(2, 6))]
        detours = set(rng.sample(names[1:], rng.randrange(min(3, len(names)))))
        for name in names:
            states.append({
                "state": name, "region": region, "owner_team": "success",
                "is_initial": str(name == names[0]).lower(), "is_interruption": str(name in detours).lower(),
            })  # fmt: skip
            for signal, priority in zip(signals, priorities, strict=True):
                target = rng.choice([*names, "resume"] if name in detours else names)
                if target != name and rng.random() < 0.6:
                    transitions.append({
                        "from_state": name, "signal_id": signal, "to_state": target, "priority": str(priority),
                        "reason": f"{signal} in {name}",
                    })  # fmt: skip
    display = []
    for position in range(rng.randrange(1, 9)):
        rule = {"position": str(position + 1), "state": f"shown_{rng.randrange(5)}"}
        for region in ("engagement", "revenue", "risk"):
            of_region = [row["state"] for row in states if row["region"] == region]
            named = rng.sample(of_region, rng.randrange(1, len(of_region) + 1)) if rng.random() < 0.5 else []
            rule[region] = " ".join(named)
        display.append(rule)
    display.append({"position": "99", "state": "shown_9", "engagement": "", "revenue": "", "risk": ""})
    neither = {"is_initial": "false", "is_interruption": "false"}
    shown = sorted({rule["state"] for rule in display})
    states += [{"state": state, "region": "customer", "owner_team": "growth", **neither} for state in shown]
    return {"lifecycle_states": states, "lifecycle_transitions": transitions, "lifecycle_display": display}


def set_machine(playbook: Any, machine: dict[str, list[dict[str, str]]]) -> None:
    """Put a machine in the place of the shipped one."""
    for seed, rows in machine.items():
        playbook.connection.execute(f"delete from seeds.{seed}")
        for row in rows:
            columns = ", ".join(f"? as {name}" for name in row)
            values = [value or None for value in row.values()]
            playbook.connection.execute(f"insert into seeds.{seed} by name select {columns}", values)


def histories(playbook: Any, customers: list[tuple[str, datetime]], occurrences: list[Occurrence]) -> list[Any]:
    """The stays by the models."""
    playbook.connection.execute(f"create or replace table intermediate.int_signals__detected ({DETECTED})")
    playbook.fill("intermediate.int_signals__detected", occurrences)
    playbook.fill("intermediate.int_customers__resolved", customers)
    playbook.build(["int_lifecycle__moved", "int_lifecycle__dated"])
    stays: list[Any] = playbook.rows(
        "select customer_id, region, state_sequence, state, state_before, occurrence_id, valid_from, valid_to"
        " from intermediate.int_lifecycle__dated order by all"
    )
    return stays


MACHINE = ("lifecycle_states", "lifecycle_transitions", "lifecycle_display")


def differing(playbook: Any, numbers: range) -> dict[int, Any]:
    """The worlds whose stays are not those of the fold; every other batch has a machine of its own."""
    rng = rng_of_batch(numbers)
    is_random = numbers.start // BATCH % 2 == 1
    machine = random_machine(rng) if is_random else {seed: read_seed(seed) for seed in MACHINE}
    set_machine(playbook, machine)
    heard = machine["lifecycle_transitions"] if is_random else read_seed("signal_definitions")
    signals = sorted({row["signal_id"] for row in heard})
    customers, occurrences, expected = [], [], []
    for world in numbers:
        chances = rng_of(world)
        for customer in customers_of(world):
            seen, mine = random_life(chances, customer, signals)
            customers.append((customer, seen))
            occurrences += mine
            expected += fold(customer, seen, mine, machine.__getitem__)
    assert len(expected) > 4 * len(customers)
    if not is_random:
        assert {stay[3] for stay in expected} == {row["state"] for row in machine["lifecycle_states"]}
    stays = by_world(expected, 0)
    found = by_world(histories(playbook, customers, occurrences), 0)
    rng.shuffle(occurrences)
    again = by_world(histories(playbook, customers, occurrences), 0)
    return difference(stays, found, numbers) | difference(stays, again, numbers)


@pytest.mark.parametrize("start", [0, BATCH])
def test_stays_equal_a_fold_of_the_signals(playbook: Any, start: int) -> None:
    assert differing(playbook, range(start, start + 8)) == {}


def test_a_late_fact_changes_history_from_its_moment_on_and_not_before(playbook: Any) -> None:
    seen = ORIGIN
    day = timedelta(days=1)

    def occurrence(signal: str, days: int) -> Occurrence:
        at = ORIGIN + days * day
        return (signal, "c1", signal, "fired", at, at + day, f"e_{signal}")

    known = [occurrence("first_sign_up", 1), occurrence("subscription_started", 10), occurrence("churn", 60)]
    before, after = (
        [stay for stay in histories(playbook, [("c1", seen)], facts) if stay[1] == "customer"]
        for facts in (known, [*known, occurrence("first_envelope_signed", 20)])
    )
    assert [stay[3] for stay in before] == ["lead", "trial", "onboarding", "churned"]
    assert [stay[3] for stay in after] == ["lead", "trial", "onboarding", "activated", "churned"]
    assert after[:2] == before[:2]


def test_recorded_at_says_when_it_was_known(playbook: Any) -> None:
    learnt = ORIGIN + timedelta(days=9)
    histories(playbook, [("c1", ORIGIN)], [("first_sign_up", "c1", "o1", "fired", ORIGIN, learnt, "e1")])
    stays = playbook.rows(
        "select state, effective_at, recorded_at from intermediate.int_lifecycle__dated"
        " where region = 'customer' order by all"
    )
    assert stays == [("lead", ORIGIN, AS_OF), ("trial", ORIGIN, learnt)]


def test_what_threatens_a_customer_does_not_hide_what_it_had_reached(playbook: Any) -> None:
    day = timedelta(days=1)
    life = [
        ("subscription_started", 1), ("habit_formed", 30), ("payment_failed", 40), ("went_quiet_14d", 50),
        ("payment_recovered", 60), ("came_back", 70), ("went_quiet_30d", 100), ("churn", 110), ("reactivation", 120),
    ]  # fmt: skip
    facts = [(name, "c1", name, "fired", ORIGIN + at * day, ORIGIN + at * day, name) for name, at in life]
    stays = histories(playbook, [("c1", ORIGIN)], facts)
    shown = [(stay[3], stay[5]) for stay in stays if stay[1] == "customer"]
    assert shown == [
        ("lead", None),
        ("onboarding", "subscription_started"),
        ("adopted", "habit_formed"),
        ("payment_trouble", "payment_failed"),
        ("at_risk", "payment_recovered"),
        ("adopted", "came_back"),
        ("churned", "churn"),
        ("won_back", "reactivation"),
    ]
    risk = [stay[3] for stay in stays if stay[1] == "risk"]
    assert risk == ["calm", "owing", "calm"]
