"""Learn the points of the scores: what the months that are over say about who leaves and who buys more.

The features, the outcomes, the bins and the words of the reasons are SQL and seeds; this module only finds the numbers.
It reads the published `customer_scores` (so that what is learned is exactly what is applied), fits one logistic
regression per score and model on the bins, and writes them back as whole points into `score_points`, with the tenths
of the learned months as `score_bands`. Nothing else in the pipeline writes seeds, and this never runs by itself: a new
version is a decision, looked at in a diff.

    python -m lifecycle.scores learn --through 2026-03 --score-version 2

Ridge regression by Newton's method: a bin that few customers were in is worth little, whatever happened to them. The
points of a feature average zero over the learned months, so that the intercept is an average customer. What is not
learned but chosen (the penalty, and how many customer-months the learned rates count for later) is written with the
version, in `score_bands`; a new version takes over what it does not state anew.
"""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Row = dict[str, str]

POINTS_PER_DOUBLING = 20
BANDS = 10
OUTCOMES = {"churn_risk": "has_left", "upgrade_readiness": "has_upgraded"}
SEEDS = Path("seeds/segments")
PUBLISHED = Path("data/published/lifecycle.duckdb")


@dataclass(frozen=True, slots=True)
class Choices:
    """What is chosen, not learned; why these, docs/DECISIONS.md (score_parameters) says."""

    ridge: float = 10.0
    prior_months: int = 20

    def __post_init__(self) -> None:
        if not (self.ridge > 0 and self.prior_months > 0):
            raise ValueError(f"The penalty and the months of the prior are above zero, not {self}.")

    @classmethod
    def of_version(cls, bands: Sequence[Row], version: str) -> Choices:
        """Those that a version in `score_bands` was made with; the usual ones if it is not there."""
        for row in bands:
            if row["score_version"] == version:
                return cls(float(row["ridge"]), int(row["prior_months"]))
        return cls()


def logistic_ridge(design: Floats, outcome: Floats, ridge: float) -> Floats:
    """The penalised maximum-likelihood coefficients of a binary outcome on centred 0/1 columns.

    Raises:
        ValueError: if every outcome is the same, from which nothing can be learned.
    """
    share = float(outcome.mean())
    if not 0 < share < 1:
        raise ValueError("Every outcome is the same; there is nothing to learn from these months.")
    means = design.mean(axis=0)
    columns = np.column_stack([np.ones(len(design)), design - means])
    penalty = np.diag([0.0, *[ridge] * design.shape[1]])
    weights = np.zeros(columns.shape[1])
    weights[0] = math.log(share / (1 - share))
    for _ in range(50):
        probability = 1 / (1 + np.exp(-columns @ weights))
        gradient = columns.T @ (outcome - probability) - penalty @ weights
        curvature = columns.T @ (columns * (probability * (1 - probability))[:, None]) + penalty
        step = np.linalg.solve(curvature, gradient)
        weights += step
        if float(np.abs(step).max()) < 1e-10:
            break
    return np.asarray(weights[1:])


def design_of(months: pd.DataFrame, bins: Sequence[Row]) -> Floats:
    """One column per bin: 1 where the month lies in it. The rule is the one of int_scores__summed."""
    columns = []
    for row in bins:
        values = months[row["feature"]]
        if row["kind"] == "text":
            inside = values == row["category"]
        elif row["kind"] == "missing":
            inside = values.isna()
        else:
            numbers = values.astype("float64")
            inside = numbers.notna()
            if row["lower_bound"]:
                inside &= numbers >= float(row["lower_bound"])
            if row["upper_bound"]:
                inside &= numbers < float(row["upper_bound"])
        columns.append(inside.to_numpy(dtype="float64"))
    return np.column_stack(columns)


def centred(coefficients: Floats, design: Floats, bins: Sequence[Row]) -> Floats:
    """The coefficients moved by a constant per feature, so that each feature averages zero over the rows."""
    moved = coefficients.copy()
    features = np.array([row["feature"] for row in bins])
    for feature in dict.fromkeys(features.tolist()):
        of_feature = features == feature
        # a category that has no bin is worth nothing and stays so; the others make up for its rows
        covered = design[:, of_feature].sum()
        if covered:
            moved[of_feature] -= (design[:, of_feature] @ coefficients[of_feature]).sum() / covered
    return moved


def as_points(log_odds: float) -> int:
    """Log-odds as whole points."""
    return round(log_odds * POINTS_PER_DOUBLING / math.log(2))


def band_edges(points: NDArray[np.int64], bands: int = BANDS) -> list[int]:
    """The points at which each band after the first begins: equal shares of the learned months, ties kept together."""
    quantiles = np.quantile(points, np.arange(1, bands) / bands, method="higher")
    return sorted({int(edge) for edge in quantiles if edge > points.min()})


