"""The defects and variations of `python -m benchmarks.gates`, on empty tables: each is a statement that can be run."""

from __future__ import annotations

from collections import Counter

import duckdb
import pytest

from benchmarks import gate_score
from benchmarks.gate_defects import DEFECTS
from benchmarks.gate_judging import Judged
from benchmarks.gate_scenarios import CLASSES, filled, rounds
from benchmarks.gate_score import LEAST_DEFECTS, LEAST_VARIATIONS
from benchmarks.gate_variations import VARIATIONS
from ingest.tables import create_missing


@pytest.fixture(scope="module")
def raw() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    create_missing(connection)
    return connection


def test_there_are_enough_of_both_and_each_is_there_once() -> None:
    assert len(DEFECTS) >= LEAST_DEFECTS
    assert len(VARIATIONS) >= LEAST_VARIATIONS
    names = [(each.is_clean, each.name) for each in [*DEFECTS, *VARIATIONS]]
    assert len(names) == len(set(names))


def test_every_scenario_can_be_planted_and_changes_only_the_tables_it_names(raw: duckdb.DuckDBPyConnection) -> None:
    for scenario in [*DEFECTS, *VARIATIONS]:
        raw.execute("begin")
        for statement in scenario.statements:
            raw.execute(filled(statement, "2026-10-31", 1793404800))
            words = statement.split()
            assert words[{"delete": 2, "insert": 2, "alter": 2}.get(words[0], 1)] in scenario.tables, scenario.name
        raw.execute("rollback")


def test_scenarios_that_are_planted_together_are_of_different_silos_and_none_is_left_out() -> None:
    planned = rounds(DEFECTS)
    assert sorted(each.name for part in planned for each in part) == sorted(each.name for each in DEFECTS)
    for part in planned:
        silos = [silo for each in part for silo in each.silos]
        assert len(silos) == len(set(silos))
    assert len(planned) < len(DEFECTS) / 2


def test_the_page_shows_every_scenario_with_its_class_and_counts_each_class() -> None:
    """The page is drawn by the benchmark; what was added since has to be measured before it can be shown."""
    drawn = gate_score.PAGE.read_text(encoding="utf-8").partition(gate_score.BEGIN)[2].partition(gate_score.END)[0]
    rows = [tuple(cell.strip() for cell in line.split("|")[1:-1]) for line in drawn.splitlines() if "|" in line]
    defects = [row for row in rows if len(row) == 4 and row[1] in CLASSES]
    assert {row[:2] for row in defects} == {(each.name, each.kind) for each in DEFECTS}
    variations = {row[0] for row in rows if len(row) == 3} - {"variation", "---"}
    assert variations == {each.name for each in VARIATIONS}
    planted = {row[0]: int(row[1]) for row in rows if len(row) == 7 and row[1].isdigit()}
    assert planted == Counter(each.kind for each in DEFECTS) | {"all": len(DEFECTS)}
    assert not any(row[2] in {"unnamed", "missed"} for row in defects)
    assert not any(row[1] == "blocked" for row in rows if len(row) == 3)


@pytest.mark.parametrize(
    ("is_clean", "outcomes", "named", "changed", "outcome"),
    [
        (False, ["warn"], 1, None, "flagged"),
        (False, ["warn", "block"], 1, None, "stopped"),
        (False, ["quarantine"], 1, None, "flagged"),
        (False, ["block"], 0, ["usage_daily"], "unnamed"),
        (False, ["warn"], 0, None, "unnamed"),
        (False, ["warn"], 0, ["usage_daily"], "MISSED"),
        (False, [], 0, [], "harmless"),
        (True, [], 0, [], "passes"),
        (True, ["warn"], 0, [], "flagged"),
        (True, ["skip"], 0, [], "BLOCKED"),
    ],
)
def test_what_a_scenario_comes_to(
    is_clean: bool, outcomes: list[str], named: int, changed: list[str] | None, outcome: str
) -> None:
    failing = {f"check {number}": (each, "") for number, each in enumerate(outcomes)}
    found = Judged(VARIATIONS[0] if is_clean else DEFECTS[0], failing, sorted(failing)[:named], changed)
    assert found.outcome == outcome
    said = gate_score.summary([found.as_row()], is_whole=False)
    assert said["holds"] is (outcome not in {"unnamed", "MISSED", "BLOCKED"})
