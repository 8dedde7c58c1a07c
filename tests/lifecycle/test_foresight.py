"""What a signal is worth as a warning, on a world counted by hand and against how often intervals should cover."""

from __future__ import annotations

import datetime as dt
import random

import duckdb
import pytest

from lifecycle.foresight import foresee, share

START, AS_OF = dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 21)  # noqa: DTZ001 - the warehouse is naive UTC


def day(number: float) -> dt.datetime:
    return START + dt.timedelta(days=number)


def test_a_small_world_is_counted_as_by_hand() -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "attach ':memory:' as live; create schema live.intermediate; create schema live.marts;"
            "create table live.intermediate.int_customers__resolved (customer_id varchar, first_seen_at timestamp);"
            "create table live.intermediate.int_mrr_movements__dated"
            " (customer_id varchar, occurred_at timestamp, movement varchar, mrr_after double);"
            "create table live.marts.signals"
            " (signal_id varchar, customer_id varchar, occurred_at timestamp, outcome varchar);"
        )
        connection.executemany(
            "insert into live.intermediate.int_customers__resolved values (?, ?)",
            [(each, day(-100)) for each in ("warned", "surprised", "alarmed", "quiet")],
        )
        connection.executemany(
            "insert into live.intermediate.int_mrr_movements__dated values (?, ?, ?, ?)",
            [(each, day(-100), "new", 10) for each in ("warned", "surprised", "alarmed", "quiet")]
            + [("warned", day(8), "churn", 0), ("surprised", day(9), "churn", 0)],
        )
        connection.executemany(
            "insert into live.marts.signals values ('s', ?, ?, ?)",
            [
                ("warned", day(5), "fired"),
                ("alarmed", day(5), "fired"),
                ("alarmed", day(6), "unknown"),  # nothing that was not proven counts
                ("alarmed", day(15), "fired"),  # its horizon is not over
                ("warned", day(12), "fired"),  # it does not pay any more
            ],
        )
        found = {each.outcome: each for each in foresee(connection, ["s"], START, AS_OF, dt.timedelta(days=10))}
    churn = found["churn"]
    assert (churn.precision.value, churn.precision.n) == (0.5, 2)
    assert (churn.recall.value, churn.recall.n) == (0.5, 2)
    assert churn.lead_days == (3, 3, 3)
    # 11 days; two stay for all of them, the others pay on days 0 to 7 and 0 to 8 and leave within ten days of each
    assert churn.at_any_time.n == 11 + 11 + 8 + 9
    assert churn.at_any_time.value == pytest.approx(17 / 39)
    assert churn.lift.value == pytest.approx(0.5 / (17 / 39))
    assert "start" not in found, "nobody to whom it fired could still start"


def test_an_interval_knows_that_a_customers_firings_go_together() -> None:
    rng = random.Random(7)
    covered = 0
    for _ in range(400):
        hits, units = [], []
        for _ in range(60):
            chance = 0.9 if rng.random() < 0.3 else 0.1  # so the true share is 0.34
            units.append(6)
            hits.append(sum(rng.random() < chance for _ in range(6)))
        found = share(hits, units)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.34 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def test_nothing_seen_is_no_certainty() -> None:
    found = share([0] * 20, [1] * 20)
    assert found.low == 0
    assert found.high == pytest.approx(0.161, abs=0.001)  # Wilson's for 0 of 20
