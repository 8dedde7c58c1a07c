"""The project's interval estimators in NumPy, for many samples at once.

Written from the definitions in macros/economics and models/intermediate/economics, step by step, so that thousands of
samples can be pushed through what the models do; tests/economics/test_intervals.py holds the two to each other on
random data. It shares no code with them, down to md5 and the rounding of halves: it is also what "the same on another
engine" is tested with.

Arrays are indexed [sample, unit], [sample, unit, month] or [replicate, unit].
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from math import exp, factorial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Cells = tuple[Floats, Floats, Floats, Floats]

SEED = 1
REPLICATES = 1000
BUCKETS = 64
PRIME = 2**31 - 1
UNIT = 10_000_000
TEN_THOUSANDTHS = 10_000
POISSON_STEPS = [
    round(PRIME * sum(exp(-1) / factorial(value) for value in range(most + 1))) for most in range(10)
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Interval:
    """Estimate, standard error and 95 % limits, one per sample; undefined ones are NaN."""

    estimate: Floats
    error: Floats
    low: Floats
    high: Floats

    def covers(self, truth: float) -> Floats:
        """Per sample, 1 where the limits hold the truth; an undefined interval covers nothing."""
        return ((self.low <= truth) & (truth <= self.high)).astype(float)


def md5_number(text: str) -> int:
    """The first eight hex digits of the md5, as a number."""
    return int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8], 16)


def bucket_of(customer_id: str, buckets: int = BUCKETS) -> int:
    """The bucket a customer is resampled in."""
    return md5_number(f"bucket:{customer_id}") % buckets


def weights(units: Iterable[str], replicates: int = REPLICATES, seed: int = SEED) -> Floats:
    """Poisson(1) weights of units (such as "bucket:7") in replicates 1, 2, ...: [replicate, unit]."""
    keys = np.array([md5_number(unit) % PRIME for unit in units], dtype=np.int64)
    numbers = range(1, replicates + 1)
    factors = np.array([md5_number(f"a:{seed}:{number}") % (PRIME - 1) + 1 for number in numbers], dtype=np.int64)
    offsets = np.array([md5_number(f"b:{seed}:{number}") % PRIME for number in numbers], dtype=np.int64)
    uniform = (factors[:, None] * keys[None, :] + offsets[:, None]) % PRIME
    return np.searchsorted(np.array(POISSON_STEPS), uniform, side="right").astype(np.float64)


def bucket_weights(buckets: int = BUCKETS, replicates: int = REPLICATES) -> Floats:
    """Weights of all buckets."""
    return weights((f"bucket:{bucket}" for bucket in range(buckets)), replicates)


def half_up(values: Floats) -> Floats:
    """Round to whole numbers as SQL does: halves away from zero."""
    return np.copysign(np.floor(np.abs(values) + 0.5), values)


def limits(t: Floats) -> tuple[Floats, Floats]:
    """The 2.5 % and 97.5 % quantile over replicates (the last axis), at position p x (R + 1)."""
    replicates = t.shape[-1]
    low = ((replicates + 1) * 0.025 - 1) / (replicates - 1)
    # an undefined replicate is left out, as an aggregate leaves out nulls
    t = np.where(np.isfinite(t), t, np.nan)
    if np.isnan(t).any():
        low_t, high_t = np.nanquantile(t, [low, 1 - low], axis=-1)
    else:
        low_t, high_t = np.quantile(t, [low, 1 - low], axis=-1)
    return low_t, high_t


def mean_interval(shares: Floats, sums: Floats, drawn: Floats) -> Interval:
    """Mean of a value per customer, from what each bucket holds: macro mean_with_interval.

    `shares` counts the customers of a bucket, `sums` adds up their values.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        total_shares = shares.sum(axis=1, keepdims=True)
        total = sums.sum(axis=1, keepdims=True)
        mean = total / total_shares
        part = half_up(UNIT * shares / total_shares)
        deviation = half_up(UNIT * (sums - mean * shares) / np.abs(total))
        weighted = drawn.T
        t = _studentised(
            part @ weighted,
            deviation @ weighted,
            (part * part) @ weighted,
            (part * deviation) @ weighted,
            (deviation * deviation) @ weighted,
        )
        low_t, high_t = limits(t)
        occupied = (shares > 0).sum(axis=1)
        error = np.sqrt((deviation * deviation).sum(axis=1)) * occupied / (occupied - 1) / UNIT
    estimate = mean[:, 0]
    scale = np.abs(estimate) * error
    return Interval(estimate, scale, estimate - scale * high_t, estimate - scale * low_t)


def _studentised(part: Floats, deviation: Floats, squares: Floats, products: Floats, squared: Floats) -> Floats:
    mean = deviation / part
    return np.asarray(deviation / np.sqrt(np.maximum(squared - 2 * mean * products + mean**2 * squares, 0)))


