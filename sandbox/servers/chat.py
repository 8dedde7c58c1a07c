"""A chat's incoming webhook (Slack's), the place where alerts end up. Every answer is plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson
from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.accounts.shared import World
from sandbox.limits import SlidingWindow
from sandbox.servers.common import CountedServer, raw_answer

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class ChatServer(CountedServer):
    """The hook and its limiter."""

    def new_window(self) -> SlidingWindow:
        """An empty window of the limit in force."""
        return SlidingWindow(self.world.limits.chat_per_second, 1.0, self.world.clock)

    def app(self) -> Starlette:
        """The application to mount at the hooks' host."""
        return Starlette(routes=[Route("/services/{path:path}", self.handle, methods=["POST"])])

    async def handle(self, request: Request) -> Response:
        """Take one message."""
        refusal = self.refusal_of_path(request.path_params["path"])
        if refusal is None and not self.window.take():
            refusal = plain("rate_limited", 429, {"retry-after": "1"})
        if refusal is not None:
            return refusal
        try:
            message = orjson.loads(await request.body())
        except ValueError:
            message = None
        if not isinstance(message, dict):
            return plain("invalid_payload", 400)
        if not (message.get("text") or message.get("blocks") or message.get("attachments")):
            return plain("no_text", 400)
        self.world.store.record_delivery("chat", "message", message)
        return plain("ok", 200)

    def refusal_of_path(self, given: str) -> Response | None:
        """What is wrong with the team, the service or the token in the path; None when nothing is."""
        names = zip(given.split("/"), self.world.credentials.chat_path.split("/"), strict=False)
        answers = (("no_team", 404), ("no_service", 404), ("invalid_token", 403))
        for (given_name, wanted_name), (text, status) in zip(names, answers, strict=False):
            if given_name != wanted_name:
                return plain(text, status)
        return None if given.count("/") == 2 else plain("no_service", 404)


def plain(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """A plain-text answer."""
    return raw_answer(text.encode(), status, headers, kind="text/html; charset=utf-8")


def error_body(status: int) -> str:
    """How the chat words a failure of its own with this status."""
    return "rate_limited" if status == 429 else "server_error"


def chat_app(world: World) -> Starlette:
    """The chat, to be mounted at its host."""
    return ChatServer(world).app()
