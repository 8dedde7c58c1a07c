"""Who is who: `customer_identities` against the sandbox's truth, in pairs of source records.

Precision: of all pairs of records that we say belong to one customer, the share that do. Recall: of all pairs that do,
the share that we say. The truth lies beside the sandbox's world, in a directory that the pipeline has no setting for.
Per edge case, a pair counts if at least one of its records carries that case. Beside that: the largest person and the
most shared identifier in use, against their caps.

Ids are asked whether they stay: everything is resolved once more from the raw tables, their rows in another order and
among those of strangers, in a warehouse that remembers no id; every record must be named as before.

With `--times`, further worlds in which every edge case happens so many times as often (a smaller world each, resolved
but not published): how the figures fall off when silos are dirtier than we assumed.

    python -m benchmarks.identity                 # a world of its own, and one with everything twice as often
    python -m benchmarks.identity --data-dir data
    python -m benchmarks.identity --data-dir data --times 2 4
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import fields
from pathlib import Path

import duckdb

from benchmarks.figures import Figure, main
from benchmarks.job import PROJECT_DIR, Job, build_models, company_after_a_run
from sandbox.generate import generate
from sandbox.world.parameters import EdgeCases, WorldParameters

RULES = PROJECT_DIR / "seeds" / "identity" / "identifier_rules.csv"

PRECISION_BAR = 0.995
RECALL_BAR = 0.97
SWEPT_CUSTOMERS = 600  # in a world with other frequencies
MODELS = ("+customer_identities", "+identity_links")
STRANGER_COUNT = 500  # in each of three silos

# customers x accounts is small where records are many, so pairs are counted from group sizes, never listed
CONFUSION = """
with

matched as (

    select
        truth.account_id,
        ours.customer_id,
        coalesce(list_contains(string_split(truth.edge_cases, ','), $edge_case), false) or $edge_case = '' as counts
    from read_parquet($truth) as truth
    left join built.marts.customer_identities as ours using (source_system, source_record_type, source_record_id)

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

select agreed / nullif(said, 0), agreed / really, really, said from pairs
"""


# the fullest of each: what one identifier in use is shared by, and what one person holds, over what is allowed
CAPS = """
select
    max(links.record_count / rules.max_records),
    (
        select max(held.number / rules.max_per_person)
        from (
            select identities.person_id, links.link_type, count(distinct links.to_node) as number
            from built.marts.identity_links as links
            inner join built.marts.customer_identities as identities
                on links.from_node = concat_ws(
                    ':', identities.source_system, identities.source_record_type, identities.source_record_id
                )
            where links.is_used and identities.person_id is not null and links.to_node like links.link_type || '=%'
            group by all
        ) as held
        inner join read_csv($rules) as rules on held.link_type = rules.identifier_type
    )
from built.marts.identity_links as links
inner join read_csv($rules) as rules on links.link_type = rules.identifier_type
where links.is_used
"""


# people and companies whom nobody in the world knows, in three silos
STRANGERS = (
    """
    insert into raw_stripe.customers by name
    select
        'cus_stranger' || number as id,
        'billing@stranger' || number || '.example' as email,
        'Stranger ' || number as name,
        1767225600 + number as created,
        '{{}}' as metadata,
        '1' as _dlt_load_id
    from range({strangers}) as numbers (number)
    """,
    """
    insert into raw_bitrix24.companies by name
    select
        1000000000 + number as id,
        'Stranger ' || number as title,
        '[{{"typeId": "WEB", "value": "https://stranger' || number || '.example"}}]' as fm,
        timestamp '2025-06-01' + to_seconds(number) as created_time,
        timestamp '2025-06-01' + to_seconds(number) as updated_time,
        '1' as _dlt_load_id
    from range({strangers}) as numbers (number)
    """,
    """
    insert into raw_zendesk.users by name
    select
        1000000000 + number as id,
        'Stranger ' || number as name,
        'sam@stranger' || number || '.example' as email,
        'end-user' as role,
        timestamp '2025-07-01' + to_seconds(number) as created_at,
        timestamp '2025-07-01' + to_seconds(number) as updated_at,
        '1' as _dlt_load_id
    from range({strangers}) as numbers (number)
    """,
)
RENAMED = """
select
    count(*) as records,
    count(*) filter (where after.customer_id is distinct from before.customer_id) as customers,
    count(*) filter (where after.person_id is distinct from before.person_id) as persons,
    (
        select count(distinct strangers.customer_id)
        from again.intermediate.int_identities__resolved as strangers
        anti join first.intermediate.int_identities__resolved as known using (record_key)
    ) as strangers
from first.intermediate.int_identities__resolved as before
left join again.intermediate.int_identities__resolved as after using (record_key)
"""


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Precision and recall over all records, and per edge case."""
    figures = []
    if arguments.data_dir:
        figures += score(arguments.data_dir / "published" / "lifecycle.duckdb", arguments.data_dir)
        figures += _renamed(arguments.data_dir)
    else:
        with company_after_a_run("--customers", str(arguments.customers)) as job:
            figures += score(job.data_dir / "published" / "lifecycle.duckdb", job.data_dir)
            figures += _renamed(job.data_dir)
    for times in arguments.times:
        figures += _dirtier(times)
    return figures


def _dirtier(times: float) -> list[Figure]:
    """The same questions in a world where every edge case happens `times` as often."""
    cases = EdgeCases(**{item.name: min(1.0, times * getattr(EdgeCases(), item.name)) for item in fields(EdgeCases)})
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder))
        generate(job.data_dir, WorldParameters(customers=SWEPT_CUSTOMERS, events_per_day=500, edge_cases=cases))
        with job.serving():
            job.ask("ingest")
        build_models(job.data_dir / "warehouse.duckdb", *MODELS)
        return score(job.data_dir / "warehouse.duckdb", job.data_dir, f"edge cases x {times:g}, ")


