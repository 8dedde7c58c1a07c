"""The intervals: the SQL and an independent NumPy computation say the same, with one thread and with two."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from benchmarks import estimators
from benchmarks.compiled import VALUE_MODELS, Renderer, build, connection
from benchmarks.estimators import BUCKETS, Tenures
from tests.warehouse import manifest

MONTHS = 24
MONDAY = dt.date(2025, 1, 6)
AS_OF = "2026-12-01 00:00:00"


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(manifest())


def random_tenures(seed: int, customers: int) -> Tenures:
    """Customers who leave, are censored, pay more or less each month, and sometimes get money back."""
    rng = np.random.default_rng(seed)
    life = rng.geometric(0.08, customers)
    seen = rng.integers(0, 20, customers)
    month = np.arange(MONTHS)
    there = (month < life[:, None]) & (month <= seen[:, None])
    at_risk = there & (month < seen[:, None])
    lost = at_risk & (month == life[:, None] - 1)
    margin = np.round(rng.lognormal(9, 1, (customers, 1)) * rng.uniform(0.8, 1.3, (customers, MONTHS)))
    margin = np.where(rng.random((customers, MONTHS)) < 0.03, -margin, margin)
    bucket = np.array([estimators.bucket_of(f"c{number}") for number in range(customers)])
    return Tenures(there[None], at_risk[None], lost[None], np.where(there, margin, 0.0)[None], bucket[None])


def tenure_table(samples: dict[str, Tenures]) -> pa.Table:
    """int_customer_tenures__observed, one channel per sample."""
    tables = []
    for channel, sample in samples.items():
        customer, month = np.nonzero(sample.there[0])
        tables.append(
            pa.table(
                {
                    "customer_id": [f"{channel}-{number}" for number in customer],
                    "channel": [channel] * len(customer),
                    "week": pa.array([MONDAY] * len(customer)),
                    "bucket": sample.bucket[0][customer],
                    "month_of_tenure": pa.array(month, pa.int32()),
                    "is_at_risk": sample.at_risk[0][customer, month],
                    "is_lost": sample.lost[0][customer, month],
                    "margin_cents": sample.margin[0][customer, month].astype(np.int64),
                }
            )
        )
    return pa.concat_tables(tables)


def limits_of_ltv(renderer: Renderer) -> str:
    """The last step of int_channel_intervals__studentised for values, with the project's quantile."""
    low = renderer.query("select {{ replicate_quantile('case when replicate > 0 then ltv_t end', 0.025) }}")
    high = renderer.query("select {{ replicate_quantile('case when replicate > 0 then ltv_t end', 0.975) }}")
    return f"""
        select
            channel,
            max(case when replicate = 0 then ltv_cents end),
            max(case when replicate = 0 then ltv_error end),
            {low.removeprefix("select")},
            {high.removeprefix("select")}
        from intermediate.int_ltv_replicates__estimated group by channel order by channel
    """


def test_lifetime_value_equals_numpy_and_is_the_same_with_one_thread_and_two(renderer: Renderer) -> None:
    samples = {f"c{seed}": random_tenures(seed, size) for seed, size in enumerate((30, 400))}
    models = renderer.models(VALUE_MODELS)
    rows: dict[int, list[Any]] = {}
    for threads in (1, 2):
        with connection(threads) as database:
            tenures = tenure_table(samples)
            database.register("tenures", tenures)
            database.execute("create table intermediate.int_customer_tenures__observed as select * from tenures")
            build(database, models)
            rows[threads] = database.execute(limits_of_ltv(renderer)).fetchall()
            rows[threads] += database.execute(
                "select * from intermediate.int_ltv_replicates__estimated order by all"
            ).fetchall()
    assert rows[1] == rows[2]
    found = {row[0]: row[1:] for row in rows[1][: len(samples) + 1]}
    drawn = estimators.bucket_weights()
    for channel, sample in samples.items():
        expected = estimators.ltv_interval(sample, drawn)
        estimate, error, low_t, high_t = found[channel]
        assert estimate == pytest.approx(expected.estimate[0], rel=1e-9)
        assert error == pytest.approx(expected.error[0], rel=1e-9)
        assert estimate - high_t * error == pytest.approx(expected.low[0], rel=1e-9)
        assert estimate - low_t * error == pytest.approx(expected.high[0], rel=1e-9)


def test_influences_are_the_derivative_of_the_estimate(renderer: Renderer) -> None:
    """What a customer pulls is what the estimate moves by when the customer counts a millionth more, by difference."""
    size, more = 60, 1e-6
    sample = random_tenures(5, size)
    models = renderer.models((*VALUE_MODELS[:3], "int_customer_values__scored"))
    with connection() as database:
        tenures = tenure_table({"one": sample})
        database.register("tenures", tenures)
        database.execute("create table intermediate.int_customer_tenures__observed as select * from tenures")
        build(database, models)
        ours = dict(
            database.execute("select customer_id, influence from intermediate.int_customer_values__scored").fetchall()
        )
    measures = (sample.there, sample.at_risk, sample.lost, sample.margin)
    value = estimators.curve(counted(measures, np.ones(size))).value.sum()
    pulls = np.empty(size)
    for customer in range(size):
        weight = np.ones(size)
        weight[customer] += more
        pulls[customer] = (estimators.curve(counted(measures, weight)).value.sum() - value) / more
    expected = 10_000 * size * pulls / value
    np.testing.assert_allclose([ours[f"one-{customer}"] for customer in range(size)], expected, atol=1.0)
    assert np.ptp(expected) > 10_000


