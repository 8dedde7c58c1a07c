"""The vendors' documents of a world in the making, written by a process of its own while the simulation lives on.

Turning facts into documents is half of the work of making a world, and the simulation never looks at one, so the two
halves take a core each. `Clerk` starts the process and feeds it on standard input, in lines of JSON: where to write,
then a list of facts for each day, and last the settings that make it a world. Without that last line nothing is kept: a
simulation that died leaves no half of a world behind.
"""

from __future__ import annotations

import errno
import gc
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import Queue
from typing import IO, TYPE_CHECKING, Any, Self

import orjson

from sandbox.records.apply import open_accounts
from sandbox.records.desk import Desk
from sandbox.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.world.day import Fact

WAITING_DAYS = 30
"""How many days' facts may wait for the clerk before the simulation has to wait: some days are busier than others."""
PROJECT_DIR = Path(__file__).resolve().parents[2]


class ClerkError(OSError):
    """The documents could not be written; `strerror` is the last thing the process said."""


class Clerk:
    """A desk in another process, for a new store at `path`; to be used as a context.

    `events_since` is the instant (unix seconds) from which a vendor still keeps its event log.
    """

    def __init__(self, path: Path, events_since: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sandbox.records.clerk"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=PROJECT_DIR,
        )  # fmt: skip
        self._lines: Queue[bytes | None] = Queue(WAITING_DAYS)
        self._sender = threading.Thread(target=self._send, daemon=True)
        self._sender.start()
        self._put({"path": str(path.resolve()), "events_since": events_since})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._lines.put(None)
        self._sender.join()
        self._process.wait()
        _pipe(self._process.stderr).close()

    def apply(self, facts: Iterable[Fact]) -> None:
        """Let facts change the records, in the order they are given."""
        self._put(list(facts))

    def finish(self, settings: Mapping[str, str], sequences: Mapping[str, int]) -> None:
        """Complete the store; returns when it is on disk and nobody holds it any more.

        `sequences` are the numbers that the sequences of the store continue after.

        Raises:
            ClerkError: if anything could not be written.
        """
        self._put({"settings": settings, "sequences": sequences})
        self._lines.put(None)
        self._sender.join()
        said = _pipe(self._process.stderr).read().decode(errors="replace").strip()
        if self._process.wait():
            raise ClerkError(errno.EIO, said.rpartition("\n")[2] or "the process that writes the documents died")

    def _put(self, message: Any) -> None:
        self._lines.put(orjson.dumps(message) + b"\n")

    def _send(self) -> None:
        """Hand lines over; those for a process that has died are still taken, so that nobody waits for ever."""
        pipe = _pipe(self._process.stdin)
        is_read = True
        while (line := self._lines.get()) is not None:
            if is_read:
                try:
                    pipe.write(line)
                except BrokenPipeError:
                    is_read = False
        with suppress(BrokenPipeError):
            pipe.close()


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    if end is None:
        raise ValueError("The process was started without this pipe.")
    return end


def main(lines: IO[bytes]) -> int:
    """Be the clerk.

    Returns:
        0 if the store is complete, 1 if the lines ended before it was.
    """
    gc.disable()  # documents hold no cycles, and the collector would walk them all again and again
    order = orjson.loads(lines.readline())
    store = Store(Path(order["path"]))
    try:
        with store.filling():
            desk = Desk(store, order["events_since"])
            open_accounts(desk)
            for line in lines:
                message = orjson.loads(line)
                if isinstance(message, list):
                    desk.apply(message)
                    continue
                desk.flush()
                for name, value in message["settings"].items():
                    store.set_setting(name, value)
                for name, value in message["sequences"].items():
                    store.raise_sequence(name, value)
                return 0
            raise EOFError("the simulation ended before the world was complete")
    finally:
        store.close()


if __name__ == "__main__":
    sys.exit(main(sys.stdin.buffer))