def _renamed(data_dir: Path) -> list[Figure]:
    """Which records another order of rows and strangers among them give another name, without any memory of names."""
    before = data_dir / "warehouse.duckdb"
    with tempfile.TemporaryDirectory() as folder:
        after = Path(folder) / "warehouse.duckdb"
        shutil.copyfile(before, after)
        with duckdb.connect(str(after)) as connection:
            tables = connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables() where starts_with(schema_name, 'raw_')"
                " and schema_name != 'raw_ops' and not starts_with(table_name, '_dlt')"
            ).fetchall()
            for (table,) in tables:
                connection.execute(
                    f"create temp table shuffled as select * from {table} as raw order by md5(raw::text)"
                )
                connection.execute(f"delete from {table}")
                connection.execute(f"insert into {table} from shuffled")
                connection.execute("drop table shuffled")
            for statement in STRANGERS:
                connection.execute(statement.format(strangers=STRANGER_COUNT))
            connection.execute("delete from raw_ops.identity_log")
        build_models(after, *MODELS, full_refresh=True)
        with duckdb.connect() as connection:
            connection.execute(f"attach '{before}' as first (read_only)")
            connection.execute(f"attach '{after}' as again (read_only)")
            records, customers, persons, strangers = connection.execute(RENAMED).fetchall()[0]
    against = f"{records:,} records in another order, among {strangers:,} strangers, resolved from nothing"
    return [
        Figure("records whose customer has another id", customers, "records", against, bar=0),
        Figure("records whose person has another id", persons, "records", against, bar=0),
        Figure("strangers that became customers", strangers, "customers", "all", bar=STRANGER_COUNT, bar_is="at least"),
    ]


def score(built: Path, data_dir: Path, world: str = "") -> list[Figure]:
    """Figures of one world whose marts are in the file `built`; only a world that is not named has to meet the bars."""
    truth = str(data_dir / "sandbox" / "truth" / "identities.parquet")
    with duckdb.connect() as connection:
        connection.execute(f"attach '{built}' as built (read_only)")
        edge_cases = connection.execute(
            "select distinct unnest(string_split(edge_cases, ',')) as edge_case from read_parquet($truth) order by all",
            {"truth": truth},
        ).fetchall()
        figures = []
        for (edge_case,) in [("",), *(row for row in edge_cases if row[0] not in {"", "none"})]:
            found = connection.execute(CONFUSION, {"truth": truth, "edge_case": edge_case}).fetchall()[0]
            precision, recall, pairs, said = found
            against = f"{pairs:.0f} true pairs"
            title = world + (edge_case.replace("_", " ") or "all records")
            bars = (PRECISION_BAR, RECALL_BAR) if not edge_case and not world else (None, None)
            # where nothing is said, nothing said can be wrong
            if said:
                figures.append(Figure(f"{title}: precision", precision, "share", against, None, bars[0], "at least"))
            figures.append(Figure(f"{title}: recall", recall, "share", against, None, bars[1], "at least"))
        fullest = connection.execute(CAPS, {"rules": str(RULES)}).fetchall()[0]
        names = ("most shared identifier in use", "fullest person")
        return figures + [
            Figure(f"{world}{name}", share, "of its cap", "seed identifier_rules", bar=1.0)
            for name, share in zip(names, fullest, strict=True)
        ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="a data directory with a published file, instead of a new world")
    parser.add_argument("--customers", type=int, default=2000, help="size of the new world")
    parser.add_argument(
        "--times", type=float, nargs="*", default=[2.0], help="how often edge cases happen, in more worlds"
    )
    main(measure, parser)
