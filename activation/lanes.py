"""Requests in flight: the threads that perform them, and what comes back.

A fast destination is served by a few threads, because more of them would only take turns on one processor; a slow one
by as many as it permits, because most of the time they wait. What comes back is handed over by the armful: waking the
courier for every answer would cost more than the answer.
"""

from __future__ import annotations

import queue
import threading
import time as clock
from dataclasses import dataclass
from typing import TYPE_CHECKING

from activation.errors import (
    BatchRejectedError,
    LimitedError,
    NotSentError,
    OutcomeUnknownError,
    StoppedError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from activation.actions import Outcome
    from activation.destinations import Destination
    from activation.pacing import Time
    from activation.step import Claimed

GATHER_SECONDS = 0.002
FEW = 3  # threads that keep one processor busy with requests that are answered at once
SLOW_SECONDS = 0.004  # from here on a request mostly waits
EXPECTED = (NotSentError, OutcomeUnknownError, LimitedError, StoppedError, BatchRejectedError)


@dataclass(slots=True)
class Request:
    """What goes out together, and what came of it: outcomes (None: cannot be asked), or the error of the whole."""

    items: list[Claimed]
    is_send: bool
    outcomes: Sequence[Outcome | None] = ()
    error: Exception | None = None
    batch: int = 0  # its number in the ledger, if it is kept there as one thing


class Lanes:
    """The requests of one courier. Only the courier's thread calls its methods."""

    def __init__(self, destination: Destination, time: Time) -> None:
        self.out = 0  # requests in flight
        self._destination = destination
        self._time = time
        self._todo: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._back: queue.SimpleQueue[list[Request]] = queue.SimpleQueue()
        self._done: list[Request] = []
        self._lock = threading.Lock()
        self._seconds = 0.0  # what a request has taken lately
        self._threads: list[threading.Thread] = []

    def put(self, requests: Sequence[Request]) -> None:
        """Send these off."""
        self.out += len(requests)
        if self._destination.concurrency == 1:
            for request in requests:
                self._perform(request)
                self._back.put([request])
            return
        for request in requests:
            self._todo.put(request)
        most = self._destination.concurrency if self._seconds > SLOW_SECONDS else FEW
        while len(self._threads) < min(self.out, most, self._destination.concurrency):
            thread = threading.Thread(target=self._serve, name=f"send-{self._destination.name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def collect(self, wait: float | None) -> list[Request]:
        """What came back; waits for the first (at most so long), takes along what else is there."""
        back: list[Request] = list(self._time.next_of(self._back, wait) or ())
        # a durable commit costs more than a moment's patience, so answers that come close together share one
        while back and len(back) < min(self.out, self._together):
            more = self._time.next_of(self._back, GATHER_SECONDS)
            if more is None:
                break
            back += more
        while True:
            try:
                back += self._back.get_nowait()
            except queue.Empty:
                break
        self.out -= len(back)
        return back

    def close(self) -> list[Request]:
        """Let the threads go when they are done; what was still in flight, for an answer is worth its record."""
        back: list[Request] = []
        while self.out:
            back += self.collect(None)
        for _ in self._threads:
            self._todo.put(None)
        return back

    @property
    def _together(self) -> int:
        return (self._destination.concurrency + 1) // 2

    def _serve(self) -> None:
        while (request := self._todo.get()) is not None:
            began = clock.perf_counter()
            self._perform(request)
            with self._lock:
                self._seconds += 0.1 * (clock.perf_counter() - began - self._seconds)
                self._done.append(request)
                goes_on = self._seconds < SLOW_SECONDS and not self._todo.empty()
                if goes_on and len(self._done) < self._together:
                    continue
                done, self._done = self._done, []
                self._back.put(done)

    def _perform(self, request: Request) -> None:
        actions = [item.action for item in request.items]
        perform = self._destination.send if request.is_send else self._destination.resolve
        try:
            request.outcomes = perform(actions)
            if len(request.outcomes) != len(actions):
                raise OutcomeUnknownError(f"{len(actions)} actions were sent and {len(request.outcomes)} answered.")  # noqa: TRY301
        except EXPECTED as error:
            request.error = error
        except Exception as error:  # noqa: BLE001 - a fault of the adapter must not lose the record of its request
            request.error = OutcomeUnknownError(f"The adapter failed ({type(error).__name__}).")
