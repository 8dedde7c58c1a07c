"""The courier against a destination that does what a test tells it to."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from activation.actions import Action, Outcome, State
from activation.deliver import Budget, deliver, work
from activation.errors import (
    BatchRejectedError,
    LimitedError,
    NotSentError,
    OutcomeUnknownError,
    StoppedError,
)
from activation.ledger import Ledger
from activation.pacing import Breaker, Rate, Retry
from activation.plan import Delivery, Policy, Verdict, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass
class Scripted:
    """A destination whose answers are a function of the number of the request and the actions in it."""

    answer: Callable[[int, Sequence[Action]], list[Outcome]]
    found: Callable[[Action], Outcome | None] = lambda _action: None
    name: str = "scripted"
    rate: Rate = field(default_factory=lambda: Rate(1000, 1000))
    batch_size: int = 10
    batch_bytes: int = 100_000
    concurrency: int = 1
    resends_changes: bool = True
    can_be_asked: bool = True
    quota: None = None
    ordered: bool = False
    sent: list[list[str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        self.sent.append([action.action_id for action in actions])
        return self.answer(len(self.sent), actions)

    def resolve(self, actions: Sequence[Action]) -> list[Outcome | None]:
        self.asked.extend(action.action_id for action in actions)
        return [self.found(action) for action in actions]

    def order_key(self, action: Action) -> str | None:
        return action.customer_id if self.ordered else None

    def close(self) -> None:
        pass


def yes(_number: int, actions: Sequence[Action]) -> list[Outcome]:
    return [Outcome.acknowledged(f"ref-{action.action_id}", 200) for action in actions]


def failing_first(times: int, error: Exception) -> Callable[[int, Sequence[Action]], list[Outcome]]:
    def answer(number: int, actions: Sequence[Action]) -> list[Outcome]:
        if number <= times:
            raise error
        return yes(number, actions)

    return answer


@pytest.fixture
def actions(action: Any) -> Any:
    return lambda count, **changes: [
        action(number, destination="scripted", **changes) for number in range(1, count + 1)
    ]


@pytest.fixture
def send(ledger: Ledger, time: Any, rng: random.Random) -> Any:
    def go(destination: Any, wanted: Any, *, seconds: Any = 600.0, retry: Any = None) -> Any:
        policies = {destination.name: Policy(live=True, resends_changes=destination.resends_changes)}
        planned = plan(wanted, ledger.snapshot(), policies, time.now())
        budget = Budget(seconds, retry or Retry())
        tallies = deliver(planned, {destination.name: destination}, ledger, time, budget, rng=rng)
        return tallies[0] if tallies else None

    return go


def states(ledger: Ledger) -> Any:
    return [entry.state for entry in ledger.snapshot().values()]


def test_everything_goes_out_once_in_batches(ledger: Ledger, send: Any, actions: Any) -> None:
    destination = Scripted(yes)
    tally = send(destination, actions(25))
    assert [len(batch) for batch in destination.sent] == [10, 10, 5]
    assert (tally.acknowledged, tally.is_clean) == (25, True)
    assert set(states(ledger)) == {State.ACKNOWLEDGED}
    assert send(destination, actions(25)) is None
    assert len(destination.sent) == 3


def test_a_batch_stays_within_its_bytes(send: Any, actions: Any) -> None:
    destination = Scripted(yes, batch_bytes=250)
    send(destination, actions(6))
    assert all(len(batch) <= 3 for batch in destination.sent)
    assert sum(map(len, destination.sent)) == 6


@pytest.mark.parametrize(
    "error", [NotSentError("No connection."), OutcomeUnknownError("Lost."), LimitedError("Busy.", 429, None)]
)
def test_what_may_pass_is_tried_again_after_a_jittered_wait(
    ledger: Ledger, send: Any, actions: Any, time: Any, error: Any
) -> None:
    destination = Scripted(failing_first(2, error))
    tally = send(destination, actions(3))
    assert tally.acknowledged == 3
    assert len(time.pauses) >= 1
    assert all(entry.attempt_count == 3 for entry in ledger.snapshot().values())


@pytest.mark.parametrize("busy", [LimitedError("Busy.", 429, 120.0), OutcomeUnknownError("Busy.", 503, 120.0)])
def test_retry_after_is_waited_for_in_full(send: Any, actions: Any, time: Any, busy: Exception) -> None:
    destination = Scripted(failing_first(1, busy))
    assert send(destination, actions(1)).acknowledged == 1
    assert 120 <= sum(time.pauses) <= 121


def test_to_come_back_at_once_said_again_and_again_is_waited_for_longer_each_time(send: Any, actions: Any) -> None:
    destination = Scripted(failing_first(10_000, LimitedError("Busy.", 429, 0.0)))
    assert send(destination, actions(1), seconds=600).waiting == 1
    assert len(destination.sent) < 60


def test_what_is_due_after_the_budget_waits_in_the_ledger_for_the_next_run(
    ledger: Ledger, send: Any, actions: Any, time: Any
) -> None:
    destination = Scripted(failing_first(1, LimitedError("Busy.", 429, 120.0)))
    tally = send(destination, actions(2), seconds=30)
    assert (tally.acknowledged, tally.waiting) == (0, 2)
    assert time.pauses == []
    assert states(ledger) == [State.WAITING] * 2
    # a run that comes too early keeps the promise; one that comes later sends
    assert send(destination, actions(2), seconds=30).waiting == 2
    time.pause(121)
    assert send(destination, actions(2), seconds=30).acknowledged == 2


def test_a_rejection_is_final_for_that_payload(ledger: Ledger, send: Any, actions: Any) -> None:
    destination = Scripted(lambda _n, batch: [Outcome.rejected("no such person", 422) for _ in batch])
    assert send(destination, actions(2)).rejected == 2
    assert send(destination, actions(2)) is None
    assert states(ledger) == [State.REJECTED] * 2


def test_one_bad_item_neither_blocks_nor_fails_its_neighbours(ledger: Ledger, send: Any, actions: Any) -> Any:
    poison = f"{7:032x}"

    def answer(number: int, batch: Sequence[Action]) -> list[Outcome]:
        if any(action.action_id == poison for action in batch):
            raise BatchRejectedError("malformed", 400)
        return yes(number, batch)

    destination = Scripted(answer)
    tally = send(destination, actions(10))
    assert (tally.acknowledged, tally.rejected) == (9, 1)
    assert ledger.snapshot()[poison].state is State.REJECTED
    assert len(destination.sent) <= 8


def test_an_unknown_outcome_is_looked_up_before_anything_is_sent_again(ledger: Ledger, send: Any, actions: Any) -> None:
    destination = Scripted(
        failing_first(1, OutcomeUnknownError("Lost.")),
        found=lambda action: Outcome.acknowledged("found", 200) if action.action_id.endswith("1") else None,
    )
    tally = send(destination, actions(2))
    assert tally.acknowledged == 2
    assert [len(batch) for batch in destination.sent] == [2, 1]
    assert destination.sent[1] == [f"{2:032x}"]
    with sqlite3.connect(ledger.path) as connection:
        found = connection.execute("select outcome from attempts where attempt_id like '%-at-%'").fetchall()
    assert found == [("acknowledged",)]


@pytest.mark.parametrize("can_be_asked", [True, False])
@pytest.mark.parametrize("turned_away", [LimitedError("slow", 429, 2.0), NotSentError("refused"), StoppedError("no")])
def test_what_may_have_arrived_stays_in_doubt_whatever_turns_the_next_request_away(
    ledger: Ledger, send: Any, actions: Any, time: Any, turned_away: Exception, *, can_be_asked: bool
) -> None:
    """Neither a question that was turned away nor a repeat says that the first request did not arrive."""
    requests: list[str] = []

    def answer(kind: str, asked: Sequence[Action]) -> list[Outcome]:
        requests.append(kind)
        if len(requests) < 3:
            raise (OutcomeUnknownError("lost"), turned_away)[len(requests) - 1]
        return yes(0, asked)

    destination = Scripted(lambda _number, sent: answer("send", sent), lambda each: answer("ask", [each])[0])
    destination.can_be_asked = can_be_asked
    for _ in range(3):
        send(destination, actions(1), retry=Retry(base=0.01, cap=0.02))
        time.pause(1000)
        assert set(states(ledger)) <= {State.UNKNOWN, State.ACKNOWLEDGED}
    assert requests == (["send", "ask", "ask"] if can_be_asked else ["send"] * 3)


def test_wrong_credentials_stop_one_destination_at_once_and_lose_nothing(
    ledger: Ledger, send: Any, actions: Any
) -> None:
    destination = Scripted(failing_first(99, StoppedError("It refused our credentials.", 401)))
    tally = send(destination, actions(30))
    assert len(destination.sent) == 1
    assert tally.stopped
    assert tally.waiting == 30
    assert State.SENDING not in states(ledger)
    assert send(Scripted(yes), actions(30)).acknowledged == 30


def test_a_dead_destination_is_left_alone_after_some_failures(send: Any, actions: Any) -> None:
    destination = Scripted(failing_first(99, NotSentError("No connection.")), batch_size=1)
    tally = send(destination, actions(50), seconds=20, retry=Retry(attempts=20))
    assert len(destination.sent) == Breaker().failures
    assert tally.waiting == 50


def test_one_dead_destination_does_not_stop_the_others(
    ledger: Ledger, time: Any, rng: random.Random, action: Any
) -> None:
    dead = Scripted(failing_first(99, NotSentError("No connection.")), name="dead")
    alive = Scripted(yes, name="alive")
    planned = [
        Delivery(action(number, destination=name), Verdict.NEW)
        for number, name in enumerate(["dead", "alive", "dead", "alive"], start=1)
    ]
    tallies = deliver(planned, {"dead": dead, "alive": alive}, ledger, time, Budget(5), rng=rng)
    assert [(tally.destination, tally.acknowledged) for tally in tallies] == [("alive", 2), ("dead", 0)]


def test_changes_of_one_thing_arrive_in_their_order_even_if_the_first_has_to_wait(send: Any, actions: Any) -> Any:
    arrived: list[str] = []

    def answer(number: int, batch: Sequence[Action]) -> list[Outcome]:
        if number == 1:
            return [Outcome.waiting("busy", 200, 5.0) for _ in batch]
        arrived.extend(action.action_id for action in batch)
        return yes(number, batch)

    destination = Scripted(answer, ordered=True)
    wanted = actions(4, customer_id="c_same")
    assert send(destination, wanted).acknowledged == 4
    assert arrived == [action.action_id for action in wanted]
    assert all(len(batch) == 1 for batch in destination.sent)


def test_a_refused_change_does_not_hold_up_the_next_one(send: Any, actions: Any) -> None:
    destination = Scripted(
        lambda number, batch: [Outcome.rejected("no")] if number == 1 else yes(number, batch), ordered=True
    )
    tally = send(destination, actions(2, customer_id="c_same"))
    assert (tally.rejected, tally.acknowledged) == (1, 1)


def test_the_rate_is_kept(send: Any, actions: Any, time: Any) -> None:
    destination = Scripted(yes, rate=Rate(per_second=2, burst=1), batch_size=1)
    send(destination, actions(5))
    assert time.seconds == pytest.approx(2.0)


def test_tries_within_one_run_are_counted(ledger: Ledger, send: Any, actions: Any) -> None:
    calm = Scripted(lambda _n, batch: [Outcome.waiting("busy", 200) for _ in batch], batch_size=1)
    tally = send(calm, actions(1), retry=Retry(attempts=3))
    assert len(calm.sent) == 3
    assert tally.waiting == 1
    assert states(ledger) == [State.WAITING]


def test_the_intent_is_in_the_ledger_while_the_request_is_out(ledger: Ledger, send: Any, actions: Any) -> Any:
    seen = []

    def answer(number: int, batch: Sequence[Action]) -> list[Outcome]:
        with sqlite3.connect(ledger.path) as connection:
            seen.append(connection.execute("select state, attempt_count from deliveries").fetchall())
        return yes(number, batch)

    send(Scripted(answer), actions(1))
    assert seen == [[("sending", 1)]]


def test_a_clock_that_was_set_back_makes_nobody_wait_until_it_is_there_again(
    send: Any, actions: Any, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination = Scripted(failing_first(1, LimitedError("Busy.", 429, 120.0)))
    assert send(destination, actions(2), seconds=30).waiting == 2
    before = time.wall
    monkeypatch.setattr(time, "wall", lambda: before() - timedelta(days=3))
    assert send(destination, actions(2), seconds=30).waiting == 2  # the vendor is still left alone for as long
    time.pause(125)
    assert send(destination, actions(2), seconds=30).acknowledged == 2


def test_age_alone_is_no_reason_to_give_up(ledger: Ledger, send: Any, actions: Any, time: Any) -> None:
    destination = Scripted(failing_first(2, NotSentError("No connection.")))
    patient = Retry(base=10, cap=10, attempts=6, total_seconds=5.0)
    assert send(destination, actions(1), seconds=0.5, retry=patient).waiting == 1
    time.pause(36 * 3600)  # the machine was off
    assert send(destination, actions(1), retry=patient).acknowledged == 1
    assert states(ledger) == [State.ACKNOWLEDGED]


def test_what_may_have_arrived_is_asked_about_even_where_it_is_claimed_together_with_what_is_new(
    ledger: Ledger, send: Any, actions: Any, time: Any
) -> None:
    known, new = actions(6)[::2], actions(6)[1::2]
    ledger.enqueue(known, time.now())
    ledger.intend(known, time.now())
    ledger.heal(time.now())
    destination = Scripted(yes, found=lambda action: Outcome.acknowledged(f"found {action.action_id}", 200))
    tally = send(destination, actions(6))
    assert sorted(destination.asked) == sorted(each.action_id for each in known)
    assert sorted(each for batch in destination.sent for each in batch) == sorted(each.action_id for each in new)
    assert tally.acknowledged == 6


def test_what_the_ledger_never_heard_of_and_what_waits_in_it_leave_in_one_order(
    ledger: Ledger, time: Any, rng: Any, action: Any
) -> None:
    """The most urgent first, wherever it is; what others are about is left to them; what is not begun is queued."""
    made = [action(number, destination="scripted", priority=number) for number in range(1, 8)]
    ids = [each.action_id for each in made]
    desk = Scripted(lambda _, actions: [Outcome.acknowledged(each.action_id) for each in actions], batch_size=2)
    ledger.enqueue([made[1], made[4]], time.now(), "plan", queue="plan")
    ledger.enqueue([made[3]], time.now())  # another worker sends it in this moment
    ledger.intend([made[3]], time.now())
    ledger.open_queue("plan", "plan")
    fresh = {"scripted": iter([[made[0], made[2]], [made[3], made[5], made[6]]])}
    (tally,) = work("plan", {"scripted": desk}, ledger, time, Budget(60, limit=4), rng=rng, fresh=fresh)
    assert desk.sent == [ids[:2], [ids[2], ids[4]]]
    assert (tally.acknowledged, tally.left) == (4, 2)
    work("plan", {"scripted": desk}, ledger, time, Budget(60), rng=rng)
    assert desk.sent[2:] == [ids[5:]]


def test_what_does_not_fit_into_a_request_leaves_no_trace_until_it_leaves(
    ledger: Ledger, time: Any, rng: Any, action: Any
) -> None:
    made = [action(number, destination="scripted") for number in range(1, 7)]
    known: list[int] = []

    def answer(_: int, actions: Sequence[Action]) -> list[Outcome]:
        known.append(len(ledger.snapshot()))
        return [Outcome.acknowledged(each.action_id) for each in actions]

    desk = Scripted(answer, batch_bytes=2 * len(made[0].payload))
    work("plan", {"scripted": desk}, ledger, time, Budget(60), rng=rng, fresh={"scripted": iter([made])})
    assert ([len(each) for each in desk.sent], known) == ([2, 2, 2], [2, 4, 6])


def test_what_the_playbook_sends_elsewhere_leaves_the_queue_of_where_it_was_to_go(
    either: Ledger, time: Any, rng: random.Random, action: Any
) -> None:
    before = Scripted(lambda _number, actions: [Outcome.waiting("busy") for _ in actions])
    after = Scripted(yes)
    after.name = "elsewhere"
    served = {each.name: each for each in (before, after)}
    policies = {name: Policy(live=True, resends_changes=False) for name in served}
    tries = 0
    for name, text in (("scripted", '{"for":1}'), ("elsewhere", '{"for":2}'), ("elsewhere", '{"for":2}')):
        wanted = [action(1, destination=name, object=f"{name}s", payload=text)]
        planned = plan(wanted, either.snapshot(), policies, time.now())
        deliver(planned, served, either, time, Budget(600), rng=rng)
        tries = tries or len(before.sent)
    assert len(before.sent) == tries
    assert after.sent == [[wanted[0].action_id]]
    (entry,) = either.snapshot().values()
    assert (entry.state, entry.action._replace(digest="")) == (State.ACKNOWLEDGED, wanted[0])
