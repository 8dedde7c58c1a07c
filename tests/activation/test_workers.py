"""Several workers on one ledger: SQLite always, PostgreSQL where it is installed."""

from __future__ import annotations

import os
import threading
import time as clock
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from activation.actions import Action, Outcome, State
from activation.deliver import Budget, stage, work
from activation.destinations import Basics
from activation.ledger import Ledger, Result, metadata
from activation.pacing import Rate, RunTime
from activation.plan import Delivery, Verdict
from activation.tables import is_gone, own_name
from benchmarks.vendors import AS_OF, actions_for
from tests import postgres

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Counting(Basics):
    """Takes everything, and remembers when and how often."""

    name = "make"
    batch_size = 1
    concurrency = 64

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.sent: list[str] = []
        self.at: list[float] = []

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        self.at.append(clock.monotonic())
        self.sent.extend(action.action_id for action in actions)
        return [Outcome.acknowledged("queued", 200) for _ in actions]

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """A database server of its own, gone afterwards."""
    if postgres.WHY_NOT:
        pytest.skip(postgres.WHY_NOT)
    with postgres.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """A new ledger's place."""
    if request.param == "sqlite":
        return tmp_path / "ledger.sqlite"
    url: str = request.getfixturevalue("database")
    emptied = Ledger(url)
    with emptied.transaction() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    emptied.close()
    return url


def together(where: Path | str, destinations: list[Counting], actions: list[Action]) -> list[int]:
    """Each destination served by a worker of its own ledger connection; how many each one delivered."""
    time = RunTime(AS_OF)
    ledgers = [Ledger(where) for _ in destinations]
    planned = [Delivery(action, Verdict.NEW) for action in actions]
    delivered: list[int] = []

    def run(ledger: Ledger, destination: Counting) -> None:
        served = {"make": destination}
        stage(planned, served, ledger, time, "one")
        ledger.open_queue("one", "one")
        tallies = work("one", served, ledger, time, Budget(120))
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


def test_two_workers_never_send_any_of_ten_thousand_twice(where: Path | str) -> None:
    workers = [Counting(Rate(1e6, 10**6)), Counting(Rate(1e6, 10**6))]
    actions = actions_for("make", range(1, 10_001))
    delivered = together(where, workers, actions)
    sent = [each for worker in workers for each in worker.sent]
    assert sorted(sent) == sorted(action.action_id for action in actions)
    assert sum(delivered) == len(actions)
    assert all(delivered), "one of them did everything, so nothing was shared"


def test_two_workers_keep_one_rate(where: Path | str) -> None:
    workers = [Counting(Rate(100, 5)), Counting(Rate(100, 5))]
    together(where, workers, actions_for("make", range(1, 61)))
    at = sorted(moment for worker in workers for moment in worker.at)
    # 5 at once and then 100 a second, whoever sends: the 60th not before 0.55 s, less what the first one was held up
    assert at[-1] - at[0] >= 0.5


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
