"""Who is about to leave, who is ready to buy more: what the scores are worth, and what their numbers mean.

Everything is judged on months after those the points were learned on. The published marts say how well the scores tell
customers apart and how often they come true; the sandbox's truth, which the pipeline has no setting for, says how well
anything could (the true hazard), and whether the probability that a customer is given is the true one on average. The
true hazard is that of deciding to leave, on the last day of the month, for the month ahead.

The intervals of cohort retention are checked apart, by simulation: the mart's formulas on 2,000 made-up cohorts of
each size.

    python -m benchmarks.scores                 # a world of its own
    python -m benchmarks.scores --data-dir data
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from benchmarks.figures import Figure, main
from benchmarks.job import Job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIMULATIONS = 2000
SIZES = (30, 100, 1000)
REVENUE_COVERAGE_BARS = {30: 0.88, 100: 0.92, 1000: 0.935}
TRUE_HAZARDS = """
with

accounts as (

    select distinct
        source_record_id as account_id,
        customer_id
    from published.marts.customer_identities
    where source_system = 'product' and source_record_type = 'account'

),

-- a customer of several accounts stays while one of them does
truth as (

    select
        accounts.customer_id,
        cast(months.month as date) as month,
        exp(sum(ln(greatest(1 - months.churn_hazard, 1e-12)))) as staying
    from read_parquet($truth) as months
    inner join accounts using (account_id)
    where months.churn_hazard > 0
    group by all

)

select
    scores.churn_risk_band as band,
    scores.has_left,
    1 - truth.staying as hazard,
    scores.churn_risk_points as points
from published.marts.customer_scores as scores
inner join truth using (customer_id, month)
inner join (
    select max(learned_through) as learned_through
    from published.marts.score_calibration
) as learned on scores.month > learned.learned_through
where scores.not_scored_because is null and scores.has_left is not null and not scores.was_treated
order by all
"""


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """The scores of a data directory, or of a new world, and the coverage of the retention intervals."""
    figures = list(_retention_coverage(np.random.default_rng(11)))
    if arguments.data_dir:
        return [*_scores(arguments.data_dir), *figures]
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), ("--customers", str(arguments.customers)))
        try:
            job.up()
            job.ask("run")
            return [*_scores(job.data_dir), *figures]
        finally:
            job.down()


def _scores(data_dir: Path) -> Iterator[Figure]:
    with duckdb.connect() as connection:
        connection.execute(f"attach '{data_dir / 'published' / 'lifecycle.duckdb'}' as published (read_only)")
        yield from _performance(connection)
        yield from _calibration(connection)
        yield from _truth(connection, data_dir / "sandbox" / "truth" / "account_months.parquet")


def _performance(connection: duckdb.DuckDBPyConnection) -> Iterator[Figure]:
    rows = connection.execute(
        "select score, customer_months, events, auc, auc_low, auc_high, recency_auc, auc_gain, auc_gain_low, "
        "auc_gain_high, brier_skill, recency_brier_skill, top_band_lift from published.marts.score_performance "
        "where span = 'after' order by score"
    ).fetchall()
    for score, months, events, *numbers in rows:
        auc, low, high, recency, gain, gain_low, gain_high, skill, recency_skill, lift = map(float, numbers)
        name = score.replace("_", " ")
        of = f"{months} customer-months after learning, {events} events"
        yield Figure(f"{name}: AUC", auc, "share", f"{of}; 95 % {low:.3f} to {high:.3f}", bar=0.6, bar_is="at least")
        yield Figure(
            f"{name}: AUC gained on days since last use", gain, "share",
            f"{recency:.3f}; 95 % {gain_low:.3f} to {gain_high:.3f}", auc / recency, 0.0, "at least",
        )  # fmt: skip
        yield Figure(
            f"{name}: Brier skill", skill, "share", f"constant rate; last use alone {recency_skill:.3f}",
            bar=0.0, bar_is="at least",
        )  # fmt: skip
        yield Figure(f"{name}: lift of the highest band", lift, "times", "base rate")


def _calibration(connection: duckdb.DuckDBPyConnection) -> Iterator[Figure]:
    rows = connection.execute(
        "select score, count(*), count(*) filter (where is_predicted_within) from published.marts.score_calibration "
        "where observed_rate_n > 0 group by score order by score"
    ).fetchall()
    for score, bands, within in rows:
        name = score.replace("_", " ")
        against = f"Wilson 95 % of what happened, {bands} bands"
        yield Figure(
            f"{name}: bands with the prediction within", within / bands, "share", against, None, 0.7, "at least"
        )


def _truth(connection: duckdb.DuckDBPyConnection, truth: Path) -> Iterator[Figure]:
    rows = connection.execute(TRUE_HAZARDS, {"truth": str(truth)}).fetchnumpy()
    left = np.asarray(rows["has_left"], dtype=bool)
    points, hazard = (np.asarray(rows[name], dtype="float64") for name in ("points", "hazard"))
    ours, ceiling = area_under_curve(points, left), area_under_curve(hazard, left)
    yield Figure(
        "churn risk: AUC, share of what the true hazard reaches", (ours - 0.5) / (ceiling - 0.5), "share",
        f"true hazard {ceiling:.3f}, ours {ours:.3f}, both less one half",
    )  # fmt: skip
    bands = connection.execute(
        "select band, probability, probability_low, probability_high from published.marts.score_calibration "
        "where score = 'churn_risk' order by band"
    ).fetchall()
    inside, distance = [], []
    for band, probability, low, high in bands:
        of_band = hazard[np.asarray(rows["band"]) == band]
        if not of_band.size:
            continue
        mean = float(of_band.mean())
        inside.append(float(low) <= mean <= float(high))
        distance.append(abs(float(probability) - mean))
    yield Figure(
        "churn risk: bands whose interval holds the mean true hazard", sum(inside) / len(inside), "share",
        f"{len(inside)} bands", None, 0.7, "at least",
    )  # fmt: skip
    yield Figure("churn risk: mean distance from the true hazard", float(np.mean(distance)), "share", "over the bands")


def area_under_curve(score: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """The chance that one it happened to has the higher score, ties half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    events = int(happened.sum())
    return float((ranks[happened].sum() - events * (events + 1) / 2) / (events * (len(score) - events)))