@dataclass(frozen=True, slots=True)
class Tenures:
    """Customers by month of tenure, [sample, customer, month]: there, at risk, lost, and margin in whole cents."""

    there: NDArray[np.bool_]
    at_risk: NDArray[np.bool_]
    lost: NDArray[np.bool_]
    margin: Floats
    bucket: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Curve:
    """What int_channel_survival__estimated holds, [sample, month]."""

    observed: NDArray[np.bool_]
    window: NDArray[np.bool_]
    hazard: Floats
    mean_margin: Floats
    survival: Floats
    value: Floats
    counts: Cells


def discounts(months: int, annual_rate: float = 0.10) -> Floats:
    """What a dollar of each month is worth today."""
    return np.asarray((1 + annual_rate) ** (-np.arange(months) / 12.0))


def curve(counts: Cells, min_at_risk: int = 3, tail_months: int = 6) -> Curve:
    """Survival and mean margin from counts there, at risk, lost, and margin, each [sample, month]."""
    there, at_risk, lost, margin = counts
    months = there.shape[1]
    number = np.arange(months)
    needed = np.where(at_risk.max(axis=1) >= min_at_risk, min_at_risk, 1)
    short = (at_risk < needed[:, None]) & (there > 0)
    last_seen = months - 1 - np.argmax((there > 0)[:, ::-1], axis=1)
    last = np.where(short.any(axis=1), short.argmax(axis=1) - 1, last_seen)[:, None]
    observed = number <= last
    window = observed & (number > last - tail_months)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail_hazard = (lost * window).sum(axis=1) / (at_risk * window).sum(axis=1)
        tail_margin = (margin * window).sum(axis=1) / (there * window).sum(axis=1)
        hazard = np.where(observed, lost / at_risk, tail_hazard[:, None])
        mean_margin = np.where(observed, margin / there, tail_margin[:, None])
    survival = _survival(hazard)
    return Curve(observed, window, hazard, mean_margin, survival, survival * mean_margin * discounts(months), counts)


def _survival(hazard: Floats) -> Floats:
    """Share that survives to the beginning of each month (the last axis)."""
    kept = np.cumprod(1 - hazard, axis=-1)
    return np.concatenate([np.ones_like(kept[..., :1]), kept[..., :-1]], axis=-1)


def influences(cells: Cells, estimated: Curve) -> Floats:
    """Influence of the customers of each bucket, added up, in ten-thousandths of the value: [sample, bucket].

    `cells` are counts there, at risk, lost, and margin, [sample, bucket, month].
    """
    there, at_risk, lost, margin = estimated.counts
    months = there.shape[1]
    discount = discounts(months)
    value = estimated.value.sum(axis=1, keepdims=True)
    customers = there[:, :1]
    later = np.cumsum(estimated.value[:, ::-1], axis=1)[:, ::-1] - estimated.value
    window = estimated.window

    def in_window(counts: Floats) -> Floats:
        return np.asarray((counts * window).sum(axis=1, keepdims=True))

    with np.errstate(divide="ignore", invalid="ignore"):
        tail_hazard = in_window(lost) / in_window(at_risk)
        tail_mean = in_window(margin) / in_window(there)
        beyond = ~estimated.observed
        margin_weight = (estimated.survival * discount * beyond).sum(axis=1, keepdims=True)
        hazard_weight = np.where(beyond, later / (1 - tail_hazard), 0.0).sum(axis=1, keepdims=True)
        own_margin = estimated.survival * discount / there
        own_loss = later / ((1 - estimated.hazard) * at_risk)
        own_loss = np.where(np.isfinite(own_loss), own_loss, 0.0)
        tail_margin = np.where(window, margin_weight / in_window(there), 0.0)
        tail_loss = np.where(window, hazard_weight / in_window(at_risk), 0.0)
    scale = 100 * TEN_THOUSANDTHS * customers / value
    per_cent = scale * (own_margin + tail_margin)
    per_there = -scale * (own_margin * estimated.mean_margin + tail_margin * tail_mean)
    per_at_risk = scale * (own_loss * estimated.hazard + tail_loss * tail_hazard)
    per_lost = -scale * (own_loss + tail_loss)
    # a month beyond those observed moves nothing
    of_there, of_risk, of_lost, of_cent = (
        np.where(estimated.observed, effect, 0.0)[:, None]
        for effect in (per_there, per_at_risk, per_lost, per_cent)
    )  # fmt: skip
    cell_there, cell_risk, cell_lost, cell_margin = cells
    terms = half_up(of_cent * cell_margin + of_there * cell_there + of_risk * cell_risk + of_lost * cell_lost)
    return half_up(terms.sum(axis=2) / 100)


