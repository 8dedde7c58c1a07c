"""The sandbox's server, in a thread for tests or in the foreground (sandbox/detached.py starts that one from afar).

One process on loopback serves all vendors, each mounted under its name.
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
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sandbox.accounts.shared import Credentials, Rows, World
from sandbox.detached import (
    DEFAULT_PORT,
    HOST,
    START_SECONDS,
    STOP_SECONDS,
    ServerError,
    pid_path,
    recorded,
    store_path,
)
from sandbox.faults import Fault, Faults, FaultyApp, Recorder
from sandbox.limits import Clock, Limits
from sandbox.servers import bitrix24, chat, customerio, make, stripe, zendesk
from sandbox.servers.admin import admin_app
from sandbox.store import Store

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

ErrorBody = Callable[[int], Any]
# the segment after a resource's name, when it looks like an id and not like a verb: it has a digit, a sign or a prefix
OBJECT_ID = re.compile(r"^((?:/api)?/v\d/[a-z_]+)/([^/]*[0-9@_%][^/]*?)(\.json|/.*)?$")


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
    # who is told to end ends as by Ctrl-C, with its store closed: uvicorn hands the signal on when it has shut down
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
