"""When to send: rates, waiting times, the circuit breaker. Arithmetic only; what is shared is kept in the ledger.

All times come from a `Time`, so that tests never sleep.
"""

from __future__ import annotations

import queue
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import random


class Time(Protocol):
    """A source of time and the only place that waits."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""

    def now(self) -> datetime:
        """The run's clock: as_of plus what has passed since, naive UTC."""

    def wall(self) -> datetime:
        """The machine's clock, naive UTC."""

    def pause(self, seconds: float) -> None:
        """Wait."""

    def next_of(self, finished: queue.SimpleQueue[Any], seconds: float | None) -> Any:
        """The next thing out of the queue, waiting for it at most so long; None if nothing came."""


class RunTime:
    """Real time, anchored at the run's as_of: the sandbox's world stands still while we work in it."""

    def __init__(self, as_of: datetime) -> None:
        self._as_of = as_of
        self._started = time.monotonic()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return time.monotonic()

    def now(self) -> datetime:
        """as_of plus the seconds since this object was made, naive UTC."""
        return self._as_of + timedelta(seconds=time.monotonic() - self._started)

    def wall(self) -> datetime:
        """The machine's clock, naive UTC."""
        return datetime.now(UTC).replace(tzinfo=None)

    def pause(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def next_of(self, finished: queue.SimpleQueue[Any], seconds: float | None) -> Any:
        """The next thing out of the queue, waiting for it at most so long; None if nothing came."""
        try:
            return finished.get(timeout=seconds)
        except queue.Empty:
            return None


@dataclass(frozen=True, slots=True)
class Rate:
    """What a vendor allows: requests per second in the long run, and how many at once after a rest.

    Raises:
        ValueError: if either is not positive.
    """

    per_second: float
    burst: int

    def __post_init__(self) -> None:
        if self.per_second <= 0 or self.burst < 1:
            raise ValueError(f"A rate needs per_second > 0 and burst >= 1, got {self.per_second} and {self.burst}.")

    def refilled(self, tokens: float, filled_at: float, wall: float) -> float:
        """The tokens there are at `wall`. A clock that was set back gives none; one that jumped ahead a full bucket."""
        return min(float(self.burst), tokens + max(wall - filled_at, 0.0) * self.per_second)


@dataclass(frozen=True, slots=True)
class Quota:
    """Run time that a vendor grants a method within a sliding window, and what one action costs of it, in seconds."""

    seconds: float
    window: float
    cost: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a number of actions takes at least, and which limit says so."""

    seconds: float
    limit: str


def estimate(actions: int, batch_size: int, rate: Rate, quota: Quota | None = None) -> Estimate:
    """The time that a vendor's limits leave for this many actions, answers taken as immediate."""
    requests = -(-actions // batch_size)
    by_rate = Estimate(
        max(requests - rate.burst, 0) / rate.per_second, f"{rate.per_second:g} requests a second of {batch_size}"
    )
    if quota is None:
        return by_rate
    per_window = max(int(quota.seconds / quota.cost), 1)
    windows = max(-(-actions // per_window) - 1, 0)
    by_quota = Estimate(
        windows * quota.window, f"{quota.seconds:g} s of run time in {quota.window:g} s, {quota.cost:g} s each"
    )
    return max(by_rate, by_quota, key=lambda each: each.seconds)


@dataclass(frozen=True, slots=True)
class Retry:
    """Waiting times between attempts: exponential with full jitter, in seconds; and when to give up for good.

    Full jitter (uniform between nothing and the cap of that attempt) spreads many clients better than a fixed schedule.
    `attempts` bounds the tries within one run, `total_attempts` and `total_seconds` those of all runs together: what
    exceeds either becomes a dead letter.

    Raises:
        ValueError: unless 0 < base <= cap and all counts are positive.
    """

    base: float = 0.5
    cap: float = 60.0
    attempts: int = 6
    total_attempts: int = 30
    total_seconds: float = 7 * 86400.0

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap or min(self.attempts, self.total_attempts, self.total_seconds) <= 0:
            raise ValueError(f"A retry schedule needs 0 < base <= cap and positive bounds, got {self}.")

    def wait(self, attempt: int, asked_for: float | None, rng: random.Random) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1).

        What the vendor asked for is honoured in full, with the jitter on top so that not everybody returns at once.
        """
        jitter = rng.uniform(0.0, min(self.cap, self.base * 2 ** min(attempt - 1, 30)))
        return jitter if asked_for is None else asked_for + min(jitter, self.base)


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a destination is left alone: after some requests in a row that came to nothing, for longer each time.

    Raises:
        ValueError: unless failures >= 1 and 0 < seconds <= longest.
    """

    failures: int = 5
    seconds: float = 30.0
    longest: float = 600.0

    def __post_init__(self) -> None:
        if self.failures < 1 or not 0 < self.seconds <= self.longest:
            raise ValueError(f"A breaker needs failures >= 1 and 0 < seconds <= longest, got {self}.")

    def rest(self, openings: int) -> float:
        """For how long it opens when it has opened `openings` times in a row before."""
        return float(min(self.longest, self.seconds * 2 ** min(openings, 30)))


@dataclass(frozen=True, slots=True)
class Window:
    """The hours of the day (UTC) in which a destination may be written to; an end before the beginning spans midnight.

    Raises:
        ValueError: if the text is not HH:MM-HH:MM.
    """

    begins: int  # minutes since midnight
    ends: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """The window that the text names."""
        try:
            begins, ends = (datetime.strptime(part.strip(), "%H:%M") for part in text.split("-"))  # noqa: DTZ007 - a time of day
        except ValueError:
            raise ValueError(f"A send window looks like 08:00-20:00, got {text!r}.") from None
        return cls(begins.hour * 60 + begins.minute, ends.hour * 60 + ends.minute)

    def seconds_until_open(self, at: datetime) -> float:
        """Nothing while it is open."""
        minute = at.hour * 60 + at.minute
        if self.begins <= self.ends:
            is_open = self.begins <= minute < self.ends or self.begins == self.ends
        else:
            is_open = minute >= self.begins or minute < self.ends
        if is_open:
            return 0.0
        opens = at.replace(hour=self.begins // 60, minute=self.begins % 60, second=0, microsecond=0)
        return ((opens if opens > at else opens + timedelta(days=1)) - at).total_seconds()
