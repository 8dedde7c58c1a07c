"""A sync of 10,000 actions per destination while the vendors enforce their documented limits.

    python -m benchmarks.delivery_limits [--actions 10000] [--json]

In simulated time: the vendors' servers and the couriers share one clock that moves only when a courier waits, so an
hour of limits takes seconds. The requests, the servers and their accounting are the real ones. The theoretical minimum
of each vendor follows from its own rule, not from our pacing.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from activation.deliver import Budget, deliver
from activation.ledger import Ledger
from activation.plan import Policy, plan
from benchmarks.figures import Figure, main
from benchmarks.vendors import AS_OF, NAMES, UNIX, actions_for, connect, make_world
from sandbox.limits import Limits
from sandbox.serve import start

if TYPE_CHECKING:
    import queue
    from collections.abc import Sequence


class SharedTime:
    """One clock for both sides; it moves when somebody waits, and a little with every request."""

    def __init__(self, request_seconds: float = 0.0) -> None:
        self._seconds = 0.0
        self._request_seconds = request_seconds
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._seconds

    def now(self) -> datetime:
        """The run's clock."""
        return AS_OF + timedelta(seconds=self._seconds)

    def wall(self) -> datetime:
        """The machine's clock."""
        return datetime.fromtimestamp(UNIX + self._seconds, UTC).replace(tzinfo=None)

    def pause(self, seconds: float) -> None:
        """Move on."""
        with self._lock:
            self._seconds += seconds

    def next_of(self, finished: queue.SimpleQueue[Any], seconds: float | None) -> Any:
        """What is in flight comes back; simulated requests take no time but their own."""
        del seconds
        found = finished.get()
        self.pause(self._request_seconds)
        return found


def minimum(destination: str, actions: int, limits: Limits) -> float:
    """Seconds that no client can beat within the vendor's limits, answers taken as immediate."""
    if destination == "customerio":
        per_second = limits.customerio_track_per_second or 1
        return math.ceil(math.ceil(actions / 500) / per_second) - 1.0
    if destination == "make":
        return 10.0 * (math.ceil(actions / (limits.make_per_ten_seconds or 1)) - 1)
    if destination == "zendesk":
        return 60.0 * (math.ceil(actions / (limits.zendesk_per_minute or 1)) - 1)
    requests = math.ceil(actions / 50)
    by_rate = max(requests - limits.bitrix24_bucket, 0) / (limits.bitrix24_drain_per_second or 1)
    # the call that crosses the line still runs; then the oldest minute has to drop out of the ten
    per_window = math.ceil((limits.bitrix24_operating_seconds or 1) / limits.bitrix24_call_seconds["crm.item.update"])
    by_run_time = 600.0 * (math.ceil(actions / per_window) - 1)
    return max(by_rate, by_run_time)


def sync(destination: str, actions: int, folder: Path) -> tuple[float, int, int, int]:
    """Simulated seconds, requests, limit answers, acknowledged actions."""
    shutil.rmtree(folder, ignore_errors=True)
    make_world(folder, actions if destination == "bitrix24" else 1)
    clock = SharedTime()
    with start(folder, limits=Limits(), clock=clock.monotonic) as sandbox:
        served = connect(sandbox.url, clock)[destination]
        ledger = Ledger(folder / "ledger.sqlite")
        wanted = actions_for(destination, range(1, actions + 1))
        planned = plan(wanted, {}, {destination: Policy(live=True, resends_changes=True)}, AS_OF)
        rng = random.Random(1)  # noqa: S311 - waiting times
        (tally,) = deliver(planned, {destination: served}, ledger, clock, Budget(1e7), rng=rng)
        served.close()
        ledger.close()
    return clock.monotonic(), tally.requests, tally.limited, tally.acknowledged


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    """Each destination on its own: a simulated clock knows one courier at a time."""
    # simulated time says nothing about disks, so a ledger in memory will do where there is one
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    folder = Path(tempfile.mkdtemp(prefix="limits-", dir=memory if memory.is_dir() else None))
    figures: list[Figure] = []
    started, cpu = time.monotonic(), time.process_time()
    try:
        for name in arguments.only or NAMES:
            seconds, requests, limited, done = sync(name, arguments.actions, folder / name)
            least = minimum(name, arguments.actions, Limits())
            against = f"theoretical minimum {least:g} s"
            figures += [
                Figure(f"{name}: delivered", done, "actions", bar=arguments.actions, bar_is="at least"),
                # a second is the granularity of the tightest window, so that is what a minimum of 0 is compared with
                Figure(
                    f"{name}: time", seconds, "simulated s", against, seconds / max(least, 1.0), 1.25 * max(least, 1.0)
                ),
                Figure(
                    f"{name}: limit answers", 100 * limited / requests, "% of requests", f"{requests} requests", bar=0.5
                ),
            ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    figures += [
        Figure("wall", time.monotonic() - started, "s"),
        Figure("CPU", time.process_time() - cpu, "s", "servers included"),
    ]
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Stay within the vendors' limits, and close to them.")
    parser.add_argument("--actions", type=int, default=10_000)
    parser.add_argument("--only", action="append", choices=NAMES)
    main(measure, parser)
