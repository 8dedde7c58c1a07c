"""What the semantic layer answers is what the marts hold.

MetricFlow reads a manifest that dbt writes without complaint even when it holds no metric, so every metric is asked
here, once through `mf query` and otherwise through the same engine, on marts with made-up rows.
"""

from __future__ import annotations

import csv
import random
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from dbt.adapters.duckdb.connections import DuckDBConnectionManager
from dbt_metricflow.cli import main as mf
from dbt_metricflow.cli.cli_configuration import CLIConfiguration
from metricflow.engine.metricflow_engine import MetricFlowQueryRequest

from tests.warehouse import PROJECT_DIR, WAREHOUSE_VARIABLE, Warehouse, manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Answer = dict[tuple[Any, ...], tuple[Any, ...]]
MONTHS = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-04-01"]
DIMENSIONS = {
    "customer__channel": "first_touch_channel",
    "customer__plan": "plan",
    "customer__lifecycle_state": "lifecycle_state",
    "customer__usage_cohort": "usage_cohort",
    "customer__acquired_on__month": "date_trunc('month', first_paid_on)",
}
# what each metric is, said once more in SQL over the two marts
REVENUE = {
    "mrr": "sum(closing_mrr)",
    "opening_mrr": "sum(opening_mrr)",
    "active_customers": "count(*) filter (where closing_mrr > 0)",
    "new_mrr": "sum(movement_mrr) filter (where movement = 'new')",
    "reactivation_mrr": "sum(movement_mrr) filter (where movement = 'reactivation')",
    "expansion_mrr": "sum(movement_mrr) filter (where movement = 'expansion')",
    "contraction_mrr": "sum(movement_mrr) filter (where movement = 'contraction')",
    "churn_mrr": "sum(movement_mrr) filter (where movement = 'churn')",
    "movement_mrr": "sum(movement_mrr)",
    "fx_mrr": "sum(fx_mrr)",
    "nrr": "sum(closing_mrr) filter (where mrr_year_before > 0) / nullif(sum(mrr_year_before), 0)",
    "grr": "sum(least(closing_mrr, mrr_year_before)) filter (where mrr_year_before > 0)"
    " / nullif(sum(mrr_year_before), 0)",
    "nrr_month": "sum(closing_mrr) filter (where opening_mrr > 0) / nullif(sum(opening_mrr), 0)",
    "grr_month": "sum(least(closing_mrr, opening_mrr)) / nullif(sum(opening_mrr), 0)",
    "logo_churn": "count(*) filter (where movement = 'churn') / nullif(count(*) filter (where opening_mrr > 0), 0)",
    "arpa": "sum(closing_mrr) / nullif(count(*) filter (where closing_mrr > 0), 0)",
    "new_customers": "count(*) filter (where movement = 'new')",
}
CUSTOMERS = {
    "acquired_customers": "count(first_paid_on)",
    "ltv_realised": "sum(ltv_realised)",
    "ltv_realised_per_customer": "sum(ltv_realised) / nullif(count(first_paid_on), 0)",
    "ltv": "avg(channel_ltv) filter (where first_paid_on is not null)",
    "cac": "avg(channel_cac) filter (where first_paid_on is not null)",
    "ltv_cac": (
        "avg(channel_ltv) filter (where first_paid_on is not null) "
        "/ avg(channel_cac) filter (where first_paid_on is not null)"
    ),
    "expected_leavers": "sum(churn_risk)",
    "expected_upgrades": "sum(upgrade_readiness)",
}


def movement(*, opening: float, closing: float, paid_before: bool) -> str:
    """The movement of a month that opens and closes so."""
    if opening == 0 and closing > 0:
        return "reactivation" if paid_before else "new"
    if opening > 0 and closing == 0:
        return "churn"
    return "expansion" if closing > opening else "contraction" if closing < opening else "none"


