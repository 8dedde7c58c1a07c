"""Start and stop the sandbox's server: in a thread for tests, in the foreground, or detached for the command line.

One process on loopback serves all vendors, each mounted under its name. Run detached, it writes its log and its process
id beside the data it serves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.faults import Fault, Faults, FaultyApp, Recorder
from sandbox.limits import Clock, Limits
from sandbox.servers import bitrix24, chat, customerio, make, stripe, zendesk
from sandbox.servers.admin import admin_app
from sandbox.servers.common import Credentials, Rows, World
from sandbox.store import Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOST = "127.0.0.1"
DEFAULT_PORT = 8411
START_SECONDS = 30.0
STOP_SECONDS = 10.0

ErrorBody = Callable[[int], Any]
# the segment after a resource's name, when it looks like an id and not like a verb: it has a digit, a sign or a prefix
OBJECT_ID = re.compile(r"^((?:/api)?/v\d/[a-z_]+)/([^/]*[0-9@_%][^/]*?)(\.json|/.*)?$")


class ServerError(RuntimeError):
    """The server could not be started or stopped; the sentence says why and what to do."""


class Protocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol that hands the transport to the application, so that faults can reset connections."""

    def on_message_begin(self) -> None:
        """Add the transport to the scope of each request."""
        super().on_message_begin()
        scope: dict[str, Any] = self.scope  # type: ignore[assignment]
        scope["extensions"] = {"sandbox.transport": {"transport": self.transport}}


class VendorFront:
    """Stands before one vendor's application: counts its requests and lets faults act on them."""

    def __init__(self, world: World, vendor: str, app: ASGIApp, error_body: ErrorBody) -> None:
        self.world = world
        self.vendor = vendor
        self.app = app
        self.error_body = error_body
        self.faulty = FaultyApp(app, world.faults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method, path = scope["method"], vendor_path(self.vendor, scope)
        counted = Counted(self.world, (self.vendor.split("/")[0], method, counted_path(path)), send)
        rule = self.world.faults.hit(self.vendor, method, path)
        try:
            if rule is None:
                await self.app(scope, receive, counted.send)
            else:
                request = (scope, receive, counted.send)
                await self.faulty.act(rule, request, f"{self.vendor} {path}", self.error_answer(rule))
        finally:
            counted.done()

    def error_answer(self, rule: Fault) -> Recorder:
        """The answer of a status or silo_down fault, worded as this vendor (or the gateway before it) does."""
        answer = Recorder()
        answer.status = rule.status
        if rule.kind == "silo_down":
            answer.status = 503
            answer.headers = [(b"content-type", b"text/html")]
            answer.body = b"<html><head><title>503 Service Temporarily Unavailable</title></head></html>"
            return answer
        body = self.error_body(rule.status)
        is_text = isinstance(body, str)
        answer.body = body.encode() if is_text else json.dumps(body).encode()
        answer.headers = [(b"content-type", b"text/plain" if is_text else b"application/json")]
        if rule.retry_after is not None:
            answer.headers.append((b"retry-after", f"{rule.retry_after:g}".encode()))
        return answer


class Counted:
    """Counts a request once, under the status that went out; 0 when nothing did."""

    def __init__(self, world: World, key: tuple[str, str, str], send: Send) -> None:
        self.world = world
        self.key = key
        self.inner = send
        self.status = 0

    async def send(self, message: Message) -> None:
        """ASGI `send` that notes the status."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self.inner(message)

    def done(self) -> None:
        """Book the request."""
        self.world.requests[(*self.key, self.status)] += 1


def vendor_path(vendor: str, scope: Scope) -> str:
    """The vendor's own path, without the secrets that some vendors put into it; what fault rules are about."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    if vendor == "bitrix24":
        return "/" + path.rpartition("/")[2].removesuffix(".json").lower()
    return {"make": "/hook", "chat": "/services"}.get(vendor, path)


def counted_path(path: str) -> str:
    """A path with the id of a single object replaced, so that counts add up and name no person."""
    return OBJECT_ID.sub(r"\1/{id}\3", path)


def build_app(world: World) -> Starlette:
    """All vendors and the steering endpoints in one application."""
    vendors: list[tuple[str, str, ASGIApp, ErrorBody]] = [
        ("/stripe", "stripe", stripe.stripe_app(world), stripe.error_body),
        ("/zendesk", "zendesk", zendesk.zendesk_app(world), zendesk.error_body),
        ("/bitrix24", "bitrix24", bitrix24.bitrix24_app(world), bitrix24.error_body),
        ("/customerio/app", "customerio/app", customerio.customerio_app_api(world), customerio.error_body),
        ("/customerio/track", "customerio/track", customerio.customerio_track_api(world), customerio.error_body),
        ("/make", "make", make.make_app(world), make.error_body),
        ("/chat", "chat", chat.chat_app(world), chat.error_body),
    ]
    routes = [
        Mount(mount, app=VendorFront(world, vendor, app, error_body)) for mount, vendor, app, error_body in vendors
    ]
    return Starlette(routes=[*routes, Mount("/_sandbox", app=admin_app(world, advance_world))])


def advance_world(world: World, days: int) -> None:
    """Let the simulation continue for some days on the data that is being served."""
    from sandbox.generate import advance  # noqa: PLC0415 - the whole simulation, which serving alone does not need

    advance(world.data_dir, days)


def store_path(data_dir: Path) -> Path:
    """Where the silos' documents are kept."""
    return data_dir / "sandbox" / "silos.sqlite"


def open_world(
    data_dir: Path,
    *,
    limits: Limits | None = None,
    faults: Iterable[Fault] = (),
    credentials: Credentials | None = None,
    clock: Clock = time.monotonic,
) -> World:
    """Open a generated world for serving.

    Raises:
        ServerError: if there is no world in `data_dir`.
    """
    path = store_path(data_dir)
    if not path.exists():
        raise ServerError(f"There is no sandbox world in {data_dir}. Make one with: lifecycle sandbox generate")
    store = Store(path)
    return World(
        store=store,
        rows=Rows(path),
        data_dir=data_dir,
        limits=limits or Limits(),
        faults=Faults(faults),
        credentials=credentials or Credentials(),
        clock=clock,
    )


class Server(uvicorn.Server):
    """Uvicorn that says when it accepts connections."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self.on_started = on_started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        if not self.should_exit:
            self.on_started()


def server_config(app: Starlette) -> uvicorn.Config:
    """How uvicorn serves the sandbox."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        # longer than a client's pause between requests; a server that hangs up first looks like a fault
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )


