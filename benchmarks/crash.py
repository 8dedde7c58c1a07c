"""Kill the delivery at random points and at commit boundaries, run it again, and ask the vendors what arrived.

    python -m benchmarks.crash [--kills 1000] [--actions 5000] [--peer PATH/TO/drt] [--json]

Each run delivers its actions to the sandbox's four vendors through a ledger of its own, in a process that is killed
with SIGKILL again and again until one gets through. Two thirds of the kills hit a marked point: before or after the
n-th commit or request of that life, so that every boundary of a short life is hit in turn. The others come from outside
at a random time. What was in flight at a kill is what the ledger has as intent without outcome.

With `--peer` the program drt (see `benchmarks.peer`) is killed once in each of a few runs of as many rows, somewhere on
its way, and run again. It keeps nothing within a run, so what it had sent before is sent again; its rows carry no key
by which a vendor could tell.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import sqlite3
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activation.deliver import Budget, work
from activation.desired import Published
from activation.ledger import Ledger
from activation.pacing import Rate, Retry, RunTime
from activation.plan import Policy
from activation.sync import Guards, prepare
from benchmarks.figures import Figure, main
from benchmarks.peer import Drt, Sinks, received
from benchmarks.vendors import AS_OF, NAMES, actions_for, arrived, connect, publish_actions, vendors
from sandbox.limits import Limits

LIVES_PER_RUN = 100  # then one goes through to the end, which takes as long as many that are killed early
PEER_KILLS = 5
WIDE = Guards(per_run=10**9, per_action=10**9, share=1.0)
MOST_POINTS = 40  # a life ends at one of its first so many points


@dataclass(slots=True)
class Toll:
    """What the kills came to."""

    kills: int = 0
    runs: int = 0
    boundaries: set[int] = field(default_factory=set)  # marked points at which a life has ended
    anywhere: int = 0  # lives that were ended from outside, at any moment
    in_flight: int = 0
    lost: int = 0
    repeats: int = 0
    duplicates: int = 0


class Fuse:
    """Ends the process at the n-th marked point of its life."""

    def __init__(self, at: int) -> None:
        self._left = at

    def point(self) -> None:
        """One more point was reached."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def live(ledger_path: Path, url: str, wanted: Path, at: int | None) -> None:
    """One life: plan and deliver, dying on the way if told so."""
    tempfile.tempdir = str(ledger_path.parent)  # who is killed cannot tidy up
    run_time = RunTime(AS_OF)
    ledger = Ledger(ledger_path)
    served = connect(url, run_time)
    fuse = Fuse(at or 0)
    if at is not None:
        _mark(ledger, served, fuse)
    for destination in served.values():
        destination.rate = Rate(1e6, 1_000_000)
        destination.batch_size = min(destination.batch_size, 50)
    ledger.heal(run_time.now())
    policies = {name: Policy(live=True, resends_changes=each.resends_changes) for name, each in served.items()}
    budget = Budget(300, Retry(base=0.01, cap=0.02, total_attempts=10_000))
    with prepare(Published.newest(wanted), ledger, policies, WIDE, served, run_time, AS_OF) as outlook:
        work(outlook.plan_id, served, ledger, run_time, budget, fresh=outlook.fresh, since=outlook.since)
    ledger.close()


def _mark(ledger: Ledger, served: Any, fuse: Fuse) -> None:
    dialect = ledger._engine.dialect  # noqa: SLF001 - the harness looks where users do not
    commit = dialect.do_commit

    def marked_commit(connection: Any) -> None:
        fuse.point()
        commit(connection)
        fuse.point()

    dialect.do_commit = marked_commit  # type: ignore[assignment,method-assign]
    for destination in served.values():
        send = destination.send

        def marked_send(actions: Any, send: Any = send) -> Any:
            fuse.point()
            outcomes = send(actions)
            fuse.point()
            return outcomes

        destination.send = marked_send


def spend(kills: int, actions: int, seed: int = 1) -> Toll:
    """Kill so often, over as many runs as that takes."""
    chance = random.Random(seed)  # noqa: S311 - where to kill
    toll = Toll()
    folder = Path(tempfile.mkdtemp(prefix="crash-"))
    share = actions // len(NAMES)
    try:
        while toll.kills < kills:
            with vendors(folder / "vendors", share, Limits.off()) as url:
                wanted = folder / "lifecycle.duckdb"
                publish_actions(wanted, [each for name in NAMES for each in actions_for(name, range(1, share + 1))])
                _run(folder, url, wanted, kills, toll, chance)
                toll.runs += 1
                for found in arrived(folder / "vendors").values():
                    toll.lost += share - found["things"]
                    toll.repeats += found["repeats"]
                    toll.duplicates += found["duplicates"]
            for left in folder.glob("ledger*"):
                left.unlink()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return toll


