"""What every vendor server needs of HTTP: who asks, how often it may, what is kept from it, and answers as bytes."""

from __future__ import annotations

import base64
import binascii
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import orjson
from starlette.responses import Response

from sandbox.limits import SlidingWindow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from sandbox.accounts.shared import World
    from sandbox.faults import Fault


class CountedServer(ABC):
    """A server of `world` that counts all its requests in one window, anew when the limits change."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.window: SlidingWindow
        self.reset_limits()
        world.on_limits_changed.append(self.reset_limits)

    def reset_limits(self) -> None:
        """Start counting afresh with the limit in force."""
        self.window = self.new_window()

    @abstractmethod
    def new_window(self) -> SlidingWindow:
        """An empty window of the limit in force."""


def late_filter(request: Request, world: World, column: str = "created_at") -> tuple[str, tuple[Any, ...]]:
    """The condition that hides rows held back by a late_rows fault, and its values; "1" when there is none."""
    rule: Fault | None = request.scope.get("sandbox.late")
    if rule is None:
        return "1", ()
    return f"not ({column} > ? and held_back(id, ?))", (world.now() - rule.seconds, rule.share)


def json_answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, dict(headers or {}), media_type="application/json")


def raw_answer(
    body: bytes, status: int = 200, headers: Mapping[str, str] | None = None, kind: str = "application/json"
) -> Response:
    """An answer whose body is already written."""
    return Response(body, status, dict(headers or {}), media_type=kind)


def basic_credentials(request: Request) -> tuple[str, str] | None:
    """User and password of HTTP Basic, or None when the header is missing or unreadable."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user, password


def bearer_token(request: Request) -> str | None:
    """The token of HTTP Bearer, or None."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" and value.strip() else None


async def json_body(request: Request) -> Any:
    """The request's JSON body.

    Raises:
        ValueError: if the body is no JSON.
    """
    return orjson.loads(await request.body())
