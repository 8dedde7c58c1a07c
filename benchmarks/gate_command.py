"""Do `lifecycle build` and `lifecycle gate` say the same of a planted defect as benchmarks/gate_judging.py does?"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from benchmarks import gate_day
from benchmarks.gate_judging import Judge
from benchmarks.gate_scenarios import filled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.gate_day import Day
    from benchmarks.gate_scenarios import Scenario


def agreement(day: Day, folder: Path, wanted: Sequence[Scenario], number: int) -> int:
    """Judge every so many of them both ways, `number` in all, and print a line for each; the exit code.

    They agree when the gate is open in both or shut in both, and every check that names the defect here fails there.
    """
    sample = wanted[:: max(len(wanted) // number, 1)][:number]
    agreed = 0
    for scenario in sample:
        here = Judge(day).round([scenario], is_raw=False)[0]
        is_open, failing = _asked(day, folder, scenario)
        is_shut_here = bool({outcome for outcome, _ in here.failing.values()} & {"block", "skip"})
        lacking = sorted(set(here.named_by) - failing)
        agrees = is_open is not is_shut_here and not lacking
        agreed += agrees
        said = "agree" if agrees else f"DISAGREE: here {here.failing}, there {sorted(failing)}"
        print(f"{here.outcome:<9}{scenario.name:<56}{said}")  # noqa: T201
    print(f"{agreed} of {len(sample)} agree")  # noqa: T201
    return 0 if agreed == len(sample) else 1


def _asked(day: Day, folder: Path, scenario: Scenario) -> tuple[bool, set[str]]:
    """Whether the gate is open, and the names of the checks that do not pass, by the commands themselves."""
    with tempfile.TemporaryDirectory() as name:
        shutil.copytree(folder / "data", Path(name) / "data", symlinks=True)
        company = gate_day.job(Path(name))
        with duckdb.connect(str(company.data_dir / "warehouse.duckdb")) as connection:
            for statement in scenario.statements:
                connection.execute(filled(statement, day.day, day.unix))
        company.call("build")  # its exit code says that a test failed, which is the gate's to judge
        answer = company.call("gate")
        if answer.returncode not in {0, 1}:
            raise RuntimeError(f"lifecycle gate could not judge '{scenario.name}': {answer.stderr[-2000:]}")
        with duckdb.connect(str(company.data_dir / "warehouse.duckdb"), read_only=True) as connection:
            rows = connection.execute(
                "select case when check_id = 'data_test' then subject else check_id || ' ' || subject end"
                " from raw_ops.gate_checks where outcome not in ('pass', 'accepted')"
                " and as_of = (select max(as_of) from raw_ops.runs)"
            ).fetchall()
    return answer.returncode == 0, {name for (name,) in rows}
