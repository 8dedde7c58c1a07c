"""Points are learned as they are said to be, and `learn` touches no version but its own."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.scores import area_under_curve
from lifecycle import scores
from tests.warehouse import PROJECT_DIR

if TYPE_CHECKING:
    from pathlib import Path

BINS = [
    {"score": score, "score_version": "1", "model": model, "feature": feature, "bin": str(number), "kind": kind,
     "lower_bound": lower, "upper_bound": upper, "category": category, "points": "0", "reason": "because"}
    for score in scores.OUTCOMES
    for model in ("points", "recency")
    for feature, number, kind, lower, upper, category in (
        ("intercept", 1, "missing", "", "", ""),
        ("days_since_use", 1, "number", "", "7", ""),
        ("days_since_use", 2, "number", "7", "", ""),
        ("days_since_use", 3, "missing", "", "", ""),
        ("channel", 1, "text", "", "", "content"),
        ("channel", 2, "text", "", "", "events"),
    )
    if model == "points" or feature != "channel"
]  # fmt: skip


def made_up_months(number: int = 6000) -> pd.DataFrame:
    """Customer-months in which silence doubles the odds of leaving twice over, and nothing else matters."""
    rng = np.random.default_rng(4)
    days = rng.choice([1.0, 10.0, np.nan], number, p=[0.6, 0.3, 0.1])
    odds = 0.1 * np.where(days == 10, 4.0, 1.0)
    return pd.DataFrame(
        {
            "customer_id": [f"c_{row // 6}" for row in range(number)],
            "month": pd.to_datetime([f"2026-0{row % 6 + 1}-01" for row in range(number)]),
            "days_since_use": days,
            "channel": rng.choice(["content", "events", "a new one"], number),
            "has_left": rng.random(number) < odds / (1 + odds),
            "has_upgraded": rng.random(number) < 0.2,
        }
    )


def test_points_are_the_logarithm_of_the_odds() -> None:
    """Odds that are four times as high are two doublings, 40 points; what does not matter is worth next to nothing."""
    learned, bands = scores.learn(made_up_months(), BINS, dt.date(2026, 5, 1), "9")
    worth = {
        (row["score"], row["model"], row["feature"], row["bin"]): int(row["points"]) for row in learned
    }  # fmt: skip
    silence = (
        worth["churn_risk", "points", "days_since_use", "2"] - worth["churn_risk", "points", "days_since_use", "1"]
    )
    assert silence == pytest.approx(40, abs=6)
    assert abs(worth["churn_risk", "points", "channel", "1"]) <= 4
    assert {row["learned_through"] for row in bands} == {"2026-05-01"}
    assert sum(int(row["learned_n"]) for row in bands if row["score"] == "churn_risk") == 5000


def test_predictions_add_up_and_features_average_zero() -> None:
    """As many are expected as happened, and an average customer gets no points from any feature."""
    months = made_up_months()
    learned, _ = scores.learn(months, BINS, dt.date(2026, 6, 1), "9")
    mine = [row for row in learned if row["score"] == "churn_risk" and row["model"] == "points"]
    bins = [row for row in mine if row["feature"] != "intercept"]
    intercept = next(int(row["points"]) for row in mine if row["feature"] == "intercept")
    design = scores.design_of(months, bins)
    worth = np.array([int(row["points"]) for row in bins])
    total = (intercept + design @ worth) * math.log(2) / scores.POINTS_PER_DOUBLING
    # whole points are off by up to half a point, 1.7 % of the odds
    assert float((1 / (1 + np.exp(-total))).mean()) == pytest.approx(months["has_left"].mean(), rel=0.02)
    for feature in ("days_since_use", "channel"):
        of_feature = np.array([row["feature"] == feature for row in bins])
        assert abs(float((design[:, of_feature] @ worth[of_feature]).mean())) < 0.6


def test_nothing_after_the_learned_months_is_looked_at() -> None:
    """Whatever happens later, the points stay as they are."""
    months = made_up_months()
    turned = months.copy()
    later = turned["month"] > pd.Timestamp("2026-04-01")
    turned.loc[later, "has_left"] = ~turned.loc[later, "has_left"]
    turned.loc[later, "days_since_use"] = 1.0
    through = dt.date(2026, 4, 1)
    assert scores.learn(months, BINS, through, "9") == scores.learn(turned, BINS, through, "9")


def test_months_in_which_everybody_stayed_teach_nothing() -> None:
    """And say so, instead of giving points to noise."""
    months = made_up_months()
    months["has_left"] = False
    with pytest.raises(ValueError, match="nothing to learn"):
        scores.learn(months, BINS, dt.date(2026, 6, 1), "9")
    with pytest.raises(ValueError, match="No month up to 2025-01"):
        scores.learn(months, BINS, dt.date(2025, 1, 1), "9")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-200, 50), min_size=2, max_size=300))
def test_bands_take_everybody_once(points: list[int]) -> None:
    """Every band has somebody in it, and equal points are in one band."""
    array = np.array(points)
    band = np.searchsorted(scores.band_edges(array), array, side="right")
    assert set(band.tolist()) == set(range(len(scores.band_edges(array)) + 1))
    assert len({(point, int(place)) for point, place in zip(points, band, strict=True)}) == len(set(points))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_the_area_under_the_curve_counts_pairs(rows: list[tuple[int, bool]]) -> None:
    """Against counting every pair, ties half."""
    left = [score for score, happened in rows if happened]
    stayed = [score for score, happened in rows if not happened]
    if not left or not stayed:
        return
    pairs = [(a > b) + (a == b) / 2 for a in left for b in stayed]
    score, happened = (np.array(column) for column in zip(*rows, strict=True))
    assert area_under_curve(score, happened) == pytest.approx(sum(pairs) / len(pairs))


def test_learn_writes_its_version_and_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command, on a published file: version 2 comes, version 1 stays to the letter; again gives the same bytes."""
    published = tmp_path / "lifecycle.duckdb"
    months = made_up_months()
    with duckdb.connect(str(published)) as connection:
        connection.register("months", months)
        connection.execute(
            "create schema marts; create table marts.customer_scores as "
            "select *, cast(null as varchar) as not_scored_because, false as was_treated from months"
        )
    scores.write_rows(tmp_path / "score_points.csv", BINS)
    command = ["learn", "--through", "2026-05", "--score-version", "2", "--published", str(published)]
    scores.main([*command, "--seeds", str(tmp_path)])
    assert "Version 2" in capsys.readouterr().out
    points = scores.read_rows(tmp_path / "score_points.csv")
    assert [row for row in points if row["score_version"] == "1"] == BINS
    assert len(points) == 2 * len(BINS)
    written = [(tmp_path / name).read_bytes() for name in ("score_points.csv", "score_bands.csv")]
    scores.main([*command, "--seeds", str(tmp_path)])
    assert [(tmp_path / name).read_bytes() for name in ("score_points.csv", "score_bands.csv")] == written
    # what is chosen stays with the version, and the next one takes over what it does not state
    scores.main([*command, "--seeds", str(tmp_path), "--ridge", "40"])
    later = ["learn", "--through", "2026-05", "--score-version", "3", "--like", "2", "--published", str(published)]
    scores.main([*later, "--seeds", str(tmp_path), "--prior-months", "50"])
    bands = scores.read_rows(tmp_path / "score_bands.csv")
    assert {(row["score_version"], row["ridge"], row["prior_months"]) for row in bands} == {
        ("2", "40", "20"),
        ("3", "40", "50"),
    }
    with pytest.raises(ValueError, match="above zero"):
        scores.main([*later, "--seeds", str(tmp_path), "--ridge", "-1"])


def test_the_seeds_of_the_repository_belong_together() -> None:
    """Every version of the points has bands, and bins of a number leave no gap and do not overlap."""
    points = scores.read_rows(PROJECT_DIR / scores.SEEDS / "score_points.csv")
    bands = scores.read_rows(PROJECT_DIR / scores.SEEDS / "score_bands.csv")
    assert {(row["score"], row["score_version"]) for row in points} == {
        (row["score"], row["score_version"]) for row in bands
    }
    chosen = {(row["score_version"], row["ridge"], row["prior_months"]) for row in bands}
    assert len(chosen) == len({row["score_version"] for row in bands}), "one version was learned in one way"
    numbers: dict[tuple[str, str, str, str], list[tuple[str, str]]] = {}
    for row in points:
        if row["kind"] == "number":
            key = (row["score"], row["score_version"], row["model"], row["feature"])
            numbers.setdefault(key, []).append((row["lower_bound"], row["upper_bound"]))
    for key, bounds in numbers.items():
        assert bounds[0][0] == "", key
        assert bounds[-1][1] == "", key
        assert [upper for _, upper in bounds[:-1]] == [lower for lower, _ in bounds[1:]], key
