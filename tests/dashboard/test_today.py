"""Who needs a person today, as the page tells it; who that is, the mart decides."""

from __future__ import annotations

import duckdb

from dashboard import today
from dashboard.published import Published

MARTS = """
create schema marts;
create table marts.customer_lifecycle as
    select * from (values ('c_1', 'Overdue'), ('c_2', 'In two minds'), ('c_3', null))
        as customers (customer_id, customer_name);
create table marts.open_worklist as
    select *, timestamp '2026-02-27' as waiting_since, 'at_risk' as lifecycle_state, 10::decimal(18, 2) as mrr from (
        values
        ('c_3', 4, 'sales', 'task: first call', null::timestamp, false),
        ('c_2', 3, 'success', 'newly in this state', timestamp '2026-03-02 06:00:00', false),
        ('c_2', 2, 'finance', 'ticket: a payment is open', null, false),
        ('c_1', 1, 'success', 'handed over by growth: a habit', timestamp '2026-02-28 06:00:00', true)
    ) as list (customer_id, worklist_position, owner_team, because, pick_up_by, is_overdue);
"""


def test_the_list_is_the_mart_s_in_its_order_with_the_customers_names() -> None:
    with duckdb.connect() as connection:
        connection.execute(MARTS)
        rows = today.waiting(Published(connection, "1", has_previous=False))
    assert [(row["customer"], row["team"], row["is_overdue"], row["because"]) for row in rows] == [
        ("Overdue", "success", True, "handed over by growth: a habit"),
        ("In two minds", "finance", False, "ticket: a payment is open"),
        ("In two minds", "success", False, "newly in this state"),
        ("c_3", "sales", False, "task: first call"),
    ]
    section = today.section(rows)
    assert section.sentence == "Waiting for success: 2, finance: 1, sales: 1. 1 hand-off is overdue."
    tile = today.tile(rows)
    assert tile.figure.raw == 3  # type: ignore[union-attr]
    assert tile.note == "customers, 1 overdue"


def test_a_quiet_day_says_so() -> None:
    assert today.section([]).sentence == "Nobody is waiting for a person."
    assert "none overdue" in today.tile([]).note


def test_of_many_the_first_are_shown_and_the_rest_counted() -> None:
    row = {"customer_id": "c", "customer": "C", "team": "success", "is_overdue": False}
    section = today.section([row] * (today.LONGEST + 3))
    assert len(section.table.rows) == today.LONGEST
    assert "3 more are in the mart" in section.note
