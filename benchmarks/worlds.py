"""Whether signals, states, outcomes and decisions are right: random worlds through the models and through plain loops.

The property tests of the playbook go through a few worlds; here the same properties go through hundreds, in batches
that share their tables, every other batch of states on a random machine, the decisions at instants where clocks
change. A world that differs in a single row is counted and named.

    python -m benchmarks.worlds
    python -m benchmarks.worlds --worlds 50
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.figures import Figure, main
from tests.playbook import (
    test_decisions_equal_admission_one_by_one,
    test_outcomes_equal_a_reading,
    test_signals_equal_brute_force,
    test_states_equal_a_fold,
    test_what_was_known_can_be_asked,
)
from tests.playbook.book import Playbook, compile_models
from tests.playbook.worlds import BATCH, SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

MOST = 999
"""A customer's id has three digits for its world."""


def signals(playbook: Playbook, numbers: range) -> dict[int, Any]:
    """Signals need another set of behaviours in the place of the shipped one."""
    return test_signals_equal_brute_force.differing(test_signals_equal_brute_force.Detector(playbook, {}), numbers)


PROPERTIES: dict[str, tuple[Callable[[Playbook, range], dict[int, Any]], str]] = {
    "signals, against every event looked at": (signals, "2 customers, 20 signals"),
    "states, against a fold": (test_states_equal_a_fold.differing, f"{SIZE} customers"),
    "outcomes, against a reading": (test_outcomes_equal_a_reading.differing, f"{SIZE} customers"),
    "decisions, against admission one by one": (
        test_decisions_equal_admission_one_by_one.differing, f"{SIZE} customers",
    ),
    "what was known, against what was published": (
        test_what_was_known_can_be_asked.differing,
        f"{test_what_was_known_can_be_asked.CUSTOMERS} customers, {test_what_was_known_can_be_asked.RUNS} runs",
    ),
}  # fmt: skip


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """How many worlds differ, for each property."""
    worlds = int(arguments.worlds)
    if not 0 < worlds <= MOST:
        sys.exit(f"--worlds is between 1 and {MOST}.")
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        compiled = compile_models(Path(folder) / "compiled")
    figures = []
    for what, (differing, size) in PROPERTIES.items():
        differ: dict[int, Any] = {}
        for first in range(0, worlds, BATCH):
            playbook = Playbook(compiled)
            differ |= differing(playbook, range(first, min(first + BATCH, worlds)))
            playbook.connection.close()
        for world, (expected, found) in list(differ.items())[:3]:
            sys.stderr.write(f"{what}, world {world}: expected {str(expected)[:300]}, found {str(found)[:300]}\n")
        against = f"{worlds} worlds of {size}; {', '.join(map(str, list(differ)[:5])) or 'none'} differ"
        figures.append(Figure(what, len(differ), "worlds differ", against, bar=0))
    return [*figures, Figure("all of it", time.perf_counter() - started, "s", bar=600)]


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--worlds", type=int, default=500)
    main(measure, options)
