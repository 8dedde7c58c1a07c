"""Whether lifetime value is estimated right: against published numbers, against lifelines, and against the truth.

The project's own macros and models, compiled by dbt and run in memory:

- the shifted beta-geometric fit and projections against Fader and Hardie (2007, 2010): the High End cohort's
  parameters, discounted expected (residual) lifetimes;
- survival curves against lifelines 0.30.3 (MIT) on eight of its data sets. lifelines needs an older pandas than this
  project, so what it says was written down once, to the last digit, in reference/kaplan_meier.csv (durations, how many
  were lost and censored at each, and its estimate); `--lifelines PYTHON` asks a Python that has it again;
- bias where customers entered over three years and most are still there: the estimate, the mean of what they have
  really brought so far, and mean margin over constant churn.

    python -m benchmarks.ltv
    python -m benchmarks.ltv --lifelines /somewhere/bin/python
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks import estimators
from benchmarks.compiled import Renderer, build, connection
from benchmarks.figures import Figure, main
from benchmarks.lifetimes import MONTHS, Company, true_value

SEED = 20261101
DATA = Path(__file__).parent / "reference" / "kaplan_meier.csv"
# Fader and Hardie 2007, table 1: per cent of 1,000 High End customers there at the beginning of years 0 to 7
HIGH_END = (1000, 869, 743, 653, 593, 551, 517, 491)
PUBLISHED_ALPHA, PUBLISHED_BETA = 0.668, 3.806
# Fader and Hardie 2010, table 3, case 1: discounted expected residual lifetime in periods 1 to 5 at 10 %
CASE_ALPHA, CASE_BETA, CASE_RATE = 3.80, 15.20, 0.10
CASE_RESIDUAL = (3.31, 3.45, 3.59, 3.72, 3.84)
HIGH_END_RESIDUAL = (5.415, 5.902, 6.294, 6.620, 6.897)
HIGH_END_LIFETIME = 5.9226
SURVIVAL_QUERY = "{{ sbg_survival('parameters', ['cohort'], 6000) }}"
ASK_LIFELINES = """
import json, sys, numpy, lifelines
out = {}
for name, rows in json.load(sys.stdin).items():
    durations = numpy.concatenate([[d] * (l + c) for d, l, c in rows])
    lost = numpy.concatenate([[1] * l + [0] * c for d, l, c in rows])
    fitted = lifelines.KaplanMeierFitter().fit(durations, lost).survival_function_.iloc[:, 0]
    out[name] = [float(fitted.loc[d]) for d, _, _ in rows]
