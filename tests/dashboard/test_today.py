"""Who needs a person today, on a company of six customers."""

from __future__ import annotations

import duckdb

from dashboard import today
from dashboard.published import Published

MARTS = """
create schema marts;
create table marts.publish_log as select timestamp '2026-03-01 06:00:00' as as_of, 'published' as outcome;
create table marts.customer_lifecycle as
    select
        *, 'success' as state_owner_team, state in ('at_risk', 'dormant') as is_in_danger, state as lifecycle_state
    from (
        values
        ('c_1', 'Overdue', 'adopted', 10::decimal(18, 2), timestamp '2026-01-01'),
        ('c_2', 'New danger', 'at_risk', 900::decimal(18, 2), timestamp '2026-02-27'),
        ('c_3', 'Old danger', 'at_risk', 800::decimal(18, 2), timestamp '2026-02-01'),
        ('c_4', 'Long lead', 'lead', 0::decimal(18, 2), timestamp '2025-01-01'),
        ('c_5', null, 'trial', null, timestamp '2026-02-20'),
        ('c_6', 'Content', 'adopted', 700::decimal(18, 2), timestamp '2026-01-01')
    ) as customers (customer_id, customer_name, state, mrr, state_entered_at);
create table marts.hand_offs as
    select * from (
        values
        ('c_1', 'growth', 'success', 'a habit', timestamp '2026-02-28 06:00:00', 'overdue'),
        ('c_2', 'growth', 'success', 'a silence', timestamp '2026-03-02 06:00:00', 'waiting'),
        ('c_6', 'growth', 'success', 'a habit', timestamp '2026-02-01 06:00:00', 'picked_up')
    ) as hand_offs (customer_id, from_team, to_team, handed_because, pick_up_by, outcome);
create table marts.action_decisions as
    select * from (
        values
        ('c_5', 'task_first_call', 'sales', 'tasks', 'permitted', true),
        ('c_6', 'task_first_call', 'sales', 'tasks', 'suppressed', true),
        ('c_6', 'task_old', 'sales', 'tasks', 'permitted', false),
        ('c_6', 'say_hello', 'growth', 'events', 'permitted', true)
    ) as decisions (customer_id, action, owner_team, object, decision, is_open);
create table marts.state_alarms as
    select *, 'time_limit' as alarm, 'customer' as region from (
        values
        ('c_3', 'success', 'at_risk', timestamp '2026-02-01'), ('c_4', 'sales', 'lead', timestamp '2025-01-01')
    ) as alarms (customer_id, owner_team, lifecycle_state, valid_from);
"""


def test_overdue_comes_first_then_revenue_and_whoever_does_not_wait_is_left_out() -> None:
    with duckdb.connect() as connection:
        connection.execute(MARTS)
        rows = today.waiting(Published(connection, "1", has_previous=False))
    assert [(row["customer"], row["team"], row["is_overdue"], row["why"]) for row in rows] == [
        ("Overdue", "success", True, "handed over by growth: a habit"),
        ("New danger", "success", False, "came into at risk on 27 Feb; handed over by growth: a silence"),
        ("Old danger", "success", False, "too long at risk, since 01 Feb 2026"),
        ("c_5", "sales", False, "to do: task first call"),
    ]
    section = today.section(rows)
    assert section.sentence.startswith("success 3, sales 1; 1 overdue.")
    assert today.tile(rows).figure.raw == 4  # type: ignore[union-attr]


def test_a_quiet_day_says_so() -> None:
    assert today.section([]).sentence == "Nobody waits for a person."
    assert "none overdue" in today.tile([]).note


def test_of_many_the_first_are_shown_and_the_rest_counted() -> None:
    row = {"customer_id": "c", "customer": "C", "team": "success", "is_overdue": False}
    section = today.section([row] * (today.LONGEST + 3))
    assert len(section.table.rows) == today.LONGEST
    assert "3 more are in the marts" in section.note
