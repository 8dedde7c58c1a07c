"""When to send: rate limits and waiting times. All times come from a `Time`, so that tests never sleep."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

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


@dataclass(slots=True)
class TokenBucket:
    """Keeps one destination within its rate. Not for several threads: a destination is served by one."""

    rate: Rate
    time: Time
    _tokens: float = field(init=False)
    _filled_at: float = field(init=False)

    def __post_init__(self) -> None:
        self._tokens = float(self.rate.burst)
        self._filled_at = self.time.monotonic()

    def take(self) -> float:
        """Take one token; the seconds to wait before the request may leave."""
        now = self.time.monotonic()
        self._tokens = min(self.rate.burst, self._tokens + (now - self._filled_at) * self.rate.per_second)
        self._filled_at = now
        self._tokens -= 1
        return max(-self._tokens / self.rate.per_second, 0.0)


@dataclass(frozen=True, slots=True)
class Retry:
    """Waiting times between attempts: exponential with full jitter, in seconds.

    Full jitter (uniform between nothing and the cap of that attempt) spreads many clients better than a fixed schedule.

    Raises:
        ValueError: unless 0 < base <= cap and attempts >= 1.
    """

    base: float = 0.5
    cap: float = 60.0
    attempts: int = 6

    def __post_init__(self) -> None:
        if not 0 < self.base <= self.cap or self.attempts < 1:
            raise ValueError(f"A retry schedule needs 0 < base <= cap and attempts >= 1, got {self}.")

    def wait(self, attempt: int, asked_for: float | None, rng: random.Random) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1).

        What the vendor asked for is honoured in full, with the jitter on top so that not everybody returns at once.
        """
        jitter = rng.uniform(0.0, min(self.cap, self.base * 2 ** (attempt - 1)))
        return jitter if asked_for is None else asked_for + min(jitter, self.base)
