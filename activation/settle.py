"""What came back, and what it means: for each delivery in the request, and for the pace of its destination."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from activation.actions import DOUBT, OPEN_STATES, Outcome, State
from activation.errors import BatchRejectedError, LimitedError, OutcomeUnknownError, StoppedError
from activation.step import Arrived, Claimed, Pace, Result

if TYPE_CHECKING:
    import random

    from activation.deliver import Budget
    from activation.lanes import Request
    from activation.tally import Tally


@dataclass(slots=True)
class Settled:
    """What one step writes down, and what it leaves in hand."""

    arrived: list[Arrived] = field(default_factory=list)  # requests of which everything was taken
    results: list[Result] = field(default_factory=list)  # of the other requests
    withdrawn: list[tuple[str, str]] = field(default_factory=list)  # action id and reason
    finished: list[Result] = field(default_factory=list)  # of the results, those to be told
    again: list[Claimed] = field(default_factory=list)  # asked about, not there, and still wanted: to be sent now
    halves: list[list[Claimed]] = field(default_factory=list)  # of a refused batch, to find the item to blame
    unused: int = 0  # deliveries that will be claimed again


def taken(request: Request) -> Arrived | None:
    """What came back, if the vendor has all that was sent and said the same of all: most often, so it is short work."""
    if request.error is not None or not request.is_send or None in request.outcomes:
        return None
    states, reasons, statuses, references, *_ = zip(*request.outcomes, strict=True)
    if states.count(State.ACKNOWLEDGED) < len(states) or len({*reasons}) > 1 or len({*statuses}) > 1:
        return None
    return Arrived(request.items, references, reasons[0], statuses[0], request.batch)


class Judge:
    """Reads the answers of one destination in one run; tells the tally about the requests."""

    def __init__(self, budget: Budget, rng: random.Random, tally: Tally) -> None:
        self._budget = budget
        self._rng = rng
        self._tally = tally
        self._limits = 0  # answers in a row that said: too many requests

    def settle(self, request: Request, arrived: Arrived | None, settled: Settled, pace: Pace, wall: float) -> Pace:
        """Add what a request that came back means (`arrived`: see `taken`); the pace after it."""
        error = request.error
        outcomes: list[Outcome | None]
        is_split = False
        if error is None:
            outcomes = list(request.outcomes) if request.is_send else self._read(request, settled)
            pace = self._succeeded(pace, [each for each in outcomes if each is not None], wall)
        elif isinstance(error, BatchRejectedError) and request.is_send:
            pace = replace(pace, failures=0, openings=0)
            is_split = len(request.items) > 1
            outcomes = self._split(request.items, error, settled)
        else:
            whole, pace = self._whole(error, pace, wall)
            outcomes = [whole] * len(request.items)
        if arrived is not None:
            settled.arrived.append(arrived)
            return pace
        if request.is_send or error is not None:
            outcomes = [_in_doubt(item, outcome) for item, outcome in zip(request.items, outcomes, strict=True)]
        dues: dict[tuple[int, float | None], float] = {}  # one draw for all, so that a batch comes back as a batch
        for item, outcome in zip(request.items, outcomes, strict=True):
            if outcome is None:
                continue
            if is_split:
                settled.results.append(Result(item.action, outcome, is_held=True, seq=item.seq))
                continue
            result = self._result(item, outcome, dues, wall, is_send=request.is_send)
            settled.unused += result.is_queued and result.outcome.state in OPEN_STATES
            settled.results.append(result)
            settled.finished.append(result)
        return pace

    @staticmethod
    def _read(request: Request, settled: Settled) -> list[Outcome | None]:
        """Answers about unknown outcomes; what is not there, or nobody can say, is sent again if still wanted."""
        found: list[Outcome | None] = []
        for item, outcome in zip(request.items, request.outcomes, strict=True):
            if outcome is not None and outcome.state is not State.WAITING:
                found.append(outcome)
            elif item.is_wanted:
                settled.again.append(item._replace(is_unknown=False))
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
            return Result(item.action, outcome, seq=item.seq)
        retry, tries = self._budget.retry, item.tries + 1
        attempts = item.attempt_count + is_send
        is_limit = outcome.retry_after is not None or outcome.status_code == 429
        is_old = item.first_tried is not None and wall - item.first_tried >= retry.total_seconds
        # age alone proves nothing: the machine may have been off, or its clock been set
        if (is_old and attempts >= retry.attempts) or (attempts >= retry.total_attempts and not is_limit):
            doubt = f" {DOUBT}" if outcome.state is State.UNKNOWN else ""
            reason = f"Given up after {attempts} attempts: {outcome.reason}{doubt}"
            return Result(item.action, outcome._replace(state=State.DEAD, reason=reason), seq=item.seq)
        key = (tries, outcome.retry_after)
        due = dues.setdefault(key, wall + retry.wait(max(tries, 1), outcome.retry_after, self._rng))
        is_queued = tries < retry.attempts or is_limit
        return Result(item.action, outcome, due, is_queued=is_queued, seq=item.seq)

    def _succeeded(self, pace: Pace, outcomes: list[Outcome], wall: float) -> Pace:
        """An answer: it lives. It may still have asked for a rest."""
        self._limits = 0
        rest = max((outcome.rest for outcome in outcomes), default=0.0)
        if pace.failures or pace.openings:
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
            asked_for = error.retry_after or None  # to come back at once, said again and again, is no answer
            rest = self._budget.retry.wait(self._limits, asked_for, self._rng)
            outcome = Outcome.waiting(str(error), error.status_code, asked_for)
            return outcome, _paused(pace, wall + rest, f"It asked to be left alone for {rest:.0f} s: {error}")
        if isinstance(error, StoppedError):
            self._tally.stopped = str(error)
            return Outcome.waiting(str(error), error.status_code), pace
        if isinstance(error, OutcomeUnknownError):
            asked_for = error.retry_after or None
            outcome = Outcome.unknown(str(error), error.status_code)._replace(retry_after=asked_for)
            if asked_for is not None:
                pace = _paused(pace, wall + asked_for, f"It asked to be left alone for {asked_for:.0f} s: {error}")
        else:
            outcome = Outcome.waiting(str(error))
        breaker, failures = self._budget.breaker, pace.failures + 1
        pace = replace(pace, failures=failures)
        if failures < breaker.failures:
            return outcome, pace
        reason = f"{failures} requests in a row came to nothing, the last with: {error}"
        rest = breaker.rest(pace.openings)
        return outcome, replace(_paused(pace, wall + rest, reason), openings=pace.openings + 1)

    @staticmethod
    def _split(items: list[Claimed], error: BatchRejectedError, settled: Settled) -> list[Outcome | None]:
        """A refused batch of one is refused; a larger one goes out again in two halves, until the culprit is alone."""
        if len(items) == 1:
            return [Outcome.rejected(str(error), error.status_code)]
        middle = len(items) // 2
        settled.halves += [items[:middle], items[middle:]]
        return [Outcome.waiting(f"The batch was refused: {error}", error.status_code)] * len(items)


def _in_doubt(item: Claimed, outcome: Outcome | None) -> Outcome | None:
    """The outcome, of which nobody can say that it is not there: an earlier attempt may have arrived.

    That this request was turned away says nothing about that one, be it a repeat or the question what became of it.
    """
    if outcome is None or outcome.state is not State.WAITING or not item.is_unknown:
        return outcome
    return outcome._replace(state=State.UNKNOWN)


def _paused(pace: Pace, until: float, reason: str) -> Pace:
    return pace if pace.paused_until >= until else replace(pace, paused_until=until, paused_for=reason)
