"""The intervals on another engine: the same models and macros, rendered for Apache Spark, give the same numbers.

Random weights are a function of replicate and unit, and what is added up are whole numbers, so that nothing may depend
on the engine but the last digits of logarithms and roots. The project's own SQL is rendered by the macros' own dispatch
and run by both engines on the same made-up customers: the weights, the interval of a mean, the censored lifetime value
by Kaplan-Meier with its limits, and LTV:CAC over acquisition weeks.

Spark needs Java and more disk than everything else together, so it is no dependency. What it answered was written down
once, to the last digit, in reference/spark.csv; `--spark PYTHON` asks a Python that has pyspark again, and `--write`
keeps its answer.

    python -m benchmarks.engines
    python -m benchmarks.engines --spark /somewhere/bin/python
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.compiled import VALUE_MODELS, Renderer, build, connection
from benchmarks.figures import Figure, main
from benchmarks.lifetimes import Company

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WRITTEN = Path(__file__).parent / "reference" / "spark.csv"
SEED = 20261101
SIZES = {"small": 30, "middle": 100, "large": 700}
MONDAY = date(2025, 1, 6)
WEEKS = 40
# influences are rounded to whole numbers; a last digit that differs can send a half the other way, which moves 1e-9
BAR = 1e-8
QUANTILES = (
    "{{ replicate_quantile('case when replicate > 0 then %s end', 0.025) }}",
    "{{ replicate_quantile('case when replicate > 0 then %s end', 0.975) }}",
)
# every question gives rows of a name and numbers
QUESTIONS = {
    "weights": """
        select concat(unit, ':', cast(replicate as varchar)) as name, weight
        from ({{ replicate_weights('units') }}) as drawn
        inner join units on drawn.unit_key = units.unit_key
        where replicate <= 50
    """,
    "mean": """
        select channel as name, mean_value, mean_error, mean_low, mean_high, skew_of_mean
        from ({{ mean_with_interval('customers', ['channel'], 'cents', share='share') }}) as means
    """,
    "ltv": f"""
        select
            channel as name,
            max(case when replicate = 0 then ltv_cents end) as ltv_cents,
            max(case when replicate = 0 then ltv_error end) as ltv_error,
            {QUANTILES[0] % "ltv_t"} as t_low,
            {QUANTILES[1] % "ltv_t"} as t_high
        from int_ltv_replicates__estimated
        group by channel
    """,
    "ltv_cac": f"""
        select
            channel as name,
            max(case when replicate = 0 then ltv_cac_error end) as ltv_cac_error,
            {QUANTILES[0] % "ltv_cac_t"} as t_low,
            {QUANTILES[1] % "ltv_cac_t"} as t_high
        from int_week_replicates__estimated
        group by channel
    """,
}
MODELS = (
    *VALUE_MODELS,
    "int_customer_values__scored",
    "int_acquisition_weeks__tallied",
    "int_week_replicates__estimated",
)
ASK_SPARK = """
import json, sys
from pyspark.sql import SparkSession
asked = json.load(sys.stdin)
session = (
    SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    .config("spark.sql.shuffle.partitions", "2").config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.analyzer.maxIterations", "1000").getOrCreate()
)
session.sparkContext.setLogLevel("ERROR")
for name, path in asked["tables"].items():
    session.read.parquet(path).createOrReplaceTempView(name)
for name, statement in asked["models"].items():
    session.sql(statement).localCheckpoint().createOrReplaceTempView(name)
answers = {
    case: [[row[0], *(None if each is None else repr(float(each)) for each in row[1:])] for row in rows]
    for case, rows in ((case, session.sql(query).collect()) for case, query in asked["questions"].items())
}
json.dump({"version": session.version, "answers": answers}, sys.stdout)
"""
Answers = dict[tuple[str, str, int], float]


@dataclass(frozen=True, slots=True)
class Asked:
    """What an engine is asked, in its own SQL: models by name, in the order of building, and questions by case."""

    models: Mapping[str, str]
    questions: Mapping[str, str]


def asked_of(renderer: Renderer, dialect: str = "duckdb") -> Asked:
    """Everything rendered for one engine; relations go by their own names."""
    units = renderer.query("select unit, {{ unit_key('unit') }} as unit_key from texts")
    models = {"units": units, **renderer.models(MODELS, as_of="2026-12-01 00:00:00")}
    questions = {case: renderer.query(text) for case, text in QUESTIONS.items()}
    return Asked(
        {name: plainly(text, dialect) for name, text in models.items()},
        {case: plainly(text, dialect) for case, text in questions.items()},
    )


def plainly(statement: str, dialect: str) -> str:
    """A statement without the warehouse's catalog and schemas; what dbt's adapter writes itself, in Spark's words."""
    bare = re.sub(r'"warehouse"\."\w+"\."(\w+)"', r"\1", statement)
    if dialect == "duckdb":
        return bare
    bare = re.sub(r"\bas (text|varchar)\b", "as string", bare, flags=re.IGNORECASE)
    return re.sub(r"\bdate_diff\('(\w+)'", r"date_diff(\1", bare)


