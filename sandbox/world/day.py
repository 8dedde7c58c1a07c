"""One day of the simulation in the making: its random numbers, its agenda, its facts and its product events."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.world.catalog import TIME_ZONES
from sandbox.world.dates import day_start
from sandbox.world.parameters import DAY, HOUR
from sandbox.world.randomness import generator
from sandbox.world.tokens import token

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from sandbox.world.columns import Array
    from sandbox.world.state import World

_LIBRARY = {"name": "analytics.js"}
_CONTEXTS = {
    hours: orjson.dumps({"library": _LIBRARY, "timezone": zone}).decode() for hours, zone in TIME_ZONES.items()
}
_NO_CONTEXT = orjson.dumps({"library": _LIBRARY}).decode()

Fact = tuple[float, int, str, dict[str, Any]]
"""When (unix seconds), which of that instant, what happened, with what."""


@dataclass(slots=True)
class TrackedEvent:
    """A product event that is made one by one: sign-ups, identities, behaviours that mean something."""

    at: float
    type: str
    event: str | None
    user_id: str | None
    anonymous_id: str | None
    group_id: str | None
    product: str | None
    properties: str
    context: str


@dataclass(slots=True)
class UsageEvents:
    """Product events in bulk: one array per column; people, accounts and `BEHAVIOURS` are given by their positions."""

    at: Array
    person: Array
    account: Array
    behaviour: Array
    choice: Array
    zone: Array
    """Hours from UTC."""


@dataclass(slots=True)
class DayEvents:
    """The product events of one day, which ends at `end` (unix seconds)."""

    number: int
    seed: int
    end: int
    tracked: list[TrackedEvent] = field(default_factory=list)
    usage: UsageEvents | None = None

    @property
    def in_bulk(self) -> int:
        """How many there are in bulk."""
        return len(self.usage.at) if self.usage else 0


@dataclass
class Day:
    """What happens on one day. Facts are for the vendors' records, events for the bucket."""

    world: World
    facts: list[Fact] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.number = self.world.day
        self.seed = self.world.parameters.seed
        self.start = day_start(self.number)
        self.end = self.start + DAY
        self.events = DayEvents(self.number, self.seed, self.end)
        # for the reports that people make by hand: what was paid (when, by which billing customer, in which currency,
        # in minor units), and what is filed tomorrow besides today's reports
        self.payments: list[tuple[float, str, str, int]] = []
        self.filings: list[tuple[str, str]] = []
        self._generators: dict[str, np.random.Generator] = {}

    def rng(self, purpose: str) -> np.random.Generator:
        """The random numbers of one purpose today."""
        if purpose not in self._generators:
            self._generators[purpose] = generator(self.seed, self.number, purpose)
        return self._generators[purpose]

    def token(self, kind: str, size: int = 12) -> str:
        """A fresh name for one more thing of a kind."""
        return token(self.seed, kind, self.world.number(f"token.{kind}"), size)

    def happened(self, at: float, what: str, **details: Any) -> None:
        """Note a fact; the records of the vendors are made from facts alone."""
        self.facts.append((self.today(at), len(self.facts), what, details))

    def facts_within(self, since: float, until: float) -> list[Fact]:
        """The facts with since <= instant < until (unix seconds), in the order of time."""
        return sorted((fact for fact in self.facts if since <= fact[0] < until), key=itemgetter(0, 1))

    def today(self, at: float) -> float:
        """The instant, or the day's last second if it would fall later: what a day does not tell is lost."""
        if at < self.start:
            return float(self.start)
        return float(min(at, self.end - 1))

    def track(  # noqa: PLR0913 - one argument per field of the specification
        self,
        at: float,
        event: str | None,
        *,
        type: str = "track",  # noqa: A002 - the specification's own word
        person: int = -1,
        account: int = -1,
        anonymous_id: str | None = None,
        product: str | None = None,
        properties: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
    ) -> None:
        """Note one product event."""
        world = self.world
        user = str(world.people.user_id[person]) if person >= 0 else None
        group = str(world.accounts.account_id[account]) if account >= 0 else None
        zone = int(world.accounts.zone[account]) if account >= 0 else None
        if context:
            known = {"timezone": TIME_ZONES[zone]} if zone is not None else {}
            filled = orjson.dumps({"library": _LIBRARY, **known, **context}).decode()
        else:
            filled = _NO_CONTEXT if zone is None else _CONTEXTS[zone]
        self.events.tracked.append(
            TrackedEvent(
                self.today(at), type, event, user, anonymous_id, group, product,
                orjson.dumps(properties).decode() if properties else "{}", filled,
            )
        )  # fmt: skip

    def within_hours(self, rng: np.random.Generator, zone: int, earliest: float = 0.0) -> float:
        """An instant of today within the office hours of a time zone (hours from UTC), not before `earliest`."""
        hour = min(max(float(rng.normal(13.0 - zone, 3.0)), 0.2), 23.5)
        at = self.start + int(hour * HOUR)
        return float(max(at, min(earliest + 60 + int(rng.integers(1200)), self.end - 2)) if at < earliest else at)

    def due(self) -> Iterator[tuple[float, str, list[Any]]]:
        """Today's agenda in the order of time, including what is scheduled for today while it is worked through."""
        agenda = self.world.agenda
        heap = agenda.pop(self.number, [])
        heapq.heapify(heap)
        while heap:
            at, _, what, details = heapq.heappop(heap)
            yield at, what, details
            if self.number in agenda:
                for entry in agenda.pop(self.number):
                    heapq.heappush(heap, (max(entry[0], at), *entry[1:]))
