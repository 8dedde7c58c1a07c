"""What a run remembers of its verdicts: each once, and of a closed period that moved, that it moved."""

from __future__ import annotations

import datetime as dt

import duckdb

from lifecycle.remembered import verdicts

AS_OF = dt.datetime(2026, 3, 10, 6)  # noqa: DTZ001 - the warehouse's times are naive UTC


def test_a_restatement_is_noted_beside_the_verdict_and_only_once_per_instant() -> None:
    with duckdb.connect() as connection:
        connection.execute("create schema marts; create schema raw_ops")
        connection.execute(
            "create table marts.validation_verdicts as select * from (values"
            " ('payments', 'day', date '2026-03-01', 1, 'within', true, 5, timestamp '2026-03-05 06:00', $1),"
            " ('payments', 'day', date '2026-03-02', 1, 'within', true, 5, timestamp '2026-03-06 06:00', null),"
            " ('payments', 'day', date '2026-03-06', 1, 'outside', false, 4, $1, null)"
            ") as found (metric, grain, period, revision, status, is_within, ours, judged_at, restated_at)",
            [AS_OF],
        )
        for column in ("theirs", "explained", "unexplained", "tolerance"):
            connection.execute(f"alter table marts.validation_verdicts add column {column} decimal(18, 2) default 5")
        connection.execute("alter table marts.validation_verdicts add column fingerprint varchar default 'f'")
        connection.execute(
            "create table marts.reconciliation as select metric, grain, period, 9 as ours, 5 as theirs,"
            " 4 as difference, 4 as unexplained, 1 as tolerance from marts.validation_verdicts"
        )
        connection.execute(
            "create table raw_ops.validation_verdicts (verdict_id varchar primary key, metric varchar, grain varchar,"
            " period date, revision bigint, status varchar, ours varchar, theirs varchar, explained varchar,"
            " unexplained varchar, tolerance varchar, is_within bool, fingerprint varchar, known_at timestamp,"
            " run_id varchar, _dlt_load_id varchar)"
        )
        for run_id in ("first", "again"):
            assert verdicts.remember(connection, run_id, AS_OF) == 2
        noted = connection.execute(
            "select verdict_id, status, ours, is_within, run_id from raw_ops.validation_verdicts order by all"
        ).fetchall()
    assert noted == [
        ("payments:day:2026-03-01:2", "restated", "9", True, "again"),
        ("payments:day:2026-03-06:1", "outside", "4", False, "again"),
    ]
