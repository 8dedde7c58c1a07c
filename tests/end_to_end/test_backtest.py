"""`lifecycle backtest` on the warehouse that a run left: what it says adds up, and playing leaves nothing behind."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner

from benchmarks.job import Job
from lifecycle import cli

pytestmark = pytest.mark.end_to_end

ACTION, SIGNAL, DAYS = "invite_back_to_product", "went_quiet_14d", 10
FIRED = """
    select cast(occurred_at - $since as interval) as age, customer_id from marts.signals
    where signal_id = $signal and outcome = 'fired' and occurred_at >= $since and occurred_at < $until
"""


def test_the_past_adds_up_and_stays_as_it_was(after_first_run: Path, tmp_path: Path) -> None:
    job = Job(tmp_path / "data")
    shutil.copytree(after_first_run, job.data_dir, symlinks=True)
    warehouse = job.data_dir / "warehouse.duckdb"
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        until: dt.datetime = connection.execute("select max(as_of) from raw_ops.runs").fetchall()[0][0]
        since = until - dt.timedelta(days=DAYS)
        fired = connection.execute(FIRED, {"signal": SIGNAL, "since": since, "until": until}).fetchall()
    before = warehouse.stat().st_mtime_ns

    found = job.ask("backtest", ACTION, "--since", str(since.date()))

    assert (found["first_day"], found["last_day"]) == (str(since.date()), str(until.date()))
    per_day = [0] * DAYS
    for age, _ in fired:
        per_day[age.days] += 1
    assert found["fired"] == len(fired) > 0
    assert found["fired_per_day"] == per_day
    assert found["customers"] == len({customer for _, customer in fired})
    # one verdict on each occurrence, and what went out counts against the cooldown of thirty days
    assert found["permitted"] + sum(found["suppressed"].values()) == len(fired)
    assert found["permitted"] == sum(found["permitted_per_day"]) == found["customers_reached"] > 0
    assert sum(load["total"] for load in found["load"].values()) == found["permitted"]
    picture = Path(found["picture"]).read_text(encoding="utf-8")
    assert f"{found['fired']:,} fired, {found['permitted']:,} permitted" in picture
    assert warehouse.stat().st_mtime_ns == before

    # in this process, where nothing has to be imported for it
    refused = CliRunner().invoke(cli.app, ["backtest", ACTION, "--since", str(until.date())], env=job.environment)
    assert refused.exit_code == 2
    assert "cannot be played: give a day from" in refused.stderr
    misspelt = CliRunner().invoke(cli.app, ["backtest", f"{ACTION}s"], env=job.environment)
    assert misspelt.exit_code == 2
    assert f"did you mean {ACTION}?" in misspelt.stderr
    assert "compile" not in misspelt.stderr, "which takes seconds"
