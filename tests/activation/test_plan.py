from __future__ import annotations

import copy
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activation.actions import DOUBT, Action, State, canonical
from activation.plan import Entry, Policy, Verdict, plan

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
EVENTS = {"customerio": Policy(live=True, resends_changes=False)}
STAGES = {"customerio": Policy(live=True, resends_changes=True)}


def entry(action: Action, state: State, *, acknowledged: Action | None = None, attempts: int = 1) -> Entry:
    acknowledged_hash = acknowledged.payload_hash if acknowledged else None
    return Entry(action, state, action.payload_hash, acknowledged_hash, attempts, "because")


def verdict_of(action: Action, known: Entry | None, policies: dict[str, Policy]) -> Verdict:
    (delivery,) = plan([action], {action.action_id: known} if known else {}, policies, AS_OF)
    return delivery.verdict


def test_an_action_nobody_has_seen_is_new(action: Any) -> None:
    assert verdict_of(action(), None, EVENTS) is Verdict.NEW


def test_an_acknowledged_action_is_not_sent_again(action: Any) -> None:
    done = action()
    assert verdict_of(done, entry(done, State.ACKNOWLEDGED, acknowledged=done), STAGES) is Verdict.UNCHANGED


def test_key_order_and_white_space_are_no_change(action: Any) -> None:
    sent = action(payload='{"a":1,"b":{"c":2,"d":3}}')
    same = sent._replace(payload='{ "b": {"d":3, "c":2}, "a":1 }')
    assert verdict_of(same, entry(sent, State.ACKNOWLEDGED, acknowledged=sent), STAGES) is Verdict.UNCHANGED


def test_a_then_b_then_a_again_is_three_deliveries(action: Any) -> None:
    a, b = action(payload='{"stage":"A"}'), action(payload='{"stage":"B"}')
    assert verdict_of(a, None, STAGES) is Verdict.NEW
    assert verdict_of(b, entry(a, State.ACKNOWLEDGED, acknowledged=a), STAGES) is Verdict.CHANGED
    assert verdict_of(a, entry(b, State.ACKNOWLEDGED, acknowledged=b), STAGES) is Verdict.CHANGED


def test_a_b_that_failed_does_not_hide_that_a_is_still_what_the_vendor_has(action: Any) -> None:
    a, b = action(payload='{"stage":"A"}'), action(payload='{"stage":"B"}')
    assert verdict_of(b, entry(b, State.WAITING, acknowledged=a), STAGES) is Verdict.RESUMED


@pytest.mark.parametrize(
    ("state", "reason", "verdict"),
    [
        (State.PLANNED, "", Verdict.UNCHANGED),
        (State.PLANNED, "Given up after 6 attempts: no answer. Whether it arrived is unknown.", Verdict.RESUMED),
        (State.WAITING, "busy", Verdict.RESUMED),
    ],
)
def test_a_b_that_surely_never_left_is_no_reason_to_say_a_again(
    action: Any, state: State, reason: str, verdict: Verdict
) -> None:
    a, b = action(payload='{"stage":"A"}'), action(payload='{"stage":"B"}')
    assert verdict_of(a, entry(b, state, acknowledged=a)._replace(reason=reason), STAGES) is verdict


@pytest.mark.parametrize(
    ("state", "verdict", "where"),
    [
        (State.ACKNOWLEDGED, Verdict.UNCHANGED, "desk"),
        (State.WAITING, Verdict.RESUMED, "desk"),
        (State.REJECTED, Verdict.CHANGED, "desk"),
        (State.DROPPED, Verdict.BLOCKED, "desk"),
        (State.UNKNOWN, Verdict.RESUMED, "customerio"),
        (State.SENDING, Verdict.RESUMED, "customerio"),
    ],
)
def test_what_the_playbook_sends_elsewhere_now_is_never_at_both(
    action: Any, state: State, verdict: Verdict, where: str
) -> None:
    before = action()
    wanted = before._replace(destination="desk")
    policies = {**EVENTS, "desk": Policy(live=True, resends_changes=True)}
    (delivery,) = plan([wanted], {before.action_id: entry(before, state)}, policies, AS_OF)
    assert (delivery.verdict, delivery.action.destination) == (verdict, where)
    assert delivery.is_wanted == (where == "desk")


def test_what_happened_is_reported_once_even_if_it_is_told_differently_now(action: Any) -> None:
    told = action(payload='{"story":"one"}')
    retold = action(payload='{"story":"two"}')
    assert verdict_of(retold, entry(told, State.ACKNOWLEDGED, acknowledged=told), EVENTS) is Verdict.UNCHANGED


def test_an_unknown_outcome_is_repeated_byte_for_byte(action: Any) -> None:
    sent, wanted_now = action(payload='{"story":"one"}'), action(payload='{"story":"two"}')
    (delivery,) = plan([wanted_now], {sent.action_id: entry(sent, State.SENDING)}, EVENTS, AS_OF)
    assert delivery.verdict is Verdict.RESUMED
    assert delivery.outcome_is_unknown
    assert delivery.action.payload == sent.payload


