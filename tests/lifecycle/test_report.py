from __future__ import annotations

import io
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from rich.console import Console

from activation.actions import Action, Outcome
from activation.ledger import Ledger, Result
from lifecycle import report
from lifecycle.publication import publish

if TYPE_CHECKING:
    from lifecycle.settings import Places

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")

MARTS = """
create or replace table marts.customer_lifecycle as
    select 'c_1' as customer_id, 'adopted' as lifecycle_state, cast(100.5 as decimal(18, 2)) as mrr
    union all select 'c_2', 'lead', null;
create table marts.customer_identities as
    select unnest(['c_1', 'c_1', 'c_2', 'c_nobody']) as customer_id;
create table marts.mrr_movements as
    select
        date '2026-10-01' as month, false as is_open_month, 80.00 as opening_mrr, 20.50 as new_mrr,
        0.00 as reactivation_mrr, 0.00 as expansion_mrr, 0.00 as contraction_mrr, 0.00 as churn_mrr, 0.00 as fx_mrr,
        100.50 as closing_mrr;
create table marts.channel_economics as
    select
        'content' as channel, 2976.4 as ltv, 2434.0 as ltv_low, 3685.0 as ltv_high, 422.0 as cac, 261.0 as cac_low,
        623.0 as cac_high, 7.05 as ltv_cac, 4.7 as ltv_cac_low, 12.3 as ltv_cac_high, 325 as ltv_n;
create table marts.open_worklist as
    select * from (values ('success', true), ('success', false), ('finance', false)) as list (owner_team, is_overdue);
create or replace table marts.source_refresh as
    select 'stripe' as source, true as is_stale, timestamp '2026-10-31 06:00:00' as data_through_at;
insert into raw_ops.publications (run_id, outcome, as_of, published_at, _dlt_load_id)
    values ('run-1', 'published', timestamp '2026-11-01 06:00:00', timestamp '2026-11-01 06:01:00', 'run-1');
insert into raw_ops.gate_checks (result_id, run_id, outcome, severity, _dlt_load_id)
    values ('a', 'run-1', 'pass', 'block', 'run-1'), ('b', 'run-1', 'warn', 'warn', 'run-1'),
        ('c', 'run-0', 'pass', 'block', 'run-0'), ('d', 'run-1', 'quarantine', 'quarantine', 'run-1');
create schema if not exists raw_stripe_staging;
create table raw_stripe_staging.customers as select 1 as id;
insert into raw_stripe.customers (id, _dlt_load_id) values ('cus_1', 'x');
"""


@pytest.fixture
def published(places: Places, fill: Any, progress: Any) -> Places:
    fill(customers=2, actions=3)
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute(MARTS)
        publish.publish(connection, "warehouse", places, "v1", progress)
    ledger = Ledger(places.ledger)
    action = Action("a", "zendesk", "tickets", "escalate", "c_1", "o", AS_OF, None, 1, "{}")
    ledger.enqueue([action], AS_OF)
    ledger.intend([action], AS_OF)
    ledger.record([Result(action, Outcome.acknowledged("7"))], AS_OF)
    ledger.close()
    return places


def shown(places: Places, width: int = 500) -> str:
    text = io.StringIO()
    report.show(report.read(places), Console(file=text, width=width))
    return text.getvalue()


def test_every_figure_comes_from_what_is_published(published: Places) -> None:
    text = shown(published)
    for figure in (
        "2 customers (1 paying, MRR 100.50 USD) resolved from 3 identities; 1 more",
        "2,976 (2,434 to 3,685)",
        "Customers who wait for a person: success 2, finance 1; 1 overdue.",
        "suppressed: no consent",
        "due now in act_customerio__events",
        "zendesk acknowledged",
        "1 checks passed, 1 warn, 1 set rows aside",
        "stale since 31 Oct 06:00",
        str(published.published_file),
        "lifecycle sandbox advance --days 1",
    ):
        assert figure in text
    assert "staging" not in text


def test_no_limit_of_an_interval_is_cut_off_on_a_narrow_terminal(published: Places) -> None:
    text = shown(published, 80)
    for figure in ("(2,434 to 3,685)", "(261 to 623)", "(4.7 to 12.3)"):
        assert figure in text
    assert "…" not in text


def test_a_mart_that_is_not_there_leaves_its_place_empty(published: Places, progress: Any) -> None:
    with duckdb.connect(str(published.warehouse)) as connection:
        connection.execute("drop table marts.channel_economics; drop table marts.customer_identities")
        publish.publish(connection, "warehouse", published, "v2", progress)
    text = shown(published)
    assert "content" not in text
    assert "Version v2" in text


def test_everything_is_there_as_plain_values(published: Places) -> None:
    found = report.read(published).as_json()
    assert found["raw_rows"]["stripe"] == 1
    assert found["delivered"] == {"zendesk": {"acknowledged": 1}}
    assert found["customers"] == [[2, 1, "100.50"]]


def test_while_a_run_has_the_warehouse_the_rest_is_still_shown(published: Places) -> None:
    published.warehouse.write_bytes(b"")
    published.warehouse.unlink()
    assert report.read(published).raw_rows == {}
    assert "2 customers" in shown(published)
