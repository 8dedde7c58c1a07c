"""The cheap versions of the benchmarks crash and delivery_faults: the same harness, fewer kills and combinations."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.delivery_faults import MACHINE, Combination, check, combinations


def test_thirty_kills_lose_nothing_and_double_nothing() -> None:
    # a process of its own: the harness forks, and this one may have threads
    command = [sys.executable, "-m", "benchmarks.crash", "--kills", "30", "--actions", "200", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    figures: dict[str, Any] = {each["name"]: each for each in json.loads(said.stdout)}
    assert figures["kills"]["value"] == 30
    assert figures["lost"]["value"] == 0
    assert figures["effective duplicates"]["value"] == 0
    assert figures["raw repeats"]["value"] <= figures["raw repeats"]["bar"]


def test_forty_combinations_of_fault_destination_and_place_end_well() -> None:
    everything = combinations()
    assert len(everything) >= 200
    assert check(random.Random(2026).sample(everything, 40)) == {}


@pytest.mark.parametrize("trouble", MACHINE)
def test_a_machine_in_trouble_costs_nothing_but_time(trouble: str) -> None:
    assert check([Combination("zendesk", (("machine", trouble),))]) == {}