def bound_socket(port: int) -> socket.socket:
    """A listening address on loopback; port 0 takes a free one.

    Raises:
        ServerError: if the port is taken.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise ServerError(
            f"Port {port} on {HOST} cannot be used ({error.strerror}). Stop what listens there or set another port in"
            " [sandbox] url."
        ) from error
    return listener


@dataclass(slots=True)
class RunningSandbox:
    """A sandbox that serves from a thread of this process."""

    url: str
    world: World
    _server: Server
    _thread: threading.Thread

    def stop(self) -> None:
        """Stop serving and close the data. Requests that a fault keeps hanging are dropped.

        Raises:
            ServerError: if the server does not end.
        """
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            raise ServerError("The sandbox's server thread did not end.")
        self.world.rows.close()
        self.world.store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(
    data_dir: Path,
    port: int = 0,
    limits: Limits | None = None,
    *,
    faults: Iterable[Fault] = (),
    credentials: Credentials | None = None,
    clock: Clock = time.monotonic,
) -> RunningSandbox:
    """Serve a generated world from a thread; returns once it accepts connections.

    Raises:
        ServerError: if there is no world, the port is taken, or the server does not start.
    """
    world = open_world(Path(data_dir), limits=limits, faults=faults, credentials=credentials, clock=clock)
    listener = bound_socket(port)
    started = threading.Event()
    server = Server(server_config(build_app(world)), started.set)
    thread = threading.Thread(target=server.run, args=([listener],), name="sandbox", daemon=True)
    thread.start()
    if not started.wait(START_SECONDS):
        raise ServerError("The sandbox's server did not start.")
    return RunningSandbox(f"http://{HOST}:{listener.getsockname()[1]}", world, server, thread)


def serve(
    data_dir: Path,
    port: int = DEFAULT_PORT,
    limits: Limits | None = None,
    *,
    faults: Iterable[Fault] = (),
    on_started: Callable[[str], None] = lambda _url: None,
) -> None:
    """Serve a generated world until interrupted; while it runs, its process id is on record beside the data.

    Raises:
        ServerError: if there is no world or the port is taken.
    """
    data_dir = Path(data_dir)
    world = open_world(data_dir, limits=limits, faults=faults)
    listener = bound_socket(port)
    actual_port = listener.getsockname()[1]
    record = pid_path(data_dir)

    def started() -> None:
        record.write_text(json.dumps({"pid": os.getpid(), "port": actual_port}))
        on_started(f"http://{HOST}:{actual_port}")

    server = Server(server_config(build_app(world)), started)
    try:
        asyncio.run(server.serve(sockets=[listener]))
    except KeyboardInterrupt:
        on_started("")
    finally:
        if (recorded(data_dir) or {}).get("pid") == os.getpid():
            record.unlink(missing_ok=True)
        world.rows.close()
        world.store.close()


# Detached


def pid_path(data_dir: Path) -> Path:
    """Where a detached server is on record."""
    return data_dir / "sandbox" / "server.json"


def recorded(data_dir: Path) -> dict[str, int] | None:
    """Process id and port of the server on record, whether or not it still runs."""
    try:
        found: dict[str, int] = json.loads(pid_path(data_dir).read_text())
    except (OSError, ValueError):
        return None
    return found


def health(port: int) -> dict[str, Any] | None:
    """What the server on this port says about itself; None when nobody answers as a sandbox."""
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/_sandbox/health", timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return found


def is_ours(answer: dict[str, Any] | None, data_dir: Path) -> bool:
    """Whether a health answer comes from a server of this data."""
    return answer is not None and answer.get("data_dir") == str(data_dir.resolve())


def ensure_running(
    data_dir: Path, port: int = DEFAULT_PORT, *, limits: Limits | None = None, faults: Sequence[Fault] = ()
) -> str:
    """The address of a server of this data: the one that runs already, else a new detached one.

    `limits` and `faults` are used when a server is started, not when one is found.

    Raises:
        ServerError: if another server uses the port, or the new one does not come up; the sentence says where to look.
    """
    data_dir = Path(data_dir)
    answer = health(port)
    if is_ours(answer, data_dir):
        return f"http://{HOST}:{port}"
    if answer is not None:
        raise ServerError(
            f"Port {port} serves the sandbox of {answer.get('data_dir')}, not of {data_dir.resolve()}. Stop that one"
            " first or set another port in [sandbox] url."
        )
    if not store_path(data_dir).exists():
        raise ServerError(f"There is no sandbox world in {data_dir}. Make one with: lifecycle sandbox generate")
    log_path = data_dir / "sandbox" / "server.log"
    command = [sys.executable, "-m", "sandbox.serve", "--data-dir", str(data_dir.resolve()), "--port", str(port)]
    if limits is not None:
        command += ["--limits", json.dumps(limits.as_mapping())]
    if faults:
        rules = [{name: getattr(rule, name) for name in rule.__slots__ if name != "hits"} for rule in faults]
        command += ["--faults", json.dumps(rules)]
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=project_dir()
        )
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if is_ours(health(port), data_dir):
            return f"http://{HOST}:{port}"
        if process.poll() is not None:
            break
        time.sleep(0.05)
    last = log_path.read_text(errors="replace").strip().splitlines()[-1:] or ["its log is empty"]
    raise ServerError(f"The sandbox's server did not start: {last[0]} (log: {log_path})")


def project_dir() -> Path:
    """The folder from which the package `sandbox` can be imported."""
    return Path(__file__).resolve().parent.parent


def stop_running(data_dir: Path) -> bool:
    """Stop the detached server of this data; whether there was one.

    The process is signalled only after it has said itself that it is the one on record: ids are used again.

    Raises:
        ServerError: if it does not end.
    """
    data_dir = Path(data_dir)
    record = recorded(data_dir)
    if record is None:
        return False
    answer = health(record["port"])
    if not is_ours(answer, data_dir) or answer is None or answer.get("pid") != record["pid"]:
        pid_path(data_dir).unlink(missing_ok=True)
        return False
    os.kill(record["pid"], signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS
    while time.monotonic() < deadline:
        if health(record["port"]) is None:
            pid_path(data_dir).unlink(missing_ok=True)
            return True
        time.sleep(0.05)
    raise ServerError(f"The sandbox's server (process {record['pid']}) did not end within {STOP_SECONDS:g} s.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve in the foreground; what `lifecycle sandbox` starts."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.serve", description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--limits", help="JSON object of limits that differ from the vendors' own")
    parser.add_argument("--faults", help="JSON list of fault rules in force from the start")
    options = parser.parse_args(arguments)
    try:
        limits = Limits.from_mapping(json.loads(options.limits)) if options.limits else None
        faults = [Fault.from_mapping(rule) for rule in json.loads(options.faults or "[]")]
        with contextlib.suppress(KeyboardInterrupt):
            serve(options.data_dir, options.port, limits, faults=faults, on_started=announce)
    except (ServerError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - the only output of a command
        return 2
    return 0


def announce(url: str) -> None:
    """Say where the sandbox is."""
    print(f"The sandbox serves at {url}" if url else "The sandbox stopped.", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
