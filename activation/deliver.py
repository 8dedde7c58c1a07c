"""Send what the plan says, one thread per destination, so that a slow or dead one does not hold up the others.

Per request: intent is committed, the request leaves, its outcome is committed. Three outcomes exist: acknowledged,
rejected, unknown; unknown is resolved with the vendor before anything is sent again. What was surely not accepted goes
back into the queue, due when the vendor said or after a jittered wait; what is not due within the run's budget stays in
the ledger for the next run. Nothing is dropped.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Event
from typing import TYPE_CHECKING

from activation.actions import Outcome, State
from activation.ledger import Ledger, Result
from activation.pacing import Retry, Time, TokenBucket
from activation.transport import (
    BatchRejectedError,
    LimitedError,
    NotSentError,
    OutcomeUnknownError,
    StoppedError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from activation.destinations import Destination, Destinations
    from activation.plan import Delivery

FAILURES_BEFORE_STOP = 5  # requests in a row that came to nothing: the destination is left alone for this run


@dataclass(slots=True)
class Tally:
    """What became of one destination's deliveries in this run."""

    destination: str
    acknowledged: int = 0
    rejected: int = 0
    unknown: int = 0
    waiting: int = 0
    requests: int = 0
    stopped: str = ""
    reasons: dict[str, int] = field(default_factory=dict)

    @property
    def is_clean(self) -> bool:
        """Whether everything arrived."""
        return not (self.rejected or self.unknown or self.waiting or self.stopped)

    @property
    def commonest_reason(self) -> str:
        """What the vendor said most often when it did not take something; empty if it took everything."""
        return max(sorted(self.reasons), key=lambda reason: self.reasons[reason], default="")


@dataclass(frozen=True, slots=True)
class Budget:
    """How long one run may go on sending, and how it retries."""

    seconds: float = 30.0
    retry: Retry = field(default_factory=Retry)


@dataclass(order=True, slots=True)
class _Item:
    due: float
    sequence: int
    delivery: Delivery = field(compare=False)
    tries: int = field(default=0, compare=False)
    is_unknown: bool = field(default=False, compare=False)


