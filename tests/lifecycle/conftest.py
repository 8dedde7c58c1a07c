from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from ingest import ops
from lifecycle import dbt
from lifecycle.settings import Places
from tests.shared import empty_warehouse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")

WAREHOUSE = """
create schema if not exists marts;
create schema if not exists activation;
create or replace table marts.customer_lifecycle as
    select 'c_' || range as customer_id, cast(range as decimal(18, 2)) as mrr from range({customers});
comment on table marts.customer_lifecycle is 'One row per customer; it''s the one.';
comment on column marts.customer_lifecycle.mrr is 'USD a month.';
create schema if not exists intermediate;
create or replace table intermediate.int_raw_days__profiled as
    select
        'stripe' as source_name, 'invoices' as table_name, date '2026-10-31' as profile_date, '' as column_name,
        'rows' as measure, cast(null as varchar) as category, cast({customers} as double) as reading;
create or replace table intermediate.int_event_days__profiled as
    select * from intermediate.int_raw_days__profiled limit 0;
create or replace table intermediate.int_metrics__scored as
    select 'customers' as metric, '' as category, cast({customers} as double) as figure,
        null::double as figure_low, null::double as figure_high;
create or replace view marts.gate_results as select * from raw_ops.gate_checks;
create or replace view marts.publish_log as
    select *, sha256 as content_sha256 from raw_ops.publications;
create or replace table marts.source_refresh as
    select
        'stripe' as source, false as is_held_back, cast(null as timestamp) as held_back_as_of,
        cast(null as varchar) as held_back_reason;
create or replace table marts.action_decisions as
    select 'celebrate' as action, 'suppressed' as decision, 'no consent' as suppression_reason, true as is_open;
create or replace table activation.act_customerio__events as
    select
        lpad(cast(range as varchar), 32, '0') as action_id,
        'customerio' as destination,
        'events' as object,
        'celebrate' as action,
        'c_' || range as customer_id,
        'o_' || range as occurrence_id,
        timestamp '2026-11-01 05:00:00' as occurred_at,
        timestamp '2026-11-03 05:00:00' as expires_at,
        10 as priority,
        '{{"user_id":"usr_' || range || '","event_name":"greet","attributes":{{}}}}' as payload
    from range({actions});
"""


class Quiet:
    """Progress nobody reads; what was noted can be."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def detail(self, text: str) -> None:
        pass

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        del name
        yield


@pytest.fixture
def progress() -> Quiet:
    return Quiet()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    (tmp_path / "dbt").mkdir()
    return Places(tmp_path)


@pytest.fixture
def fill(places: Places) -> Any:
    """Writes a warehouse as a build would leave it."""

    def go(customers: int = 200, actions: int = 3, run_id: str | None = None) -> None:
        if not places.warehouse.exists():
            places.warehouse.write_bytes(empty_warehouse())
        with duckdb.connect(str(places.warehouse)) as connection:
            connection.execute(WAREHOUSE.format(customers=customers, actions=actions))
            if run_id is not None:
                ops.record(connection, "runs", [{"run_id": run_id, "as_of": AS_OF, "started_at": AS_OF}])

    return go


@pytest.fixture
def node() -> Any:
    """Makes what dbt says about one node."""

    def make(name: str, status: str = "pass", resource_type: str = "test", **changes: object) -> dbt.Node:
        values = {
            "unique_id": f"{resource_type}.{name}",
            "name": name,
            "resource_type": resource_type,
            "status": status,
            "message": "",
            "failures": 0,
            "seconds": 0.1,
            "severity": "error" if resource_type == "test" else "",
        }
        return dbt.Node(**{**values, **changes})

    return make


@pytest.fixture
def good_build(node: Any) -> dbt.Build:
    fresh = [dbt.Freshness(silo, "rows", "pass", 0.5, 26.0) for silo in ("stripe", "zendesk")]
    return dbt.Build(
        nodes=[node("customer_lifecycle", "success", "model"), node("unique_customer_id"), node("conserves_rows_x")],
        freshness=fresh,
    )
