"""One destination's queue, worked off: the loop of claim, commit the intent, send, commit the outcome.

What goes out comes from the ledger's queue and from the supply of what no ledger has heard of, whichever is more
urgent; of the latter the intent is the first trace in the ledger.

Up to `concurrency` requests are out at a time. The courier's own thread is the only one that touches the ledger; in one
transaction it records what came back and commits the intents of what goes out next, so at most the requests in flight
can be repeated after a crash, and a durable commit is shared by all of them.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from datetime import UTC
from functools import partial
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from activation.actions import OPEN_STATES, State
from activation.batches import Mark
from activation.lanes import Lanes, Request
from activation.settle import Judge, Settled, taken
from activation.step import LEASE_SECONDS, Claimed, Pace, Step
from activation.tally import Tally

if TYPE_CHECKING:
    import random
    import threading
    from collections.abc import Callable
    from datetime import datetime

    from activation.deliver import Allowance, Budget, Checks
    from activation.destinations import Destination
    from activation.ledger import Ledger
    from activation.pacing import Time
    from activation.supply import Supply


as_claimed = partial(tuple.__new__, Claimed)  # there are many: by its constructor each would take ten times as long
_number_of = itemgetter(Claimed._fields.index("seq"))
_is_unknown = itemgetter(Claimed._fields.index("is_unknown"))
LOOK_AGAIN_SECONDS = 2.0
MOST_STRIDE = 64


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
        supply: Supply,
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._time = time
        self._budget = budget
        self._worker = worker
        self._plan_id = plan_id
        self._allowance = allowance
        self._interrupted = interrupted
        self._checks = checks
        self._on_progress = on_progress
        self._supply = supply
        self._stride = 1  # how many times further to look, because others are at work on the same
        self._deadline = time.monotonic() + budget.seconds
        self._tally = Tally(destination.name)
        self._in_hand: deque[Claimed] = deque()  # claimed, not sent yet
        self._halves: deque[list[Claimed]] = deque()  # parts of a refused batch, sent apart to find the item to blame
        self._judge = Judge(budget, rng, self._tally)
        self._lanes = Lanes(destination, time)
        self._resting = ""  # why nothing may leave now, if so
        self._renew_at = 0.0
        self._looked_at = 0.0  # when it was last asked whether what is in hand is still right

    def run(self) -> Tally:
        """Work; what is left at the end is in the ledger for the next run."""
        back: list[Request] = []
        try:
            while True:
                is_over = self._interrupted.is_set() or bool(self._tally.stopped)
                is_over = is_over or self._time.monotonic() > self._deadline
                self._supply.fill(0 if is_over else self._most * self._stride)
                requests, wait = self._step(back, goes_on=not is_over)
                back = []
                self._tally.requests += len(requests)
                self._lanes.put(requests)
                if self._lanes.out:
                    back = self._lanes.collect(wait)
                elif is_over or wait is None:
                    break
                elif self._time.monotonic() + wait > self._deadline:
                    self._tally.stopped = self._resting
                    break
                elif wait > 0:
                    self._time.pause(wait)
        finally:
            back += self._lanes.close()
            self._close(back)
        return self._tally

    # One transaction

    def _step(self, back: list[Request], *, goes_on: bool) -> tuple[list[Request], float | None]:
        """Write down what came back, choose what goes out, and say how long there is nothing to do (None: for good)."""
        settled = Settled()
        with self._ledger.step(self._destination.name, self._worker, self._plan_id) as step:
            # asked for only now that nobody else writes: an older time would fill the shared bucket twice
            wall = self._wall()
            pace = step.pace(self._destination.rate, wall)
            pace = self._settle(back, settled, step, pace, wall)
            requests: list[Request] = []
            wait: float | None = None
            if goes_on and not self._tally.stopped:
                free, wait = self._slots(pace, wall)
                if free:
                    requests = self._next_requests(step, free, settled, wall)
                    pace = replace(pace, tokens=pace.tokens - len(requests))
                    is_more = len(requests) == free or self._in_hand or self._halves
                    wait = self._slots(pace, wall, len(requests))[1] if is_more else self._until_next(step, wall)
                elif wait is not None and not (self._lanes.out or self._in_hand or self._halves):
                    due = self._until_next(step, wall)  # nobody waits for a turn that nothing is left for
                    wait = None if due is None else max(wait, due)
            if settled.withdrawn:
                step.withdraw(settled.withdrawn, self._time.now())
            if wall > self._renew_at:
                step.stay(wall)
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
        out = self._lanes.out + leaving
        if out >= most:
            return 0, None
        free = min(most - out, int(pace.tokens + 1e-9))
        return max(free, 0), 0.0 if free > 0 else (1.0 - pace.tokens) / self._destination.rate.per_second

    @property
    def _most(self) -> int:
        """How many deliveries may leave at once."""
        return self._destination.concurrency * self._destination.batch_size

    def _until_next(self, step: Step, wall: float) -> float | None:
        if self._allowance.is_used_up:
            return None
        if not self._supply.is_empty:
            return 0.0
        due = step.next_due(wall)
        return None if due is None else max(due - wall, 0.0)

    def _next_requests(self, step: Step, free: int, settled: Settled, wall: float) -> list[Request]:
        """The requests that leave now, their intents noted in this transaction."""
        if wall > self._looked_at + LOOK_AGAIN_SECONDS:  # what was in hand during a rest may not be wanted any more
            self._in_hand = deque(self._still_right(list(self._in_hand), settled))
            self._halves = deque([kept for half in self._halves if (kept := self._still_right(half, settled))])
        self._looked_at = wall
        claimed: set[int] = set()
        missing = free * self._destination.batch_size - len(self._in_hand)
        if missing > 0 and len(self._halves) < free:
            claimed = self._claim(step, missing, settled, wall)
        requests: list[Request] = []
        while len(requests) < free and (self._halves or self._in_hand):
            if self._halves:
                requests.append(Request(self._halves.popleft(), is_send=True))
            else:
                requests.append(self._batch())
        unwritten = [item.action for item in self._in_hand if not item.seq]
        if unwritten:  # what did not fit leaves no trace
            self._in_hand = deque([item for item in self._in_hand if item.seq])
            self._supply.put_back(unwritten)
            self._allowance.give_back(len(unwritten))
        return self._intend(step, requests, claimed, wall)

    def _claim(self, step: Step, most: int, settled: Settled, wall: float) -> set[int]:
        """Take the most urgent of queue and supply into hand; the numbers of the first."""
        allowed = self._allowance.take(most)
        queued = step.claim(allowed, wall) if allowed else []
        new: list[Claimed] = []
        if allowed and not self._supply.is_empty:
            self._supply.hears(*step.heard_since(self._supply.since))
            unheard_of = self._supply.take(allowed * self._stride)
            self._stride = 1 if unheard_of else min(self._stride * 4, MOST_STRIDE)
            new = [as_claimed((action, 0, False, True, 0, 0, None)) for action in unheard_of]
        chosen = sorted([*queued, *new], key=_urgency) if queued and new else queued or new
        if len(chosen) > allowed:
            self._supply.put_back([item.action for item in chosen[allowed:] if not item.seq])
            del chosen[allowed:]
        self._allowance.give_back(allowed - len(chosen))
        kept = self._still_right(chosen, settled)
        if len(kept) < len(chosen):
            wanted = {item.action.action_id for item in kept}
            refused = [item for item in chosen if not item.seq and item.action.action_id not in wanted]
            if refused:
                step.note(refused, self._time.now())
        self._in_hand.extend(kept)
        return {item.seq for item in chosen if item.seq} if queued else set()

    def _intend(self, step: Step, requests: list[Request], claimed: set[int], wall: float) -> list[Request]:
        """Note that these leave, and hold what was claimed and does not; without those that are not ours any more."""
        sends = [request for request in requests if request.is_send]
        old = [item.seq for request in sends for item in request.items if item.seq]
        self._begin(step, sends, wall)
        unsent = claimed.difference(old)
        if unsent:
            step.hold(sorted(unsent), wall)
        if old:
            mine = step.intend(old, self._time.now(), wall, claimed)
            if len(mine) < len(old):  # a lease was lost: somebody took this worker for dead
                lost = set(old).difference(mine)
                for request in requests:
                    if request.is_send:
                        request.items = [item for item in request.items if item.seq not in lost]
                requests = [request for request in requests if request.items]
        return requests

    def _begin(self, step: Step, sends: list[Request], wall: float) -> None:
        """Note that what nobody heard of leaves with these."""
        whole = [request for request in sends if self._stays_whole(request)]
        if whole:
            numbers = step.begin_whole([request.items for request in whole], self._time.now(), wall)
            for request, number in zip(whole, numbers, strict=True):
                request.batch = number
            self._supply.began(Mark(batch=numbers[-1]))
        new = [item for request in sends if not request.batch for item in request.items if not item.seq]
        if new:
            begun = step.begin(new, self._time.now(), wall)
            self._supply.began(Mark(single=begun[-1].seq))
            left = iter(begun)
            for request in sends:
                if not request.batch:
                    request.items = [item if item.seq else next(left) for item in request.items]

    def _stays_whole(self, request: Request) -> bool:
        """Whether this is kept as one thing: several that nobody heard of, and that are never set again one by one."""
        items = request.items
        return len(items) > 1 and not self._destination.resends_changes and not any(map(_number_of, items))

    def _batch(self) -> Request:
        """The next items in hand that fit into one request: either to be sent, or to be asked about."""
        items = list(islice(self._in_hand, self._destination.batch_size))
        if not any(map(_is_unknown, items)) and _bytes_of(items) <= self._destination.batch_bytes:  # most often
            for _ in items:
                self._in_hand.popleft()
            return Request(items, is_send=True)
        is_send = not self._is_asked_about(self._in_hand[0])
        can_be_asked, left = self._destination.can_be_asked, self._destination.batch_bytes
        items = []
        for item in islice(self._in_hand, self._destination.batch_size):
            left -= _bytes_of([item])
            if (left < 0 and items) or (can_be_asked and item.is_unknown) == is_send:
                break
            items.append(item)
        for _ in items:
            self._in_hand.popleft()
        return Request(items, is_send)

    def _is_asked_about(self, item: Claimed) -> bool:
        return item.is_unknown and self._destination.can_be_asked

    def _still_right(self, claimed: list[Claimed], settled: Settled) -> list[Claimed]:
        """Those that may still be sent: not expired, still wanted by the newest published version."""
        if not claimed:
            return []
        now = self._time.now()
        withdrawn = dict(self._checks.withdrawn([item.action for item in claimed]))
        earliest = min((item.action.expires_at for item in claimed if item.action.expires_at is not None), default=None)
        if not withdrawn and (earliest is None or earliest > now) and all(item.is_wanted for item in claimed):
            return claimed
        kept: list[Claimed] = []
        for item in claimed:
            expires_at = item.action.expires_at
            reason = withdrawn.get(item.action.action_id, "")
            if not reason and expires_at is not None and expires_at <= now:
                reason = "It expired before it could be sent."
            if not reason and item.is_wanted:
                kept.append(item)
            elif self._is_asked_about(item):
                kept.append(item._replace(is_wanted=False))  # whether it arrived must be known all the same
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

    def _settle(self, back: list[Request], settled: Settled, step: Step, pace: Pace, wall: float) -> Pace:
        """Write down what came back, and keep in hand what goes out again."""
        for request in back:
            arrived = taken(request)
            if arrived is None and request.batch:
                request.items = step.take_apart(request.batch, request.items)
            pace = self._judge.settle(request, arrived, settled, pace, wall)
        self._in_hand.extendleft(reversed(settled.again))
        self._halves.extend(settled.halves)
        self._allowance.give_back(settled.unused)
        if settled.arrived:
            step.arrived(settled.arrived, self._time.now())
        if settled.results:
            step.record(settled.results, self._time.now())
        return pace

    # The end

    def _close(self, back: list[Request]) -> None:
        """Record what is still to be recorded, queue or give back what was not sent, and count what is left."""
        settled = Settled()
        if not self._interrupted.is_set():
            for actions in self._supply.rest():
                now, since = self._time.now(), self._supply.since
                self._ledger.enqueue(actions, now, self._plan_id, queue=self._plan_id, since=since)
        with self._ledger.step(self._destination.name, self._worker, self._plan_id) as step:
            wall = self._wall()
            pace = step.pace(self._destination.rate, wall)
            pace = self._settle(back, settled, step, pace, wall)
            if settled.withdrawn:
                step.withdraw(settled.withdrawn, self._time.now())
            unsent = [*self._in_hand, *(item for half in self._halves for item in half)]
            if unsent:
                step.release([item.seq for item in unsent])
            step.leave()
            step.set_pace(pace, wall)
            left = step.left()
        self._tell(settled)
        if self._allowance.is_used_up:
            self._tally.left += left.pop(State.PLANNED, 0)
        self._tally.unknown += left.get(State.UNKNOWN, 0)
        self._tally.waiting += sum(number for state, number in left.items() if state != State.UNKNOWN)

    def _tell(self, settled: Settled) -> None:
        self._tally.withdrawn += len(settled.withdrawn)
        for request in settled.arrived:
            self._tally.acknowledged += len(request.items)
            if self._on_progress is not None:
                for _ in request.items:
                    self._on_progress(self._destination.name, State.ACKNOWLEDGED)
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


def _bytes_of(items: list[Claimed]) -> int:
    """Of their payloads."""
    text = "".join([item.action.payload for item in items])
    return len(text) if text.isascii() else len(text.encode())


def _urgency(item: Claimed) -> tuple[int, datetime, str]:
    return item.action.priority, item.action.occurred_at, item.action.action_id
