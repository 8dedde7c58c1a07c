"""Whether states, outcomes and decisions are right: random worlds through the models and through plain loops.

The property tests of the playbook go through a few large worlds; here the same tests go through many small ones, with
other seeds. A world that differs in a single row fails, and is named.

    python -m benchmarks.worlds
    python -m benchmarks.worlds --worlds 50
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from xml.etree import ElementTree as ET

from benchmarks.figures import Figure, main
from benchmarks.job import PROJECT_DIR
from tests.playbook.worlds import SIZE, VARIABLE

TESTS = {
    "states, against a fold": ("test_states_equal_a_fold.py", "test_stays_equal_a_fold_of_the_signals"),
    "outcomes, against a reading": ("test_outcomes_equal_a_reading.py", "test_outcomes_equal_a_reading"),
    "decisions, against admission one by one": (
        "test_decisions_equal_admission_one_by_one.py", "test_decisions_equal_admission_one_by_one",
    ),
    "what was known, against what was published": (
        "test_what_was_known_can_be_asked.py", "test_asking_for_an_instant_gives_what_was_published_then",
    ),
}  # fmt: skip


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Each test over all worlds, in one process."""
    number = int(arguments.worlds)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        names = [f"tests/playbook/{file}::{test}" for file, test in TESTS.values()]
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *names],
            cwd=PROJECT_DIR,
            env={**os.environ, VARIABLE: str(number)},
            stdout=subprocess.DEVNULL,
            check=False,  # what fails is in the report
        )
        seconds = time.perf_counter() - started
        cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - our own pytest wrote it
    figures = []
    for what, (_, test) in TESTS.items():
        mine = [case for case in cases if case.get("name", "").startswith(f"{test}[")]
        differing = [case.get("name", "") for case in mine if list(case)]
        missing = number - len(mine)
        against = f"{len(mine)} worlds of {SIZE} customers; {', '.join(differing[:5]) or 'none differs'}"
        figures.append(Figure(what, len(differing) + missing, "worlds differ", against, bar=0))
    return [*figures, Figure("all of it", seconds, "s")]


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--worlds", type=int, default=500)
    main(measure, options)
