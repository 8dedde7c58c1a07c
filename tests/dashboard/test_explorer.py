"""The explorer as Streamlit runs it, on a small published file; the past is played by a stand-in for the command."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from dashboard import explorer

if TYPE_CHECKING:
    from pathlib import Path

PUBLISHED = """
create schema marts;
create table marts.publish_log as select timestamp '2026-03-01 06:00:00' as as_of, 'published' as outcome;
create table marts.customer_lifecycle as
    select
        customer_id, customer_name, domain, 'adopted' as lifecycle_state, mrr, timestamp '2025-12-24' as first_seen_at,
        timestamp '2026-01-05' as state_entered_at, 'success' as state_owner_team, true as is_over_time_limit,
        'team' as plan, 4 as seats, churn_risk, 0.02 as churn_risk_low, 0.3 as churn_risk_high,
        'short visits' as churn_risk_reasons, null::double as upgrade_readiness, null::double as upgrade_readiness_low,
        null::double as upgrade_readiness_high, null as upgrade_readiness_reasons, 'too young' as not_scored_because,
        1900.5::decimal(18, 2) as channel_ltv, 1500::decimal(18, 2) as channel_ltv_low,
        2400::decimal(18, 2) as channel_ltv_high, 'help, call' as allowed_actions
    from (values ('c_1', 'Acme', 'acme.example', 80::decimal(18, 2), 0.1), ('c_2', null, null, null, null))
        as customers (customer_id, customer_name, domain, mrr, churn_risk);
create table marts.source_refresh as
    select
        'stripe' as source, true as is_stale, true as is_held_back, timestamp '2026-03-02' as held_back_as_of,
        '1 check failed: mrr_bridge.' as held_back_reason, timestamp '2026-02-27' as data_is_final_until;
create table marts.customer_identities as select 'c_2' as customer_id, 'cus_9' as source_record_id;
create table marts.lifecycle_state_history as
    select
        'c_1' as customer_id, region, state as lifecycle_state, 'success' as owner_team, begins as valid_from,
        ends as valid_to, begins as recorded_at, 'habit_formed' as entered_by_signal, 'a habit' as entered_because,
        'e1' as proof_event_ids, place as state_sequence
    from (
        values
        ('customer', 'trial', timestamp '2025-12-24', timestamp '2026-01-05', 1),
        ('customer', 'adopted', timestamp '2026-01-05', null, 2), ('risk', 'calm', timestamp '2025-12-24', null, 1)
    ) as stays (region, state, begins, ends, place);
create table marts.signals as
    select
        'c_1' as customer_id, 'o1' as occurrence_id, 'habit_formed' as signal_id, timestamp '2026-01-05' as occurred_at,
        'fired' as outcome, timestamp '2026-01-06' as detected_at, false as is_historical, 2 as proof_count,
        'e1,e2' as proving_event_ids;
create table marts.action_decisions as
    select
        'c_1' as customer_id, 'a1' as action_id, 'help' as action, 'habit_formed' as signal_id, 'success' as owner_team,
        'customerio' as destination, timestamp '2026-01-05' as occurred_at, timestamp '2026-01-06' as decided_at,
        'suppressed' as decision, 'holdout' as held_back_by, 'adopted' as lifecycle_state, 'none' as arm,
        false as is_open, null::timestamp as release_at, null::timestamp as sent_at;
create table marts.usage_daily as
    select 'c_1' as customer_id, 'all' as product, date '2026-02-01' as usage_date, 12 as events, 3 as active_users;
create table marts.hand_offs as
    select
        'c_1' as customer_id, 'h1' as hand_off_id, timestamp '2026-01-05' as handed_at, 'growth' as from_team,
        'success' as to_team, 'trial' as from_state, 'adopted' as to_state, 'a habit' as handed_because,
        null::timestamp as pick_up_by, null::timestamp as picked_up_at, 'waiting' as outcome;
create table marts.state_alarms as
    select
        'c_1' as customer_id, 'x' as alarm_id, 'time_limit' as alarm, 'customer' as region,
        'adopted' as lifecycle_state, timestamp '2026-02-01' as wrong_since, 'Too long.' as meaning;
create table marts.open_worklist as
    select
        'c_1' as customer_id, 1 as worklist_position, 'success' as owner_team, timestamp '2026-01-06' as waiting_since,
        'handed over by growth: a habit' as because;
