"""Simulated companies for the benchmarks of lifetime value: customers that enter over years, differ and are censored.

Every customer leaves with a monthly probability of their own (beta distributed, 4.6 % in the mean), pays a lognormal
amount (sigma 0.8) that grows by 1 % a month, and those who pay more leave less (rank correlation -0.5). The company
began `entry_months` ago and customers came evenly since.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import betaincinv, ndtr

from benchmarks.estimators import BUCKETS, Tenures, discounts

if TYPE_CHECKING:
    from numpy.random import Generator

MONTHS = 24
FIRST_CENTS = 10_000
BETA = 1.5
MEAN_HAZARD = 0.046
CORRELATION = -0.5
GROWTH = 1.01


@dataclass(frozen=True, slots=True)
class Company:
    """How long ago customers began to come, in months; None means long enough that everything has been seen."""

    entry_months: float | None = 36.0

    def customers(self, rng: Generator, samples: int, size: int) -> Tenures:
        """Samples of customers, as far as they have been seen today."""
        normal = rng.standard_normal((2, samples, size))
        first_margin = FIRST_CENTS * np.exp(0.8 * normal[0])
        rank = ndtr(CORRELATION * normal[0] + np.sqrt(1 - CORRELATION**2) * normal[1])
        hazard = betaincinv(BETA, BETA * (1 - MEAN_HAZARD) / MEAN_HAZARD, rank)
        life = np.ceil(np.log(rng.random((samples, size))) / np.log1p(-hazard))
        began = rng.uniform(0, self.entry_months or 0, (samples, size))
        seen = np.full((samples, size), np.inf) if self.entry_months is None else np.floor(self.entry_months - began)
        month = np.arange(MONTHS)
        there = (month < life[..., None]) & (month <= seen[..., None])
        at_risk = there & (month < seen[..., None])
        return Tenures(
            there,
            at_risk,
            at_risk & (month == life[..., None] - 1),
            np.where(there, np.round(first_margin[..., None] * GROWTH**month), 0.0),
            rng.integers(0, BUCKETS, (samples, size)),
        )


def true_value(rng: Generator, customers: int = 4_000_000) -> float:
    """Mean discounted margin over the horizon when nothing is censored, in cents."""
    total = 0.0
    whole = Company(entry_months=None)
    chunk = 200_000
    for _ in range(customers // chunk):
        total += float((whole.customers(rng, 1, chunk).margin @ discounts(MONTHS)).sum())
    return total / (customers // chunk * chunk)
