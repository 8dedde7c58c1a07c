"""The defects and variations of `python -m benchmarks.gates`, on empty tables: each is a statement that can be run."""

from __future__ import annotations

import duckdb
import pytest

from benchmarks.gate_scenarios import DEFECTS, VARIATIONS, filled
from benchmarks.gates import LEAST_DEFECTS, LEAST_VARIATIONS
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
