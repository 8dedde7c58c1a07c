"""Who is about to leave, who is ready to buy more: what the scores are worth, and what their numbers mean.

Everything is judged on months after those the points were learned on. The published marts say how well the scores tell
customers apart and how often they come true; the sandbox's truth, which the pipeline has no setting for, says how well
anything could (the true hazard), and whether the probability that a customer is given is the true one on average. The
true hazard is that of deciding to leave, on the last day of the month, for the month ahead.

The points were learned on one world. So that they are not only judged on that one, the same questions are asked of
companies that were made from other seeds, whom the points have never seen (built, not published). There the rate that
the points foretell has no bar: it is another company's. The probability that customers are given has one, because it
corrects itself as months close.

What readers were told is judged too: `customer_scores` shows past months with today's calibration, which knows how they
ended, so each month after learning is given the probability that the months before it made, and that is held against
what happened.

The intervals of cohort retention are checked apart, by simulation: the mart's formulas on 2,000 made-up cohorts of
each size.

    python -m benchmarks.scores                 # a world of its own, and two that the points were not learned on
    python -m benchmarks.scores --data-dir data --seeds
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np

from benchmarks.figures import Figure, main
from benchmarks.job import PROJECT_DIR, Job, build_models, company_after_a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIMULATIONS = 2000
# worlds that the points were not learned on
OTHER_SEEDS = (20250502, 20250503)
BANDS = PROJECT_DIR / "seeds" / "segments" / "score_bands.csv"
Z2 = 1.959964**2
SIZES = (30, 100, 1000)
FORETOLD = "bands with the prediction within"
REVENUE_COVERAGE_BARS = {30: 0.88, 100: 0.92, 1000: 0.935}
TRUE_HAZARDS = """
with

