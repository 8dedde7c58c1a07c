"""The request limits the vendors enforce, with the vendors' own accounting.

Limits run on real (monotonic) seconds, because they protect the vendor's machines; what is *in* an answer follows the
world's clock. Every limiter takes its clock as an argument so that a test can move time by hand.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Limits:
    """Figures of every limit; `None` switches a limit off.

    Raises:
        ValueError: if a figure is not positive.
    """

    stripe_per_second: int | None = 100
    # every endpoint on its own, below the account's limit
    stripe_endpoint_per_second: int | None = 25
    zendesk_per_minute: int | None = 400
    zendesk_incremental_per_minute: int | None = 10
    bitrix24_drain_per_second: float | None = 2.0
    bitrix24_bucket: int = 50
    # seconds of a method's own run time within ten minutes
    bitrix24_operating_seconds: float | None = 480.0
    # nominal run time of one call, in seconds: what a portal would have spent on it. Nothing waits that long here.
    bitrix24_call_seconds: Mapping[str, float] = field(
        default_factory=lambda: {"crm.item.update": 0.2, "crm.item.add": 0.25, "tasks.task.add": 0.4},
    )
    bitrix24_default_call_seconds: float = 0.02
    customerio_app_per_second: int | None = 10
    customerio_track_per_second: int | None = 100
    make_per_ten_seconds: int | None = 300
    make_queue: int = 667
    chat_per_second: int | None = 1

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if isinstance(value, int | float) and value <= 0:
                raise ValueError(f"The limit {item.name} must be positive or null, got {value}.")

    @classmethod
    def off(cls) -> Limits:
        """No limit at all; what stays is what a page or a queue can hold."""
        return cls(
            stripe_per_second=None,
            stripe_endpoint_per_second=None,
            zendesk_per_minute=None,
            zendesk_incremental_per_minute=None,
            bitrix24_drain_per_second=None,
            bitrix24_operating_seconds=None,
            customerio_app_per_second=None,
            customerio_track_per_second=None,
            make_per_ten_seconds=None,
            chat_per_second=None,
        )

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Limits:
        """Limits from a mapping of names to figures; names not given keep their default.

        Raises:
            ValueError: if a name is unknown or a figure is not positive.
        """
        known = {item.name for item in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(f"Unknown limit {unknown[0]}; known are {', '.join(sorted(known))}.")
        return cls(**values)

    def as_mapping(self) -> dict[str, Any]:
        """The same figures as plain JSON values."""
        return {item.name: _plain(getattr(self, item.name)) for item in dataclasses.fields(self)}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


@dataclass(slots=True)
class SlidingWindow:
    """At most `limit` requests in any `seconds`. A refused request does not count."""

    limit: int | None
    seconds: float
    clock: Clock
    _taken: deque[float] = field(default_factory=deque)

    def _forget_old(self) -> float:
        now = self.clock()
        while self._taken and self._taken[0] <= now - self.seconds:
            self._taken.popleft()
        return now

    def allows(self) -> bool:
        """Whether `take` would succeed now."""
        self._forget_old()
        return self.limit is None or len(self._taken) < self.limit

    def take(self) -> bool:
        """Count a request if there is room for it."""
        now = self._forget_old()
        if self.limit is not None and len(self._taken) >= self.limit:
            return False
        self._taken.append(now)
        return True

    def remaining(self) -> int:
        """Requests that would still be accepted now."""
        self._forget_old()
        return 0 if self.limit is None else max(self.limit - len(self._taken), 0)

    def reset_seconds(self) -> int:
        """Whole seconds until the oldest counted request leaves the window, at least 1 when there is one."""
        now = self._forget_old()
        return max(math.ceil(self._taken[0] + self.seconds - now), 1) if self._taken else 0


@dataclass(slots=True)
class LeakyBucket:
    """Every request adds one drop; the bucket drains at a steady rate; a drop that would overflow is refused."""

    drain_per_second: float | None
    capacity: int
    clock: Clock
    _level: float = 0.0
    _seen_at: float = 0.0

    def take(self) -> bool:
        """Add a drop if it fits."""
        if self.drain_per_second is None:
            return True
        now = self.clock()
        self._level = max(self._level - (now - self._seen_at) * self.drain_per_second, 0.0)
        self._seen_at = now
        if self._level + 1 > self.capacity:
            return False
        self._level += 1
        return True


@dataclass(slots=True)
class OperatingBudget:
    """Run time a method may use within ten minutes, kept in ten buckets of one minute.

    The check comes before the call and looks at what was used so far, so the call that crosses the line still runs.
    Time comes back bucket by bucket, a minute's worth at a time.
    """

    limit_seconds: float | None
    clock: Clock
    _minutes: dict[str, dict[int, float]] = field(default_factory=dict)

    def _live(self, method: str) -> dict[int, float]:
        oldest = int(self.clock() // 60) - 9
        live = {minute: used for minute, used in self._minutes.get(method, {}).items() if minute >= oldest}
        self._minutes[method] = live
        return live

    def used(self, method: str) -> float:
        """Seconds this method has used within the window."""
        return sum(self._live(method).values())

    def allows(self, method: str) -> bool:
        """Whether the method may run now."""
        return self.limit_seconds is None or self.used(method) < self.limit_seconds

    def spend(self, method: str, seconds: float) -> None:
        """Book run time of one call."""
        live = self._live(method)
        minute = int(self.clock() // 60)
        live[minute] = live.get(minute, 0.0) + seconds

    def seconds_until_reset(self, method: str) -> float:
        """Seconds until the oldest used minute leaves the window; 600 when nothing is used."""
        live = self._live(method)
        if not live:
            return 600.0
        return (min(live) + 10) * 60 - self.clock()
