"""What delivery costs: single calls, batches, planning what did not change, memory; beside a peer where there is one.

    python -m benchmarks.delivery [--peer PATH/TO/drt] [--actions 5000] [--json]

Both sides read the same rows from DuckDB and send the same bodies to the same sink on loopback, a process of its own,
with the same number of rows in a request; ours goes through the ledger with durable commits. Of both, what a sync of
one row takes is taken off (start, imports, opening files). 100 rows a request is the peer's default, and has the bar;
500 is the most that Customer.io takes of rows this size, and for whoever tunes the peer to it the ratio is stated
beside. Without the peer the figures stand alone.

Two rows say what bounds the others. The floor of batches is the disk's part and nothing else: the actions of a request
as one text before it leaves, and its outcome after it, as many at once and with the same durability as in a delivery,
in plain SQLite. The sink's own pace is how fast it takes requests of 500 that are ready made, one after the other.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activation.deliver import Budget, work
from activation.desired import Published
from activation.destinations.customerio import CustomerIo
from activation.destinations.make import Make
from activation.ledger import Ledger
from activation.pacing import Rate, RunTime
from activation.plan import Policy
from activation.step import Arrived, Claimed
from activation.sync import Guards, look_ahead, prepare
from activation.transport import Transport
from benchmarks.figures import Figure, main
from benchmarks.peer import Cost, Drt, Sinks, publish
from benchmarks.vendors import AS_OF, SECRET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from activation.destinations import Destination

POLICIES = {name: Policy(live=True, resends_changes=False) for name in ("make", "customerio")}
IN_FLIGHT = 8_000  # rows that are out at a time, as many as there are at most with the settings of Customer.io
DEFAULT_OF_THE_PEER = 100  # rows a request
WIDE = Guards(per_run=10**9, per_action=10**9, share=1.0)


def ours(folder: Path, destination: Destination, rows: int, *, is_published: bool = False) -> Cost:
    """What it takes to plan and deliver so many rows with a new ledger."""
    if not is_published:
        publish(folder / "ours.duckdb", rows, destination.name)
    for left in folder.glob("ours.sqlite*"):
        left.unlink()
    run_time = RunTime(AS_OF)
    ledger = Ledger(folder / "ours.sqlite")
    destination.rate = Rate(1e7, 10**7)
    started, cpu = time.perf_counter(), time.process_time()
    published = Published.newest(folder / "ours.duckdb")
    served = {destination.name: destination}
    with prepare(published, ledger, POLICIES, WIDE, served, run_time, AS_OF) as outlook:
        (tally,) = work(
            outlook.plan_id, served, ledger, run_time, Budget(3600), fresh=outlook.fresh, since=outlook.since
        )
    cost = Cost(time.perf_counter() - started, time.process_time() - cpu)
    if tally.acknowledged != rows:
        raise RuntimeError(f"{tally.acknowledged} of {rows} arrived: {tally}")
    ledger.close()
    destination.close()
    return cost


def floor(folder: Path, rows: int) -> float:
    """Seconds for what the disk cannot do without for so many rows, everything else left out."""
    path = folder / "floor.sqlite"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(
        "pragma journal_mode = wal; pragma synchronous = full; pragma wal_autocheckpoint = 8000;"
        "create table requests (number integer primary key, outcome text); create table contents (actions text)"
    )
    at_once = IN_FLIGHT // 2  # what comes back is written down while the other half is out
    actions = "x" * (270 + 180) * 500  # payload, and what else is known of an action
    started = time.perf_counter()
    for first in range(0, rows, at_once):
        numbers = [(number,) for number in range(first, min(first + at_once, rows), 500)]
        connection.execute("begin immediate")
        connection.executemany("insert into requests (number) values (?)", numbers)
        connection.executemany("insert into contents values (?)", [(actions,) for _ in numbers])
        connection.execute("commit")
        connection.execute("begin immediate")
        connection.executemany("update requests set outcome = 'acknowledged' where number = ?", numbers)
        connection.execute("commit")
    seconds = time.perf_counter() - started
    connection.close()
    return seconds


def taking(url: str) -> float:
    """Seconds in which the sink takes one request of 500 rows."""
    transport = Transport(url, secrets=())
    body, times = b"[" + b",".join([b"x" * 430] * 500) + b"]", 200
    started = time.perf_counter()
    for _ in range(times):
        transport.post("/", body)
    seconds = time.perf_counter() - started
    transport.close()
    return seconds / times


def throughput(folder: Path, program: Path | None, rows: int) -> list[Figure]:
    """Single calls and batches, without and with latency."""
    sinks = Sinks()
    figures: list[Figure] = []

    def state(name: str, mine: float, theirs: float, bar: float | None) -> None:
        if not theirs:
            figures.append(Figure(name, mine, "actions/s"))
            return
        least = None if bar is None else theirs * bar
        figures.append(Figure(name, mine, "actions/s", f"drt {theirs:.0f}/s", mine / theirs, least, "at least"))

    try:
        for latency, bar in ((0.0, 2.0), (0.05, 25.0)):
            url = sinks.start(latency)
            make = Make(f"{url}/hook", SECRET, RunTime(AS_OF))
            make.concurrency = 64 if latency else 128
            number = rows if latency == 0 else max(rows // 5, 200)
            few = number if latency == 0 else 200
            peer = few / Drt(folder / f"peer-{latency}", program, url).cost(few).seconds if program else 0.0
            state(f"single calls, {latency * 1000:.0f} ms", number / ours(folder, make, number).seconds, peer, bar)
        many = rows * 8

        def batches(size: int, number: int) -> Cost:
            destination = CustomerIo(url, "site", "key")
            destination.batch_size = size
            destination.concurrency = IN_FLIGHT // size  # as many rows, however they are cut
            return ours(folder, destination, number)

        for latency, size in ((0.0, DEFAULT_OF_THE_PEER), (0.0, 500), (0.05, DEFAULT_OF_THE_PEER), (0.05, 500)):
            url = sinks.start(latency)
            mine = batches(size, many).without(batches(size, 1))
            theirs = Drt(folder / f"peer-{latency}-{size}", program, url, size).cost(many) if program else None
            rate = many / theirs.seconds if theirs else 0.0
            name = f"batched by {size}, {latency * 1000:.0f} ms"
            state(name, many / mine.seconds, rate, 10.0 if size == DEFAULT_OF_THE_PEER else None)
            if not latency:  # what does not depend on who else is at work on the machine
                against = f"drt {theirs.cpu / many * 1e6:.0f} us" if theirs else ""
                ratio = theirs.cpu / mine.cpu if theirs else None
                figures.append(Figure(f"CPU, batched by {size}", mine.cpu / many * 1e6, "us/action", against, ratio))
        figures.append(
            Figure("batched, the floor", many / floor(folder, many), "actions/s", "what the disk has to take")
        )
        figures.append(Figure("batched, the sink", 500 / taking(sinks.start(0.0)), "actions/s", "500 a request"))
    finally:
        sinks.stop()
    return figures


def planning(folder: Path, rows: int) -> tuple[float, float, float]:
    """Seconds to plan rows that were all delivered before, CPU seconds, and the peak of memory in MB; in a child."""
    context = multiprocessing.get_context("fork")
    answer: Any = context.Queue()

    def child() -> None:
        publish(folder / "plan.duckdb", rows, "customerio")
        ledger = Ledger(folder / f"plan-{rows}.sqlite")
        published = Published.newest(folder / "plan.duckdb")
        with published.compared([]) as compared:  # what a delivery would have left
            for chunk in compared.others():
                items = [Claimed(each, 0, False, True, 0, 0, None) for each in chunk]
                requests = [items[first : first + 500] for first in range(0, len(items), 500)]
                with ledger.step("customerio", "", "plan") as step:
                    numbers = step.begin_whole(requests, AS_OF, 0.0)
                    step.arrived(
                        [
                            Arrived(some, [each.action.action_id for each in some], "", 200, number)
                            for some, number in zip(requests, numbers, strict=True)
                        ],
                        AS_OF,
                    )
        ledger.close()

    def measured() -> None:
        ledger = Ledger(folder / f"plan-{rows}.sqlite")
        before = _peak()
        cpu, started = time.process_time(), time.perf_counter()
        outlook = look_ahead(Published.newest(folder / "plan.duckdb"), ledger, POLICIES, WIDE, AS_OF)
        answer.put((time.perf_counter() - started, time.process_time() - cpu, _peak() - before, dict(outlook.to_send)))

    for target in (child, measured):
        process = context.Process(target=target)
        process.start()
        found = answer.get(timeout=1200) if target is measured else None
        process.join()
    if found is None or found[3]:
        raise RuntimeError("What was delivered before is planned to be sent again.")
    return found[0], found[1], found[2]


def delivering(folder: Path, rows: int) -> float:
    """The peak of memory in MB while so many rows are planned and delivered; in a child."""
    sinks = Sinks()
    url = sinks.start(0.0)
    context = multiprocessing.get_context("fork")
    answer: Any = context.Queue()

    def child() -> None:
        before = _peak()
        ours(folder, CustomerIo(url, "site", "key"), rows, is_published=True)
        answer.put(_peak() - before)

    # making the rows takes memory of its own
    publishing = context.Process(target=publish, args=(folder / "ours.duckdb", rows, "customerio"))
    publishing.start()
    publishing.join()
    process = context.Process(target=child)
    process.start()
    found: float = answer.get(timeout=3600)
    process.join()
    sinks.stop()
    return found


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    """Everything, in a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="delivery-"))
    try:
        figures = throughput(folder, arguments.peer, arguments.actions) if "throughput" in arguments.only else []
        if "planning" in arguments.only:
            seconds, cpu, memory = planning(folder, arguments.rows)
            _, _, small = planning(folder, 10_000)
            figures += [
                Figure(f"plan {arguments.rows:,} unchanged rows", seconds, "s", f"{cpu:.1f} s of CPU", bar=5.0),
                Figure("memory of that plan", memory, "MB", f"{small:.0f} MB for 10,000 rows", bar=small + 100),
            ]
        if "memory" in arguments.only:
            small, large = delivering(folder, 10_000), delivering(folder, arguments.rows)
            bar = small + 100
            figures.append(
                Figure(
                    f"memory to deliver {arguments.rows:,}",
                    large,
                    "MB",
                    f"{small:.0f} MB for 10,000",
                    large / small,
                    bar,
                )
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What delivery costs.")
    parser.add_argument("--peer", type=Path, help="the program drt, to be measured beside ours")
    parser.add_argument("--actions", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the planning and memory figures")
    parser.add_argument("--only", nargs="+", default=["throughput", "planning", "memory"])
    main(measure, parser)
