"""What the gate makes of planted defects: several together where only raw tables are looked at, else one by one."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from benchmarks import gate_day
from benchmarks.gate_scenarios import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.gate_day import Day
    from benchmarks.gate_project import Step
    from benchmarks.gate_scenarios import Scenario

# what judges raw tables, and what it is built from
RAW_CHECKS = frozenset(
    {
        "int_raw_days__profiled",
        "int_event_days__profiled",
        "int_events__deduplicated",
        "int_raw_days__calendared",
        "int_drift__scored",
        "int_restatements__scored",
        "quality_findings",
    }
)
# what says how a version came about, or what was found, is no number that a leader reads
NO_NUMBER = frozenset(
    {"publish_log", "gate_results", "quality_findings", "published_columns", "source_refresh", "metric_definitions"}
)


@dataclass(slots=True)
class Judged:
    """What the gate made of one scenario: outcome and message per check that fails because of it, and changed marts.

    `changed` is None where marts were not built.
    """

    scenario: Scenario
    failing: dict[str, tuple[str, str]] = field(default_factory=dict)
    named_by: list[str] = field(default_factory=list)
    changed: list[str] | None = None

    @property
    def outcome(self) -> str:
        """What it comes to.

        A defect is stopped or flagged by a check that names it, unnamed when only others fail or when it was not looked
        further than at the raw tables, MISSED when a published number changed, and harmless when none did. A clean
        variation passes, is flagged, or is BLOCKED.
        """
        outcomes = Counter(outcome for outcome, _ in self.failing.values())
        is_blocked = bool(outcomes["block"] or outcomes["skip"])
        if self.scenario.is_clean:
            return "BLOCKED" if is_blocked else "flagged" if self.failing else "passes"
        if self.named_by:
            return "stopped" if is_blocked else "flagged"
        if self.changed is None or is_blocked:
            return "unnamed"
        return "MISSED" if self.changed else "harmless"

    def as_row(self) -> dict[str, Any]:
        """For a table or JSON."""
        return {
            "scenario": self.scenario.name,
            "class": self.scenario.kind,
            "outcome": self.outcome,
            "named_by": self.named_by,
            "also": sorted(set(self.failing) - set(self.named_by)),
            "changed_marts": self.changed,
            "says": next((said for check in self.named_by if (said := self.failing[check][1])), ""),
        }


@dataclass(frozen=True, slots=True)
class Judge:
    """Plants into copies of the unchanged day's warehouse, because a statement that fails spoils a transaction."""

    day: Day

    def round(self, scenarios: Sequence[Scenario], *, is_raw: bool) -> list[Judged]:
        """Judge scenarios of different silos planted together.

        With `is_raw`, by the checks of raw tables. Else everything that depends on them is built; what fails then and
        is no raw table's check could be anyone's, so if there is such a failure each is planted again alone.
        """
        tables = [table for scenario in scenarios for table in scenario.tables]
        steps = self.day.project.downstream(tables) if tables else self.day.project.steps
        if is_raw:
            steps = tuple(step for step in steps if step.name in RAW_CHECKS)
        news, changed = self._planted(scenarios, steps, is_raw=is_raw)
        if len(scenarios) == 1:
            return [self._judged(scenarios[0], news, changed)]
        is_anyones = not is_raw and any(silo is None for _, _, silo in news.values())
        if is_anyones:
            return [judged for scenario in scenarios for judged in self.round([scenario], is_raw=False)]
        return [
            self._judged(scenario, {check: said for check, said in news.items() if said[2] in scenario.silos}, None)
            for scenario in scenarios
        ]

    def _planted(
        self, scenarios: Sequence[Scenario], steps: Sequence[Step], *, is_raw: bool
    ) -> tuple[dict[str, tuple[str, str, str | None]], list[str] | None]:
        """What fails that did not on the unchanged day, or only as a warning; and which marts changed."""
        day = self.day
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "warehouse.duckdb"
            shutil.copyfile(day.warehouse, copy)
            with duckdb.connect(str(copy), config={"threads": 1}) as connection:
                for scenario in scenarios:
                    for statement in scenario.statements:
                        connection.execute(filled(statement, day.day, day.unix))
                counts = {mart: rows for mart, (rows, _) in day.marts.items()}
                nodes = day.project.build(connection, steps)
                found = gate_day.failing(gate_day.verdict(connection, nodes, day.as_of, counts))
                now = None if is_raw else gate_day.marts(connection)
        news = {
            check: said
            for check, said in found.items()
            if check not in day.failing or (said[0] == "block" and day.failing[check] != "block")
        }
        if now is None:
            return news, None
        return news, sorted(mart for mart in day.marts if mart not in NO_NUMBER and now.get(mart) != day.marts[mart])

    def _judged(
        self, scenario: Scenario, news: dict[str, tuple[str, str, str | None]], changed: list[str] | None
    ) -> Judged:
        """Named is a defect by a check of its own table, or by a test of something that is built from it."""
        reached = {step.name for step in self.day.project.downstream(scenario.tables)}
        subjects = scenario.subjects | scenario.silos
        failing = {check: (outcome, message) for check, (outcome, message, _) in news.items()}
        named_by = sorted(
            check
            for check in failing
            if check.split(" ")[-1] in subjects | reached or check in reached or check.startswith("model_is_built")
        )
        return Judged(scenario, failing, named_by, changed)
