"""One destination's queue, worked off: the loop of claim, commit the intent, send, commit the outcome.

Up to `concurrency` requests are out at a time. The courier's own thread is the only one that touches the ledger; in one
transaction it records what came back and commits the intents of what goes out next, so at most the requests in flight
can be repeated after a crash, and a durable commit is shared by all of them.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import TYPE_CHECKING

from activation.actions import OPEN_STATES, Outcome, State
from activation.errors import BatchRejectedError, LimitedError, NotSentError, OutcomeUnknownError, StoppedError
from activation.step import LEASE_SECONDS, Claimed, Pace, Result, Step
from activation.tally import Tally

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from activation.deliver import Allowance, Budget, Checks
    from activation.destinations import Destination
    from activation.ledger import Ledger
    from activation.pacing import Time

GATHER_SECONDS = 0.002
REFUSED = (NotSentError, OutcomeUnknownError, LimitedError, StoppedError)


@dataclass(slots=True)
class Request:
    """What goes out together, and what came of it: outcomes (None: cannot be asked), or the error of the whole."""

    items: list[Claimed]
    is_send: bool
    outcomes: Sequence[Outcome | None] = ()
    error: Exception | None = None


@dataclass(slots=True)
class Settled:
    """What one step writes down."""

    results: list[Result] = field(default_factory=list)
    withdrawn: list[tuple[str, str]] = field(default_factory=list)  # action id and reason
    finished: list[Result] = field(default_factory=list)  # of the results, those to be told


class Courier:
    """Serves one destination until its queue is empty, nothing is due in time, or the destination stops."""

    def __init__(  # noqa: PLR0913 - the parts of a run, put together in one place
        self,
        destination: Destination,
        ledger: Ledger,
        time: Time,
        budget: Budget,
        *,
        worker: str,
        plan_id: str,
        rng: random.Random,
        allowance: Allowance,
        interrupted: threading.Event,
        checks: Checks,
        on_progress: Callable[[str, State], None] | None,
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._time = time
        self._budget = budget
        self._worker = worker
        self._plan_id = plan_id
        self._rng = rng
        self._allowance = allowance
        self._interrupted = interrupted
        self._checks = checks
        self._on_progress = on_progress
        self._deadline = time.monotonic() + budget.seconds
        self._tally = Tally(destination.name)
        self._in_hand: deque[Claimed] = deque()  # claimed, not sent yet
        self._halves: deque[list[Claimed]] = deque()  # parts of a refused batch, sent apart to find the item to blame
        self._out = 0  # requests in flight
        self._limits = 0  # answers in a row that said: too many requests
        self._resting = ""  # why nothing may leave now, if so
        self._renew_at = 0.0
        self._todo: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._back: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []

    def run(self) -> Tally:
        """Work; what is left at the end is in the ledger for the next run."""
        back: list[Request] = []
        try:
            while True:
                is_over = self._interrupted.is_set() or bool(self._tally.stopped)
                is_over = is_over or self._time.monotonic() > self._deadline
                requests, wait = self._step(back, goes_on=not is_over)
                back = []
                for request in requests:
                    self._dispatch(request)
                if self._out:
                    back = self._collect(wait)
                elif is_over or wait is None:
                    break
                elif self._time.monotonic() + wait > self._deadline:
                    self._tally.stopped = self._resting
                    break
                elif wait > 0:
                    self._time.pause(wait)
        finally:
            while self._out:  # an answer that is on its way is worth its record, whatever ended the loop
                back += self._collect(None)
            for _ in self._threads:
                self._todo.put(None)
            self._close(back)
        return self._tally

    # Requests

    def _dispatch(self, request: Request) -> None:
        self._out += 1
        self._tally.requests += 1
        if self._destination.concurrency == 1:
            self._perform(request)
            return
        if len(self._threads) < min(self._out, self._destination.concurrency):
            thread = threading.Thread(target=self._serve, name=f"send-{self._destination.name}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._todo.put(request)

    def _serve(self) -> None:
        while (request := self._todo.get()) is not None:
            self._perform(request)

    def _perform(self, request: Request) -> None:
        actions = [item.action for item in request.items]
        try:
            request.outcomes = (
                self._destination.send(actions) if request.is_send else self._destination.resolve(actions)
            )
            if len(request.outcomes) != len(actions):
                raise OutcomeUnknownError(f"{len(actions)} actions were sent and {len(request.outcomes)} answered.")  # noqa: TRY301
        except (*REFUSED, BatchRejectedError) as error:
            request.error = error
        except Exception as error:  # noqa: BLE001 - a fault of the adapter must not lose the record of its request
            request.error = OutcomeUnknownError(f"The adapter failed ({type(error).__name__}).")
        self._back.put(request)

    def _collect(self, wait: float | None) -> list[Request]:
        """What came back; waits for the first (at most so long), takes along what else is there."""
        first = self._time.next_of(self._back, wait)
        back = [] if first is None else [first]
        # a durable commit costs more than a moment's patience, so answers that come close together share one
        together = min(self._out, (self._destination.concurrency + 1) // 2)
        while back and len(back) < together:
            another = self._time.next_of(self._back, GATHER_SECONDS)
            if another is None:
                break
            back.append(another)
        while True:
            try:
                back.append(self._back.get_nowait())
            except queue.Empty:
                break
        self._out -= len(back)
        return back

    # One transaction

    def _step(self, back: list[Request], *, goes_on: bool) -> tuple[list[Request], float | None]:
        """Write down what came back, choose what goes out, and say how long there is nothing to do (None: for good)."""
        settled = Settled()
        with self._ledger.step(self._destination.name, self._worker, self._plan_id) as step:
            # asked for only now that nobody else writes: an older time would fill the shared bucket twice
            wall = self._wall()
            pace = step.pace(self._destination.rate, wall)
            for request in back:
                pace = self._settle(request, settled, pace, wall)
            if settled.results:
                step.record(settled.results, self._time.now())
            requests: list[Request] = []
            wait: float | None = None
            if goes_on and not self._tally.stopped:
                free, wait = self._slots(pace, wall)
                if free:
                    requests = self._next_requests(step, free, settled, wall)
                    pace = replace(pace, tokens=pace.tokens - len(requests))
                    is_more = len(requests) == free or self._in_hand or self._halves
                    wait = self._slots(pace, wall, len(requests))[1] if is_more else self._until_next(step, wall)
                elif wait is not None and not (self._out or self._in_hand or self._halves):
                    due = self._until_next(step, wall)  # nobody waits for a turn that nothing is left for
                    wait = None if due is None else max(wait, due)
            if settled.withdrawn:
                step.withdraw(settled.withdrawn, self._time.now())
            if wall > self._renew_at:
                step.renew(wall)
                self._renew_at = wall + LEASE_SECONDS / 3
            step.set_pace(pace, wall)
        self._tell(settled)
        return requests, wait

    def _slots(self, pace: Pace, wall: float, leaving: int = 0) -> tuple[int, float | None]:
        """How many more requests may leave now, and in how many seconds the next one may.

        None instead of seconds: once one of those in flight (`leaving` included) has come back.
        """
        window = self._checks.windows.get(self._destination.name)
        closed = 0.0 if window is None else window.seconds_until_open(self._time.wall())
        rest = max(pace.paused_until - wall, closed)
        if rest > 0:
            self._resting = f"Outside its send window for {closed:.0f} s." if closed >= rest else pace.paused_for
            return 0, rest
        self._resting = ""
        # half open: one request goes ahead to see whether it is back
        most = 1 if pace.failures >= self._budget.breaker.failures else self._destination.concurrency
        out = self._out + leaving
        if out >= most:
            return 0, None
        free = min(most - out, int(pace.tokens + 1e-9))
        return max(free, 0), 0.0 if free > 0 else (1.0 - pace.tokens) / self._destination.rate.per_second

    def _until_next(self, step: Step, wall: float) -> float | None:
        if self._allowance.is_used_up:
            return None
        due = step.next_due(wall)
        return None if due is None else max(due - wall, 0.0)

    def _next_requests(self, step: Step, free: int, settled: Settled, wall: float) -> list[Request]:
        """The requests that leave now, their intents noted in this transaction."""
        missing = free * self._destination.batch_size - len(self._in_hand)
        if missing > 0 and len(self._halves) < free:
            allowed = self._allowance.take(missing)
            claimed = step.claim(allowed, wall) if allowed else []
            self._allowance.give_back(allowed - len(claimed))
            self._in_hand.extend(self._still_right(claimed, settled))
            fresh = {item.action.action_id for item in claimed}
        else:
            fresh = set()
        requests: list[Request] = []
        while len(requests) < free and (self._halves or self._in_hand):
            if self._halves:
                requests.append(Request(self._halves.popleft(), is_send=True))
            else:
                requests.append(self._batch())
        sent = [item.action.action_id for request in requests if request.is_send for item in request.items]
        unsent = fresh.difference(sent)
        if unsent:
            step.hold(sorted(unsent), wall)
        if sent:
            mine = step.intend(sent, self._time.now(), wall, fresh)
            if len(mine) < len(sent):  # a lease was lost: somebody took this worker for dead
                for request in requests:
                    if request.is_send:
                        request.items = [item for item in request.items if item.action.action_id in mine]
                requests = [request for request in requests if request.items]
        return requests

    def _batch(self) -> Request:
        """The next items in hand that fit into one request: either to be sent, or to be asked about."""
        is_send = not self._is_asked_about(self._in_hand[0])
        items: list[Claimed] = []
        size = 0
        while self._in_hand and len(items) < self._destination.batch_size:
            item = self._in_hand[0]
            payload = item.action.payload
            size += len(payload) if payload.isascii() else len(payload.encode())
            if self._is_asked_about(item) is is_send or (items and size > self._destination.batch_bytes):
                break
            items.append(self._in_hand.popleft())
        if is_send:
            items = [replace(each, tries=each.tries + 1, attempt_count=each.attempt_count + 1) for each in items]
        return Request(items, is_send)

    def _is_asked_about(self, item: Claimed) -> bool:
        return item.is_unknown and self._destination.can_be_asked

    def _still_right(self, claimed: list[Claimed], settled: Settled) -> list[Claimed]:
        """Those that may still be sent: not expired, still wanted by the newest published version."""
        if not claimed:
            return []
        now = self._time.now()
        withdrawn = dict(self._checks.withdrawn([item.action for item in claimed]))
        kept: list[Claimed] = []
        for item in claimed:
            expires_at = item.action.expires_at
            reason = withdrawn.get(item.action.action_id, "")
            if not reason and expires_at is not None and expires_at <= now:
                reason = "It expired before it could be sent."
            if not reason and item.is_wanted:
                kept.append(item)
            elif self._is_asked_about(item):
                kept.append(replace(item, is_wanted=False))  # whether it arrived must be known all the same
            else:
                settled.withdrawn.append(
                    (
                        item.action.action_id,
                        reason or "Nobody wants it any more, and the vendor cannot be asked about it.",
                    )
                )
        self._allowance.give_back(len(claimed) - len(kept))
        return kept

    # Outcomes

    def _settle(self, request: Request, settled: Settled, pace: Pace, wall: float) -> Pace:
        """What a request that came back means for its deliveries and for the pace."""
        error = request.error
        outcomes: list[Outcome | None]
        if error is None:
            outcomes = self._read(request, settled) if not request.is_send else list(request.outcomes)
            pace = self._succeeded(pace, [each for each in outcomes if each is not None], wall)
        elif isinstance(error, BatchRejectedError):
            pace = replace(pace, failures=0, openings=0)
            outcomes = self._split(request.items, error)
        else:
            whole, pace = self._whole(error, pace, wall)
            outcomes = [whole] * len(request.items)
        dues: dict[tuple[int, float | None], float] = {}  # one draw for all, so that a batch comes back as a batch
        held = {id(item) for half in self._halves for item in half}
        for item, outcome in zip(request.items, outcomes, strict=True):
            if outcome is None:
                continue
            if id(item) in held:
                settled.results.append(Result(item.action, outcome, is_held=True))
                continue
            result = self._result(item, outcome, dues, wall, is_send=request.is_send)
            if result.is_queued and result.outcome.state in OPEN_STATES:
                self._allowance.give_back(1)  # it will be claimed again
            settled.results.append(result)
            settled.finished.append(result)
        return pace

    def _read(self, request: Request, settled: Settled) -> list[Outcome | None]:
        """Answers about unknown outcomes; what is not there, or nobody can say, is sent again if still wanted."""
        found: list[Outcome | None] = []
        for item, outcome in zip(request.items, request.outcomes, strict=True):
            if outcome is not None and outcome.state is not State.WAITING:
                found.append(outcome)
            elif item.is_wanted:
                self._in_hand.appendleft(replace(item, is_unknown=False))
                found.append(None)
            elif outcome is None:
                settled.withdrawn.append(
                    (item.action.action_id, "Nobody wants it any more; whether it arrived is unknown.")
                )
                found.append(None)
            else:
                settled.withdrawn.append((item.action.action_id, "It never arrived, and nobody wants it any more."))
                found.append(outcome)
        return found

    def _result(
        self,
        item: Claimed,
        outcome: Outcome,
        dues: dict[tuple[int, float | None], float],
        wall: float,
        *,
        is_send: bool,
    ) -> Result:
        if outcome.state not in {State.WAITING, State.UNKNOWN}:
            return Result(item.action, outcome)
        retry, tries = self._budget.retry, item.tries + (0 if is_send else 1)
        is_limit = outcome.retry_after is not None or outcome.status_code == 429
        is_old = item.first_tried is not None and wall - item.first_tried >= retry.total_seconds
        if is_old or (item.attempt_count >= retry.total_attempts and not is_limit):
            doubt = " Whether it arrived is unknown." if outcome.state is State.UNKNOWN else ""
            reason = f"Given up after {item.attempt_count} attempts: {outcome.reason}{doubt}"
            return Result(item.action, replace(outcome, state=State.DEAD, reason=reason))
        key = (tries, outcome.retry_after)
        due = dues.setdefault(key, wall + retry.wait(max(tries, 1), outcome.retry_after, self._rng))
        is_queued = tries < retry.attempts or is_limit
        return Result(item.action, outcome, due, is_queued=is_queued)

    def _succeeded(self, pace: Pace, outcomes: list[Outcome], wall: float) -> Pace:
        """An answer: it lives. It may still have asked for a rest."""
        self._limits = 0
        rest = max((outcome.rest for outcome in outcomes), default=0.0)
        pace = replace(pace, failures=0, openings=0)
        if rest > 0:
            if any(outcome.state is State.WAITING for outcome in outcomes):
                self._tally.limited += 1
            pace = _paused(pace, wall + rest, f"It asked to be left alone for {rest:.0f} s.")
        return pace

    def _whole(self, error: Exception, pace: Pace, wall: float) -> tuple[Outcome, Pace]:
        """The outcome of every delivery in a request that failed as a whole."""
        if isinstance(error, LimitedError):
            self._tally.limited += 1
            self._limits += 1
            rest = self._budget.retry.wait(self._limits, error.retry_after, self._rng)
            outcome = Outcome.waiting(str(error), error.status_code, error.retry_after)
            return outcome, _paused(pace, wall + rest, f"It asked to be left alone for {rest:.0f} s: {error}")
        if isinstance(error, StoppedError):
            self._tally.stopped = str(error)
            return Outcome.waiting(str(error), error.status_code), pace
        if isinstance(error, OutcomeUnknownError):
            outcome = Outcome.unknown(str(error), error.status_code)
        else:
            outcome = Outcome.waiting(str(error))
        breaker, failures = self._budget.breaker, pace.failures + 1
        pace = replace(pace, failures=failures)
        if failures < breaker.failures:
            return outcome, pace
        reason = f"{failures} requests in a row came to nothing, the last with: {error}"
        rest = breaker.rest(pace.openings)
        return outcome, replace(_paused(pace, wall + rest, reason), openings=pace.openings + 1)

    def _split(self, items: list[Claimed], error: BatchRejectedError) -> list[Outcome | None]:
        """A refused batch of one is refused; a larger one goes out again in two halves, until the culprit is alone."""
        if len(items) == 1:
            return [Outcome.rejected(str(error), error.status_code)]
        middle = len(items) // 2
        self._halves.extend([items[:middle], items[middle:]])
        return [Outcome.waiting(f"The batch was refused: {error}", error.status_code)] * len(items)

    # The end

    def _close(self, back: list[Request]) -> None:
        """Record what is still to be recorded, give back what was not sent, and count what is left."""
        settled = Settled()
        with self._ledger.step(self._destination.name, self._worker, self._plan_id) as step:
            wall = self._wall()
            pace = step.pace(self._destination.rate, wall)
            for request in back:
                pace = self._settle(request, settled, pace, wall)
            if settled.results:
                step.record(settled.results, self._time.now())
            if settled.withdrawn:
                step.withdraw(settled.withdrawn, self._time.now())
            unsent = [*self._in_hand, *(item for half in self._halves for item in half)]
            if unsent:
                step.release([item.action.action_id for item in unsent])
            step.set_pace(pace, wall)
            left = step.left()
        self._tell(settled)
        self._tally.unknown += left.get(State.UNKNOWN, 0)
        self._tally.waiting += sum(number for state, number in left.items() if state != State.UNKNOWN)

    def _tell(self, settled: Settled) -> None:
        self._tally.withdrawn += len(settled.withdrawn)
        for result in settled.finished:
            state = result.outcome.state
            if state is State.ACKNOWLEDGED:
                self._tally.acknowledged += 1
            else:
                self._tally.rejected += state is State.REJECTED
                self._tally.dead += state is State.DEAD
                if not result.is_queued:  # its tries are used up, it comes back with the next plan
                    self._tally.unknown += state is State.UNKNOWN
                    self._tally.waiting += state is State.WAITING
                self._tally.blame(result.outcome.reason)
            if self._on_progress is not None and state not in OPEN_STATES:
                self._on_progress(self._destination.name, state)

    def _wall(self) -> float:
        return self._time.wall().replace(tzinfo=UTC).timestamp()


def _paused(pace: Pace, until: float, reason: str) -> Pace:
    return pace if pace.paused_until >= until else replace(pace, paused_until=until, paused_for=reason)
