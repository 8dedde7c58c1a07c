"""Requests that the ledger keeps whole, against the same deliveries kept one by one: nobody can tell the difference."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from activation import batches
from activation.actions import Action, Outcome, State
from activation.batches import BEGINNING
from activation.deliver import Budget, work
from activation.destinations import Basics
from activation.errors import BatchRejectedError, LimitedError, NotSentError, OutcomeUnknownError, StoppedError
from activation.ledger import DIED_IN_FLIGHT, Ledger, metadata
from activation.pacing import Rate, Retry
from activation.plan import Policy, plan
from activation.step import Arrived, Claimed
from activation.upkeep import Health, expire, forget, health
from activation.workers import own_name
from tests.activation.conftest import AS_OF, FakeTime

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEAD = own_name().replace(f"/{os.getpid()}/", "/999999999/")
TOLD = (
    "select deliveries.*, payload from deliveries join payloads using (action_id) order by action_id",
    "select * from attempts order by attempt_id, outcome",
)
ANSWERS = {
    "yes": None,
    "lost": OutcomeUnknownError("Lost."),
    "off": NotSentError("No connection."),
    "busy": LimitedError("Busy.", 429, 3.0),
    "no": BatchRejectedError("Refused.", 422),
    "stop": StoppedError("Go away.", 401),
}


@dataclass
class Desk(Basics):
    """Answers the n-th request as it is told to; of a request that it takes it may refuse or put off some actions."""

    script: Sequence[tuple[str, frozenset[int]]]
    resends_changes: bool  # what is set again and again is kept one by one
    name = "customerio"
    rate = Rate(1000, 1000)
    batch_size = 4
    concurrency = 1

    def __post_init__(self) -> None:
        self.sent: list[list[str]] = []

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        number = len(self.sent)
        self.sent.append([action.action_id for action in actions])
        answer, odd = self.script[number] if number < len(self.script) else ("yes", frozenset())
        if error := ANSWERS[answer]:
            raise error
        return [
            Outcome.acknowledged(f"ref {action.action_id}", 200)
            if place not in odd
            else (Outcome.rejected("It is odd.", 200) if place % 2 else Outcome.waiting("Later.", 200))
            for place, action in enumerate(actions)
        ]

    def close(self) -> None:
        pass


def told(ledger: Ledger) -> list[list[tuple[Any, ...]]]:
    """What the ledger shows."""
    with ledger.reading() as connection:
        return [[tuple(row) for row in connection.exec_driver_sql(query)] for query in TOLD]


def claimed(actions: Sequence[Action]) -> list[Claimed]:
    return [Claimed(each, 0, False, True, 0, 0, None) for each in actions]


def begun(ledger: Ledger, actions: Sequence[Action], worker: str) -> int:
    """The actions on their way in one request."""
    with ledger.step("customerio", worker, "plan") as step:
        (number,) = step.begin_whole([claimed(actions)], AS_OF, 1000.0)
    return number


def arrive(ledger: Ledger, number: int, actions: Sequence[Action], worker: str) -> None:
    """The vendor has taken that request."""
    names = [f"ref {each.action_id}" for each in actions]
    with ledger.step("customerio", worker, "plan") as step:
        step.arrived([Arrived(claimed(actions), names, "", 200, number)], AS_OF + timedelta(seconds=1))


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[Ledger]:
    return [Ledger(tmp_path_factory.mktemp("ledger") / f"{number}.sqlite") for number in range(2)]


request = st.tuples(
    st.sampled_from(sorted(ANSWERS)), st.frozensets(st.integers(0, 3), max_size=2) | st.just(frozenset[int]())
)


@settings(
    max_examples=12, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(script=st.lists(request, max_size=6), number=st.integers(1, 11), queued=st.sets(st.integers(1, 11), max_size=4))
def test_whatever_comes_back_the_ledger_shows_the_same_whether_it_keeps_requests_whole(
    two: list[Ledger], action: Any, script: Any, number: int, queued: set[int]
) -> None:
    made = [action(each, expires_at=None, priority=each % 3) for each in range(1, number + 1)]
    made = [each._replace(digest=each.payload_hash) for each in made]
    old = [each for place, each in enumerate(made, start=1) if place in queued]
    new = sorted([each for each in made if each not in old], key=lambda each: (each.priority, each.action_id))
    seen = []
    for ledger, is_singly in zip(two, (False, True), strict=True):
        with ledger.transaction() as connection:
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        time, desk = FakeTime(), Desk(script, resends_changes=is_singly)
        ledger.enqueue(old, time.now(), "plan", queue="plan")
        ledger.open_queue("plan", "plan")
        since, fresh = ledger.mark(), {"customerio": iter([new])}
        budget = Budget(60, Retry(attempts=3, base=1))
        (tally,) = work(
            "plan", {"customerio": desk}, ledger, time, budget, rng=random.Random(3), fresh=fresh, since=since
        )
        assert not (is_singly and ledger.batched(BEGINNING))
        snapshot = ledger.snapshot()
        (deliveries, attempts) = told(ledger)
        assert sorted(snapshot) == sorted(row[0] for row in deliveries) == sorted(each.action_id for each in made)
        summary = (desk.sent, str(tally), snapshot, ledger.counts(), ledger.latest(), health(ledger, 1e10, AS_OF))
        seen.append(
            (
                summary,
                sorted(set(deliveries)),
                sorted(attempts, key=str),
                sorted("\n".join(ledger.delivered()).split("\n")),
            )
        )
    assert seen[0] == seen[1]


def test_a_request_is_seen_as_deliveries_while_it_is_out_and_when_it_has_arrived(either: Ledger, action: Any) -> None:
    made = [action(number) for number in range(1, 4)]
    number = begun(either, made, own_name())
    deliveries, attempts = told(either)
    assert ([row[9] for row in deliveries], attempts) == (["sending"] * 3, [])
    assert health(either, 1060.0, AS_OF) == Health(dead=0, open=3, oldest_seconds=60.0)
    assert [each for text in either.delivered() for each in text.split()] == []
    arrive(either, number, made, own_name())
    deliveries, attempts = told(either)
    assert [(row[0], row[9], row[-1]) for row in deliveries] == [
        (each.action_id, "acknowledged", each.payload) for each in made
    ]
    assert [row[:2] for row in attempts] == [(f"{each.action_id}-1", each.action_id) for each in made]
    assert {row[12] for row in deliveries} == {f"ref {each.action_id}" for each in made}
    assert sorted("\n".join(either.delivered()).split("\n")) == sorted(
        f"{each.payload_hash}\t{each.action_id}" for each in made
    )


def test_what_a_dead_worker_had_out_becomes_unknown_and_its_late_answer_counts(either: Ledger, action: Any) -> None:
    mine, theirs = [action(1), action(2)], [action(3), action(4)]
    begun(either, mine, own_name())
    number = begun(either, theirs, DEAD)
    assert {each.state for each in either.unresolved().values()} == {State.SENDING}
    assert either.heal(AS_OF, wall=1000.0) == 2
    states = {key: entry.state for key, entry in either.snapshot().items()}
    assert states == {
        **{each.action_id: State.SENDING for each in mine},
        **{each.action_id: State.UNKNOWN for each in theirs},
    }
    assert [(row[1], row[6], row[8]) for row in told(either)[1]] == [
        (each.action_id, "unknown", DIED_IN_FLIGHT) for each in theirs
    ]
    arrive(either, number, theirs, DEAD)  # it lived after all, on a machine that was cut off
    found = either.snapshot()
    assert [found[each.action_id].state for each in theirs] == [State.ACKNOWLEDGED] * 2
    assert len(told(either)[1]) == 4


def test_what_is_out_or_has_arrived_since_a_plan_was_made_is_not_enqueued_again(either: Ledger, action: Any) -> None:
    since = either.mark()
    out, there, new = [action(1), action(2)], [action(3), action(4)], [action(5)]
    begun(either, out, own_name())
    arrive(either, begun(either, there, own_name()), there, own_name())
    either.enqueue([*out, *there, *new], AS_OF, "plan", queue="plan", since=since)
    either.open_queue("plan", "plan")
    assert either.waits_for_a_hand("plan") == {"customerio": 1}
    assert len(told(either)[0]) == 5
    assert either.mark().batch < since.batch + 1, "what is out lies before no mark"


def test_of_two_who_planned_the_same_only_one_sends_it(ledger: Ledger, action: Any, time: Any) -> None:
    made = [action(number) for number in range(1, 13)]
    since = ledger.mark()
    begun(ledger, made[2:4], own_name())
    ledger.enqueue([made[5]], AS_OF)
    desks = [Desk([], resends_changes=False) for _ in range(2)]
    for desk in desks:
        fresh = {"customerio": iter([made[:7], made[7:]])}
        work("plan", {"customerio": desk}, ledger, time, Budget(60, limit=6), fresh=fresh, since=since)
        ledger.open_queue("plan", "plan")
    sent = [each for desk in desks for batch in desk.sent for each in batch]
    assert sorted(sent) == [each.action_id for each in made if each not in {*made[2:4], made[5]}]


def test_what_begins_while_the_ledger_is_marked_lies_after_the_mark(
    ledger: Ledger, action: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[str] = []
    for name in ("_LAST_SINGLE", "_LAST", "_FIRST_OUT"):
        statement = getattr(batches, name)

        class Interrupted:
            """Before this is read, another worker begins something."""

            def rows(self, *how: Any, name: str = name, statement: Any = statement) -> Any:
                monkeypatch.setattr(batches, name, statement)
                made = [action(len(wanted) + number) for number in (1, 2)]
                begun(ledger, made, own_name())
                wanted.extend(each.action_id for each in made)
                return statement.rows(*how)

        monkeypatch.setattr(batches, name, Interrupted())
        assert sorted(ledger.batched(ledger.mark())) == sorted(wanted)
    assert len(wanted) == 6


def test_one_of_a_request_is_forgotten_and_the_others_stay(either: Ledger, action: Any) -> None:
    made = [action(number) for number in range(1, 4)]
    arrive(either, begun(either, made, own_name()), made, own_name())
    before = told(either)
    assert forget(either, "c_2", AS_OF + timedelta(days=1)) == 1
    deliveries, attempts = told(either)
    assert [row for row in deliveries if row[0] != made[1].action_id] == [
        row for row in before[0] if row[0] != made[1].action_id
    ]
    assert (deliveries[1][9], deliveries[1][-1], deliveries[1][12]) == ("acknowledged", "{}", None)
    assert [row[:8] for row in attempts] == [row[:8] for row in before[1]]


def test_payloads_of_requests_expire_and_nothing_else_of_them(either: Ledger, action: Any) -> None:
    old, out = [action(1), action(2)], [action(3), action(4)]
    arrive(either, begun(either, old, own_name()), old, own_name())
    begun(either, out, own_name())
    lines = list(either.delivered())
    assert expire(either, AS_OF, AS_OF + timedelta(days=9)) == 0
    assert expire(either, AS_OF + timedelta(days=1), AS_OF + timedelta(days=9)) == 2
    assert expire(either, AS_OF + timedelta(days=1), AS_OF + timedelta(days=9)) == 0
    assert [row[-1] for row in told(either)[0]] == ["{}", "{}", out[0].payload, out[1].payload]
    assert list(either.delivered()) == lines
    assert either.snapshot()[old[0].action_id].acknowledged_hash == old[0].payload_hash


def test_what_went_out_in_a_request_can_be_changed_once_its_destination_sets_states(
    either: Ledger, action: Any
) -> None:
    made = [action(number) for number in range(1, 4)]
    arrive(either, begun(either, made, own_name()), made, own_name())
    changed = made[0]._replace(payload='{"n":9}')
    known = either.batched_ever([changed.action_id, "nobody"])
    (delivery,) = plan([changed], known, {"customerio": Policy(live=True, resends_changes=True)}, AS_OF)
    assert (list(known), str(delivery.verdict)) == ([changed.action_id], "changed")
    either.enqueue([changed], AS_OF + timedelta(days=1), "plan", queue="plan", is_changed=True)
    deliveries, attempts = told(either)
    assert [row[9] for row in deliveries] == ["planned", "acknowledged", "acknowledged"]
    assert (len(attempts), deliveries[0][11]) == (3, made[0].payload_hash)


def test_a_ledger_of_rows_only_becomes_one_of_requests_too(tmp_path: Path, action: Any) -> None:
    import sqlite3  # noqa: PLC0415

    path = tmp_path / "ledger.sqlite"
    earlier = Ledger(path)
    earlier.enqueue([action(1)], AS_OF)
    earlier.close()
    with sqlite3.connect(path) as connection:  # as it was before there were requests
        for statement in (
            "drop view deliveries", "drop view attempts", "drop view payloads", "drop table batches",
            "drop table batch_contents",
            "drop table batch_references", "alter table single_deliveries rename to deliveries",
            "alter table single_attempts rename to attempts",
        ):  # fmt: skip
            connection.execute(statement)
    ledger = Ledger(path)
    arrive(ledger, begun(ledger, [action(2), action(3)], own_name()), [action(2), action(3)], own_name())
    assert [row[9] for row in told(ledger)[0]] == ["planned", "acknowledged", "acknowledged"]
    ledger.close()
