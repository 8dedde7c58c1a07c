"""Where a customer stands, as `lifecycle explain` tells it: what may be done, what may not, and why."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
import pytest

from lifecycle.explain import standing
from lifecycle.playbook import sheets

PUBLISHED = """
create schema marts;
create table marts.customer_lifecycle as
    select
        'c_1' as customer_id, 'trial' as lifecycle_state, timestamp '2026-02-01 09:00:00' as state_entered_at,
        'growth' as state_owner_team, 'lead' as previous_lifecycle_state, 'first_sign_up' as state_signal,
        'evt_1' as state_proof_event_ids, 0.00::decimal(18, 2) as mrr, 0.00::decimal(18, 2) as ltv_realised,
        910.00::decimal(18, 2) as channel_ltv, 850.00::decimal(18, 2) as channel_ltv_low,
        990.00::decimal(18, 2) as channel_ltv_high, 120::bigint as channel_ltv_n, null::decimal(9, 4) as churn_risk,
        null::decimal(9, 4) as churn_risk_low, null::decimal(9, 4) as churn_risk_high, null::bigint as churn_risk_n,
        null::varchar as churn_risk_reasons, 'does not pay' as not_scored_because;
create table marts.lifecycle_state_history as
    select
        'c_1' as customer_id, region, lifecycle_state, timestamp '2026-02-01 09:00:00' as valid_from,
        true as is_current,
        timestamp '2026-02-02 06:00:00' as recorded_at, 'signed up' as entered_because, 'occ_1' as proof_occurrence_id
    from (values ('customer', 'trial'), ('engagement', 'exploring'), ('revenue', 'in_trial'), ('risk', 'calm'))
        as stays (region, lifecycle_state);
create table marts.signals as
    select
        'c_1' as customer_id, 'first_sign_up' as signal_id, 'occ_1' as occurrence_id, 'fired' as outcome,
        timestamp '2026-02-01 09:00:00' as occurred_at, timestamp '2026-02-02 06:00:00' as detected_at,
        1::bigint as proof_count, 'evt_1' as proving_event_ids, false as is_historical;
create table marts.action_decisions as
    select
        'a_1' as action_id, 'c_1' as customer_id, 'welcome_trial' as action, 'growth' as owner_team,
        'suppressed' as decision, 'quiet_hours' as suppression_reason, 'quiet_hours, holdout' as held_back_by,
        timestamp '2026-02-03 05:00:00' as release_at, 'treatment' as arm, true as is_in_holdout, true as is_open,
        timestamp '2026-02-02 06:00:00' as decided_at, timestamp '2026-02-01 09:00:00' as occurred_at,
        false as is_exempt_from_caps, 'way_back' as journey, 1::bigint as journey_version, null::timestamp as sent_at,
        'trial' as lifecycle_state;
create table marts.action_deliveries (
    action_id varchar, customer_id varchar, action varchar, destination varchar, outcome varchar,
    acknowledged_at timestamp, first_planned_at timestamp
);
create table marts.state_alarms as
    select
        'c_1' as customer_id, 'a' as alarm_id, 'invariant' as alarm, 'revenue' as region, 'in_trial' as lifecycle_state,
        timestamp '2026-02-01 09:00:00' as wrong_since, 'mrr_usd' as measure, 90.00::decimal(18, 2) as measured_value,
        'A trial costs nothing.' as meaning;
create table marts.lifecycle_state_versions as
    select
        'c_1' as customer_id, 'v' as version_id, 'customer' as region, 'adopted' as lifecycle_state,
        timestamp '2026-01-20 09:00:00' as valid_from, timestamp '2026-01-21 06:00:00' as known_from,
        timestamp '2026-01-30 06:00:00' as known_until, 'withdrawn' as correction;
create table marts.hand_offs as
    select
        'h_1' as hand_off_id, 'c_1' as customer_id, 'sales' as from_team, 'growth' as to_team,
        timestamp '2026-02-01 09:00:00' as handed_at, 'signed up' as handed_because,
        timestamp '2026-02-03 06:00:00' as pick_up_by, 'waiting' as outcome;
create table marts.open_worklist as
    select
        'c_1' as customer_id, 1::bigint as worklist_position, 'growth' as owner_team,
        'handed over by sales: signed up' as because, timestamp '2026-02-02 06:00:00' as waiting_since,
        timestamp '2026-02-03 06:00:00' as pick_up_by, true as is_overdue;
"""


@pytest.fixture
def published() -> Any:
    with duckdb.connect() as connection:
        connection.execute(PUBLISHED)
        yield connection


def test_it_says_where_the_customer_stands_and_by_which_proof(published: Any) -> None:
    found = standing.gather(published, "c_1")
    assert found is not None
    told = "\n".join(standing.lines(found))
    assert "State: trial since 2026-02-01 09:00 UTC; growth answers for it." in told
    assert "known since 2026-02-02 06:00 UTC" in told
    assert "proof: evt_1 (occurrence occ_1)" in told
    assert "engagement: exploring since 2026-02-01" in told
    assert "USD 910.00 (850.00 to 990.00, n = 120)" in told
    assert "Risk: not scored (does not pay)." in told
    assert "welcome_trial: quiet_hours, holdout, released 05:00 UTC (in trial, arm treatment, journey way_back" in told
    assert "wrong since 2026-02-01: in_trial. A trial costs nothing. (mrr_usd is 90.00)" in told
    assert "adopted since 2026-01-20 09:00 was said from 2026-01-21 to 2026-01-30" in told
    assert "sales to growth, because: signed up (waiting)" in told
    assert "waits for growth since 2026-02-02: handed over by sales: signed up (was to be picked up by" in told


def test_it_says_for_each_team_what_it_may_do_and_why_not_the_rest(published: Any) -> None:
    found = standing.gather(published, "c_1")
    assert found is not None
    teams = {leave.team: leave for leave in found.leave}
    assert teams["growth"].role == "owner"
    assert teams["success"].role == "assists"
    assert teams["finance"].role == "no part"
    assert "route_limit_reached" in teams["growth"].may
    assert teams["growth"].may_not["welcome_trial"].startswith("quiet_hours: ")
    assert teams["growth"].may_not["answer_pricing_interest"] == "only watched (shadow)"
    assert teams["finance"].may_not["remind_of_payment"] == "not permitted in this state, only in payment_trouble"
    actions = {row["action"] for row in sheets.read().rows("actions")}
    said = [action for leave in found.leave for action in (*leave.may, *leave.may_not)]
    assert sorted(said) == sorted(actions)


def test_an_unknown_customer_and_an_older_file_are_no_errors(published: Any) -> None:
    found = standing.gather(published, "c_2")
    assert found is not None
    assert list(standing.lines(found)) == ["No row in customer_lifecycle: nothing is known of where it stands."]
    published.execute("drop table marts.hand_offs")
    assert standing.gather(published, "c_1") is None


def test_a_delivery_is_told_with_what_became_of_it(published: Any) -> None:
    published.execute(
        "insert into marts.action_deliveries"
        " values ('a_0', 'c_1', 'welcome_trial', 'customerio', 'acknowledged', ?, ?)",
        [datetime(2026, 1, 5, 6), datetime(2026, 1, 5, 5)],  # noqa: DTZ001
    )
    found = standing.gather(published, "c_1")
    assert found is not None
    assert "  2026-01-05 06:00 welcome_trial to customerio: acknowledged" in list(standing.lines(found))
