"""A Make custom webhook in front of one scenario.

`200 Accepted` says that a request is in the queue, not that anybody will work on it: a scenario that is switched off
answers the same until the queue is full. A scenario with a Webhook Response module answers with its own body instead;
here that body acknowledges the webhook id.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.accounts.shared import World
from sandbox.limits import SlidingWindow
from sandbox.servers.common import CountedServer, json_answer, raw_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

LARGEST_BODY = 5 * 1024 * 1024
KEPT_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature", "content-type", "user-agent")
SETTING = "make.scenario"


@dataclass(slots=True)
class Scenario:
    """The state of the scenario behind the hook; kept in the store's settings, so it outlives the process."""

    # works on what arrives; when off, requests only queue up
    is_on: bool = True
    # answers {"ack": webhook-id} instead of Accepted
    has_response: bool = False
    # the hook was detached for too long and is gone
    is_gone: bool = False
    queued: int = 0


class MakeServer(CountedServer):
    """The hook and its limiter."""

    def new_window(self) -> SlidingWindow:
        """An empty window of the limit in force."""
        return SlidingWindow(self.world.limits.make_per_ten_seconds, 10.0, self.world.clock)

    def app(self) -> Starlette:
        """The application to mount at the hooks' host."""
        return Starlette(routes=[Route("/{hook}", self.handle, methods=["GET", "POST", "PUT", "PATCH"])])

    async def handle(self, request: Request) -> Response:
        """Take one request into the queue."""
        scenario = scenario_of(self.world)
        raw = await request.body()
        refusal = self.refusal(request, scenario, len(raw))
        if refusal is not None:
            return plain(*refusal)
        body = decoded(raw)
        webhook_id = request.headers.get("webhook-id")
        headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        store = self.world.store
        with store.transaction():
            kind = "webhook" if scenario.is_on else "queued_webhook"
            # the raw text stays beside the parsed body: signatures are over bytes
            entry = {"headers": headers, "body": body, "raw": raw.decode("utf-8", "replace")}
            store.record_delivery("make", kind, entry, idempotency_key=webhook_id)
            if not scenario.is_on:
                scenario.queued += 1
                keep_scenario(self.world, scenario)
        if scenario.is_on and scenario.has_response:
            return json_answer({"ack": webhook_id})
        return plain("Accepted", 200)

    def refusal(self, request: Request, scenario: Scenario, length: int) -> tuple[str, int] | None:
        """Why a request is not taken, and the status that says so; None when it is."""
        keys = self.world.credentials
        if not hmac.compare_digest(request.path_params["hook"], keys.make_hook) or scenario.is_gone:
            return "Webhook not found.", 410
        if keys.make_api_key is not None and request.headers.get("x-make-apikey") != keys.make_api_key:
            return "Unauthorized", 401
        if not self.window.take():
            return "Too many requests", 429
        if length > LARGEST_BODY:
            return "Payload Too Large", 413
        is_full = not scenario.is_on and scenario.queued >= self.world.limits.make_queue
        return ("Queue is full", 400) if is_full else None


def decoded(raw: bytes) -> Any:
    """The JSON of a body, or its text: a hook takes what comes."""
    try:
        return orjson.loads(raw)
    except ValueError:
        return raw.decode("utf-8", "replace")


def plain(text: str, status: int) -> Response:
    """A plain-text answer."""
    return raw_answer(text.encode(), status, kind="text/plain; charset=utf-8")


def scenario_of(world: World) -> Scenario:
    """The scenario's state."""
    kept = world.store.setting(SETTING)
    return Scenario(**orjson.loads(kept)) if kept else Scenario()


def keep_scenario(world: World, scenario: Scenario) -> None:
    """Write the scenario's state."""
    state = {name: getattr(scenario, name) for name in ("is_on", "has_response", "is_gone", "queued")}
    world.store.set_setting(SETTING, orjson.dumps(state).decode())


def change_scenario(world: World, changes: Any) -> Scenario:
    """Switch the scenario on or off, give or take its response, remove the hook. Switching on empties the queue.

    Raises:
        ValueError: if a name is unknown or a value is no boolean.
    """
    scenario = scenario_of(world)
    for name, value in changes.items() if isinstance(changes, dict) else [("", None)]:
        if name not in ("is_on", "has_response", "is_gone") or not isinstance(value, bool):
            raise ValueError("A scenario has is_on, has_response and is_gone, each true or false.")
        setattr(scenario, name, value)
    if scenario.is_on:
        scenario.queued = 0
    keep_scenario(world, scenario)
    return scenario


def error_body(status: int) -> str:
    """How Make words a failure of its own with this status."""
    return "Too many requests" if status == 429 else "Scenario failed to complete."


def make_app(world: World) -> Starlette:
    """Make's hooks, to be mounted at their host."""
    return MakeServer(world).app()
