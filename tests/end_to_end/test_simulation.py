"""A simulated day of the daily job, with a definition that finance had changed before: it is caught on its day."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import duckdb
import pytest

from benchmarks.job import Job

from .conftest import LEAN

pytestmark = pytest.mark.end_to_end

PLANTED = dt.date(2025, 10, 27)  # five days before the first run, which is the first to judge it


def test_a_changed_definition_breaks_the_row_on_its_day_and_only_there(bare: Path, tmp_path: Path) -> None:
    job = Job(tmp_path / "data", more_environment=LEAN)
    shutil.copytree(bare, job.data_dir)
    done = job.call("simulate", "--days", "1", "--plant-on", "-4", "--plant-days", "1", "--json")
    assert done.returncode == 1, f"one day is too few to go live\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    answer = json.loads(done.stdout)
    (day,) = answer["by_day"]
    assert day["exit_code"] == 0, day["messages"]
    assert [sentence for sentence in day["breaks"] if f"payments of {PLANTED}" in sentence], day["breaks"]
    assert not [sentence for sentence in day["breaks"] if "payments" in sentence and str(PLANTED) not in sentence]
    streaks = {(each["metric"], each["grain"]): each for each in answer["streaks"]}
    payments = streaks["payments", "day"]
    assert payments["last_break"]["period"] == str(PLANTED)
    assert payments["streak"] == 1, "the row began again on the day after"
    assert payments["last_period"] == str(PLANTED + dt.timedelta(days=1))
    assert not answer["is_live"]

    published = f"{answer['data_dir']}/published/current/lifecycle.duckdb"
    with duckdb.connect(published, read_only=True) as connection:
        differing = connection.execute(
            "select count(*), min(difference) from marts.reconciliation_differences"
            " where metric = 'payments' and period = ? and rule is null",
            [PLANTED],
        ).fetchall()
    assert differing[0][0] >= 1
    assert differing[0][1] > 0, "after the fees theirs is less, customer by customer"
