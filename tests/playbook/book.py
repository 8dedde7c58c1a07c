"""The models of the playbook as compiled SQL, run on a DuckDB in memory, so that many small worlds cost little."""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from lifecycle.playbook import sheets
from tests.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Sequence

PROJECT = Path(__file__).parents[2]
AS_OF = "2026-03-01 00:00:00"
CATALOG = "warehouse"
DETECTION = (
    "int_signals__defined",
    "int_silos__observed",
    "int_behaviours__found",
    "int_behaviours__unioned",
    "int_signals__occurred",
    "int_signals__detected",
)
MACHINE = ("int_lifecycle__moved", "int_lifecycle__dated")
OUTCOMES = ("int_hand_offs__followed", "int_outcomes__observed", "int_journeys__walked")
VERSIONS = ("stg_ops__state_log", "lifecycle_state_versions")
DECISIONS = ("int_deliveries__committed", "int_actions__proposed", "int_actions__decided")
INPUTS = """
    create schema staging;
    create schema intermediate;
    create schema seeds;
    create schema marts;
    create table staging.stg_ops__extracts (
        source varchar, as_of timestamp, status varchar, data_through_at timestamp
    );
    create schema raw_ops;
    create table raw_ops.extracts (source varchar, status varchar, data_through_at timestamp);
    create table raw_ops.state_log (
        customer_id varchar, region varchar, state varchar, valid_from timestamp, occurrence_id varchar,
        is_withdrawn boolean, known_at timestamp, run_id varchar, _dlt_load_id varchar
    );
    create table staging.stg_receipts__deliveries (
        action_id varchar, customer_id varchar, action varchar, occurrence_id varchar, destination varchar,
        delivery_state varchar, first_planned_at timestamp, acknowledged_at timestamp
    );
    create table intermediate.int_events__deduplicated (
        event_id varchar, source_record_type varchar, source_record_id varchar, user_id varchar, event_type varchar,
        event_name varchar, product varchar, properties varchar, time_zone varchar, occurred_at timestamp,
        received_at timestamp, received_date date, _dlt_load_id varchar
    );
    create table intermediate.int_events__attributed (
        event_id varchar, customer_id varchar, is_qualifying boolean, occurred_at timestamp, received_at timestamp,
        received_date date
    );
    create table intermediate.int_identities__resolved (
        record_key varchar, source_system varchar, source_record_type varchar, source_record_id varchar,
        customer_id varchar, given_customer_id varchar as ('c_' || substr(md5(record_key), 1, 16))
    );
    create table intermediate.int_signals__measured (
        customer_id varchar, event_name varchar, source varchar, product varchar, occurred_at timestamp,
        event_id varchar, properties varchar, measured_value double, due_at timestamp, gone_at timestamp
    );
    create table intermediate.int_billing_behaviours__derived (
        customer_id varchar, behaviour varchar, occurred_at timestamp, event_id varchar, properties varchar
    );
    create table intermediate.int_support_behaviours__derived as
        select * from intermediate.int_billing_behaviours__derived;
    create table intermediate.int_crm_behaviours__derived as
        select * from intermediate.int_billing_behaviours__derived;
    create table intermediate.int_time_zones__observed (customer_id varchar, time_zone varchar);
    create table intermediate.int_customers__resolved (customer_id varchar, first_seen_at timestamp);
    create table intermediate.int_customer_marketing__current (
        customer_id varchar, primary_user_id varchar, primary_email varchar, has_consent boolean,
        crm_deal_id varchar, open_deal_id varchar, crm_deal_stage_id varchar, crm_owner_id varchar
    );
"""


class Playbook:
    """The compiled models and a database to run them in. Seeds start as the repository ships them."""

    def __init__(self, compiled: dict[str, str]) -> None:
        self.compiled = compiled
        # a second thread costs more than it does on tables of a few hundred rows
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute(f"attach ':memory:' as {CATALOG}; use {CATALOG}")
        self.connection.execute(INPUTS)
        self.load_seeds()

    def load_seeds(self) -> None:
        """Every seed of the playbook, with the declared types and empty fields as null."""
        for sheet in sheets.read():
            if sheets.is_playbook(sheet):
                columns = ", ".join(f"{name} {kind}" for name, kind in sheet.types.items())
                self.connection.execute(f"create or replace table seeds.{sheet.name} ({columns})")
                self.connection.execute(f"copy seeds.{sheet.name} from '{PROJECT / sheet.file}' (header)")

    def fill(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Replace the rows of a table."""
        self.connection.execute(f"delete from {table}")
        if rows:
            columns = [pa.array(list(column)) for column in zip(*rows, strict=True)]
            incoming = pa.Table.from_arrays(columns, names=[f"column{index}" for index in range(len(columns))])
            self.connection.register("incoming", incoming)
            self.connection.execute(f"insert into {table} select * from incoming")
            self.connection.unregister("incoming")

    def build(self, models: Sequence[str], as_of: str = AS_OF) -> None:
        """Build these models, in this order, as of another instant if one is given."""
        for model in models:
            schema = {"stg": "staging", "int": "intermediate"}.get(model[:3], "marts")
            statement = self.compiled[model].replace(AS_OF, as_of)
            self.connection.execute(f"create or replace table {schema}.{model} as {statement}")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query gives."""
        return self.connection.execute(query).fetchall()


@functools.cache
def read_seed(name: str) -> list[dict[str, str]]:
    """A seed as the repository ships it; everything is text, an empty field is an empty text."""
    with (PROJECT / "seeds" / "playbook" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def compile_models(folder: Path) -> dict[str, str]:
    """The SQL that dbt makes of the models, at a fixed as_of."""
    models = (*DETECTION, *MACHINE, *OUTCOMES, *VERSIONS, *DECISIONS)
    return Warehouse(folder).compiled(*models, arguments=("--vars", f"{{as_of: '{AS_OF}'}}"))