accounts as (

    select distinct
        source_record_id as account_id,
        customer_id
    from marts.customer_identities
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
from marts.customer_scores as scores
inner join truth using (customer_id, month)
inner join (
    select max(learned_through) as learned_through
    from marts.score_calibration
) as learned on scores.month > learned.learned_through
where scores.not_scored_because is null and scores.has_left is not null and not scores.was_treated
order by all
"""


# the rate that a band had in the months before, weighed as score_calibration weighs it, beside what then happened
GIVEN_AT_THE_TIME = """
with

months as (

    select
        scores.month,
        bands.score,
        bands.band,
        count(*) as customer_months,
        count(*) filter (
            where case bands.score when 'churn_risk' then scores.has_left else scores.has_upgraded end
        ) as events,
        any_value(bands.expected_rate) as expected_rate,
        any_value(bands.learned_rate) as learned_rate,
        any_value(bands.prior_months) as prior_months
    from marts.customer_scores as scores
    inner join (
        select
            *,
            sum(learned_events) over (partition by score) / sum(learned_n) over (partition by score) as learned_rate
        from read_csv($bands)
    ) as bands
        on
            bands.band = case bands.score
                when 'churn_risk' then scores.churn_risk_band else scores.upgrade_readiness_band
            end
            and scores.score_version = bands.score_version::varchar
            and scores.month > bands.learned_through
    where scores.not_scored_because is null and scores.has_left is not null and not scores.was_treated
    group by all

),

given as (

    select
        *,
        coalesce(sum(customer_months) over before, 0) as known_months,
        coalesce(sum(events) over before, 0) as known_events
    from months
    window before as (
        partition by score, band order by month rows between unbounded preceding and 1 preceding
    )

),

told as (

    select
        *,
        (known_events + prior_months * expected_rate) / (known_months + prior_months) as probability
    from given

)

select
    score,
    band,
    sum(customer_months) as customer_months,
    sum(events) as events,
    sum(customer_months * probability) as expected,
    sum(events * power(probability - 1, 2) + (customer_months - events) * power(probability, 2)) as brier,
    sum(events * power(learned_rate - 1, 2) + (customer_months - events) * power(learned_rate, 2)) as constant_brier
from told
group by score, band
order by score, band
"""


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """The scores of a data directory or a new world, of worlds of other seeds, and coverage of retention intervals."""
    figures = []
    if arguments.data_dir:
        figures += _scores(arguments.data_dir / "published" / "lifecycle.duckdb", arguments.data_dir)
    else:
        with company_after_a_run("--customers", str(arguments.customers)) as job:
            figures += _scores(job.data_dir / "published" / "lifecycle.duckdb", job.data_dir)
    for seed in arguments.seeds:
        figures += _elsewhere(seed, arguments.customers)
    return [*figures, *_retention_coverage(np.random.default_rng(11))]


def _elsewhere(seed: int, customers: int) -> list[Figure]:
    """The scores of a company that was made from another seed; only the models they need are built."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), ("--customers", str(customers), "--seed", str(seed)))
        with job.serving():
            job.ask("ingest")
        warehouse = job.data_dir / "warehouse.duckdb"
        build_models(warehouse, "+score_performance", "+score_calibration", "+customer_scores", "+customer_identities")
        return [
            replace(
                figure, name=f"seed {seed}, {figure.name}", bar=None if figure.name.endswith(FORETOLD) else figure.bar
            )
            for figure in _scores(warehouse, job.data_dir)
        ]


def _scores(built: Path, data_dir: Path) -> list[Figure]:
    with duckdb.connect(str(built), read_only=True) as connection:
        return [
            *_performance(connection),
            *_calibration(connection),
            *_given_at_the_time(connection),
            *_truth(connection, data_dir / "sandbox" / "truth" / "account_months.parquet"),
        ]


def _performance(connection: duckdb.DuckDBPyConnection) -> Iterator[Figure]:
    rows = connection.execute(
        "select score, customer_months, events, auc, auc_low, auc_high, recency_auc, auc_gain, auc_gain_low, "
        "auc_gain_high, brier_skill, recency_brier_skill, top_band_lift from marts.score_performance "
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
        "select score, count(*), count(*) filter (where is_predicted_within) from marts.score_calibration "
        "where observed_rate_n > 0 group by score order by score"
    ).fetchall()
    for score, bands, within in rows:
        name = score.replace("_", " ")
        against = f"Wilson 95 % of what happened, {bands} bands"
        yield Figure(f"{name}: {FORETOLD}", within / bands, "share", against, None, 0.7, "at least")


def _given_at_the_time(connection: duckdb.DuckDBPyConnection) -> Iterator[Figure]:
    """Each month with the probability that was given before it ended."""
    rows = connection.execute(GIVEN_AT_THE_TIME, {"bands": str(BANDS)}).fetchall()
    for score in sorted({row[0] for row in rows}):
        _, _, months, events, expected, brier, constant = np.array(
            [[0, *row[1:]] for row in rows if row[0] == score], dtype="float64"
        ).T
        low, high = wilson(events / months, months)
        name = f"{score.replace('_', ' ')}, as given at the time"
        within = float(((expected / months >= low) & (expected / months <= high)).mean())
        against = f"Wilson 95 % of what then happened, {len(months)} bands"
        yield Figure(f"{name}: bands with the probability within", within, "share", against, None, 0.7, "at least")
        yield Figure(f"{name}: expected over happened", float(expected.sum() / events.sum()), "", "1 is as many")
        skill = 1 - float(brier.sum() / constant.sum())
        yield Figure(f"{name}: Brier skill", skill, "share", "constant rate", bar=0.0, bar_is="at least")


def wilson(rate: NDArray[np.float64], number: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """95 % limits of rates."""
    centre = (rate + Z2 / (2 * number)) / (1 + Z2 / number)
    half = np.sqrt(Z2) * np.sqrt(rate * (1 - rate) / number + Z2 / (4 * number**2)) / (1 + Z2 / number)
    return centre - half, centre + half


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
        "select band, probability, probability_low, probability_high from marts.score_calibration "
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
        low, high = wilson(logos, np.full(SIMULATIONS, float(size)))
        logo_held = float(((low <= staying) & (staying <= high)).mean())
        yield Figure(
            f"coverage of revenue retention, {size} customers", held, "share", against,
            bar=REVENUE_COVERAGE_BARS[size], bar_is="at least",
        )  # fmt: skip
        yield Figure(
            f"coverage of logo retention, {size} customers", logo_held, "share", against,
            bar=0.93, bar_is="at least",
        )  # fmt: skip


def student_t(degrees: int) -> float:
    """The 97.5 % point that the macro of the same name gives."""
    series = (1.959964, 2.372270, 2.822500, 2.555850, 1.589540)
    return float(sum(term / degrees**power for power, term in enumerate(series)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="a data directory with a published file, instead of a new world")
    parser.add_argument("--customers", type=int, default=2000, help="size of each new world")
    parser.add_argument("--seeds", type=int, nargs="*", default=OTHER_SEEDS, help="more worlds, by their seeds")
    main(measure, parser)