def learn(
    months: pd.DataFrame, points: list[Row], through: dt.date, version: str, choices: Choices = Choices()
) -> tuple[list[Row], list[Row]]:
    """The rows of `score_points` with their points, and those of `score_bands`, for one version.

    `months` are the scorable rows of customer_scores whose outcome is known; those after the month `through` are not
    looked at.
    """
    known = months[months["month"].dt.date <= through]
    if known.empty:
        raise ValueError(f"No month up to {through:%Y-%m} has an outcome yet.")
    learned: list[Row] = []
    bands: list[Row] = []
    for score, outcome_name in OUTCOMES.items():
        outcome = known[outcome_name].to_numpy(dtype="float64")
        for model in ("points", "recency"):
            mine = [row for row in points if row["score"] == score and row["model"] == model]
            bins = [row for row in mine if row["feature"] != "intercept"]
            design = design_of(known, bins)
            coefficients = logistic_ridge(design, outcome, choices.ridge)
            worth = np.array([as_points(value) for value in centred(coefficients, design, bins)])
            # rounding must not move the average: the intercept takes up what the rounded points add
            intercept = as_points(_intercept_for(design @ worth, outcome))
            learned += [
                {**row, "score_version": version, "points": str(intercept)}
                for row in mine
                if row["feature"] == "intercept"
            ]
            learned += [
                {**row, "score_version": version, "points": str(value)} for row, value in zip(bins, worth, strict=True)
            ]
            if model == "points":
                total = (intercept + design @ worth).astype("int64")
                chosen = {"ridge": f"{choices.ridge:g}", "prior_months": str(choices.prior_months)}
                bands += [{**row, **chosen} for row in _bands(score, version, total, outcome, known)]
    return learned, bands


def _intercept_for(offset: Floats, outcome: Floats) -> float:
    """The log-odds which, added to points already given, predict as many outcomes as there were."""
    given = offset * math.log(2) / POINTS_PER_DOUBLING
    level = 0.0
    for _ in range(50):
        probability = 1 / (1 + np.exp(-(level + given)))
        level += float((outcome - probability).sum() / (probability * (1 - probability)).sum())
    return level


def _bands(score: str, version: str, total: NDArray[np.int64], outcome: Floats, known: pd.DataFrame) -> Iterable[Row]:
    edges = band_edges(total)
    band = np.searchsorted(edges, total, side="right")
    probability = 1 / (1 + np.exp(-total * math.log(2) / POINTS_PER_DOUBLING))
    for number in range(len(edges) + 1):
        inside = band == number
        yield {
            "score": score,
            "score_version": version,
            "band": str(number + 1),
            "lower_points": str(edges[number - 1]) if number else "",
            "upper_points": str(edges[number]) if number < len(edges) else "",
            "expected_rate": f"{probability[inside].mean():.6f}",
            "learned_n": str(int(inside.sum())),
            "learned_events": str(int(outcome[inside].sum())),
            "learned_from": f"{known['month'].min():%Y-%m-%d}",
            "learned_through": f"{known['month'].max():%Y-%m-%d}",
        }


def read_months(published: Path) -> pd.DataFrame:
    """The customer-months that could be scored, whose outcome is known and on which no action of ours had a hand."""
    with duckdb.connect(str(published), read_only=True) as connection:
        return connection.execute(
            "select * from marts.customer_scores "
            "where not_scored_because is null and has_left is not null and not was_treated order by customer_id, month"
        ).df()


def read_rows(path: Path) -> list[Row]:
    """The rows of a seed, as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Replace a seed with these rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """`learn`: write a version of the points and bands; other versions in the seeds stay as they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("learn", help="fit the points on the months up to and including --through")
    command.add_argument("--through", required=True, type=lambda text: dt.date.fromisoformat(f"{text}-01"))
    command.add_argument("--score-version", required=True, help="the version to write; an existing one is replaced")
    command.add_argument("--like", default="1", help="the version whose bins and reasons are taken over")
    command.add_argument("--ridge", type=float, help="penalty; the --like version's if not given")
    command.add_argument("--prior-months", type=int, help="what the learned rates count for; likewise")
    command.add_argument("--published", type=Path, default=PUBLISHED)
    command.add_argument("--seeds", type=Path, default=SEEDS)
    given = parser.parse_args(arguments)

    points_path, bands_path = given.seeds / "score_points.csv", given.seeds / "score_bands.csv"
    points = read_rows(points_path)
    bands = read_rows(bands_path) if bands_path.exists() else []
    bins = [row for row in points if row["score_version"] == given.like]
    usual = Choices.of_version(bands, given.like)
    choices = Choices(given.ridge or usual.ridge, given.prior_months or usual.prior_months)
    learned, learned_bands = learn(read_months(given.published), bins, given.through, given.score_version, choices)
    others = [row for row in points if row["score_version"] != given.score_version]
    other_bands = [row for row in bands if row["score_version"] != given.score_version]
    write_rows(points_path, [*others, *learned])
    write_rows(bands_path, [*other_bands, *learned_bands])
    sys.stdout.write(f"Version {given.score_version}: {len(learned)} points, {len(learned_bands)} bands.\n")


if __name__ == "__main__":
    main()
