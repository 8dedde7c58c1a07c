"""Two simulated months of the daily job: they end live, in time; a changed definition is caught; mistakes are found.

The simulation runs day by day until going live is approved. Then finance of the same company books payments after the
card fees for three days: on the first morning on which that can be seen the row of payments has to break, on no other
day, and the company has to be back in shadow mode. What the company's people got wrong only the simulation knows; every
such mistake has to be among the reconciling items, named as what it is.

    python -m benchmarks.validation [--days 60] [--json]
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.figures import Figure, main
from benchmarks.job import Job

PLANTED_FOR = 3
SECONDS = 25 * 60
ORIGINS = {
    ("billing", "swapped digits"): "sum_of_lines",
    ("usage", "swapped digits"): "corrected",
    ("billing", "left out"): "corrected",
    ("billing", "wrong currency"): "own_currency",
    ("funnel", "not filed"): "filed_late",
    ("usage", "not filed"): "filed_late",
}


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """The two months, and the days after them."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder) / "data")
        whole = simulated(job, arguments.days)
        known, found = mistakes(Path(whole["data_dir"]))
        planting = ("--resume", "--plant-on", str(arguments.days + 1), "--plant-days", str(PLANTED_FOR))
        # what is reported of a day is filed on the next morning
        planted = simulated(job, arguments.days + PLANTED_FOR + 1, *planting)
        right, wrong = breaks(Path(planted["data_dir"]), planted, arguments.days + 1)
    steps = [day["seconds"] for day in whole["by_day"]]
    used = [sum(day["processor_seconds"].values()) for day in whole["by_day"]]
    warned = sum(len(day["warnings"]) for day in whole["by_day"])
    return [
        Figure(f"{arguments.days} simulated days", whole["seconds"], "s", bar=SECONDS * arguments.days / 60),
        Figure("the longest day", max(steps), "s"),
        Figure("processor time of a day, median", statistics.median(used), "s"),
        Figure("ends live", float(whole["is_live"]), "", bar=float(arguments.days >= 60), bar_is="at least"),
        Figure("days with exit code 0", sum(day["exit_code"] == 0 for day in whole["by_day"]), "days",
               bar=arguments.days, bar_is="at least"),
        Figure("checks that warned", warned, "", f"{len(steps)} runs", warned / len(steps)),
        Figure("planted days caught on the first morning", right, "days", f"{PLANTED_FOR} planted",
               bar=1, bar_is="at least"),
        Figure("planted days missed, other days broken", wrong, "days", bar=0),
        Figure("live after that", float(planted["is_live"]), "", bar=0),
        Figure("mistakes in the reports that were found", found, "", f"{known} made", found / max(known, 1),
               bar=known, bar_is="at least"),
    ]  # fmt: skip


def simulated(job: Job, days: int, *more: str) -> dict[str, Any]:
    """What `lifecycle simulate` says; it ends with 1 when the days did not suffice to go live."""
    done = job.call("simulate", "--days", str(days), *more, "--json")
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"The simulation ended with {done.returncode}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def mistakes(data_dir: Path) -> tuple[int, int]:
    """How many mistakes were made in periods that have settled, and how many of them are reconciling items."""
    with duckdb.connect(str((data_dir / "published" / "lifecycle.duckdb").resolve()), read_only=True) as connection:
        made = connection.execute(
            "select report, metric, period, kind from read_parquet($truth)"
            " where cast(period as date) + 4 <= (select max(as_of) from marts.publish_log)",
            {"truth": str(data_dir / "sandbox" / "truth" / "report_mistakes.parquet")},
        ).fetchall()
        items = set(
            connection.execute(
                "select metric, cast(period as varchar), origin from marts.reconciliation_items where grain = 'day'"
            ).fetchall()
        )
    named = [(metric, period, ORIGINS[report, kind]) for report, metric, period, kind in made]
    return len(named), sum(each in items for each in named)


def breaks(data_dir: Path, answer: dict[str, Any], planted_on: int) -> tuple[int, int]:
    """Planted days that broke the row on the next morning, and days on which it broke or held without a reason to."""
    first = dt.datetime.fromisoformat(answer["by_day"][0]["as_of"]).date() + dt.timedelta(days=planted_on - 1)
    planted = {first + dt.timedelta(days=number) for number in range(PLANTED_FOR)}
    with duckdb.connect(str((data_dir / "published" / "lifecycle.duckdb").resolve()), read_only=True) as connection:
        broken = dict(
            connection.execute(
                "select period, first_judged_at::date from marts.validation_verdicts"
                " where metric = 'payments' and grain = 'day' and not is_within"
            ).fetchall()
        )
        paid = connection.execute(
            "select period from marts.reconciliation where metric = 'payments' and grain = 'day' and theirs > 100"
        ).fetchall()
    with_payments = {period for (period,) in paid} & planted
    on_the_next_morning = {period for period in planted if broken.get(period) == period + dt.timedelta(days=1)}
    return len(on_the_next_morning), len(with_payments - set(broken)) + len(set(broken) - planted)


def parser() -> argparse.ArgumentParser:
    """How long to simulate."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    found.add_argument("--days", type=int, default=60)
    return found


if __name__ == "__main__":
    main(measure, parser())