def ltv_interval(tenures: Tenures, drawn: Floats, min_at_risk: int = 3, tail_months: int = 6) -> Interval:
    """Lifetime value with its limits: int_channel_survival__estimated to int_ltv_replicates__estimated."""
    samples, _, months = tenures.there.shape

    def tallied(measure: NDArray[np.bool_] | Floats) -> Floats:
        return _by_bucket(np.where(tenures.there, measure, 0.0), tenures.bucket, drawn.shape[1])

    cells = tallied(tenures.there), tallied(tenures.at_risk), tallied(tenures.lost), tallied(tenures.margin)
    there, at_risk, lost, margin = (cell.sum(axis=1) for cell in cells)
    estimated = curve((there, at_risk, lost, margin), min_at_risk, tail_months)
    value = estimated.value.sum(axis=1)
    size = cells[0][:, :, 0]
    pull = influences(cells, estimated)
    replicated = np.empty((samples, drawn.shape[0]))
    for sample in range(samples):
        there, at_risk, lost, margin = (drawn @ cell[sample] for cell in cells)
        observed, window = estimated.observed[sample], estimated.window[sample]
        with np.errstate(divide="ignore", invalid="ignore"):
            tail_hazard = _or_zero((lost * window).sum(axis=1) / (at_risk * window).sum(axis=1))
            tail_margin = _or_zero((margin * window).sum(axis=1) / (there * window).sum(axis=1))
            hazard = np.where(observed & (at_risk > 0), lost / at_risk, tail_hazard[:, None])
            mean_margin = np.where(observed & (there > 0), margin / there, tail_margin[:, None])
        replicated[sample] = (_survival(hazard) * mean_margin) @ discounts(months)
    weighted = drawn.T
    with np.errstate(divide="ignore", invalid="ignore"):
        customers, total_pull = size @ weighted, pull @ weighted
        mean_pull = total_pull / customers
        spread = (
            (pull * pull) @ weighted
            - 2 * mean_pull * ((size * pull) @ weighted)
            + mean_pull**2 * ((size * size) @ weighted)
        )
        scale = np.abs(value)[:, None] / TEN_THOUSANDTHS
        growth = np.maximum(replicated / value[:, None], 0) ** 0.25
        t = (replicated - value[:, None]) / (growth * scale / customers * np.sqrt(np.maximum(spread, 0)))
        low_t, high_t = limits(t)
        occupied = (size > 0).sum(axis=1)
        everybody, everything = size.sum(axis=1), pull.sum(axis=1)
        mean = everything / everybody
        squares = (pull * pull).sum(axis=1) - 2 * mean * (size * pull).sum(axis=1) + mean**2 * (size * size).sum(axis=1)
        error = scale[:, 0] / everybody * np.sqrt(np.maximum(squares, 0)) * occupied / (occupied - 1)
    return Interval(value, error, value - high_t * error, value - low_t * error)


def _or_zero(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, 0.0)


def _by_bucket(values: NDArray[np.float64], bucket: NDArray[np.int64], buckets: int) -> Floats:
    """Sums over the customers of a bucket: [sample, customer, month] to [sample, bucket, month]."""
    samples, _, months = values.shape
    place = (np.arange(samples)[:, None] * buckets + bucket).ravel()
    flat = values.reshape(-1, months)
    sums = np.empty((samples * buckets, months))
    for month in range(months):
        sums[:, month] = np.bincount(place, weights=flat[:, month], minlength=samples * buckets)
    return sums.reshape(samples, buckets, months)


def ratio_interval(customers: Floats, values: Floats, spend: Floats, drawn: Floats) -> Interval:
    """LTV:CAC from mature acquisition weeks, [sample, week]: int_week_replicates__estimated.

    `values` adds up what the customers of a week are worth; weeks without customers and spend are not units.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        total_customers, total_values, total_spend = (
            column.sum(axis=1, keepdims=True) for column in (customers, values, spend)
        )
        parts = [
            half_up(UNIT * (values / total_values - customers / total_customers)),
            half_up(UNIT * customers / total_customers),
            half_up(UNIT * customers / total_customers),
            half_up(UNIT * spend / total_spend),
        ]
        is_unit = ((customers > 0) | (spend > 0)).astype(float)
        everything = np.concatenate([np.ones((1, drawn.shape[1])), drawn]).T
        log_ratio, error = _log_ratio(parts, is_unit, everything)
        low_t, high_t = limits(log_ratio[:, 1:] / error[:, 1:])
    estimate = (total_values / total_spend)[:, 0]
    own = error[:, 0]
    return Interval(estimate, own, estimate * np.exp(-high_t * own), estimate * np.exp(-low_t * own))


def _log_ratio(parts: list[Floats], is_unit: Floats, weighted: Floats) -> tuple[Floats, Floats]:
    deviation, customer, cohort, cost = (part @ weighted for part in parts)
    units = is_unit @ weighted
    factors = (
        1 / (customer + deviation),
        -deviation / customer / (customer + deviation),
        1 / cohort,
        -1 / cost,
    )
    squares = np.zeros_like(units)
    for first in range(len(parts)):
        for second in range(first, len(parts)):
            products = (parts[first] * parts[second]) @ weighted
            squares += (1 if first == second else 2) * factors[first] * factors[second] * products
    error = np.sqrt(np.maximum(units / (units - 1) * squares, 0))
    ratio = (1 + deviation / customer) * cohort / cost
    return np.where(ratio > 0, np.log(np.where(ratio > 0, ratio, 1)), np.nan), error
