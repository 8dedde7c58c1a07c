"""How long intervals take for a million customers in eight channels, with a thousand replicates each.

The project's own macros and models, compiled by dbt and run in memory on made-up customers:

- the mean of a value per customer, studentised, from the customers' ids to the limits, against scipy.stats.bootstrap
  (its fastest method, percentiles, which covers less) on the same values in the same run;
- the lifetime value by Kaplan-Meier of customers of whom most are still there, from their months of tenure to the
  limits: curves, influences, a thousand re-estimations, errors.

    python -m benchmarks.intervals
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.stats import bootstrap

from benchmarks.compiled import VALUE_MODELS, Renderer, build, connection
from benchmarks.figures import Figure, main
from benchmarks.lifetimes import Company

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb
    from numpy.typing import NDArray

SEED = 20261101
CHANNELS = 8
VALUES_OF_CUSTOMERS = "int_customer_values__scored"
MEAN_QUERY = """
{{ mean_with_interval(
    '(select channel, ' ~ resampling_bucket('customer_id') ~ ' as bucket, cents from customers)', ['channel'], 'cents'
) }}
"""
LTV_LIMITS = """
select
    channel,
    {{ replicate_quantile('case when replicate > 0 then ltv_t end', 0.025) }} as t_low,
    {{ replicate_quantile('case when replicate > 0 then ltv_t end', 0.975) }} as t_high
from warehouse.intermediate.int_ltv_replicates__estimated
group by channel
"""


def customer_ids(numbers: NDArray[np.int64]) -> pa.Array:
    """Ids as a vendor makes them: text."""
    return pa.array(np.char.add("cus_", np.char.zfill(numbers.astype(str), 9)))


def means(renderer: Renderer, customers: int, threads: int) -> list[Figure]:
    """Our interval of a mean against scipy's, on the same values."""
    rng = np.random.default_rng(SEED)
    channel = rng.integers(0, CHANNELS, customers)
    cents = np.round(rng.lognormal(9, 1, customers)).astype(np.int64)
    query = renderer.query(MEAN_QUERY)
    with connection(threads) as database:
        given = pa.table({"customer_id": customer_ids(np.arange(customers)), "channel": channel, "cents": cents})
        database.register("given", given)
        database.execute("create table customers as select * from given")
        ours = best(lambda: database.execute(query).fetchall())
        rows = database.execute(query).fetchall()
    started = time.perf_counter()
    errors = []
    for number in range(CHANNELS):
        values = cents[channel == number].astype(float)
        found = bootstrap(
            (values,), np.mean, n_resamples=1000, batch=20, method="percentile", rng=np.random.default_rng(number)
        )
        errors.append(float(found.standard_error))
    theirs = time.perf_counter() - started
    errors_of_ours = {row[0]: row[5] for row in rows}
    agreement = float(np.mean([errors_of_ours[number] / errors[number] for number in range(CHANNELS)]))
    return [
        Figure("studentised means", ours, "s", f"{customers:,} customers, 1,000 replicates, best of 5", bar=0.5),
        Figure(
            "times faster than scipy.stats.bootstrap",
            theirs / ours,
            "x",
            f"scipy {theirs:.2f} s",
            bar=10,
            bar_is="at least",
        ),
        Figure("standard error over scipy's, mean of channels", agreement, "", "1 is equal", bar=1.1),
    ]


def best(run: Callable[[], object], times: int = 5) -> float:
    """Seconds of the fastest of some runs: the machine is shared, the query is not."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def fill_tenures(database: duckdb.DuckDBPyConnection, customers: int) -> int:
    """int_customer_tenures__observed of simulated customers, channel by channel; how many rows."""
    rng = np.random.default_rng(SEED)
    company = Company()
    per_channel = customers // CHANNELS
    for number in range(CHANNELS):
        sample = company.customers(rng, 1, per_channel)
        customer, month = np.nonzero(sample.there[0])
        names = pa.DictionaryArray.from_arrays(
            pa.array(customer, pa.int32()), customer_ids(np.arange(per_channel) + number * per_channel)
        )
        tenures = pa.table(
            {
                "customer_id": names,
                "channel": pa.array([f"channel_{number}"] * len(customer)),
                "week": pa.array(np.full(len(customer), np.datetime64("2025-01-06"))),
                "bucket": sample.bucket[0][customer],
                "month_of_tenure": pa.array(month, pa.int32()),
                "is_at_risk": sample.at_risk[0][customer, month],
                "is_lost": sample.lost[0][customer, month],
                "margin_cents": sample.margin[0][customer, month].astype(np.int64),
            }
        )
        database.register("given", tenures)
        selected = "select * replace (cast(customer_id as varchar) as customer_id) from given"
        verb = "create table" if number == 0 else "insert into"
        tail = "as " if number == 0 else ""
        database.execute(f"{verb} intermediate.int_customer_tenures__observed {tail}{selected}")
    return int(database.execute("select count(*) from intermediate.int_customer_tenures__observed").fetchall()[0][0])


def lifetime_values(renderer: Renderer, customers: int, threads: int) -> list[Figure]:
    """The chain from months of tenure to the limits of the lifetime value."""
    models = renderer.models(VALUE_MODELS)
    beside = renderer.models([VALUES_OF_CUSTOMERS])
    query = renderer.query(LTV_LIMITS)
    with connection(threads) as database:
        rows = fill_tenures(database, customers)

        def run() -> None:
            build(database, models)
            database.execute(query).fetchall()

        seconds = best(run)
        started = time.process_time()
        run()
        processor = time.process_time() - started
        steps = []
        for name, statement in [*models.items(), *beside.items()]:
            started = time.perf_counter()
            build(database, {name: statement})
            steps.append((name, time.perf_counter() - started))
    against = f"{customers:,} customers, {rows:,} months of tenure, best of 5"
    figures = [
        Figure("censored lifetime values", seconds, "s", against, bar=2),
        Figure("  processor time, all threads", processor, "s", "what it takes however busy the machine is"),
    ]
    figures += [Figure(f"  of which {name}", spent, "s") for name, spent in steps[: len(models)]]
    # what every single customer counts for is needed for attribution and weeks, not for these limits
    figures += [Figure(f"beside it, {name}", spent, "s") for name, spent in steps[len(models) :]]
    return figures


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Both."""
    renderer = Renderer()
    figures = means(renderer, arguments.customers, arguments.threads)
    figures += lifetime_values(renderer, arguments.customers, arguments.threads)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return [*figures, Figure("peak memory of the whole benchmark, inputs included", peak, "MB")]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000, help="customers in all channels together")
    parser.add_argument("--threads", type=int, default=2, help="threads of the engine")
    main(measure, parser)