def _retention_coverage(rng: np.random.Generator) -> Iterator[Figure]:
    """How often the interval of revenue retention holds the true ratio: skewed revenue, leavers, growth, shrinkage."""
    staying, growth, spread = 0.8, 0.05, 0.3
    against = f"{SIMULATIONS} simulations, nominal 0.95"
    truth = staying * float(np.exp(growth + spread**2 / 2))
    for size in SIZES:
        opening = rng.lognormal(4.5, 0.9, (SIMULATIONS, size))
        stays = rng.random((SIMULATIONS, size)) < staying
        closing = opening * stays * rng.lognormal(growth, spread, (SIMULATIONS, size))
        ratio = closing.sum(axis=1) / opening.sum(axis=1)
        residual = closing - ratio[:, None] * opening
        error = np.sqrt((residual**2).sum(axis=1) * size / (size - 1)) / opening.sum(axis=1)
        reach = np.exp(student_t(size - 1) * error / ratio)
        held = float(((ratio / reach <= truth) & (truth <= ratio * reach)).mean())
        logos = stays.mean(axis=1)
        z2 = 3.841459
        centre = (logos + z2 / (2 * size)) / (1 + z2 / size)
        half = np.sqrt(z2) * np.sqrt(logos * (1 - logos) / size + z2 / (4 * size**2)) / (1 + z2 / size)
        wilson = float((np.abs(centre - staying) <= half).mean())
        yield Figure(
            f"coverage of revenue retention, {size} customers", held, "share", against,
            bar=REVENUE_COVERAGE_BARS[size], bar_is="at least",
        )  # fmt: skip
        yield Figure(
            f"coverage of logo retention, {size} customers", wilson, "share", against,
            bar=0.93, bar_is="at least",
        )  # fmt: skip


def student_t(degrees: int) -> float:
    """The 97.5 % point that the macro of the same name gives."""
    series = (1.959964, 2.372270, 2.822500, 2.555850, 1.589540)
    return float(sum(term / degrees**power for power, term in enumerate(series)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="a data directory with a published file, instead of a new world")
    parser.add_argument("--customers", type=int, default=2000, help="size of the new world")
    main(measure, parser)