json.dump(out, sys.stdout)
"""
Rows = dict[str, list[tuple[float, int, int]]]


def shifted_beta_geometric(renderer: Renderer) -> list[Figure]:
    """Parameters and projections against the published ones."""
    fit = renderer.query("{{ sbg_fit('counts', ['cohort']) }}")
    survival = renderer.query(SURVIVAL_QUERY)
    counts = {
        "cohort": ["high end"] * 7,
        "renewal": list(range(1, 8)),
        "at_risk": [float(there) for there in HIGH_END[:-1]],
        "lost": [float(before - after) for before, after in pairwise(HIGH_END)],
    }
    with connection() as database:
        database.register("counts", pa.table(counts))
        alpha, beta = database.execute(f"select alpha, beta from ({fit})").fetchall()[0]
        given = {"cohort": ["high end", "case 1"], "alpha": [alpha, CASE_ALPHA], "beta": [beta, CASE_BETA]}
        database.register("parameters", pa.table(given))
        curves: dict[str, list[float]] = defaultdict(list)
        for cohort, share in database.execute(
            f"select cohort, survival from ({survival}) order by cohort, renewals"
        ).fetchall():
            curves[cohort].append(share)
    high_end, case = np.array(curves["high end"]), np.array(curves["case 1"])
    return [
        Figure("sBG alpha, High End", alpha, "", "published 0.668"),
        Figure("sBG beta, High End", beta, "", "published 3.806"),
        worst("sBG parameters, largest difference", [alpha, beta], [PUBLISHED_ALPHA, PUBLISHED_BETA], 0.0005),
        worst("DEL at 10 %, High End, difference", [lifetime(high_end, 0)], [HIGH_END_LIFETIME], 0.0005),
        worst(
            "DERL at 10 %, High End, periods 1 to 5, largest difference",
            [lifetime(high_end, period) for period in range(1, 6)],
            HIGH_END_RESIDUAL,
            0.001,
        ),
        worst(
            "DERL, case 1 of 2010, periods 1 to 5, largest difference",
            [lifetime(case, period) for period in range(1, 6)],
            CASE_RESIDUAL,
            0.005,
        ),
    ]


def lifetime(survival: np.ndarray, period: int) -> float:
    """Discounted expected lifetime from the first payment (period 0), or from just before a renewal on."""
    ahead = survival[period:] / survival[max(period - 1, 0)]
    return float((ahead * (1 + CASE_RATE) ** -np.arange(len(ahead))).sum())


def worst(name: str, ours: list[float], theirs: list[float] | tuple[float, ...], bar: float) -> Figure:
    """The largest difference of two lists."""
    difference = float(np.abs(np.array(ours) - np.array(theirs)).max())
    return Figure(name, difference, "", f"{len(ours)} numbers", bar=bar)


def data_sets() -> tuple[Rows, dict[str, list[float]]]:
    """Durations with how many were lost and censored at each, and what lifelines makes of them."""
    rows: Rows = defaultdict(list)
    survival: dict[str, list[float]] = defaultdict(list)
    with DATA.open(newline="") as file:
        for row in csv.DictReader(file):
            rows[row["dataset"]].append((float(row["duration"]), int(row["lost"]), int(row["censored"])))
            survival[row["dataset"]].append(float(row["survival"]))
    return rows, survival


def kaplan_meier(renderer: Renderer, python: str | None) -> list[Figure]:
    """The survival column of int_channel_survival__estimated against lifelines."""
    rows, written = data_sets()
    told = written
    if python is not None:
        answer = subprocess.run(
            [python, "-c", ASK_LIFELINES], input=json.dumps(rows), capture_output=True, text=True, check=True
        )
        told = json.loads(answer.stdout)
    cells: dict[str, list[object]] = defaultdict(list)
    for name, found in rows.items():
        left = sum(lost + censored for _, lost, censored in found)
        # every duration is one more "month"; a month after the last holds its survival
        for number, (_, lost, censored) in enumerate([*found, (0.0, 0, 0)]):
            counted = (name, 0, number, float(left), float(left), float(lost), float(left))
            for column, value in zip(
                ("channel", "bucket", "month_of_tenure", "customers_there", "customers_at_risk", "customers_lost",
                 "margin_cents"), counted, strict=True,
            ):  # fmt: skip
                cells[column].append(value)
            left -= lost + censored
    longest = max(len(found) for found in rows.values()) + 1
    model = renderer.models(
        ("int_channel_survival__estimated",), ltv_horizon_months=longest, ltv_min_at_risk=1, ltv_pseudo_customers=0
    )
    with connection() as database:
        database.register("cells", pa.table(cells))
        database.execute(
            """
            create table intermediate.int_tenure_cells__tallied as
            select * replace (cast(month_of_tenure as integer) as month_of_tenure) from cells
            union all
            select 'all', 0, cast(month_of_tenure as integer), 1, 1, 0, 1 from cells group by month_of_tenure
            """
        )
        build(database, model)
        ours: dict[str, dict[int, float]] = defaultdict(dict)
        for name, month, share in database.execute(
            "select channel, month_of_tenure, survival from intermediate.int_channel_survival__estimated"
        ).fetchall():
            ours[name][month] = share
    source = "lifelines, asked now" if python else "lifelines 0.30.3, as written down"
    figures = []
    for name, theirs in told.items():
        difference = max(abs(ours[name][number + 1] - share) for number, share in enumerate(theirs))
        figures.append(Figure(f"Kaplan-Meier, {name}", difference, "", f"{source}, {len(theirs)} times", bar=1e-12))
    return figures


def bias(simulations: int, size: int) -> list[Figure]:
    """Mean of estimates over simulated companies against the truth."""
    truth = true_value(np.random.default_rng(SEED))
    company = Company()
    discount = estimators.discounts(MONTHS)
    sums = np.zeros(3)
    rng = np.random.default_rng([SEED, size])
    done = 0
    while done < simulations:
        samples = min(20, simulations - done)
        sample = company.customers(rng, samples, size)
        counts = tuple(
            np.where(sample.there, measure, 0.0).sum(axis=1)
            for measure in (sample.there, sample.at_risk, sample.lost, sample.margin)
        )
        there, at_risk, lost, margin = counts
        estimated = estimators.curve((there, at_risk, lost, margin))
        churn = lost.sum(axis=1) / at_risk.sum(axis=1)
        mean_margin = margin.sum(axis=1) / there.sum(axis=1)
        constant = ((1 - churn)[:, None] ** np.arange(MONTHS) * discount).sum(axis=1) * mean_margin
        sums += [
            estimated.value.sum(),
            (sample.margin * discount).sum() / size,
            constant.sum(),
        ]
        done += samples
    ours, realised, flat = 100 * (sums / simulations / truth - 1)
    against = f"{simulations:,} companies of {size:,} customers"
    return [
        Figure("bias of the estimate, absolute", abs(ours), "%", against, bar=1),
        Figure("bias of the estimate", ours, "%", against),
        Figure("bias of mean realised margin", realised, "%", against, bar=-25),
        Figure("bias of mean margin over constant churn", flat, "%", against),
    ]


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Everything."""
    renderer = Renderer()
    figures = shifted_beta_geometric(renderer) + kaplan_meier(renderer, arguments.lifelines)
    for size in (100, 1000):
        figures += bias(200_000 // size, size)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lifelines", metavar="PYTHON", help="a Python with lifelines, to ask it instead of the file")
    main(measure, parser)