"""
LOOK = {
    "name": "help", "first_day": "2026-02-26", "last_day": "2026-03-01", "signals": ["habit_formed"],
    "actions": ["help"], "fired": 4, "unknown": 1, "customers": 3, "permitted": 1, "customers_reached": 1,
    "fired_per_day": [1, 0, 3], "permitted_per_day": [0, 0, 1], "suppressed": {"holdout": 3}, "overlaps": {"call": 1},
    "load": {"customerio": {"total": 1, "mean_per_day": 0.33, "most_in_a_day": 1}},
    "foresight": [{
        "outcome": "churn", "precision": {"value": 0.5, "low": 0.2, "high": 0.8, "n": 4},
        "at_any_time": {"value": 0.1, "low": 0.05, "high": 0.2, "n": 90},
        "lift": {"value": 5.0, "low": 2.0, "high": 12.5, "n": 4},
        "recall": {"value": None, "low": None, "high": None, "n": 0},
    }],
}  # fmt: skip


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    path = tmp_path / "versions" / "1" / "lifecycle.duckdb"
    path.parent.mkdir(parents=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(PUBLISHED)
    monkeypatch.setenv(explorer.PUBLISHED, str(path))
    return AppTest.from_file(explorer.__file__, default_timeout=600)


def said(app: Any) -> str:
    parts = (app.title, app.markdown, app.caption, app.warning, app.info, app.error, app.subheader)
    return "\n".join(element.value for part in parts for element in part)


def test_a_customers_story_is_told_from_the_published_file(app: Any) -> None:
    app.run()
    assert not app.exception
    text = said(app)
    assert "as published for 01 Mar 2026 06:00 UTC" in text
    assert "**adopted** since 05 Jan 2026; success answers for it. It has been there for longer" in text
    assert "time limit in adopted since 01 Feb 2026: Too long." in text
    assert "Waits for success since 06 Jan 2026: handed over by growth\\: a habit" in text
    assert {metric.label: metric.value for metric in app.metric} == {
        "MRR, USD": "80.00",
        "Risk of leaving": "10.0%",
        "Upgrade": "\N{EN DASH}",
        "LTV of its channel, USD": "1,900",
    }
    assert "95% interval 2.0% to 30.0%; short visits" in text
    assert [warning.value.replace("\\", "") for warning in app.sidebar.warning] == [
        (
            "Not the newest numbers. The run of 02 Mar 2026 00:00 UTC was held back: 1 check failed: mrr_bridge."
            " What is shown is the last good version."
        ),
        "Older than it should be: stripe. Numbers that rest on it end where it stopped.",
    ]
    assert "no score: too young" in text
    assert len(app.get("vega_lite_chart")) == 3
    signals, decisions, hand_offs = (frame.value for frame in app.dataframe)
    assert list(signals["proving event ids"]) == ["e1,e2"]
    assert list(decisions["held back by"]) == ["holdout"]
    assert list(hand_offs["to team"]) == ["success"]
    assert "- call\n- help" in text


def test_a_name_is_neither_a_link_nor_a_formula() -> None:
    assert explorer.literal("[Acme](https://x) $a$ *b*") == r"\[Acme\]\(https\://x\) \$a\$ \*b\*"


def test_a_customer_is_found_by_name_domain_or_any_id(app: Any) -> None:
    app.run()
    for asked, found in (("ACM", "c_1"), ("acme.ex", "c_1"), ("cus_9", "c_2"), ("c_2", "c_2")):
        app.text_input(key="asked").set_value(asked).run()
        assert not app.exception
        assert app.selectbox(key="customer").value == found
    app.text_input(key="asked").set_value("nobody").run()
    assert "Nobody is known as “nobody”" in said(app)


def test_the_past_is_played_by_the_command_and_compared_with_the_look_before(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    answers = iter([LOOK, {**LOOK, "fired": 7}, {"error": "There is no warehouse yet."}])

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command[3:])
        answer = next(answers)
        return explorer.subprocess.CompletedProcess(command, 2 * ("error" in answer), json.dumps(answer), "")

    monkeypatch.setattr("subprocess.run", run)
    app.run()
    app.radio(key="room").set_value("The past, played again").run()
    app.selectbox(key="subject").select("help")
    app.slider(key="days").set_value(14)
    app.button(key="play").click().run()
    assert not app.exception
    assert asked == [["backtest", "help", "--days", "14", "--horizon", "30", "--json"]]
    text = said(app)
    assert "**customerio** would get 1, 0.33 a day, at most 1." in text
    assert "1 silences could not be proven" in text
    assert app.dataframe[0].value.iloc[0].to_list() == [
        "churn", "50.0% (20.0% to 80.0%)", "10.0% (5.0% to 20.0%)", "5.00 (2.00 to 12.50)", "unknown",
    ]  # fmt: skip
    app.button(key="play").click().run()
    assert [metric.value for metric in app.metric if metric.label == "Fired"] == ["7", "4"]
    app.button(key="play").click().run()
    assert "There is no warehouse yet." in said(app)


def test_without_a_published_file_it_says_what_to_do(app: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(explorer.PUBLISHED, str(tmp_path / "none.duckdb"))
    app.run()
    assert not app.exception
    assert "`lifecycle run` publishes a first version" in said(app)