def counted(measures: tuple[Any, ...], weight: Any) -> tuple[Any, Any, Any, Any]:
    """There, at risk, lost and margin by month, with weighted customers: [1, month]."""
    there, *others = measures
    of_there, at_risk, lost, margin = (
        np.where(there, measure, 0.0).swapaxes(1, 2) @ weight for measure in (there, *others)
    )
    return of_there, at_risk, lost, margin


def test_means_equal_numpy_and_are_the_same_with_one_thread_and_two(renderer: Renderer) -> None:
    rng = np.random.default_rng(7)
    size = 3000
    bucket = rng.integers(0, BUCKETS, size)
    channel = rng.integers(0, 4, size)
    cents = np.round(rng.lognormal(9, 1.2, size) - 3000).astype(np.int64)
    share = rng.integers(1, 1_000_001, size)
    customers = pa.table({"channel": channel, "bucket": bucket, "cents": cents, "share": share})
    for shared, weight in (("share='share'", share.astype(float)), ("share=none", np.ones(size))):
        query = renderer.query("{{ mean_with_interval('customers', ['channel'], 'cents', " + shared + ") }}")
        found: dict[int, list[Any]] = {}
        for threads in (1, 2):
            with connection(threads) as database:
                database.register("customers", customers)
                found[threads] = database.execute(
                    f"select channel, mean_value, mean_error, mean_low, mean_high from ({query}) order by channel"
                ).fetchall()
        assert found[1] == found[2]
        shares = np.zeros((4, BUCKETS))
        sums = np.zeros((4, BUCKETS))
        np.add.at(shares, (channel, bucket), weight)
        np.add.at(sums, (channel, bucket), weight * cents)
        expected = estimators.mean_interval(shares, sums, estimators.bucket_weights())
        ours = np.array([row[1:] for row in found[1]])
        theirs = np.stack([expected.estimate, expected.error, expected.low, expected.high], axis=1)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_ratios_over_weeks_equal_numpy_and_are_the_same_with_one_thread_and_two(renderer: Renderer) -> None:
    rng = np.random.default_rng(11)
    weeks = [MONDAY + dt.timedelta(weeks=number) for number in range(40)]
    size = 400
    week = rng.integers(0, len(weeks), size)
    cents = np.round(rng.lognormal(11, 1, size)).astype(np.int64)
    ltv = cents.mean()
    influence = np.round(10_000 * (cents / ltv - 1)).astype(np.int64)
    spend = np.round(rng.lognormal(11, 0.4, len(weeks))).astype(np.int64)
    ids = [f"c{number}" for number in range(size)]
    inputs = {
        "int_acquisition_credits__split": pa.table(
            {
                "attribution": ["first"] * size, "customer_id": ids, "channel": ["one"] * size,
                "week": pa.array([weeks[number] for number in week]), "bucket": [0] * size,
                "is_mature": [True] * size, "share_millionths": pa.array([1_000_000] * size, pa.int64()),
            }
        ),
        "int_customer_values__scored": pa.table(
            {"customer_id": ids, "influence_on_all": influence, "value_cents": cents}
        ),
        "int_channel_ltv__valued": pa.table({"channel": ["one", "all"], "ltv_cents": [ltv, ltv]}),
        "int_spend__weekly": pa.table(
            {"channel": ["one"] * len(weeks), "week": pa.array(weeks), "spend_cents": spend, "paid_spend_cents": spend}
        ),
        "int_acquisition_lags__completed": pa.table(
            {"weeks_since_touch": pa.array([0], pa.int32()), "share_bought": [1.0]}
        ),
    }  # fmt: skip
    models = renderer.models(("int_acquisition_weeks__tallied", "int_week_replicates__estimated"), as_of=AS_OF)
    rows: dict[int, list[Any]] = {}
    for threads in (1, 2):
        with connection(threads) as database:
            for name, table in inputs.items():
                database.register("given", table)
                database.execute(f"create table intermediate.{name} as select * from given")
            build(database, models)
            rows[threads] = database.execute(
                "select replicate, ltv_cac_error, ltv_cac_t from intermediate.int_week_replicates__estimated"
                " where channel = 'one' and attribution = 'first' order by replicate"
            ).fetchall()
    assert rows[1] == rows[2]
    count = np.bincount(week, minlength=len(weeks)).astype(float)[None]
    worth = np.bincount(week, cents, len(weeks)).astype(float)[None]
    drawn = estimators.weights(f"week:{monday}" for monday in weeks)
    expected = estimators.ratio_interval(count, worth, spend.astype(float)[None], drawn)
    error = rows[1][0][1]
    low_t, high_t = estimators.limits(np.array([row[2] for row in rows[1][1:]])[None])
    estimate = worth.sum() / spend.sum()
    assert error == pytest.approx(expected.error[0], rel=1e-9)
    assert estimate * np.exp(-high_t[0] * error) == pytest.approx(expected.low[0], rel=1e-9)
    assert estimate * np.exp(-low_t[0] * error) == pytest.approx(expected.high[0], rel=1e-9)


def test_weights_are_bit_for_bit_those_of_another_engine(renderer: Renderer) -> None:
    units = [*(f"bucket:{number}" for number in range(BUCKETS)), *(f"week:{MONDAY}", "ünïcode", "")]
    keys = renderer.query("select text, {{ unit_key('text') }} as unit_key from units")
    query = renderer.query("{{ replicate_weights('keyed') }}")
    with connection() as database:
        database.register("units", pa.table({"text": units}))
        database.execute(f"create table keyed as {keys}")
        ours = database.execute(
            f"select weight from ({query}) join keyed using (unit_key) order by replicate, text"
        ).fetchnumpy()["weight"]
    theirs = estimators.weights(sorted(units, key=str.encode))
    np.testing.assert_array_equal(np.asarray(ours).reshape(theirs.shape), theirs)
