"""Send what the plan says: one courier per destination works off its queue in the ledger, and what is fresh.

A slow or dead destination does not hold up the others. Several processes may work on the same ledger: what one holds
the others do not see, and the pace of each destination is shared. Nothing is dropped: what is not done within a run's
budget stays in the ledger for the next run.
"""

from __future__ import annotations

import random
import secrets
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from types import MappingProxyType
from typing import TYPE_CHECKING

from activation.batches import BEGINNING, Mark
from activation.courier import Courier
from activation.destinations import Basics
from activation.pacing import Breaker, Retry, Time
from activation.plan import SENT_VERDICTS, Delivery, Verdict
from activation.supply import Supply
from activation.tally import Tally
from activation.workers import own_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from activation.actions import Action, State
    from activation.destinations import Destination, Destinations
    from activation.ledger import Ledger
    from activation.pacing import Window

__all__ = ["Budget", "Checks", "Tally", "deliver", "stage", "work"]


@dataclass(frozen=True, slots=True)
class Budget:
    """How long one run may go on sending, how many deliveries it may send (None: all), and how it retries."""

    seconds: float = 30.0
    retry: Retry = field(default_factory=Retry)
    breaker: Breaker = field(default_factory=Breaker)
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Checks:
    """What is looked at again right before a request leaves.

    `withdrawn` says which of these actions may no longer be sent, and why: the newest published version has consent,
    goals and states of a later moment than the plan. `windows` are the hours in which a destination may be written to.
    """

    withdrawn: Callable[[Sequence[Action]], Mapping[str, str]] = lambda _actions: {}
    windows: Mapping[str, Window] = field(default_factory=dict)


class Allowance:
    """How many deliveries a run may still send, over all its couriers."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self._lock = Lock()

    def take(self, wanted: int) -> int:
        """So many of the wanted ones may be claimed."""
        with self._lock:
            if self._left is None:
                return wanted
            taken = min(wanted, self._left)
            self._left -= taken
            return taken

    @property
    def is_used_up(self) -> bool:
        """Whether nothing more may be claimed."""
        return self._left == 0

    def give_back(self, unused: int) -> None:
        """These were not sent after all."""
        with self._lock:
            if self._left is not None:
                self._left += unused


def deliver(
    planned: Iterable[Delivery],
    destinations: Destinations,
    ledger: Ledger,
    time: Time,
    budget: Budget,
    *,
    rng: random.Random | None = None,
    on_progress: Callable[[str, State], None] | None = None,
) -> list[Tally]:
    """Send every delivery whose verdict asks for it; one tally per destination, in the order of their names.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: if the ledger cannot be written. Sending stops there; nothing is lost.
    """
    plan_id = secrets.token_hex(8)
    stage(planned, destinations, ledger, time, plan_id)
    ledger.open_queue(plan_id, plan_id)
    return work(plan_id, destinations, ledger, time, budget, rng=rng, on_progress=on_progress)


def stage(
    planned: Iterable[Delivery],
    destinations: Destinations,
    ledger: Ledger,
    time: Time,
    plan_id: str,
    queue: str | None = None,
    since: Mark | None = None,
) -> None:
    """Enqueue what is to be sent under this plan, in a queue (if it is not named: the plan's) not yet open for work.

    What others have sent `since` is left alone.
    """
    groups: defaultdict[tuple[str, bool, bool], list[Action]] = defaultdict(list)
    for action, verdict, _, _, is_wanted in planned:
        if verdict in SENT_VERDICTS:
            groups[action.destination, verdict is Verdict.CHANGED, is_wanted].append(action)
    for (name, is_changed, is_wanted), actions in groups.items():
        ledger.enqueue(
            actions,
            time.now(),
            plan_id,
            queue=queue or plan_id,
            order_key=destinations[name].order_key,
            is_changed=is_changed,
            is_wanted=is_wanted,
            since=since,
        )


def takes_any_order(destination: Destination) -> bool:
    """Whether nothing that goes there has to arrive before something else."""
    return getattr(type(destination), "order_key", None) is Basics.order_key


def work(  # noqa: PLR0913 - what a run is made of
    plan_id: str,
    destinations: Destinations,
    ledger: Ledger,
    time: Time,
    budget: Budget,
    *,
    rng: random.Random | None = None,
    on_progress: Callable[[str, State], None] | None = None,
    checks: Checks | None = None,
    fresh: Mapping[str, Iterator[list[Action]]] = MappingProxyType({}),
    since: Mark = BEGINNING,
) -> list[Tally]:
    """Work off what is queued under this plan, together with whoever else does.

    `fresh` is what the ledger had not heard of at the moment `since`, by destination and the most urgent first. What of
    it is not begun within the budget is queued at the end.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: if the ledger cannot be written. Sending stops there; nothing is lost.
    """
    names = sorted({*ledger.waits_for_a_hand(plan_id), *fresh})
    if not names:
        return []
    seed = (rng or random.SystemRandom()).getrandbits(64)
    worker = f"{own_name()}-{secrets.token_hex(4)}"
    interrupted, allowance = Event(), Allowance(budget.limit)
    with ThreadPoolExecutor(max_workers=len(names), thread_name_prefix="deliver") as pool:
        futures = []
        for name in names:
            courier = Courier(
                destinations[name],
                ledger,
                time,
                budget,
                worker=f"{worker}-{name}",
                plan_id=plan_id,
                rng=random.Random(f"{seed} {name}"),  # noqa: S311 - waiting times, not secrets
                allowance=allowance,
                interrupted=interrupted,
                checks=checks or Checks(),
                on_progress=on_progress,
                supply=Supply(fresh.get(name, iter(())), since),
            )
            futures.append(pool.submit(courier.run))
        try:
            return [future.result() for future in futures]
        except BaseException:
            interrupted.set()  # each courier finishes what is in flight, records it, and leaves the rest
            raise
