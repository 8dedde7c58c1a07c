"""Several workers on one ledger: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

import os
import threading
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from activation.actions import Action, Outcome, State
from activation.deliver import Budget, stage, work
from activation.destinations import Basics
from activation.ledger import Ledger, Result
from activation.pacing import Rate, RunTime
from activation.plan import Delivery, Verdict
from activation.step import Arrived
from activation.workers import is_gone, own_name
from benchmarks.vendors import AS_OF, actions_for

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Meeting:
    """Lets nobody do anything before everybody is there."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._here: set[int] = set()
        self._all_here = threading.Event()

    def wait(self, who: object) -> None:
        self._here.add(id(who))
        if len(self._here) == self._number:
            self._all_here.set()
        assert self._all_here.wait(600), "somebody never got anything to send"


class Counting(Basics):
    """Takes everything, and remembers when and how often."""

    name = "make"
    batch_size = 1
    concurrency = 64

    def __init__(self, rate: Rate, meeting: Meeting | None = None) -> None:
        self.rate = rate
        self.meeting = meeting
        self.sent: list[str] = []
        self.at: list[datetime] = []

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        if self.meeting is not None:
            self.meeting.wait(self)
        self.at.append(RunTime(AS_OF).wall())
        self.sent.extend(action.action_id for action in actions)
        return [Outcome.acknowledged("queued", 200) for _ in actions]

    def close(self) -> None:
        pass


class Watched(RunTime):
    """Remembers what the machine's clock has shown."""

    def __init__(self, as_of: datetime) -> None:
        super().__init__(as_of)
        self.seen: list[datetime] = []

    def wall(self) -> datetime:
        self.seen.append(super().wall())
        return self.seen[-1]


