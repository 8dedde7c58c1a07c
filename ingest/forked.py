"""A child that begins with what this process has imported, for whoever runs the same job many times over.

Importing dlt, or dbt, takes a second of processor time and more. `lifecycle simulate` does it once: within `warmed`,
children are forked and find everything there. A thread is not copied with its process. Those that NumPy and Arrow keep
from their import on begin anew in the copy, as in the children that the worker of the ingest has always forked; as soon
as there are more, of Python or of a database, a child is started afresh, and so it is where there is no /proc to ask.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TASKS = Path("/proc/self/task")  # a folder for each thread of this process

_threads: list[int] = []  # how many there were when everything was imported, for each `warmed` block


@contextmanager
def warmed(modules: Sequence[str]) -> Iterator[None]:
    """Import these now; within the block, `may_fork` says yes."""
    for module in modules:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()  # no child's collector walks, and thereby copies, what they all share
    _threads.append(_tasks())
    try:
        yield
    finally:
        _threads.pop()
        gc.unfreeze()


def may_fork() -> bool:
    """Whether a child may be a copy of this process."""
    if not _threads or threading.active_count() > 1:
        return False
    if _tasks() > _threads[-1]:
        gc.collect()  # a database that nobody holds any more keeps its threads until then
    return 0 < _tasks() <= _threads[-1]


def _tasks() -> int:
    """How many threads this process has, those of libraries included; 0 where nobody says."""
    try:
        return len(list(TASKS.iterdir()))
    except OSError:
        return 0


class Forked:
    """What is used of `subprocess.Popen`, of a copy of this process that runs `target`.

    Its standard input is a pipe that ends with this process, or with `close_input`; `output` and `errors` are
    descriptors in place of its standard output and error. `left` are descriptors that are not for the child.
    """

    def __init__(
        self,
        target: Callable[[], object],
        *,
        output: int | None = None,
        errors: int | None = None,
        left: Sequence[int] = (),
    ) -> None:
        reader, self.input = os.pipe()

        def run() -> None:
            for place, descriptor in enumerate((reader, output, errors)):
                if descriptor is not None:
                    os.dup2(descriptor, place)
            for descriptor in (reader, self.input, *left):
                os.close(descriptor)
            # multiprocessing closed the first, and whoever started this process may have replaced the others
            sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor, for good
            sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the same
            sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - the same
            target()

        self._process = multiprocessing.get_context("fork").Process(target=run)
        self._process.start()
        os.close(reader)
        self._is_open = True

    @property
    def returncode(self) -> int | None:
        """As `Popen.returncode`."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """As `Popen.poll`."""
        return self._process.exitcode

    def wait(self) -> int | None:
        """As `Popen.wait`."""
        self._process.join()
        return self._process.exitcode

    def kill(self) -> None:
        """As `Popen.kill`."""
        self._process.kill()

    def close_input(self) -> None:
        """End the child's standard input."""
        if self._is_open:
            self._is_open = False
            os.close(self.input)

    def communicate(self) -> None:
        """As `Popen.communicate` of a child that is told nothing."""
        self.close_input()
        self.wait()