def fill(warehouse: Warehouse) -> None:
    """The two marts and the time spine, with customers who come, grow, shrink, leave and return."""
    rng = random.Random(7)
    channels = [("content", 900, None), ("paid_search", 700, 350), ("events", 1200, 800)]
    customers, months = [], []
    for number in range(60):
        channel, ltv, cac = channels[rng.randrange(3)]
        # the last ten are leads, whom only one of the marts knows
        first = rng.randrange(4) if number < 50 else None
        customers.append(
            {
                "customer_id": f"c_{number}", "first_touch_channel": channel, "plan": rng.choice(["starter", "team"]),
                "lifecycle_state": rng.choice(["active", "at_risk"]), "frequency_band": "light",
                "usage_cohort": rng.choice(["dormant", "light/brief/broad"]),
                "first_paid_on": None if first is None else f"2026-0{first + 1}-{rng.randrange(1, 28):02d}",
                "ltv_realised": rng.randrange(500), "channel_ltv": ltv, "channel_cac": cac,
                "churn_risk": rng.random() if number % 3 else None, "upgrade_readiness": rng.random(),
            }
        )  # fmt: skip
        opening = 0.0
        for index, month in enumerate(MONTHS[first:] if first is not None else []):
            closing = float(rng.choice([0, 50, 100, 150])) if index else 100.0
            moved = movement(opening=opening, closing=closing, paid_before=index > 0)
            row = {
                "customer_id": f"c_{number}", "month": month, "movement": moved, "is_open_month": month == MONTHS[-1],
                "opening_mrr": opening, "closing_mrr": closing, "movement_mrr": closing - opening, "fx_mrr": 0.0,
                "mrr_year_before": rng.choice([None, 0, 50, 100]),
            }  # fmt: skip
            for kind in ("new", "reactivation", "expansion", "contraction", "churn"):
                row[f"{kind}_mrr"] = closing - opening if moved == kind else 0.0
            months.append(row)
            opening = closing
    with warehouse.connect() as connection:
        connection.execute("create schema if not exists marts; create schema if not exists intermediate")
        money = ", ".join(f"{name} double" for name in months[0] if "mrr" in name)
        connection.execute(
            "create table marts.mrr_movements "
            f"(customer_id varchar, month date, movement varchar, is_open_month boolean, {money})"
        )
        connection.execute(
            "create table marts.customer_lifecycle (customer_id varchar, first_touch_channel varchar, plan varchar, "
            "lifecycle_state varchar, frequency_band varchar, usage_cohort varchar, first_paid_on date, "
            "ltv_realised double, channel_ltv double, channel_cac double, churn_risk double, upgrade_readiness double)"
        )
        for table, rows in (("mrr_movements", months), ("customer_lifecycle", customers)):
            names = ", ".join(rows[0])
            marks = ", ".join("?" for _ in rows[0])
            connection.executemany(
                f"insert into marts.{table} ({names}) values ({marks})", [list(row.values()) for row in rows]
            )
        connection.execute(
            "create table intermediate.metricflow_time_spine as select cast(unnest(generate_series("
            "timestamp '2026-01-01', timestamp '2026-04-30', interval 1 day)) as date) as date_day"
        )


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Warehouse, CLIConfiguration]]:
    """A filled warehouse, and MetricFlow looking at it."""
    warehouse = Warehouse(tmp_path_factory.mktemp("semantic"))
    manifest()
    fill(warehouse)
    patch = pytest.MonkeyPatch()
    patch.setenv(WAREHOUSE_VARIABLE, str(warehouse.path))
    patch.setenv("DBT_LOG_PATH", str(warehouse.folder / "logs"))
    patch.setenv("DBT_TARGET_PATH", str(warehouse.folder / "target"))
    # mf asks the package index for a newer version of itself before it does anything
    patch.setattr("update_checker.UpdateChecker.check", lambda *_, **__: None)
    configuration = CLIConfiguration()
    try:
        configuration.setup(PROJECT_DIR, PROJECT_DIR, configure_file_logging=False)
        yield warehouse, configuration
    finally:
        DuckDBConnectionManager.close_all_connections()  # type: ignore[no-untyped-call]
        patch.undo()


@pytest.fixture(scope="module")
def ask(configured: tuple[Warehouse, CLIConfiguration]) -> Callable[..., Answer]:
    """Ask the engine for metrics by dimensions: group -> values, in the order asked for."""
    engine = configured[1].mf

    def asking(metrics: list[str], by: list[str]) -> Answer:
        table = engine.query(MetricFlowQueryRequest.create(metric_names=metrics, group_by_names=by)).result_df
        assert table is not None
        where = [table.column_name_index(name) for name in by]
        what = [table.column_name_index(name) for name in metrics]
        return {
            tuple(plain(row[place]) for place in where): tuple(plain(row[place]) for place in what)
            for row in table.rows
        }

    return asking


