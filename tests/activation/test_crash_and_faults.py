"""The cheap versions of the benchmarks crash and delivery_faults: the same harness, fewer kills and combinations."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.delivery_faults import ACTIONS, FAULTS, MACHINE, Bench, Combination, check, combinations
from benchmarks.vendors import NAMES


def test_eighteen_kills_lose_nothing_and_double_nothing() -> None:
    # a process of its own: the harness forks, and this one may have threads
    command = [sys.executable, "-m", "benchmarks.crash", "--kills", "18", "--actions", "200", "--json"]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    figures: dict[str, Any] = {each["name"]: each for each in json.loads(said.stdout)}
    assert figures["kills"]["value"] == 18
    assert figures["lost"]["value"] == 0
    assert figures["effective duplicates"]["value"] == 0
    assert figures["raw repeats"]["value"] <= figures["raw repeats"]["bar"]


def test_twenty_four_combinations_of_fault_destination_and_place_end_well() -> None:
    everything = combinations()
    assert len(everything) >= 200
    assert check(random.Random(2026).sample(everything, 24)) == {}


@pytest.mark.parametrize("trouble", MACHINE)
def test_a_machine_in_trouble_costs_nothing_but_time(trouble: str) -> None:
    assert check([Combination("zendesk", (("machine", trouble),))]) == {}


EXAMPLES = 8
several = st.lists(
    st.builds(
        lambda fault, skip, times: {**fault, "skip": skip, "times": times},
        st.sampled_from(FAULTS),
        st.integers(0, 3),
        st.integers(1, 4),
    ),
    min_size=2,
    max_size=4,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    # shrinking a failure takes more tries than there are examples, and each needs deals of its own
    made = Bench(tmp_path_factory.mktemp("faults"), EXAMPLES * 40)
    yield made
    made.close()


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(name=st.sampled_from(NAMES), rules=several, machine=st.sampled_from(["", *MACHINE]))
def test_whatever_faults_come_together_everything_arrives_once(
    bench: Bench, name: str, rules: list[dict[str, Any]], machine: str
) -> None:
    assert ACTIONS > 1
    assert bench.survives_all(name, rules, machine) == ""