def deliver(
    planned: Sequence[Delivery],
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
    to_send = [delivery for delivery in planned if delivery.is_sent]
    ledger.enqueue([delivery.action for delivery in to_send], time.now())
    queues: dict[str, list[Delivery]] = {}
    for delivery in to_send:
        queues.setdefault(delivery.action.destination, []).append(delivery)
    if not queues:
        return []
    seed = (rng or random.SystemRandom()).getrandbits(64)
    interrupted = Event()
    with ThreadPoolExecutor(max_workers=len(queues), thread_name_prefix="deliver") as pool:
        futures = []
        for name in sorted(queues):
            jitter = random.Random(f"{seed} {name}")  # noqa: S311 - waiting times, not secrets
            courier = _Courier(destinations[name], ledger, time, budget, jitter, on_progress, interrupted)
            futures.append(pool.submit(courier.run, queues[name]))
        try:
            return [future.result() for future in futures]
        except BaseException:
            interrupted.set()  # each courier finishes the request in hand, records it, and leaves the rest
            raise


class _Courier:
    """Serves one destination's queue until it is empty, nothing is due in time, or the destination stops."""

    def __init__(
        self,
        destination: Destination,
        ledger: Ledger,
        time: Time,
        budget: Budget,
        rng: random.Random,
        on_progress: Callable[[str, State], None] | None,
        interrupted: Event,
    ) -> None:
        self._destination = destination
        self._interrupted = interrupted
        self._ledger = ledger
        self._time = time
        self._retry = budget.retry
        self._deadline = time.monotonic() + budget.seconds
        self._rng = rng
        self._on_progress = on_progress
        self._bucket = TokenBucket(destination.rate, time)
        self._tally = Tally(destination.name)
        self._queue: list[_Item] = []
        self._halves: deque[list[_Item]] = deque()  # parts of a refused batch, sent apart to find the item to blame
        self._behind: dict[str, deque[_Item]] = {}  # per order key: what must wait for the one before it
        self._failures = 0

    def run(self, deliveries: Sequence[Delivery]) -> Tally:
        for sequence, delivery in enumerate(deliveries):
            self._admit(_Item(self._due(delivery), sequence, delivery, is_unknown=delivery.outcome_is_unknown))
        while not (self._tally.stopped or self._interrupted.is_set()):
            batch = self._next_batch()
            if not batch:
                break
            self._serve(batch)
        left = [*self._queue, *(item for half in self._halves for item in half)]
        left += [item for behind in self._behind.values() for item in behind]
        for item in left:
            if item.is_unknown:
                self._tally.unknown += 1
            else:
                self._tally.waiting += 1
        return self._tally

    def _due(self, delivery: Delivery) -> float:
        wait = 0.0
        if delivery.not_before is not None:
            wait = max((delivery.not_before - self._time.wall()).total_seconds(), 0.0)
        return self._time.monotonic() + wait

    def _admit(self, item: _Item) -> None:
        key = self._destination.order_key(item.delivery.action)
        if key is None:
            heapq.heappush(self._queue, item)
        elif key in self._behind:
            self._behind[key].append(item)
        else:
            self._behind[key] = deque()
            heapq.heappush(self._queue, item)

    def _next_batch(self) -> list[_Item]:
        """What goes into the next request; empty when nothing is left that falls due in time."""
        if self._halves:
            return self._halves.popleft()
        while self._queue:
            wait = self._queue[0].due - self._time.monotonic()
            if self._time.monotonic() + max(wait, 0.0) > self._deadline:
                return []
            if wait > 0:
                self._time.pause(wait)
            batch: list[_Item] = []
            size = 0
            while self._queue and len(batch) < self._destination.batch_size:
                item = self._queue[0]
                size += len(item.delivery.action.payload.encode())
                if item.due > self._time.monotonic() or (batch and size > self._destination.batch_bytes):
                    break
                batch.append(heapq.heappop(self._queue))
            if batch:
                return batch
        return []

    def _serve(self, batch: list[_Item]) -> None:
        batch = [item for item in batch if not self._resolved(item)]
        if not batch or self._tally.stopped:
            for item in batch:
                heapq.heappush(self._queue, item)
            return
        actions = [item.delivery.action for item in batch]
        self._pace()
        self._ledger.intend(actions, self._time.now())
        try:
            outcomes = self._destination.send(actions)
        except BatchRejectedError as error:
            outcomes = self._split(batch, error)
        except (NotSentError, OutcomeUnknownError, LimitedError, StoppedError) as error:
            outcomes = [self._whole(error)] * len(batch)
        else:
            self._failures = 0
        self._settle(list(zip(batch, outcomes, strict=True)))

    def _resolved(self, item: _Item) -> bool:
        """Ask the vendor about an unknown outcome; true if the answer settles it or nobody can be asked now."""
        if not item.is_unknown or self._tally.stopped:
            return False
        self._pace()
        try:
            outcome = self._destination.resolve(item.delivery.action)
        except (NotSentError, OutcomeUnknownError, LimitedError) as error:
            self._failed(str(error))
            item.tries += 1
            self._requeue(item, self._again(item, getattr(error, "retry_after", None)))
            return True
        except StoppedError as error:
            self._tally.stopped = str(error)
            return False
        if outcome is None:
            return False
        self._ledger.record([Result(item.delivery.action, outcome, is_send=False)], self._time.now())
        self._done(item, outcome)
        return True

    def _pace(self) -> None:
        wait = self._bucket.take()
        if wait > 0:
            self._time.pause(wait)
        self._tally.requests += 1

    def _whole(self, error: Exception) -> Outcome:
        """The outcome of every action in a request that failed as a whole."""
        if isinstance(error, OutcomeUnknownError):
            self._failed(str(error))
            return Outcome.unknown(str(error), error.status_code)
        if isinstance(error, LimitedError):
            self._failed(str(error))
            return Outcome.waiting(str(error), error.status_code, error.retry_after)
        if isinstance(error, StoppedError):
            self._tally.stopped = str(error)
            return Outcome.waiting(str(error), error.status_code)
        self._failed(str(error))
        return Outcome.waiting(str(error))

    def _failed(self, reason: str) -> None:
        self._failures += 1
        if self._failures >= FAILURES_BEFORE_STOP:
            self._tally.stopped = f"{self._failures} requests in a row came to nothing, the last with: {reason}"

    def _split(self, batch: list[_Item], error: BatchRejectedError) -> list[Outcome]:
        """A refused batch of one is refused; a larger one goes out again in two halves, until the culprit is alone."""
        if len(batch) == 1:
            return [Outcome.rejected(str(error), error.status_code)]
        middle = len(batch) // 2
        self._halves.extend([batch[:middle], batch[middle:]])
        return [Outcome.waiting(f"The batch was refused: {error}", error.status_code)] * len(batch)

    def _settle(self, settled: list[tuple[_Item, Outcome]]) -> None:
        halved = {id(item) for half in self._halves for item in half}
        results: list[Result] = []
        afterwards: list[tuple[_Item, float]] = []
        dues: dict[tuple[int, float | None], float] = {}  # one draw for all, so that a batch comes back as a batch
        for item, outcome in settled:
            not_before: datetime | None = None
            if outcome.state in {State.WAITING, State.UNKNOWN} and id(item) not in halved:
                item.tries += 1
                key = (item.tries, outcome.retry_after)
                afterwards.append((item, dues.setdefault(key, self._again(item, outcome.retry_after))))
                if outcome.retry_after is not None:
                    not_before = self._time.wall() + timedelta(seconds=outcome.retry_after)
            item.is_unknown = outcome.state is State.UNKNOWN
            results.append(Result(item.delivery.action, outcome, not_before))
        self._ledger.record(results, self._time.now())
        for item, outcome in settled:
            if outcome.state in {State.ACKNOWLEDGED, State.REJECTED}:
                self._done(item, outcome)
            elif outcome.reason:
                self._tally.reasons[outcome.reason] = self._tally.reasons.get(outcome.reason, 0) + 1
        for item, due in afterwards:
            self._requeue(item, due)

    def _again(self, item: _Item, asked_for: float | None) -> float:
        """When to try this one again; not in this run once its tries are used up."""
        if item.tries >= self._retry.attempts:
            return float("inf")
        return self._time.monotonic() + self._retry.wait(item.tries, asked_for, self._rng)

    def _requeue(self, item: _Item, due: float) -> None:
        item.due = due
        heapq.heappush(self._queue, item)

    def _done(self, item: _Item, outcome: Outcome) -> None:
        if outcome.state is State.ACKNOWLEDGED:
            self._tally.acknowledged += 1
        else:
            self._tally.rejected += 1
            self._tally.reasons[outcome.reason] = self._tally.reasons.get(outcome.reason, 0) + 1
        if self._on_progress is not None:
            self._on_progress(self._destination.name, outcome.state)
        key = self._destination.order_key(item.delivery.action)
        if key is not None and key in self._behind:
            if self._behind[key]:
                following = self._behind[key].popleft()
                heapq.heappush(self._queue, following)
            else:
                del self._behind[key]
