"""Random worlds for the property tests, a batch of them in the same tables.

A world is a small population drawn from a seed of its own; its customers carry its number (`w017_c3`), so that one
build of the models goes through a whole batch and a row that differs still says which world it is from. What the worlds
of a batch share (when the silos were read, the machine) is drawn from the batch. A property is a function of a database
and the numbers of a batch that gives the worlds that differ; `benchmarks.worlds` calls the same for many batches.
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

BATCH = 25
SIZE = 40
"""Customers of a world."""


def rng_of(world: int) -> random.Random:
    """Where a world's chances come from; the same number is the same world on every machine."""
    return random.Random(world)


def rng_of_batch(numbers: range) -> random.Random:
    """Where the chances come from that all worlds of a batch share."""
    return random.Random(f"batch {numbers.start}")


def customers_of(world: int, size: int = SIZE) -> list[str]:
    """The ids of a world's customers."""
    return [f"w{world:03d}_c{number}" for number in range(size)]


def world_of(customer: str) -> int:
    """Which world a customer lives in."""
    return int(customer[1:4])


def by_world(rows: Iterable[tuple[Any, ...]], customer_at: int) -> dict[int, list[tuple[Any, ...]]]:
    """Rows by the world of the customer they name, each world's sorted."""
    found: defaultdict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        found[world_of(row[customer_at])].append(row)
    return {world: sorted(mine, key=repr) for world, mine in found.items()}


def difference(expected: Mapping[int, Any], found: Mapping[int, Any], numbers: range) -> dict[int, tuple[Any, Any]]:
    """What was expected of each world that differs, and what was found of it."""
    pairs = {world: (expected.get(world), found.get(world)) for world in numbers}
    return {world: pair for world, pair in pairs.items() if pair[0] != pair[1]}
