"""What delivery costs: single calls, batches, planning what did not change, memory; beside a peer where there is one.

    python -m benchmarks.delivery [--peer PATH/TO/drt] [--actions 5000] [--json]

Both sides read the same rows from DuckDB and send the same bodies to the same sink on loopback, a process of its own;
ours goes through the ledger with durable commits. The peer is `drt` of drt-core, installed anywhere
(`pip install 'drt-core[duckdb]'` in an environment of its own); its start and imports are not counted: what a sync of
one row takes is taken off. Without it the figures stand alone.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import uvloop

from activation.deliver import Budget, work
from activation.desired import Published
from activation.destinations.customerio import CustomerIo
from activation.destinations.make import Make
from activation.ledger import Ledger
from activation.pacing import Rate, RunTime
from activation.plan import Policy
from activation.sync import Guards, look_ahead, prepare
from benchmarks.figures import Figure, main
from benchmarks.vendors import AS_OF, SECRET

if TYPE_CHECKING:
    from collections.abc import Sequence

    from activation.destinations import Destination

POLICIES = {name: Policy(live=True, resends_changes=False) for name in ("make", "customerio")}
WIDE = Guards(per_run=10**9, per_action=10**9, share=1.0)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}"


class Sink(asyncio.Protocol):
    """Answers every request with 200, after a while if told so."""

    latency = 0.0

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._seen += data
        while (end := self._seen.find(b"\r\n\r\n")) >= 0:
            head = self._seen[:end].lower()
            at = head.find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._seen) < end + 4 + length:
                return
            self._seen = self._seen[end + 4 + length :]
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self._transport.write, ANSWER)
            else:
                self._transport.write(ANSWER)


def serve(latency: float, ready: Any) -> None:
    """The sink, for ever."""
    Sink.latency = latency

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(forever())


class Sinks:
    """One sink per latency."""

    def __init__(self) -> None:
        self._running: list[Any] = []

    def start(self, latency: float) -> str:
        """Its address."""
        context = multiprocessing.get_context("fork")
        ready: Any = context.Queue()
        process = context.Process(target=serve, args=(latency, ready), daemon=True)
        process.start()
        self._running.append(process)
        return f"http://127.0.0.1:{ready.get(timeout=30)}"

    def stop(self) -> None:
        """All of them."""
        for process in self._running:
            process.kill()
            process.join()


def publish(path: Path, rows: int, destination: str) -> None:
    """A published file that wants so many events."""
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts; create schema activation")
        connection.execute(f"create table marts.customer_lifecycle as select range as id from range({rows})")
        connection.execute(
            "create table activation.act_all as select md5('a' || range) as action_id,"
            f" '{destination}' as destination, 'events' as object, 'greet' as action, 'c_' || range as customer_id,"
            " 'o_' || range as occurrence_id, timestamp '2026-11-01 05:00:00' as occurred_at,"
            " cast(null as timestamp) as expires_at, 10 as priority,"
            ' \'{"user_id":"usr_\' || range || \'","event_name":"greet","attributes":{"n":\' || range'
            f" || ',\"story\":\"' || repeat('x', 200) || '\"}}}}' as payload from range({rows})"
        )


def ours(folder: Path, destination: Destination, rows: int) -> float:
    """Seconds to plan, enqueue and deliver so many rows with a new ledger."""
    publish(folder / "ours.duckdb", rows, destination.name)
    for left in folder.glob("ours.sqlite*"):
        left.unlink()
    run_time = RunTime(AS_OF)
    ledger = Ledger(folder / "ours.sqlite")
    destination.rate = Rate(1e7, 10**7)
    started = time.perf_counter()
    published = Published.newest(folder / "ours.duckdb")
    served = {destination.name: destination}
    outlook = prepare(published, ledger, POLICIES, WIDE, served, run_time, AS_OF)
    (tally,) = work(outlook.plan_id, served, ledger, run_time, Budget(3600))
    seconds = time.perf_counter() - started
    if tally.acknowledged != rows:
        raise RuntimeError(f"{tally.acknowledged} of {rows} arrived: {tally}")
    ledger.close()
    destination.close()
    return seconds


def theirs(folder: Path, program: Path, url: str, rows: int, batch: int) -> float:
    """Seconds that the peer takes for so many rows, what it takes for one taken off."""
    home = folder / "peer"
    (home / ".drt").mkdir(parents=True, exist_ok=True)
    (home / "syncs").mkdir(exist_ok=True)
    (home / ".drt" / "profiles.yml").write_text(f"dev:\n  type: duckdb\n  database: {home / 'src.duckdb'}\n")
    (home / "drt_project.yml").write_text("name: bench\nversion: '0.1'\nprofile: dev\n")
    body = (
        "  body_mode: batch\n  batch_template: '{\"batch\": {{ rows | tojson }} }'\n"
        if batch > 1
        else "  body_template: '{{ row.payload }}'\n"
    )
    (home / "syncs" / "bench.yml").write_text(
        f"name: bench\nmodel: ref('src')\ndestination:\n  type: rest_api\n  url: {url}\n  method: POST\n{body}"
        f"sync:\n  mode: full\n  batch_size: {max(batch, 100)}\n  rate_limit: {{requests_per_second: 0}}\n"
        "  on_error: skip\n"
    )

    def run(number: int) -> float:
        publish(home / "all.duckdb", number, "make")
        (home / "src.duckdb").unlink(missing_ok=True)
        with duckdb.connect(str(home / "src.duckdb")) as connection:
            connection.execute(f"attach '{home / 'all.duckdb'}' as a (read_only)")
            connection.execute("create table src as select action_id, payload from a.activation.act_all")
        environment = {**os.environ, "HOME": str(home), "DO_NOT_TRACK": "1", "DRT_TELEMETRY": "0"}
        started = time.perf_counter()
        said = subprocess.run(
            [str(program), "run", "--select", "bench", "--output", "json"],
            cwd=home, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        seconds = time.perf_counter() - started
        if said.returncode != 0:
            raise RuntimeError(f"The peer ended with {said.returncode}: {said.stdout[-500:]} {said.stderr[-500:]}")
        return seconds

    idle = min(run(1), run(1))
    whole = run(rows)
    if whole <= idle:
        raise RuntimeError(
            "The machine is too busy to tell the peer's start from its work; try again with more actions."
        )
    return whole - idle


def throughput(folder: Path, program: Path | None, rows: int) -> list[Figure]:
    """Single calls and batches, at once and with 50 ms between a request and its answer."""
    sinks = Sinks()
    figures: list[Figure] = []
    try:
        for latency, bar in ((0.0, 2.0), (0.05, 25.0)):
            url = sinks.start(latency)
            make = Make(f"{url}/hook", SECRET, RunTime(AS_OF))
            make.concurrency = 64 if latency else 16
            number = rows if latency == 0 else max(rows // 5, 200)
            mine = number / ours(folder, make, number)
            name = f"single calls, {latency * 1000:.0f} ms"
            if program is None:
                figures.append(Figure(name, mine, "actions/s"))
                continue
            few = number if latency == 0 else 200
            peer = few / theirs(folder, program, url, few, 1)
            figures.append(Figure(name, mine, "actions/s", f"drt {peer:.0f}/s", mine / peer, peer * bar, "at least"))
        for latency in (0.0, 0.05):
            url = sinks.start(latency)
            mine = rows * 4 / ours(folder, CustomerIo(url, "site", "key"), rows * 4)
            name = f"batched, {latency * 1000:.0f} ms"
            if program is None:
                figures.append(Figure(name, mine, "actions/s"))
                continue
            peer = max(rows * 4 / theirs(folder, program, url, rows * 4, size) for size in (100, 500))
            figures.append(Figure(name, mine, "actions/s", f"drt {peer:.0f}/s", mine / peer, peer * 10, "at least"))
    finally:
        sinks.stop()
    return figures


def planning(folder: Path, rows: int) -> tuple[float, float, float]:
    """Seconds to plan rows that were all delivered before, CPU seconds, and the peak of memory in MB; in a child."""
    context = multiprocessing.get_context("fork")
    answer: Any = context.Queue()

    def child() -> None:
        publish(folder / "plan.duckdb", rows, "customerio")
        ledger = Ledger(folder / f"plan-{rows}.sqlite")
        published = Published.newest(folder / "plan.duckdb")
        for chunk in published.changed([]):  # what a delivery would have left
            ledger.enqueue(chunk, AS_OF)
        with ledger.transaction() as connection:
            connection.exec_driver_sql(
                "update deliveries set state = 'acknowledged', acknowledged_hash = payload_hash,"
                " acknowledged_at = first_planned_at"
            )
        ledger.close()

    def measured() -> None:
        ledger = Ledger(folder / f"plan-{rows}.sqlite")
        before = _peak()
        cpu, started = time.process_time(), time.perf_counter()
        outlook = look_ahead(Published.newest(folder / "plan.duckdb"), ledger, POLICIES, WIDE, AS_OF)
        answer.put((time.perf_counter() - started, time.process_time() - cpu, _peak() - before, dict(outlook.to_send)))

    for target in (child, measured):
        process = context.Process(target=target)
        process.start()
        found = answer.get(timeout=1200) if target is measured else None
        process.join()
    if found is None or found[3]:
        raise RuntimeError("What was delivered before is planned to be sent again.")
    return found[0], found[1], found[2]


def delivering(folder: Path, rows: int) -> float:
    """The peak of memory in MB while so many rows are planned, enqueued and delivered; in a child."""
    sinks = Sinks()
    url = sinks.start(0.0)
    context = multiprocessing.get_context("fork")
    answer: Any = context.Queue()

    def child() -> None:
        before = _peak()
        ours(folder, CustomerIo(url, "site", "key"), rows)
        answer.put(_peak() - before)

    process = context.Process(target=child)
    process.start()
    found: float = answer.get(timeout=3600)
    process.join()
    sinks.stop()
    return found


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(arguments: argparse.Namespace) -> Sequence[Figure]:
    """Everything, in a folder that is removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="delivery-"))
    try:
        figures = throughput(folder, arguments.peer, arguments.actions) if "throughput" in arguments.only else []
        if "planning" in arguments.only:
            seconds, cpu, memory = planning(folder, arguments.rows)
            _, _, small = planning(folder, 10_000)
            figures += [
                Figure(f"plan {arguments.rows:,} unchanged rows", seconds, "s", f"{cpu:.1f} s of CPU", bar=5.0),
                Figure("memory of that plan", memory, "MB", f"{small:.0f} MB for 10,000 rows", bar=small + 100),
            ]
        if "memory" in arguments.only:
            small, large = delivering(folder, 10_000), delivering(folder, arguments.rows)
            bar = small + 100
            figures.append(
                Figure(
                    f"memory to deliver {arguments.rows:,}",
                    large,
                    "MB",
                    f"{small:.0f} MB for 10,000",
                    large / small,
                    bar,
                )
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="What delivery costs.")
    parser.add_argument("--peer", type=Path, help="the program drt, to be measured beside ours")
    parser.add_argument("--actions", type=int, default=5000)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the planning and memory figures")
    parser.add_argument("--only", nargs="+", default=["throughput", "planning", "memory"])
    main(measure, parser)
