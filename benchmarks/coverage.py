"""How often the 95 % intervals hold the truth, in thousands of simulated companies per cell.

Three estimators, as the models have them (benchmarks/estimators.py is what is simulated;
tests/economics/test_intervals.py holds it to the SQL to 1e-9):

- the mean of a value per customer, for values that are lognormal, mostly nothing, or lifetimes times prices;
- LTV:CAC over acquisition weeks, with spend and success that vary from week to week: customers come in proportion to
  the square root of what is spent, times a gamma variable (coefficient of variation 0.5) that nobody controls;
- lifetime value by Kaplan-Meier where most customers are still there (benchmarks/lifetimes.py).

No method reaches 95 % with 30 customers of very unequal worth: what can be expected there are the bars. A plain
percentile interval from the same replicates stands beside each figure. One process, minutes of work.

    nice -n 15 python -m benchmarks.coverage
    python -m benchmarks.coverage --only mean
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import estimators
from benchmarks.estimators import BUCKETS
from benchmarks.figures import Figure, main
from benchmarks.lifetimes import Company, true_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.random import Generator

    from benchmarks.estimators import Floats, Interval

SEED = 20261101
SIZES = (30, 100, 1000)
# the best known coverage of a studentised bootstrap per customer, less 0.7 points; per resampled week, less 1 point
MEAN_BARS = {
    "lognormal, sigma 1": (92.0, 93.1, 94.0),
    "lognormal, sigma 1.5": (89.1, 91.0, 93.3),
    "40 % nothing, else lognormal, sigma 1.2": (90.8, 92.1, 93.3),
    "geometric lifetimes x lognormal prices": (93.4, 93.5, 93.7),
}
WEEK_BARS = {
    (1.0, 26): (92.5, 93.2, 93.6),
    (1.0, 104): (92.1, 93.3, 94.2),
    (1.5, 26): (89.5, 91.3, 93.1),
    (1.5, 104): (88.6, 91.4, 93.2),
}
LTV_BARS = (92.5, 93.0, 94.0)


class Tally:
    """Coverage over chunks of simulations."""

    def __init__(self) -> None:
        self.covered: list[Floats] = []
        self.widths: list[Floats] = []
        self.plain: list[Floats] = []

    def add(self, interval: Interval, truth: float, plain: tuple[Floats, Floats] | None = None) -> None:
        """Count a chunk; `plain` are the limits of a percentile interval."""
        self.covered.append(interval.covers(truth))
        self.widths.append((interval.high - interval.low) / truth)
        if plain is not None:
            self.plain.append(((plain[0] <= truth) & (truth <= plain[1])).astype(float))

    def figure(self, name: str, bar: float) -> Figure:
        """The cell as a row."""
        covered = np.concatenate(self.covered)
        against = f"{len(covered):,} simulations"
        if self.plain:
            against += f"; percentile {100 * np.concatenate(self.plain).mean():.1f} %"
        width = float(np.median(np.concatenate(self.widths)))
        value = round(100 * float(covered.mean()), 2)
        return Figure(f"coverage, {name}", value, "%", against, ratio=width, bar=bar, bar_is="at least")


def values_of(kind: str, rng: Generator, shape: tuple[int, int]) -> tuple[Floats, float]:
    """Values per customer and their true mean."""
    if kind == "lognormal, sigma 1":
        return rng.lognormal(0, 1, shape), float(np.exp(0.5))
    if kind == "lognormal, sigma 1.5":
        return rng.lognormal(0, 1.5, shape), float(np.exp(1.125))
    if kind == "40 % nothing, else lognormal, sigma 1.2":
        return rng.lognormal(0, 1.2, shape) * (rng.random(shape) < 0.6), float(0.6 * np.exp(0.72))
    return rng.geometric(0.05, shape) * rng.lognormal(0, 0.7, shape), float(20 * np.exp(0.245))


def chunks(simulations: int, size: int) -> Iterator[int]:
    """Split simulations so that a chunk has about half a million customers."""
    chunk = max(1, min(1000, 500_000 // size))
    for start in range(0, simulations, chunk):
        yield min(chunk, simulations - start)


def means(simulations: int) -> Iterator[Figure]:
    """The mean of a value per customer."""
    drawn = estimators.bucket_weights()
    for kind, bars in MEAN_BARS.items():
        for size, bar in zip(SIZES, bars, strict=True):
            rng = np.random.default_rng([SEED, size, len(kind)])
            tally = Tally()
            for samples in chunks(simulations, size):
                values, truth = values_of(kind, rng, (samples, size))
                place = (np.arange(samples)[:, None] * BUCKETS + rng.integers(0, BUCKETS, (samples, size))).ravel()
                shape = (samples, BUCKETS)
                shares = np.bincount(place, minlength=samples * BUCKETS).reshape(shape).astype(float)
                sums = np.bincount(place, values.ravel(), samples * BUCKETS).reshape(shape).astype(float)
                replicated = (sums @ drawn.T) / (shares @ drawn.T)
                low, high = np.quantile(replicated, [0.025, 0.975], axis=1)
                tally.add(estimators.mean_interval(shares, sums, drawn), truth, (low, high))
            yield tally.figure(f"mean of {size}: {kind}", bar)


def ratios(simulations: int) -> Iterator[Figure]:
    """LTV:CAC over acquisition weeks."""
    for (sigma, weeks), bars in WEEK_BARS.items():
        drawn = estimators.weights(f"week:{np.datetime64('2024-01-01') + 7 * week}" for week in range(weeks))
        for size, bar in zip(SIZES, bars, strict=True):
            rng = np.random.default_rng([SEED, weeks, size, int(10 * sigma)])
            tally = Tally()
            for samples in chunks(simulations, max(size, 4 * weeks)):
                customers, values, spend = acquisition(rng, (samples, weeks), size / weeks, sigma)
                # nobody came at all: there is no ratio to make an interval for
                came = customers.sum(axis=1) > 1
                customers, values, spend = customers[came], values[came], spend[came]
                truth = size / weeks * float(np.exp(sigma**2 / 2))
                replicated = (values @ drawn.T) / (spend @ drawn.T)
                low, high = np.quantile(replicated, [0.025, 0.975], axis=1)
                tally.add(estimators.ratio_interval(customers, values, spend, drawn), truth, (low, high))
            yield tally.figure(f"LTV:CAC of {size} over {weeks} weeks, sigma {sigma:g}", bar)


def acquisition(rng: Generator, shape: tuple[int, int], mean: float, sigma: float) -> tuple[Floats, Floats, Floats]:
    """Customers, what they are worth, and spend (in the mean 1) of weeks."""
    spread = np.sqrt(np.log1p(0.42**2))
    spend = rng.lognormal(-(spread**2) / 2, spread, shape)
    root_mean = np.exp(-(spread**2) / 8)
    success = rng.gamma(4, 0.25, shape)
    customers = rng.poisson(mean * success * np.sqrt(spend) / root_mean)
    total = int(customers.sum())
    place = np.repeat(np.arange(customers.size), customers.ravel())
    values = np.bincount(place, rng.lognormal(0, sigma, total), customers.size).reshape(shape).astype(float)
    return customers.astype(float), values, spend


def lifetime_values(simulations: int) -> Iterator[Figure]:
    """Censored lifetime value over 24 months."""
    drawn = estimators.bucket_weights()
    truth = true_value(np.random.default_rng(SEED))
    company = Company()
    for size, bar in zip(SIZES, LTV_BARS, strict=True):
        rng = np.random.default_rng([SEED, size])
        tally = Tally()
        for samples in chunks(simulations, 24 * size):
            tally.add(estimators.ltv_interval(company.customers(rng, samples, size), drawn), truth)
        yield tally.figure(f"censored lifetime value of {size}", bar)


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """All cells."""
    parts = {
        "mean": (means, arguments.simulations),
        "ratio": (ratios, arguments.simulations),
        "ltv": (lifetime_values, max(2000, arguments.simulations // 5)),
    }
    chosen = [arguments.only] if arguments.only else list(parts)
    return [figure for part in chosen for figure in parts[part][0](parts[part][1])]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=20_000, help="per cell; lifetime values a fifth of it")
    parser.add_argument("--only", choices=["mean", "ratio", "ltv"], help="one estimator only")
    main(measure, parser)
