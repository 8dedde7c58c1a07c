"""The history as it was told: what a run published is what asking for that run's instant gives, whatever came later."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from lifecycle.remembered import states
from tests.playbook.worlds import by_world, customers_of, difference, rng_of, rng_of_batch

START = datetime(2026, 2, 1)  # noqa: DTZ001 - the warehouse is naive UTC
DAY = timedelta(days=1)
CUSTOMERS = 8
RUNS = 12
STAYS = "customer_id varchar, region varchar, state varchar, valid_from timestamp, occurrence_id varchar"
KNOWN = """
    select customer_id, region, lifecycle_state, valid_from, proof_occurrence_id from marts.lifecycle_state_versions
    where known_from <= $at and (known_until > $at or known_until is null) order by all
"""
Stay = tuple[str, str, str, datetime, "str | None"]


def tell(playbook: Any, at: datetime, stays: set[Stay]) -> list[tuple[Any, ...]]:
    """Build and publish what is known at an instant; all versions that there are then."""
    playbook.connection.execute(f"create or replace table intermediate.int_lifecycle__dated ({STAYS})")
    playbook.fill("intermediate.int_lifecycle__dated", sorted(stays, key=repr))
    playbook.fill("staging.stg_ops__extracts", [("product", at, "succeeded", at)])
    playbook.build(["stg_ops__state_log", "lifecycle_state_versions"], as_of=str(at))
    states.remember(playbook.connection, f"run-{at}", at)
    return list(
        playbook.rows("select lifecycle_state, correction, known_from, known_until from marts.lifecycle_state_versions")
    )


def differing(playbook: Any, numbers: range) -> dict[int, Any]:
    """The worlds in which asking for an instant gives something else than what was published at it."""
    playbook.connection.execute("delete from raw_ops.state_log")
    rng = rng_of_batch(numbers)
    chances = {world: rng_of(world) for world in numbers}
    customers = {world: customers_of(world, CUSTOMERS) for world in numbers}
    stays: dict[int, set[Stay]] = {
        world: {(customer, "customer", "lead", START - DAY, None) for customer in customers[world]} for world in numbers
    }
    published: dict[datetime, dict[int, list[Stay]]] = {}
    for number in range(RUNS):
        at = START + number * DAY
        for world, mine in stays.items():
            change(chances[world], customers[world], mine, number)
        everything = set().union(*stays.values())
        tell(playbook, at, everything)
        published[at] = by_world(everything, 0)
        if rng.random() < 0.3:
            tell(playbook, at, everything)  # the same instant again changes nothing
    found: dict[int, Any] = {}
    for at, shown in published.items():
        asked = playbook.connection.execute(KNOWN, {"at": at}).fetchall()
        found |= difference(shown, by_world(asked, 0), numbers)
    return found


def change(rng: random.Random, customers: list[str], stays: set[Stay], number: int) -> None:
    """What a run learns about a world: some stays more, some that turn out not to have been."""
    for _ in range(rng.randrange(5)):
        customer, where = rng.choice(customers), rng.choice(("customer", "risk"))
        effective = START + timedelta(hours=rng.randrange(-20, number * 24))
        stays.add((customer, where, rng.choice("abc"), effective, f"o{rng.randrange(99)}"))
    stays -= set(rng.sample(sorted(stays, key=repr), rng.randrange(3)))


def test_asking_for_an_instant_gives_what_was_published_then(playbook: Any) -> None:
    assert differing(playbook, range(6)) == {}


def test_a_late_fact_is_told_as_a_correction(playbook: Any) -> None:
    lead: Stay = ("c1", "customer", "lead", START - 9 * DAY, None)
    churned: Stay = ("c1", "customer", "churned", START - 2 * DAY, "o2")
    trial: Stay = ("c1", "customer", "trial", START - 5 * DAY, "o1")
    first, second, third = START, START + DAY, START + 2 * DAY
    assert {row[1] for row in tell(playbook, first, {lead, churned})} == {"news"}
    versions = {row[0]: row[1:] for row in tell(playbook, second, {lead, churned, trial})}
    assert versions["trial"] == ("late", second, None)
    assert versions["churned"] == ("news", first, None)
    versions = {row[0]: row[1:] for row in tell(playbook, third, {lead, trial})}
    assert versions["churned"] == ("withdrawn", first, third)
    assert versions["trial"] == ("late", second, None)
