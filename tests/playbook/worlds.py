"""How many random worlds a property test goes through: a few, or as many as `benchmarks.worlds` asks for."""

from __future__ import annotations

import os

VARIABLE = "LIFECYCLE_WORLDS"
SIZE = 40  # customers of a world, where there are many worlds


def worlds(few: int) -> range:
    """The seeds of the worlds; the same seed is the same world on every machine."""
    return range(int(os.environ.get(VARIABLE, few)))


def size(many: int) -> int:
    """How many customers a world has."""
    return SIZE if VARIABLE in os.environ else many