def together(
    where: Path | str,
    destinations: list[Counting],
    actions: list[Action],
    *,
    time: RunTime | None = None,
    is_fresh: bool = False,
) -> list[int]:
    """Each destination served by a worker of its own ledger connection; how many each one delivered.

    What `is_fresh` is in both workers' hands, and in the ledger only once one of them sends it.
    """
    time = time or RunTime(AS_OF)
    ledgers = [Ledger(where) for _ in destinations]
    planned = [Delivery(action, Verdict.NEW) for action in actions]
    delivered: list[int] = []

    def run(ledger: Ledger, destination: Counting) -> None:
        served = {"make": destination}
        if not is_fresh:
            stage(planned, served, ledger, time, "one")
        ledger.open_queue("one", "one")
        fresh = {"make": iter([sorted(actions, key=by_urgency)])} if is_fresh else {}
        tallies = work("one", served, ledger, time, Budget(3600), fresh=fresh)
        delivered.append(sum(tally.acknowledged for tally in tallies))

    threads = [threading.Thread(target=run, args=pair) for pair in zip(ledgers, destinations, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    states = {entry.state for entry in ledgers[0].snapshot().values()}
    for ledger in ledgers:
        ledger.close()
    assert states == {State.ACKNOWLEDGED}
    return delivered


@pytest.mark.parametrize(("number", "is_fresh"), [(3_000, False), (10_000, True)], ids=["queued", "fresh"])
def test_two_workers_never_send_any_of_ten_thousand_twice(where: Path | str, number: int, *, is_fresh: bool) -> None:
    meeting = Meeting(2)
    workers = [Counting(Rate(1e6, 10**6), meeting), Counting(Rate(1e6, 10**6), meeting)]
    actions = actions_for("make", range(1, number + 1))
    delivered = together(where, workers, actions, is_fresh=is_fresh)
    sent = [each for worker in workers for each in worker.sent]
    assert sorted(sent) == sorted(action.action_id for action in actions)
    assert sum(delivered) == len(actions)
    assert all(delivered)


def by_urgency(action: Action) -> tuple[int, Any, str]:
    return action.priority, action.occurred_at, action.action_id


def test_two_workers_keep_one_rate(where: Path | str) -> None:
    time, workers = Watched(AS_OF), [Counting(Rate(100, 5)), Counting(Rate(100, 5))]
    together(where, workers, actions_for("make", range(1, 61)), time=time)
    last = max(moment for worker in workers for moment in worker.at)
    # 5 at once and then 100 a second, whoever sends: the 60th 0.55 s after the clock was first looked at, or later
    assert last - min(time.seen) >= timedelta(seconds=0.549)


def test_what_a_living_worker_holds_is_left_to_it_and_what_a_dead_one_held_is_not(ledger: Ledger, action: Any) -> None:
    names = [own_name(1), own_name(2).replace(f"/{os.getpid()}/", "/999999999/")]
    assert [is_gone(name) for name in names] == [False, True]
    for number, name in enumerate(names, start=1):
        ledger.enqueue([action(number)], AS_OF, "plan", queue="plan")
        ledger.open_queue("plan", "plan")
        with ledger.step("customerio", name, "plan") as step:
            (claimed,) = step.claim(1, 1e12)
            step.intend([claimed.seq], AS_OF, 1e12, {claimed.seq})
    assert ledger.heal(AS_OF, wall=1e12) == 1
    assert [entry.state for entry in ledger.snapshot().values()] == [State.SENDING, State.UNKNOWN]
    # a lease that ran out is lost even if its worker lives, for it may live on another machine
    assert ledger.heal(AS_OF, wall=1e12 + 3600) == 1


def test_a_worker_that_lost_its_lease_may_not_send_and_cannot_undo_what_another_one_learned(
    ledger: Ledger, action: Any
) -> None:
    mine = action(1)
    ledger.enqueue([mine], AS_OF, "plan", queue="plan")
    ledger.open_queue("plan", "plan")
    with ledger.step("customerio", "slow/1/1/0", "plan") as step:
        step.hold([each.seq for each in step.claim(1, 1.0)], 1.0)
    ledger.heal(AS_OF, wall=1e12)
    with ledger.step("customerio", "quick/1/1/0", "plan") as step:
        claimed = step.claim(1, 1e12)
        step.intend([each.seq for each in claimed], AS_OF, 1e12, {each.seq for each in claimed})
    with ledger.step("customerio", "slow/1/1/0", "plan") as step:
        assert step.intend(list(step.numbers([mine.action_id]).values()), AS_OF, 1e12) == set()
    with ledger.step("customerio", "quick/1/1/0", "plan") as step:
        step.record([Result(mine, Outcome.acknowledged("7"), seq=1)], AS_OF)
    with ledger.step("customerio", "slow/1/1/0", "plan") as step:
        step.record([Result(mine, Outcome.unknown("Lost."), seq=1)], AS_OF)
    (entry,) = ledger.snapshot().values()
    assert entry.state is State.ACKNOWLEDGED


def test_what_is_enqueued_is_nobodys_until_its_queue_is_opened_even_if_others_work_on_the_plan(
    either: Ledger, action: Any
) -> None:
    def claimed() -> list[str]:
        with either.step("customerio", "w/1/1/0", "plan") as step:
            return [each.action.action_id for each in step.claim(10, 1e12)]

    first, second, blocked = action(3), action(1, occurred_at=AS_OF - timedelta(days=1)), action(2, action="nag")
    either.enqueue([first], AS_OF, "plan", queue="plan/a")
    assert (claimed(), either.waits_for_a_hand("plan")) == ([], {})
    either.open_queue("plan/a", "plan")
    either.enqueue([second, blocked], AS_OF, "plan", queue="plan/b")
    assert claimed() == [first.action_id]
    either.open_queue("plan/b", "plan", ["nag"])
    assert claimed() == [second.action_id, first.action_id], "the most urgent of all queues goes first"
    assert either.waits_for_a_hand("plan") == {"customerio": 2}


def test_what_lies_between_the_rows_of_a_request_is_left_alone(either: Ledger, action: Any) -> None:
    either.enqueue([action(number) for number in range(1, 8)], AS_OF, "plan", queue="plan")
    either.open_queue("plan", "plan")
    with either.step("customerio", own_name(), "plan") as step:
        held = {each.action.action_id: each for each in step.claim(10, 1e12)}
        step.hold([each.seq for each in held.values()], 1e12)
    odd = [held[action(number).action_id] for number in (7, 1, 3)]  # in no order, with others between them
    row = [held[action(number).action_id] for number in (4, 5, 6)]
    for some in (odd, row):
        with either.step("customerio", own_name(), "plan") as step:
            assert set(step.intend([each.seq for each in some], AS_OF, 1e12)) == {each.seq for each in some}
            references = {each.seq: f"ref {each.action.action_id}" for each in some}
            step.record(
                [Result(each.action, Outcome.acknowledged(references[each.seq]), seq=each.seq) for each in some], AS_OF
            )
    states = {key: (entry.state, entry.attempt_count) for key, entry in either.snapshot().items()}
    assert states.pop(action(2).action_id) == (State.PLANNED, 0)
    assert set(states.values()) == {(State.ACKNOWLEDGED, 1)}
    with either.reading() as connection:
        told = connection.exec_driver_sql(
            "select action_id, vendor_reference from deliveries where vendor_reference is not null"
        ).fetchall()
        (tried,) = connection.exec_driver_sql("select count(distinct action_id) from attempts").fetchone() or (0,)
    assert {row[1] for row in told} == {f"ref {row[0]}" for row in told}
    assert (len(told), tried) == (6, 6)


@pytest.mark.parametrize(
    "references",
    [["aa", "bb", "cc"], ["a", "bbb", ""], [None, "b", None], ["ä", "bb", "cc"], [None, None, None], ["", "", ""]],
    ids=["of one length", "of several", "some without", "beyond ASCII", "without", "empty"],
)
@pytest.mark.parametrize("numbers", [(1, 2, 3), (3, 1, 2), (1, 3, 5)], ids=["a row", "out of order", "with gaps"])
def test_each_row_of_a_request_keeps_what_the_vendor_calls_it(
    ledger: Ledger, action: Any, references: list[Any], numbers: tuple[int, ...]
) -> None:
    ledger.enqueue([action(number) for number in range(1, 6)], AS_OF, "plan", queue="plan")
    ledger.open_queue("plan", "plan")
    worker = own_name()
    with ledger.step("customerio", worker, "plan") as step:
        claimed = {each.action.action_id: each for each in step.claim(10, 1e12)}
        mine = [claimed[action(number).action_id] for number in numbers]
        seqs = [each.seq for each in mine]
        step.intend(seqs, AS_OF, 1e12, set(seqs))
    with ledger.step("customerio", worker, "plan") as step:
        step.arrived([Arrived(mine[:2], references[:2], "", 200), Arrived(mine[2:], references[2:], "", 200)], AS_OF)
    with ledger.reading() as connection:
        told = connection.exec_driver_sql("select action_id, vendor_reference, state, lease from deliveries").fetchall()
        tried = connection.exec_driver_sql("select action_id, outcome from attempts").fetchall()
    wanted = {action(number).action_id: each for number, each in zip(numbers, references, strict=True)}
    assert {row[0]: row[1] for row in told if row[2] == "acknowledged"} == wanted
    assert all(row[1] is None for row in told if row[0] not in wanted)
    assert not any(row[3] for row in told)
    assert sorted(tried) == sorted((each, "acknowledged") for each in wanted)