def made_up() -> dict[str, pa.Table]:
    """Customers of three channels of different sizes with their months, values, weeks and spend."""
    rng = np.random.default_rng(SEED)
    tenures, credited, customers = [], [], []
    for channel, size in SIZES.items():
        sample = Company().customers(rng, 1, size)
        customer, month = np.nonzero(sample.there[0])
        ids = [f"{channel}-{number}" for number in range(size)]
        weeks = [MONDAY + timedelta(weeks=int(week)) for week in rng.integers(0, WEEKS, size)]
        tenures.append(
            pa.table(
                {
                    "customer_id": [ids[number] for number in customer],
                    "channel": [channel] * len(customer),
                    "bucket": sample.bucket[0][customer],
                    "month_of_tenure": pa.array(month, pa.int32()),
                    "is_at_risk": sample.at_risk[0][customer, month],
                    "is_lost": sample.lost[0][customer, month],
                    "margin_cents": sample.margin[0][customer, month].astype(np.int64),
                }
            )
        )
        credited.append(
            pa.table(
                {
                    "attribution": ["first"] * size,
                    "customer_id": ids,
                    "channel": [channel] * size,
                    "week": pa.array(weeks),
                    "bucket": sample.bucket[0],
                    "is_mature": [True] * size,
                    "share_millionths": pa.array([1_000_000] * size, pa.int64()),
                }
            )
        )
        customers.append(
            pa.table(
                {
                    "channel": [channel] * size,
                    "bucket": sample.bucket[0],
                    "cents": np.round(rng.lognormal(9, 1.2, size) - 3000).astype(np.int64),
                    "share": rng.integers(1, 1_000_001, size),
                }
            )
        )
    spend = np.round(rng.lognormal(11, 0.4, WEEKS * len(SIZES))).astype(np.int64)
    spent = {
        "channel": [channel for channel in SIZES for _ in range(WEEKS)],
        "week": pa.array([MONDAY + timedelta(weeks=week) for _ in SIZES for week in range(WEEKS)]),
        "spend_cents": spend,
        "paid_spend_cents": spend // 2,
    }
    units = [*(f"bucket:{number}" for number in range(8)), f"week:{MONDAY}", "ünïcode", ""]
    return {
        "int_customer_tenures__observed": pa.concat_tables(tenures),
        "int_acquisition_credits__split": pa.concat_tables(credited),
        "int_spend__weekly": pa.table(spent),
        "int_acquisition_lags__completed": pa.table(
            {"weeks_since_touch": pa.array([0], pa.int32()), "share_bought": [1.0]}
        ),
        "customers": pa.concat_tables(customers),
        "texts": pa.table({"unit": units}),
    }


def ask_duckdb(tables: Mapping[str, pa.Table], asked: Asked, threads: int) -> Answers:
    """DuckDB's answers with so many threads."""
    with connection(threads) as database:
        database.execute("use warehouse.intermediate")
        for name, table in tables.items():
            database.register("given", table)
            database.execute(f"create table {name} as select * from given")
        build(database, asked.models)
        return {
            (case, str(name), place): float(value)
            for case, query in asked.questions.items()
            for name, *values in database.execute(query).fetchall()
            for place, value in enumerate(values)
        }


def ask_spark(python: str, tables: Mapping[str, pa.Table], asked: Asked) -> tuple[str, Answers]:
    """Spark's version and answers."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for name, table in tables.items():
            paths[name] = f"{folder}/{name}.parquet"
            pq.write_table(table, paths[name])
        document = {"tables": paths, "models": dict(asked.models), "questions": dict(asked.questions)}
        done = subprocess.run(
            [python, "-c", ASK_SPARK], input=json.dumps(document), stdout=subprocess.PIPE, text=True, check=True
        )
    told = json.loads(done.stdout)
    answers = {
        (case, str(name), place): float(value)
        for case, rows in told["answers"].items()
        for name, *values in rows
        for place, value in enumerate(values)
    }
    return told["version"], answers


def read_written() -> tuple[str, Answers]:
    """What Spark answered when it was asked last."""
    with WRITTEN.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    answers = {(row["case"], row["name"], int(row["place"])): float(row["value"]) for row in rows}
    return rows[0]["version"], answers


def write(version: str, answers: Answers) -> None:
    """Keep an answer."""
    with WRITTEN.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["case", "name", "place", "value", "version"])
        writer.writerows((*key, repr(value), version) for key, value in sorted(answers.items()))


def compared(case: str, ours: Answers, theirs: Answers, against: str) -> Figure:
    """The largest relative difference of one case's numbers; infinite where the rows are not the same."""
    mine, others = ({key: value for key, value in each.items() if key[0] == case} for each in (ours, theirs))
    if not mine or mine.keys() != others.keys():
        return Figure(f"{case}: largest relative difference", float("inf"), "", f"{against}, other rows", bar=BAR)
    difference = max(abs(mine[key] - others[key]) / max(abs(others[key]), 1e-300) for key in mine)
    bar = 0 if case == "weights" else BAR
    return Figure(f"{case}: largest relative difference", difference, "", f"{against}, {len(mine)} numbers", bar=bar)


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    """DuckDB with one thread against two, and against Spark."""
    tables = made_up()
    asked = asked_of(Renderer())
    ours = ask_duckdb(tables, asked, threads=1)
    again = ask_duckdb(tables, asked, threads=2)
    figures = [
        Figure(
            "numbers that differ between one thread and two", sum(ours[key] != again[key] for key in ours), "", bar=0
        )
    ]
    if arguments.spark:
        version, theirs = ask_spark(arguments.spark, tables, asked_of(Renderer(dialect="spark"), "spark"))
        if arguments.write:
            write(version, theirs)
    else:
        version, theirs = read_written()
    against = f"Spark {version}, {'asked now' if arguments.spark else 'as written down'}"
    return figures + [compared(case, ours, theirs, against) for case in QUESTIONS]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spark", metavar="PYTHON", help="a Python with pyspark, to ask it instead of the file")
    parser.add_argument("--write", action="store_true", help="with --spark: keep its answer in the file")
    main(measure, parser)
