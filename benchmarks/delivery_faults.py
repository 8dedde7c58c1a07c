"""Every fault the vendors, the network and this machine can show, at every destination and in several places of a sync.

    python -m benchmarks.delivery_faults [--sample N] [--json]

A combination is a fault, a destination and which requests it hits. It holds if, once the fault is over, the next syncs
bring everything there: nothing lost, nothing with effect twice, and every sync on the way ended in an orderly manner.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import socket
import sqlite3
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import sqlalchemy as sa

from activation.deliver import Budget, stage, takes_any_order, work
from activation.ledger import Ledger
from activation.pacing import Breaker, Rate, Retry
from activation.plan import Policy, plan
from activation.transport import READ_SECONDS
from benchmarks.delivery_limits import SharedTime
from benchmarks.figures import Figure, main
from benchmarks.vendors import AS_OF, NAMES, actions_for, arrived, connect, make_world
from sandbox.detached import store_path
from sandbox.faults import Fault
from sandbox.limits import Limits
from sandbox.serve import start
from sandbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sandbox.serve import RunningSandbox

ACTIONS = 6
SYNCS = 5  # after so many the last one runs without the fault
STATUSES: list[dict[str, Any]] = [
    {"kind": "status", "status": status, "phase": phase}
    for status in (408, 429, 500, 502, 503, 504)
    for phase in ("before", "after")
    if not (status == 429 and phase == "after")  # who turns away does not do the work
]
FAULTS: list[dict[str, Any]] = [
    *STATUSES,
    {"kind": "status", "status": 429, "retry_after": 120},
    {"kind": "timeout", "phase": "before"},
    {"kind": "timeout", "phase": "after"},
    {"kind": "slow_body", "seconds": 0.05},
    {"kind": "reset_before_commit"},
    {"kind": "reset_after_commit"},
    {"kind": "truncated_body"},
    {"kind": "malformed_json"},
    {"kind": "oversized_body"},
    {"kind": "empty_body"},
    {"kind": "wrong_content_type", "phase": "before"},
    {"kind": "wrong_content_type", "phase": "after"},
    {"kind": "silo_down"},
]
PLACES: list[dict[str, Any]] = [{"times": 1}, {"skip": 1, "times": 2}, {"times": 8}]
MACHINE = ("disk_full", "ledger_locked", "no_name", "clock_back", "clock_ahead", "clock_wild")


@dataclass(frozen=True, slots=True)
class Combination:
    """One fault at one destination in one place."""

    destination: str
    rule: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return self.destination + " " + " ".join(f"{name}={value}" for name, value in self.rule)


def combinations() -> list[Combination]:
    """All of them."""
    found = [
        Combination(name, tuple({**fault, **place}.items()))
        for name, fault, place in itertools.product(NAMES, FAULTS, PLACES)
    ]
    return found + [Combination(name, (("machine", trouble),)) for name, trouble in itertools.product(NAMES, MACHINE)]


class JumpyTime(SharedTime):
    """A machine whose clock is set while the sync runs."""

    def __init__(self, jump: str, seed: int) -> None:
        super().__init__()
        self._jump = jump
        self._random = random.Random(seed)  # noqa: S311 - which way the clock jumps
        self._off = 0.0

    def wall(self) -> datetime:
        """The clock after one more setting."""
        day = 86_400.0
        if self._jump == "clock_back":
            self._off = max(self._off - day / 24, -3 * day)
        elif self._jump == "clock_ahead":
            self._off = min(self._off + day, 365 * day)
        elif self._jump == "clock_wild":
            self._off = self._random.uniform(-day, day)
        return super().wall() + timedelta(seconds=self._off)


class Bench:
    """The vendors, kept between combinations; each gets things of its own and a ledger of its own."""

    def __init__(self, folder: Path, most: int) -> None:
        self.folder = folder
        make_world(folder, most * ACTIONS)
        self._sandbox: RunningSandbox = start(folder, limits=Limits.off())
        self._next = 1

    def close(self) -> None:
        """Stop the vendors."""
        self._sandbox.stop()

    def survives(self, combination: Combination) -> str:
        """What went wrong; empty if nothing did."""
        rule = dict(combination.rule)
        machine = rule.pop("machine", "")
        return self.survives_all(combination.destination, [rule] if rule else [], machine)

    def survives_all(self, name: str, rules: Sequence[dict[str, Any]], machine: str = "") -> str:
        """The same for several faults at once, first come, first served."""
        numbers = range(self._next, self._next + ACTIONS)
        self._next += ACTIONS
        wanted = actions_for(name, numbers)
        faults = self._sandbox.world.faults
        since = _last_delivery(self.folder)
        ledger_path = self.folder / f"ledger-{numbers.start}.sqlite"
        clock = JumpyTime(machine, numbers.start)
        # nobody waits 15 s for a vendor that is not to answer, nor takes one that is slow for such a one
        patience = 0.15 if any(rule["kind"] == "timeout" for rule in rules) else READ_SECONDS
        ended: list[str] = []
        try:
            for sync in range(SYNCS):
                is_over = sync == SYNCS - 1
                if sync == 0:
                    faults.add([Fault(name, **rule) for rule in rules])
                if is_over:
                    faults.clear()
                with _broken_machine(machine if sync == 0 else "", ledger_path):
                    done, text = self._sync(name, wanted, ledger_path, clock, READ_SECONDS if is_over else patience)
                ended.append(text)
                if done == ACTIONS and not is_over and sync > 0:
                    break
        finally:
            faults.clear()
        found = arrived(self.folder, since)[name]
        if found["things"] != ACTIONS:
            return f"{ACTIONS - found['things']} lost: {ended}"
        if found["duplicates"]:
            return f"{found['duplicates']} twice: {ended}"
        return "" if done == ACTIONS else f"{done} of {ACTIONS} are known to have arrived: {ended}"

    def _sync(self, name: str, wanted: Sequence[Any], path: Path, clock: JumpyTime, patience: float) -> tuple[int, str]:
        """One sync; how many are acknowledged after it, and the sentence it ended with."""
        served = connect(self._sandbox.url, clock)[name]
        served._transport._read_seconds = patience  # type: ignore[attr-defined]  # noqa: SLF001 - not for users to change
        served.rate = Rate(1000, 1000)
        served.batch_size = min(served.batch_size, 3)  # so that a sync has several requests
        budget = Budget(4000, Retry(base=0.01, cap=0.02), Breaker(failures=5, seconds=30))
        try:
            ledger = Ledger(path)
            if path.exists():
                ledger.heal(clock.now(), clock.wall().timestamp())
            known, rng, plan_id = ledger.snapshot(), random.Random(1), path.stem  # noqa: S311 - waiting times
            # as `sync.prepare` has it, without a published file: what nobody heard of goes past the queue
            is_new = {each.action_id: takes_any_order(served) and each.action_id not in known for each in wanted}
            new = [each for each in wanted if is_new[each.action_id]]
            others = [each for each in wanted if not is_new[each.action_id]]
            try:
                planned = plan(others, known, {name: Policy(live=True, resends_changes=True)}, AS_OF)
                stage(planned, {name: served}, ledger, clock, plan_id)
                ledger.open_queue(plan_id, plan_id)
                tallies = work(plan_id, {name: served}, ledger, clock, budget, rng=rng, fresh={name: iter([new])})
                text = str(tallies[0].stopped or tallies[0].commonest_reason or "done") if tallies else "nothing to do"
            finally:
                done = ledger.counts().get(name, {}).get("acknowledged", 0)
                ledger.close()
        except sa.exc.SQLAlchemyError as error:  # what the command line turns into a sentence
            return 0, type(error).__name__
        finally:
            served.close()
        return done, text


@contextmanager
def _broken_machine(trouble: str, ledger_path: Path) -> Iterator[None]:
    """This machine in trouble, for one sync."""
    if trouble == "disk_full":
        Ledger(ledger_path).close()
        with _on_connect("pragma max_page_count = 30"):
            yield
    elif trouble == "ledger_locked":
        Ledger(ledger_path).close()
        holder = sqlite3.connect(ledger_path, isolation_level=None)
        holder.execute("begin immediate")
        with mock.patch("activation.tables.BUSY_SECONDS", 0.02):
            yield
        holder.close()
    elif trouble == "no_name":
        with mock.patch("socket.getaddrinfo", side_effect=socket.gaierror(-3, "Temporary failure")):
            yield
    else:
        yield


@contextmanager
def _on_connect(statement: str) -> Iterator[None]:
    def configure(raw: Any, _record: Any) -> None:
        raw.execute(statement)

    sa.event.listen(sa.engine.Engine, "connect", configure)
    try:
        yield
    finally:
        sa.event.remove(sa.engine.Engine, "connect", configure)


def _last_delivery(folder: Path) -> int:
    store = Store(store_path(folder))
    found = store.deliveries()
    store.close()
    return found[-1].id if found else 0


def check(chosen: Sequence[Combination]) -> dict[Combination, str]:
    """What went wrong, per combination that does not hold."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    bench = Bench(folder, len(chosen))
    try:
        return {each: wrong for each in chosen if (wrong := bench.survives(each))}
    finally:
        bench.close()
        shutil.rmtree(folder, ignore_errors=True)


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Try them."""
    started, cpu = time.monotonic(), time.process_time()
    chosen = combinations()
    if arguments.sample:
        chosen = random.Random(1).sample(chosen, arguments.sample)  # noqa: S311
    failed = check(chosen)
    for combination, wrong in failed.items():
        print(f"{combination}: {wrong}")  # noqa: T201
    return [
        Figure("combinations", len(chosen), "tried", bar=arguments.sample or 200, bar_is="at least"),
        Figure("lost, doubled or disorderly", len(failed), "combinations", bar=0),
        Figure("wall", time.monotonic() - started, "s"),
        Figure("CPU", time.process_time() - cpu, "s", "servers included"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Deliver through every fault.")
    parser.add_argument("--sample", type=int, help="only so many combinations, by chance")
    main(measure, parser)