def _run(folder: Path, url: str, wanted: Path, kills: int, toll: Toll, chance: random.Random) -> None:
    ledger_path = folder / "ledger.sqlite"
    lives = 0
    while True:
        is_last = lives >= LIVES_PER_RUN or toll.kills >= kills
        inside = lives % 3 != 2
        at = None if is_last or not inside else toll.kills % MOST_POINTS + 1
        child = os.fork()
        if child == 0:
            try:
                live(ledger_path, url, wanted, at)
                os._exit(0)
            finally:  # an error in a child must not go on as a second parent
                os._exit(3)
        if not is_last and not inside:
            time.sleep(chance.uniform(0.02, 0.4))
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        lives += 1
        if os.WIFSIGNALED(status):
            toll.kills += 1
            toll.in_flight += _in_flight(ledger_path)
            if at is None:
                toll.anywhere += 1
            else:
                toll.boundaries.add(at)
        elif os.WEXITSTATUS(status) != 0:
            raise RuntimeError(f"A life ended with exit code {os.WEXITSTATUS(status)}, not by our hand.")
        else:
            return


def _in_flight(path: Path) -> int:
    try:
        with contextlib.closing(sqlite3.connect(path)) as connection:
            row = connection.execute("select count(*) from deliveries where state = 'sending'").fetchone()
    except sqlite3.OperationalError:  # killed before there were tables
        return 0
    return int(row[0])


def spend_on_peer(program: Path, kills: int, actions: int, seed: int = 1) -> Toll:
    """Kill the peer once a run, and let it run again to its end."""
    chance = random.Random(seed)  # noqa: S311 - where to kill
    toll, sinks = Toll(), Sinks()
    folder = Path(tempfile.mkdtemp(prefix="crash-peer-"))
    try:
        for number in range(kills):
            url = sinks.start(counts=True)
            peer = Drt(folder / str(number), program, url)
            peer.offer(actions)
            running = peer.start()
            after = chance.randint(1, actions - 1)
            while running.poll() is None and received(url)["requests"] < after:
                time.sleep(0.01)
            if running.poll() is None:
                running.kill()
                toll.kills += 1
            running.communicate()
            peer.start().communicate()
            toll.runs += 1
            found = received(url)
            toll.lost += actions - found["distinct"]
            toll.repeats += found["requests"] - found["distinct"]
    finally:
        sinks.stop()
        shutil.rmtree(folder, ignore_errors=True)
    return toll


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Kill and count."""
    started, cpu = time.monotonic(), time.process_time() + _children()
    toll = spend(arguments.kills, arguments.actions)
    ours, spent = time.monotonic() - started, time.process_time() + _children() - cpu
    against = f"{toll.kills} SIGKILLs over {toll.runs} runs of {arguments.actions} actions"
    rival = []
    if arguments.peer:
        theirs = spend_on_peer(arguments.peer, PEER_KILLS, arguments.actions)
        said = f"drt, {theirs.kills} SIGKILLs over {theirs.runs} runs of {arguments.actions} rows"
        rival = [
            Figure("lost by the peer", theirs.lost, "rows", said),
            Figure("raw repeats by the peer", theirs.repeats, "rows", said),
            Figure("repeats a kill, ours and the peer's", toll.repeats / toll.kills, "actions",
                   f"drt {theirs.repeats / max(theirs.kills, 1):.0f}"),
        ]  # fmt: skip
    return [
        Figure("kills", toll.kills, "SIGKILLs", against, bar=arguments.kills, bar_is="at least"),
        Figure("boundaries at which one hit", len(toll.boundaries), "points",
               f"of the first {MOST_POINTS} commits and requests of a life; {toll.anywhere} hit anywhere",
               bar=min(MOST_POINTS, arguments.kills // 3), bar_is="at least"),
        Figure("lost", toll.lost, "actions", against, bar=0),
        Figure("effective duplicates", toll.duplicates, "actions", against, bar=0),
        Figure("raw repeats", toll.repeats, "actions", "in flight at the kills", bar=toll.in_flight),
        Figure("wall", ours, "s", "the peer's part not counted"),
        Figure("CPU", spent, "s", "the vendors' not counted"),
        *rival,
    ]  # fmt: skip


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kill the delivery again and again; nothing is lost or doubled.")
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--actions", type=int, default=5000)
    parser.add_argument("--peer", type=Path, help="the program drt, to be killed as well")
    main(measure, parser)
