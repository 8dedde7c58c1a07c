"""The main job on the default world: how long it takes and how much memory, the first time, again, and a day later.

Wall-clock seconds and peak resident memory of the whole process tree (the command and all its children; the sandbox is
measured apart, it stands for the vendors). The floor beside it is one scan of all events by DuckDB in the same run.

    python -m benchmarks.main_job
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from threading import Event, Thread

import duckdb
import psutil

from benchmarks.figures import Figure, main
from benchmarks.job import Job

MEBIBYTE = 1024 * 1024


class Memory:
    """The most resident memory that a process and its children held at one time, sampled every 50 ms."""

    def __init__(self, pid: int) -> None:
        self.peak = 0
        self._process = psutil.Process(pid)
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            self.peak = max(self.peak, self._now())

    def _now(self) -> int:
        total = 0
        try:
            family = [self._process, *self._process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return 0
        for member in family:
            try:
                total += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue  # it ended between being listed and being asked
        return total

    def stop(self) -> int:
        """End the watch; the peak in bytes."""
        self._ended.set()
        self._thread.join()
        return self.peak


def timed(job: Job, *arguments: str) -> tuple[float, int]:
    """Seconds and peak bytes of one command.

    Raises:
        RuntimeError: if the command fails.
    """
    began = time.perf_counter()
    process = job.start(*arguments)
    memory = Memory(process.pid)
    _, errors = process.communicate()
    seconds = time.perf_counter() - began
    if process.returncode != 0:
        raise RuntimeError(f"lifecycle {' '.join(arguments)} ended with {process.returncode}: {errors[-2000:]}")
    return seconds, memory.stop()


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Generate, run, run again, advance a day, run."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(Path(folder), ("--customers", str(arguments.customers), "--months", str(arguments.months)))
        generate = timed(job, "sandbox", "generate", *job.world)
        began = time.perf_counter()
        with duckdb.connect() as connection:
            glob = job.data_dir / "sandbox" / "bucket" / "events" / "*" / "*.parquet"
            scan = "select count(*), max(message_id), max(properties), max(timestamp) from read_parquet(?)"
            events = connection.execute(scan, [str(glob)]).fetchall()[0][0]
        floor = time.perf_counter() - began
        try:
            job.up()
            first = timed(job, "run")
            again = timed(job, "run")
            advance = timed(job, "sandbox", "advance", "--days", "1")
            later = timed(job, "run")
        finally:
            job.down()
    against = f"one scan of {events:,} events: {floor:.2f} s"
    peak = max(step[1] for step in (first, again, later)) / MEBIBYTE
    return [
        Figure("make the world", generate[0], "s", bar=15),
        Figure("make the world, peak memory", generate[1] / MEBIBYTE, "MiB"),
        Figure("first run", first[0], "s", against, first[0] / floor, bar=90 - generate[0]),
        Figure("run again, nothing new", again[0], "s", against, again[0] / floor),
        Figure("advance the world by a day", advance[0], "s"),
        Figure("run a day later", later[0], "s", against, later[0] / floor),
        Figure("runs, peak memory", peak, "MiB", bar=2048),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--months", type=int, default=18)
    main(measure, parser)
