"""One run at a time, and no work left behind by a run that was killed.

The lock is an flock on `data/run.lock`; the kernel drops it with the last process that holds the open file. A child of
the run inherits it, so that a new run cannot start while the child of a killed one still writes; the child in turn dies
with its parent (`die_with_parent`).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from lifecycle.errors import LifecycleError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PR_SET_PDEATHSIG = 1
ORPHAN_SECONDS = 10.0  # how long children of a killed run may take to disappear


class HeldError(LifecycleError):
    """Somebody else is at work; the message says who."""


@contextlib.contextmanager
def held(path: Path, run_id: str, command: str) -> Iterator[int]:
    """Hold the lock for as long as the block lasts; yields its file descriptor, to be inherited by children.

    Raises:
        HeldError: if another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _acquire(descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "run_id": run_id, "command": command}).encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _acquire(descriptor: int) -> None:
    give_up_at = time.monotonic() + ORPHAN_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(descriptor)
            if _is_alive(holder.get("pid")) or time.monotonic() > give_up_at:
                raise HeldError(
                    f"`lifecycle {holder.get('command', 'run')}` is at work already"
                    f" (process {holder.get('pid', 'unknown')}, run {holder.get('run_id', 'unknown')});"
                    " wait for it to end, or stop it."
                ) from None
            time.sleep(0.05)  # the run is dead, its child is about to be
        else:
            return


def _holder(descriptor: int) -> dict[str, object]:
    try:
        found = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:  # caught between truncate and write
        return {}
    return found if isinstance(found, dict) else {}


def _is_alive(pid: object) -> bool:
    if not isinstance(pid, int):
        return True  # whoever holds the lock has not written its name yet
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def die_with_parent(parent: int) -> None:
    """Called by a child first thing: end as soon as the parent does, so that a killed run stops working altogether.

    On Linux the kernel sees to it. Elsewhere, and for the moment before it was asked, a thread waits for the end of
    standard input, which the parent holds open and never writes to.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    threading.Thread(target=_wait_for_end_of_input, daemon=True).start()


def _wait_for_end_of_input() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)