def test_an_unknown_outcome_is_followed_up_when_nobody_wants_the_action_any_more(action: Any) -> None:
    sent = action()
    (delivery,) = plan([], {sent.action_id: entry(sent, State.UNKNOWN)}, EVENTS, AS_OF)
    assert delivery.verdict is Verdict.RESUMED
    nobody_says = {"customerio": Policy(live=True, resends_changes=False, can_be_asked=False)}
    (delivery,) = plan([], {sent.action_id: entry(sent, State.UNKNOWN)}, nobody_says, AS_OF)
    assert delivery.verdict is Verdict.BLOCKED
    assert "cannot be asked" in delivery.reason


@pytest.mark.parametrize("state", [State.ACKNOWLEDGED, State.REJECTED, State.WAITING, State.PLANNED])
def test_nothing_else_comes_back_once_nobody_wants_it(action: Any, state: Any) -> None:
    sent = action()
    assert plan([], {sent.action_id: entry(sent, state)}, EVENTS, AS_OF) == []


def test_a_refused_payload_is_blocked_until_it_changes(action: Any) -> None:
    refused = action(payload='{"user_id":""}')
    repaired = action(payload='{"user_id":"usr_1"}')
    known = entry(refused, State.REJECTED)
    assert verdict_of(refused, known, EVENTS) is Verdict.BLOCKED
    assert verdict_of(repaired, known, EVENTS) is Verdict.CHANGED


def test_another_payload_is_no_way_round_what_may_have_arrived(action: Any) -> None:
    """Under another payload it would be sent without being looked for, and be there twice."""
    dead, retold = action(payload='{"story":"one"}'), action(payload='{"story":"two"}')
    doubtful = entry(dead, State.DEAD)._replace(reason="Given up after 30 attempts: No answer. " + DOUBT)
    assert verdict_of(retold, doubtful, STAGES) is Verdict.BLOCKED
    elsewhere = {**STAGES, "desk": Policy(live=True, resends_changes=True)}
    assert verdict_of(retold._replace(destination="desk"), doubtful, elsewhere) is Verdict.BLOCKED
    assert verdict_of(retold, entry(dead, State.DEAD), STAGES) is Verdict.CHANGED


@pytest.mark.parametrize(("minutes", "verdict"), [(0, Verdict.EXPIRED), (-1, Verdict.EXPIRED), (1, Verdict.NEW)])
def test_an_action_is_in_time_until_just_before_it_expires(action: Any, minutes: Any, verdict: Any) -> None:
    assert verdict_of(action(expires_at=AS_OF + timedelta(minutes=minutes)), None, EVENTS) is verdict


def test_an_action_without_expiry_stays_in_time(action: Any) -> None:
    assert verdict_of(action(expires_at=None), None, EVENTS) is Verdict.NEW


def test_shadow_mode_and_unknown_destinations_hold_back_with_a_reason(action: Any) -> None:
    shadow = {"customerio": Policy(live=False, resends_changes=False)}
    for policies, word in ((shadow, "shadow"), ({}, "no destination")):
        (delivery,) = plan([action()], {}, policies, AS_OF)
        assert delivery.verdict is Verdict.BLOCKED
        assert word in delivery.reason


def test_the_same_id_twice_is_refused(action: Any) -> None:
    with pytest.raises(ValueError, match="desired twice"):
        plan([action(), action()], {}, EVENTS, AS_OF)


def test_urgent_goes_first_then_the_oldest(action: Any) -> None:
    late, early = action(1), action(2, occurred_at=AS_OF - timedelta(days=1))
    urgent = action(3, priority=1)
    ordered = [delivery.action for delivery in plan([late, early, urgent], {}, EVENTS, AS_OF)]
    assert ordered == [urgent, early, late]


states = st.sampled_from(list(State))
payloads = st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3).map(json.dumps)


@given(
    wanted=st.dictionaries(st.integers(0, 5), payloads, max_size=6),
    known=st.dictionaries(st.integers(0, 5), st.tuples(states, payloads, st.none() | payloads), max_size=6),
    order=st.randoms(use_true_random=False),
)
def test_plan_is_pure_and_does_not_depend_on_the_order_of_rows(wanted: Any, known: Any, order: Any) -> Any:
    def make(number: int, payload: str) -> Action:
        return Action(
            f"{number}", "customerio", "events", "greet", "c", "o", AS_OF, None, number % 2, canonical(payload)
        )

    desired = [make(number, payload) for number, payload in wanted.items()]
    ledger = {
        f"{number}": entry(make(number, payload), state)._replace(
            acknowledged_hash=make(number, acknowledged).payload_hash if acknowledged else None,
        )
        for number, (state, payload, acknowledged) in known.items()
    }
    before = copy.deepcopy((desired, ledger))
    first = plan(desired, ledger, STAGES, AS_OF)
    shuffled = list(desired)
    order.shuffle(shuffled)
    assert plan(shuffled, dict(reversed(ledger.items())), STAGES, AS_OF) == first
    assert (desired, ledger) == before
    # nothing acknowledged with the wanted payload is ever sent
    for delivery in first:
        seen = ledger.get(delivery.action.action_id)
        if delivery.is_sent and seen is not None and seen.state is State.ACKNOWLEDGED:
            assert seen.acknowledged_hash != delivery.action.payload_hash
    # nothing wanted is left out
    assert {delivery.action.action_id for delivery in first} >= {each.action_id for each in desired}
