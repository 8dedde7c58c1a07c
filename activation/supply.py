"""What a courier has before it that is in no ledger yet."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from activation.batches import BEGINNING, Mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from activation.actions import Action


class Supply:
    """Actions in the order in which they are to go out, of which only the next few are in memory.

    The ledger had heard of none of them at the moment `since`.
    """

    def __init__(self, chunks: Iterator[list[Action]], since: Mark = BEGINNING) -> None:
        self.since = since
        self._chunks = chunks
        self._heard: set[str] = set()  # of what others have begun since
        self._next: deque[Action] = deque()
        self._is_read = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return self._is_read and not self._next

    def fill(self, number: int) -> None:
        """Read on until so many are there, or all that there are. This takes time, and no ledger should wait for it."""
        while not self._is_read and len(self._next) < number:
            chunk = next(self._chunks, None)
            self._is_read = chunk is None
            self._next.extend(chunk or ())

    def hears(self, action_ids: set[str], now: Mark) -> None:
        """The ledger has come to know of these by now."""
        self._heard |= action_ids
        self.since = now

    def began(self, until: Mark) -> None:
        """What the ledger has up to here came from this supply, which need not hear of it; numbers never go back."""
        self.since = Mark(*map(max, self.since, until))

    def take(self, number: int) -> list[Action]:
        """Of the next ones, at most so many, those that nobody has begun; the others are left out for good."""
        taken = self._take(number)
        if not self._heard:
            return taken
        new = [action for action in taken if action[0] not in self._heard]
        if len(new) < len(taken):  # each comes by once
            self._heard.difference_update([action[0] for action in taken])
        return new

    def _take(self, number: int) -> list[Action]:
        if number >= len(self._next):
            taken = list(self._next)
            self._next.clear()
            return taken
        return [self._next.popleft() for _ in range(number)]

    def put_back(self, actions: Sequence[Action]) -> None:
        """These were taken, and are the next ones again."""
        self._next.extendleft(reversed(actions))

    def rest(self) -> Iterator[list[Action]]:
        """All that is left, in chunks."""
        while True:
            if left := self.take(len(self._next)):
                yield left
            self.fill(1)
            if not self._next:
                return
