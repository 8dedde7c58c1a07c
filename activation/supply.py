"""What a courier has before it that is in no ledger yet."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from activation.actions import Action


class Supply:
    """Actions in the order in which they are to go out, of which only the next few are in memory."""

    def __init__(self, chunks: Iterator[list[Action]]) -> None:
        self._chunks = chunks
        self._next: deque[Action] = deque()
        self._is_read = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left of what was read; see `fill`."""
        return not self._next

    def fill(self, number: int) -> None:
        """Read on until so many are there, or all that there are. This takes time, and no ledger should wait for it."""
        while not self._is_read and len(self._next) < number:
            chunk = next(self._chunks, None)
            self._is_read = chunk is None
            self._next.extend(chunk or ())

    def ahead(self, number: int) -> list[Action]:
        """The next ones, at most so many; they stay here."""
        return list(islice(self._next, number))

    def drop(self, number: int) -> None:
        """So many of the next ones are taken."""
        for _ in range(number):
            self._next.popleft()

    def put_back(self, actions: Sequence[Action]) -> None:
        """These were taken, and are the next ones again."""
        self._next.extendleft(reversed(actions))

    def rest(self) -> Iterator[list[Action]]:
        """All that is left, in chunks."""
        if self._next:
            yield list(self._next)
            self._next.clear()
        yield from self._chunks