@pytest.fixture(scope="module")
def look(configured: tuple[Warehouse, CLIConfiguration]) -> Callable[..., Answer]:
    """Ask the marts themselves, through the connection that MetricFlow holds."""
    client = configured[1].sql_client

    def looking(source: str, by: list[str], metrics: dict[str, str]) -> Answer:
        columns = ", ".join([*by, *metrics.values()])
        groups = ", ".join(str(place + 1) for place in range(len(by)))
        rows = client.query(f"select {columns} from {source} {'group by ' + groups if by else ''}").rows
        return {tuple(map(plain, row[: len(by)])): tuple(map(plain, row[len(by) :])) for row in rows}

    return looking


def plain(value: Any) -> Any:
    """Dates as text and numbers as floats, whatever either side made of them."""
    if value is None or isinstance(value, (str, bool)):
        return value
    return str(value)[:10] if hasattr(value, "year") else float(value)


def same(ours: Answer, theirs: Answer) -> None:
    """Every group with the same values; a metric without rows may be null on one side and 0 on the other."""
    assert ours.keys() == theirs.keys()
    for group, values in ours.items():
        assert [value or 0.0 for value in values] == pytest.approx(
            [value or 0.0 for value in theirs[group]], rel=1e-9
        ), group


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_revenue_by_month_and_anything_agrees_with_the_marts(
    ask: Callable[..., Answer], look: Callable[..., Answer], dimension: str
) -> None:
    """The bridge, its ratios and its counts, by month and every dimension of the customer."""
    joined = "marts.mrr_movements join marts.customer_lifecycle using (customer_id)"
    ours = ask(list(REVENUE), ["metric_time__month", dimension])
    same(ours, look(joined, ["month", DIMENSIONS[dimension]], REVENUE))


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_customers_agree_with_the_marts(
    ask: Callable[..., Answer], look: Callable[..., Answer], dimension: str
) -> None:
    """Value, cost and expectation by every dimension, leads included."""
    same(ask(list(CUSTOMERS), [dimension]), look("marts.customer_lifecycle", [DIMENSIONS[dimension]], CUSTOMERS))


def test_a_balance_over_several_months_is_the_last_one(ask: Callable[..., Answer], look: Callable[..., Answer]) -> None:
    """Adding up month ends would count a customer once a month."""
    last = look(f"marts.mrr_movements where month = '{MONTHS[-1]}'", [], {"mrr": REVENUE["mrr"]})
    first = look(f"marts.mrr_movements where month = '{MONTHS[0]}'", [], {"opening": REVENUE["opening_mrr"]})
    assert ask(["mrr", "opening_mrr"], []) == {(): (last[()][0], first[()][0])}


def test_mf_query_prints_what_the_mart_holds(
    configured: tuple[Warehouse, CLIConfiguration], look: Callable[..., Answer], tmp_path: Path
) -> None:
    """The command that people type."""
    told = tmp_path / "answer.csv"
    command = ["query", "--metrics", "mrr,nrr", "--group-by", "metric_time__month", "--csv", str(told)]
    done = CliRunner().invoke(mf.cli, command, obj=configured[1], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    with told.open() as file:
        printed = {
            (row["metric_time__month"][:10],): (float(row["mrr"]), float(row["nrr"] or 0))
            for row in csv.DictReader(file)
        }
    same(printed, look("marts.mrr_movements", ["month"], {name: REVENUE[name] for name in ("mrr", "nrr")}))


def test_every_metric_is_asked_here(configured: tuple[Warehouse, CLIConfiguration]) -> None:
    """A metric that nobody compares with a mart rots unseen; the parts of ratios are compared in their ratios."""
    parts = {
        "mrr_at_stake", "mrr_kept", "mrr_kept_or_grown", "customers_at_stake", "customers_lost", "mrr_year_before",
        "mrr_after_a_year", "mrr_kept_after_a_year",
    }  # fmt: skip
    defined = {metric.name for metric in configured[1].semantic_manifest.metrics}
    assert defined == set(REVENUE) | set(CUSTOMERS) | parts
