"""The endpoints that steer the sandbox: its clock, its faults and limits, what was delivered, what was asked for.

They are no vendor's and live under `/_sandbox`. The server listens on loopback only, so they ask for no credentials.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.accounts.shared import World
from sandbox.faults import Fault
from sandbox.limits import Limits
from sandbox.servers.common import json_answer, json_body
from sandbox.servers.make import change_scenario, scenario_of

Handler = Callable[[Request], Awaitable[Response]]
# moves a world (its data folder) by a number of days
Advance = Callable[[World, int], None]

LONGEST_ADVANCE = 366


class Admin:
    """The handlers; `advance` runs in a thread, one at a time."""

    def __init__(self, world: World, advance: Advance) -> None:
        self.world = world
        self.advance_world = advance
        self.advancing = asyncio.Lock()

    def app(self) -> Starlette:
        """The application to mount under /_sandbox."""
        table: list[tuple[str, str, Handler]] = [
            ("GET", "/health", self.health),
            ("GET", "/clock", self.clock),
            ("POST", "/advance", self.advance),
            ("GET", "/faults", self.faults),
            ("POST", "/faults", self.add_faults),
            ("DELETE", "/faults", self.clear_faults),
            ("GET", "/limits", self.limits),
            ("PUT", "/limits", self.set_limits),
            ("GET", "/make", self.make),
            ("PUT", "/make", self.set_make),
            ("GET", "/inbox", self.inbox),
            ("GET", "/requests", self.requests),
            ("DELETE", "/requests", self.forget_requests),
        ]
        return Starlette(routes=[Route(path, told(handler), methods=[method]) for method, path, handler in table])

    async def health(self, _request: Request) -> Response:
        """That the server answers, who it is and which data it serves."""
        return json_answer(
            {
                "status": "ok",
                "pid": os.getpid(),
                "data_dir": str(self.world.data_dir.resolve()),
                "now": instant(self.world.now()),
            }
        )

    async def clock(self, _request: Request) -> Response:
        """The world's time."""
        return json_answer({"now": instant(self.world.now())})

    async def advance(self, request: Request) -> Response:
        """Let the world live on for some days."""
        body = await json_body(request)
        days = body.get("days", 1) if isinstance(body, dict) else None
        if not isinstance(days, int) or isinstance(days, bool) or not 1 <= days <= LONGEST_ADVANCE:
            raise ValueError(f"Give the days to advance as a whole number from 1 to {LONGEST_ADVANCE}.")
        async with self.advancing:
            await asyncio.to_thread(self.advance_world, self.world, days)
        return json_answer({"now": instant(self.world.now())})

    async def faults(self, _request: Request) -> Response:
        """The rules in force and how often each has hit."""
        return json_answer([asdict(rule) for rule in self.world.faults.rules])

    async def add_faults(self, request: Request) -> Response:
        """Add one rule or a list of them; either all are added or none."""
        body = await json_body(request)
        rules = [Fault.from_mapping(rule) for rule in (body if isinstance(body, list) else [body])]
        self.world.faults.add(rules)
        return json_answer([asdict(rule) for rule in self.world.faults.rules], 201)

    async def clear_faults(self, _request: Request) -> Response:
        """Remove all rules."""
        self.world.faults.clear()
        return json_answer([])

    async def limits(self, _request: Request) -> Response:
        """The limits in force."""
        return json_answer(self.world.limits.as_mapping())

    async def set_limits(self, request: Request) -> Response:
        """Replace the limits; those not named go back to their default. All counting starts afresh."""
        body = await json_body(request)
        if not isinstance(body, dict):
            raise TypeError("Give limits as an object of names and figures.")
        self.world.limits = Limits.from_mapping(body)
        for changed in self.world.on_limits_changed:
            changed()
        return json_answer(self.world.limits.as_mapping())

    async def make(self, _request: Request) -> Response:
        """The state of the scenario behind Make's hook."""
        return json_answer(asdict(scenario_of(self.world)))

    async def set_make(self, request: Request) -> Response:
        """Change the scenario."""
        return json_answer(asdict(change_scenario(self.world, await json_body(request))))

    async def inbox(self, request: Request) -> Response:
        """What was delivered, in the order of arrival; filters: vendor, kind, idempotency_key."""
        query = request.query_params
        found = self.world.store.deliveries(query.get("vendor"), idempotency_key=query.get("idempotency_key"))
        return json_answer([asdict(item) for item in found if query.get("kind") in (None, item.kind)])

    async def requests(self, _request: Request) -> Response:
        """How often each vendor path was asked for, by method and status, since the start or the last DELETE."""
        rows = [
            {"vendor": vendor, "method": method, "path": path, "status": status, "count": count}
            for (vendor, method, path, status), count in sorted(self.world.requests.items())
        ]
        return json_answer(rows)

    async def forget_requests(self, _request: Request) -> Response:
        """Start counting requests afresh."""
        self.world.requests.clear()
        return json_answer([])


def told(handler: Handler) -> Handler:
    """Answer 400 with the sentence of a ValueError or TypeError: the caller asked for something that cannot be."""

    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except (ValueError, TypeError) as error:
            return json_answer({"error": str(error)}, 400)

    return handle


def instant(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def admin_app(world: World, advance: Advance) -> Starlette:
    """The steering endpoints, to be mounted under /_sandbox."""
    return Admin(world, advance).app()
