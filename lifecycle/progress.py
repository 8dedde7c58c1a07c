"""What a person sees while it runs: a live line on a terminal, plain lines elsewhere, nothing with --json."""

from __future__ import annotations

import sys
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.status import Status


SECONDS_BETWEEN_LINES = 10.0


class Progress(Protocol):
    """Where the steps report to."""

    def note(self, text: str) -> None:
        """Something a reader of the log wants to keep."""

    def detail(self, text: str) -> None:
        """What is being done right now; may be overwritten."""

    def step(self, name: str) -> AbstractContextManager[None]:
        """A context in which one step of the run takes place."""


class Lines:
    """Writes to standard error, so that standard output stays the result alone."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = Console(stderr=True, highlight=False, quiet=quiet)
        self._status: Status | None = None
        self._name = ""
        self._quiet = quiet
        self._said_at = 0.0

    def note(self, text: str) -> None:
        """A line that stays."""
        if not self._quiet:
            self._console.print(f"  {text}", soft_wrap=True, markup=False)

    def detail(self, text: str) -> None:
        """What is being done right now: a line that changes on a terminal, elsewhere a line now and then."""
        if self._status is None:
            if not self._quiet and time.monotonic() - self._said_at >= SECONDS_BETWEEN_LINES:
                self._said_at = time.monotonic()
                self.note(text)
        else:
            self._status.update(f"[bold]{self._name}[/bold]  {escape(text)}")

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Announce a step, and how long it took once it is over."""
        started = time.monotonic()
        self._said_at = started
        self._name = name
        if self._console.is_terminal and not self._quiet:
            with self._console.status(f"[bold]{name}[/bold]") as status:
                self._status = status
                try:
                    yield
                finally:
                    self._status = None
        else:
            yield
        if not self._quiet:
            self._console.print(f"[green]✓[/green] {name}  [dim]{time.monotonic() - started:.1f} s[/dim]")
            sys.stderr.flush()
