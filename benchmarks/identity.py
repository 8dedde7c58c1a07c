"""Who is who: `customer_identities` against the sandbox's truth, in pairs of source records.

Precision: of all pairs of records that we say belong to one customer, the share that do. Recall: of all pairs that do,
the share that we say. The truth lies beside the sandbox's world, in a directory that the pipeline has no setting for.
Per edge case, a pair counts if at least one of its records carries that case.

    python -m benchmarks.identity                 # a world of its own
    python -m benchmarks.identity --data-dir data
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import duckdb

from benchmarks.figures import Figure, main
from benchmarks.job import Job

PRECISION_BAR = 0.99
RECALL_BAR = 0.90

# customers x accounts is small where records are many, so pairs are counted from group sizes, never listed
CONFUSION = """
with

matched as (

    select
        truth.account_id,
        ours.customer_id,
        coalesce(list_contains(string_split(truth.edge_cases, ','), $edge_case), false) or $edge_case = '' as counts
    from read_parquet($truth) as truth
    left join published.marts.customer_identities as ours using (source_system, source_record_type, source_record_id)

),

cells as (

    select
        account_id,
        customer_id,
        count(*) as records,
        count(*) filter (where counts) as marked
    from matched
    group by all

),

-- pairs within a group, less the pairs of which neither record counts
pairs as (

    select
        (
            select sum((records * (records - 1) - (records - marked) * (records - marked - 1)) / 2)
            from cells where customer_id is not null
        ) as agreed,
        (
            select sum((records * (records - 1) - (records - marked) * (records - marked - 1)) / 2)
            from (
                select sum(records) as records, sum(marked) as marked
                from cells where customer_id is not null group by customer_id
            )
        ) as said,
        (
            select sum((records * (records - 1) - (records - marked) * (records - marked - 1)) / 2)
            from (select sum(records) as records, sum(marked) as marked from cells group by account_id)
        ) as really

)

select agreed / said, agreed / really, really from pairs
"""


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Precision and recall over all records, and per edge case."""
    if arguments.data_dir:
        return _score(arguments.data_dir)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), ("--customers", str(arguments.customers)))
        try:
            job.up()
            job.ask("run")
            return _score(job.data_dir)
        finally:
            job.down()


def _score(data_dir: Path) -> list[Figure]:
    truth = str(data_dir / "sandbox" / "truth" / "identities.parquet")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{data_dir / 'published' / 'lifecycle.duckdb'}' as published (read_only)")
        edge_cases = connection.execute(
            "select distinct unnest(string_split(edge_cases, ',')) as edge_case from read_parquet($truth) order by all",
            {"truth": truth},
        ).fetchall()
        figures = []
        for (edge_case,) in [("",), *(row for row in edge_cases if row[0] not in {"", "none"})]:
            found = connection.execute(CONFUSION, {"truth": truth, "edge_case": edge_case}).fetchall()[0]
            precision, recall, pairs = found
            against = f"{pairs:.0f} true pairs"
            title = edge_case.replace("_", " ") or "all records"
            bars = (PRECISION_BAR, RECALL_BAR) if not edge_case else (None, None)
            figures += [
                Figure(f"{title}: precision", precision, "share", against, bar=bars[0], bar_is="at least"),
                Figure(f"{title}: recall", recall, "share", against, bar=bars[1], bar_is="at least"),
            ]
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="a data directory with a published file, instead of a new world")
    parser.add_argument("--customers", type=int, default=2000, help="size of the new world")
    main(measure, parser)
