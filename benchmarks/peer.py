"""What delivery is measured against: a sink that costs next to nothing, rows for both sides, and a peer.

The peer is `drt` of drt-core, the one open tool with the same job. It is installed anywhere
(`pip install 'drt-core[duckdb]'` in an environment of its own) and run as its users run it, by its command.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import multiprocessing
import os
import resource
import subprocess
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\n{}"


class Sink(asyncio.Protocol):
    """Answers every request with 200, after a while if told so; remembers what came if told so."""

    latency = 0.0
    counts = False
    seen: ClassVar[Counter[bytes]] = Counter()

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
            body = self._seen[end + 4 : end + 4 + length]
            self._seen = self._seen[end + 4 + length :]
            if head.startswith(b"get "):
                self._transport.write(_told(Sink.seen))
                continue
            if self.counts:
                Sink.seen[hashlib.md5(body, usedforsecurity=False).digest()] += 1
            if self.latency:
                asyncio.get_running_loop().call_later(self.latency, self._transport.write, ANSWER)
            else:
                self._transport.write(ANSWER)


def _told(seen: Counter[bytes]) -> bytes:
    body = json.dumps({"requests": seen.total(), "distinct": len(seen)}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def serve(latency: float, ready: Any, *, counts: bool) -> None:
    """The sink, for ever."""
    Sink.latency, Sink.counts = latency, counts

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0)
        ready.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(forever())


class Sinks:
    """Sinks in processes of their own."""

    def __init__(self) -> None:
        self._running: list[Any] = []

    def start(self, latency: float = 0.0, *, counts: bool = False) -> str:
        """The address of one more."""
        context = multiprocessing.get_context("fork")
        ready: Any = context.Queue()
        process = context.Process(target=serve, args=(latency, ready), kwargs={"counts": counts}, daemon=True)
        process.start()
        self._running.append(process)
        return f"http://127.0.0.1:{ready.get(timeout=30)}"

    def stop(self) -> None:
        """All of them."""
        for process in self._running:
            process.kill()
            process.join()


def received(url: str) -> dict[str, int]:
    """How many requests a counting sink got, and how many different bodies."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - loopback
        found: dict[str, int] = json.loads(answer.read())
    return found


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


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds on the wall, and of the processor; its sinks not counted."""

    seconds: float
    cpu: float

    def without(self, idle: Cost) -> Cost:
        """This, with what another took taken off.

        Raises:
            RuntimeError: if the machine is too busy to tell the two apart.
        """
        if self.seconds <= idle.seconds or self.cpu <= idle.cpu:
            raise RuntimeError("The machine is too busy to tell the start of a sync from its work; try more actions.")
        return Cost(self.seconds - idle.seconds, self.cpu - idle.cpu)


class Drt:
    """The peer's project in a folder, and its command."""

    def __init__(self, folder: Path, program: Path, url: str, batch: int = 1) -> None:
        self._home, self._program = folder, program
        for name in (".drt", "syncs"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        profile = f"dev:\n  type: duckdb\n  database: {folder / 'src.duckdb'}\n"
        (folder / ".drt" / "profiles.yml").write_text(profile)
        (folder / "drt_project.yml").write_text("name: bench\nversion: '0.1'\nprofile: dev\n")
        body = (
            "  body_mode: batch\n  batch_template: '{\"batch\": {{ rows | tojson }} }'\n"
            if batch > 1
            else "  body_template: '{{ row.payload }}'\n"
        )
        (folder / "syncs" / "bench.yml").write_text(
            f"name: bench\nmodel: ref('src')\ndestination:\n  type: rest_api\n  url: {url}\n  method: POST\n{body}"
            f"sync:\n  mode: full\n  batch_size: {max(batch, 100)}\n  rate_limit: {{requests_per_second: 0}}\n"
            "  on_error: skip\n"
        )

    def offer(self, rows: int) -> None:
        """Put so many rows where it reads."""
        publish(self._home / "all.duckdb", rows, "make")
        (self._home / "src.duckdb").unlink(missing_ok=True)
        with duckdb.connect(str(self._home / "src.duckdb")) as connection:
            connection.execute(f"attach '{self._home / 'all.duckdb'}' as a (read_only)")
            connection.execute("create table src as select action_id, payload from a.activation.act_all")

    def start(self) -> subprocess.Popen[str]:
        """One sync, running."""
        return subprocess.Popen(
            [str(self._program), "run", "--select", "bench", "--output", "json"],
            cwd=self._home,
            env={**os.environ, "HOME": str(self._home), "DO_NOT_TRACK": "1", "DRT_TELEMETRY": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, rows: int) -> Cost:
        """One whole sync of so many rows, from the command to its end."""
        self.offer(rows)
        started, cpu = time.perf_counter(), _of_children()
        running = self.start()
        out, err = running.communicate()
        cost = Cost(time.perf_counter() - started, _of_children() - cpu)
        if running.returncode != 0:
            raise RuntimeError(f"The peer ended with {running.returncode}: {out[-500:]} {err[-500:]}")
        return cost

    def cost(self, rows: int) -> Cost:
        """So many rows, its start and imports taken off: what a sync of one row takes."""
        idle = min(self.run(1), self.run(1), key=lambda each: each.seconds)
        return self.run(rows).without(idle)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
