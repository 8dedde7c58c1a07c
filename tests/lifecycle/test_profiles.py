"""What is remembered of a publication, and what an erasure makes forget."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import duckdb

from lifecycle.remembered import profiles
from lifecycle.settings import Places

from .conftest import AS_OF

DAYS = "intermediate.int_raw_days__profiled"


def remembered(connection: duckdb.DuckDBPyConnection) -> list[Any]:
    return connection.execute(
        "select question, reading from raw_ops.profiles where source_name not in ('columns') order by as_of, question"
    ).fetchall()


def test_only_what_differs_is_remembered_and_what_is_gone_as_zero(places: Places, fill: Any) -> None:
    fill(customers=200)
    with duckdb.connect(str(places.warehouse)) as connection:
        profiles.remember(connection, "run-1", AS_OF)
        first = [("metrics/customers//figure", 200), ("stripe/invoices//rows/", 200)]
        assert remembered(connection) == first
        profiles.remember(connection, "run-2", AS_OF + timedelta(days=1))
        assert remembered(connection) == first, "nothing was different"
        connection.execute(f"delete from {DAYS}")
        profiles.remember(connection, "run-3", AS_OF + timedelta(days=2))
        assert remembered(connection) == [*first, ("stripe/invoices//rows/", 0)]
        profiles.remember(connection, "run-4", AS_OF)
        assert remembered(connection)[0] == first[0], "an instant that is published again replaces what was said of it"


def test_an_erasure_lets_go_of_digests_that_still_hold_and_of_nothing_else(places: Places, fill: Any) -> None:
    fill()
    with duckdb.connect(str(places.warehouse)) as connection:
        connection.execute(
            f"insert into {DAYS} values ('stripe', 'invoices', '2026-10-01', '', 'fingerprint', null, 7),"
            " ('stripe', 'invoices', '2026-10-02', '', 'fingerprint', null, 8)"
        )
        profiles.remember(connection, "run-1", AS_OF)
        connection.execute(f"update {DAYS} set reading = 9 where profile_date = '2026-10-02'")
        assert profiles.let_go(connection) == 1
        assert profiles.let_go(connection) == 0
        kept = [row for row in remembered(connection) if "fingerprint" in row[0]]
        assert kept == [("stripe/invoices//fingerprint/", 8)], (
            "it was altered before the erasure, and stays to be judged"
        )
        connection.execute(f"drop table {DAYS}")
        assert profiles.let_go(connection) == 0
