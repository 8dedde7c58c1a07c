"""The main job on the default world: how long it takes and how much memory, the first time, again, and a day later.

The first run is what `make run` does after the install, on an empty directory: `lifecycle run --sandbox`, which makes
the world, serves it and does the whole job. Memory is that of the whole process tree at one time, the sandbox's server
included. The bar is for the proportional set sizes: a page that eight forked readers share counts once, which is what
the machine has to have. The sum of the resident sizes counts it eight times; it stands beside it, and takes the bar
where the system tells nothing else. The floor beside the times is one scan of all events by DuckDB in the same run.

    python -m benchmarks.main_job
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Thread

import duckdb
import psutil

from benchmarks.figures import Figure, main
from benchmarks.job import Job
from sandbox.detached import recorded
from sandbox.world.parameters import WorldParameters

MEBIBYTE = 1024 * 1024
CUSTOMERS, MONTHS = WorldParameters().customers, WorldParameters().months
SECONDS_BETWEEN_SAMPLES = 0.05
MOST_MEBIBYTES = 2048


@dataclass(slots=True)
class Peak:
    """The most memory that some processes and their children held at one time, in bytes.

    `resident` is the sum of resident set sizes, `proportional` of proportional ones (0 where the system does not tell);
    `holders` is who held how much of the resident peak.
    """

    resident: int = 0
    proportional: int = 0
    holders: Counter[str] = field(default_factory=Counter)


class Memory:
    """Watches the memory of processes and their children, sampled every 50 ms."""

    def __init__(self, *pids: int) -> None:
        self.peak = Peak()
        self._roots = [psutil.Process(pid) for pid in pids]
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(SECONDS_BETWEEN_SAMPLES):
            self._sample()

    def _sample(self) -> None:
        family: set[psutil.Process] = set()
        holders = Counter[str]()
        for root in self._roots:
            try:
                family |= {root, *root.children(recursive=True)}
            except psutil.NoSuchProcess:
                continue
        for member in family:
            try:
                holders[called(member)] += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # it ended between being listed and being asked
        resident = holders.total()
        # the proportional share never exceeds the resident one and is slow to ask for, so only where a peak may be
        if resident > self.peak.proportional:
            self.peak.proportional = max(self.peak.proportional, sum(map(proportional, family)))
        if resident > self.peak.resident:
            self.peak.resident, self.peak.holders = resident, holders

    def stop(self) -> Peak:
        """End the watch; the peak."""
        self._ended.set()
        self._thread.join()
        return self.peak


def proportional(process: psutil.Process) -> int:
    """A process's own pages and its share of those it shares, in bytes; 0 if it is gone or nobody tells."""
    try:
        return int(getattr(process.memory_full_info(), "pss", 0))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0


def called(process: psutil.Process) -> str:
    """The command of ours that a process is: the module after `-m`, or the program."""
    words = process.cmdline()
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1]
    return next((Path(word).name for word in words[1:2]), process.name())


def timed(job: Job, *arguments: str) -> tuple[float, Peak]:
    """Seconds and peak memory of one command and of the sandbox's server, if it runs.

    Raises:
        RuntimeError: if the command fails.
    """
    server = recorded(job.data_dir)
    began = time.perf_counter()
    process = job.start(*arguments)
    memory = Memory(process.pid, *([server["pid"]] if server else []))
    _, errors = process.communicate()
    seconds = time.perf_counter() - began
    peak = memory.stop()
    if process.returncode != 0:
        raise RuntimeError(f"lifecycle {' '.join(arguments)} ended with {process.returncode}: {errors[-2000:]}")
    return seconds, peak


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Make the world and throw it away; then run on nothing, run again, advance a day, run."""
    world = ("--customers", str(arguments.customers), "--months", str(arguments.months))
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder))
        world_alone = timed(job, "sandbox", "generate", *world)
        if arguments.customers == CUSTOMERS and arguments.months == MONTHS:
            shutil.rmtree(job.data_dir / "sandbox")
        try:
            first = timed(job, "run", "--sandbox")
            again = timed(job, "run")
            advance = timed(job, "sandbox", "advance", "--days", "1")
            later = timed(job, "run")
        finally:
            job.down()
        began = time.perf_counter()
        with duckdb.connect() as connection:
            glob = job.data_dir / "sandbox" / "bucket" / "events" / "*" / "*.parquet"
            scan = "select count(*), max(message_id), max(properties), max(timestamp) from read_parquet(?)"
            events = connection.execute(scan, [str(glob)]).fetchall()[0][0]
        floor = time.perf_counter() - began
    against = f"one scan of {events:,} events: {floor:.2f} s"
    return [
        Figure("make the world", world_alone[0], "s", bar=15),
        Figure("everything from nothing", first[0], "s", against, first[0] / floor, bar=90),
        Figure("run again, nothing new", again[0], "s", against, again[0] / floor),
        Figure("advance the world by a day", advance[0], "s"),
        Figure("run a day later", later[0], "s", against, later[0] / floor),
        *memory("make the world", world_alone[1]),
        *memory("everything from nothing", first[1]),
        *memory("run again, nothing new", again[1]),
        *memory("run a day later", later[1]),
    ]


def memory(step: str, peak: Peak) -> list[Figure]:
    """The peak of a step, and who held it."""
    holders = ", ".join(f"{name} {held / MEBIBYTE:.0f}" for name, held in peak.holders.most_common(4))
    resident = Figure(f"{step}: peak memory, resident", peak.resident / MEBIBYTE, "MiB", holders)
    if not peak.proportional:
        return [replace(resident, bar=MOST_MEBIBYTES)]
    found = peak.proportional / MEBIBYTE
    return [Figure(f"{step}: peak memory, proportional", found, "MiB", bar=MOST_MEBIBYTES), resident]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--months", type=int, default=MONTHS)
    main(measure, parser)
