"""Customer.io's two APIs of one workspace: the App API that reads, the Track API that takes people and events.

Messages are listed newest first without any filter on change, so whoever wants later opens and clicks reads a window
again; without `start_ts` a list covers six months. The Track API answers 200 with an empty object when it has accepted
something, not when it has acted; an event whose ULID was seen before is accepted and ignored.
"""

from __future__ import annotations

import base64
import binascii
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.accounts.customerio import (
    EXISTS,
    IDENTIFIERS,
    Problem,
    Workspace,
    attributes_of,
    event_problem,
    problem_of,
)
from sandbox.accounts.shared import World, joined, json_field
from sandbox.limits import SlidingWindow
from sandbox.servers.common import CountedServer, basic_credentials, bearer_token, json_answer, late_filter, raw_answer

MESSAGE_PAGE = 1000
MEMBER_PAGE = 30_000
DEFAULT_DAYS = 183
LONGEST_DAYS = 366
ENTITY_BYTES = 32 * 1024
BATCH_BYTES = 500 * 1024
EVENT_DATA_BYTES = 100_000
MESSAGE_METRICS = (
    *("created", "attempted", "sent", "delivered", "opened", "human_opened", "clicked", "human_clicked", "converted"),
    *("bounced", "dropped", "deferred", "failed", "spammed", "suppressed", "undeliverable", "unsubscribed"),
)

Handler = Callable[[Request], Awaitable[Response]]


class CustomerioError(Exception):
    """An answer in one of Customer.io's error envelopes."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body


class CustomerioApi(CountedServer):
    """What both APIs have in common: everything they refuse has one shape, and every path an answer."""

    def routed(self, routes: list[Route]) -> Starlette:
        """The application with these routes, and an answer to every other path."""
        every_method = ["GET", "POST", "PUT", "DELETE"]
        return Starlette(routes=[*routes, Route("/{path:path}", self.wrapped(self.unknown), methods=every_method)])

    def wrapped(self, handler: Handler) -> Handler:
        """Authentication, the limit and errors around a handler."""

        async def handle(request: Request) -> Response:
            try:
                self.admit(request)
                return await handler(request)
            except CustomerioError as error:
                return json_answer(error.body, error.status)

        return handle

    @abstractmethod
    def admit(self, request: Request) -> None:
        """Refuse wrong credentials and a request above the limit.

        Raises:
            CustomerioError: 401 or 429, in the words of this API.
        """

    @abstractmethod
    async def unknown(self, _request: Request) -> Response:
        """What the API says about a path it does not know.

        Raises:
            CustomerioError: 404, in the words of this API.
        """


# App API


class AppApi(CustomerioApi):
    """The reading side: messages, campaigns, segments, people."""

    def new_window(self) -> SlidingWindow:
        """An empty window of the limit in force."""
        return SlidingWindow(self.world.limits.customerio_app_per_second, 1.0, self.world.clock)

    def app(self) -> Starlette:
        """The application to mount at the App API's base."""
        pairs: list[tuple[str, Handler]] = [
            ("/v1/messages", self.messages),
            ("/v1/messages/{id}", self.single_of("messages", "message")),
            ("/v1/campaigns", self.campaigns),
            ("/v1/campaigns/{id}", self.single_of("campaigns", "campaign")),
            ("/v1/campaigns/{id}/metrics", self.campaign_metrics),
            ("/v1/segments", self.segments),
            ("/v1/segments/{id}", self.single_of("segments", "segment")),
            ("/v1/segments/{id}/customer_count", self.segment_count),
            ("/v1/segments/{id}/membership", self.membership),
            ("/v1/customers", self.customers),
            ("/v1/customers/{id}/attributes", self.customer_attributes),
            ("/v1/workspaces", self.workspaces),
        ]
        return self.routed([Route(path, self.wrapped(handler)) for path, handler in pairs])

    def admit(self, request: Request) -> None:
        """Refuse a wrong key and a request above the limit."""
        if bearer_token(request) != self.world.credentials.customerio_app_key:
            raise CustomerioError(401, {"errors": [{"detail": "unauthorized", "status": "401"}]})
        if not self.window.take():
            raise CustomerioError(429, {"errors": [{"detail": "too many requests", "status": "429"}]})

    async def unknown(self, _request: Request) -> Response:
        """What the API says about a path it does not know."""
        raise CustomerioError(404, {"errors": [{"detail": "not found", "status": "404"}]})

    async def workspaces(self, _request: Request) -> Response:
        """The one workspace; the cheapest way to try a key."""
        people = self.world.rows.count("customerio.customers", EXISTS)
        return json_answer({"workspaces": [{"id": 1, "name": "Sandbox", "people": people}]})

    def single_of(self, name: str, key: str) -> Handler:
        """The handler that shows one object."""

        async def handle(request: Request) -> Response:
            row = self.world.rows.get(f"customerio.{name}", request.path_params["id"])
            if row is None:
                raise CustomerioError(404, {"errors": [{"detail": "not found", "status": "404"}]})
            return raw_answer(b'{"' + key.encode() + b'":' + row.body + b"}")

        return handle

    async def messages(self, request: Request) -> Response:
        """Deliveries, newest first, at most twelve months back from the end of the asked-for time."""
        query = request.query_params
        limit = whole_number(query.get("limit", "50"), "limit", MESSAGE_PAGE)
        late, late_values = late_filter(request, self.world)
        where, values = [late], list(late_values)
        end = number(query.get("end_ts"), "end_ts") or self.world.now()
        start = number(query.get("start_ts"), "start_ts")
        start = end - DEFAULT_DAYS * 86_400 if start is None else max(start, end - LONGEST_DAYS * 86_400)
        where.append("created_at >= ? and created_at <= ?")
        values += [start, end]
        for name in ("campaign_id", "newsletter_id", "action_id"):
            if name in query:
                where.append(f"{json_field(name)} = ?")
                values.append(int(whole_number(query[name], name)))
        if "type" in query:
            where.append(f"{json_field('type')} = ?")
            values.append(query["type"])
        if "metric" in query:
            if query["metric"] not in MESSAGE_METRICS:
                raise CustomerioError(400, {"errors": [{"detail": "invalid metric", "status": "400"}]})
            where.append(f"{json_field('metrics.' + query['metric'])} is not null")
        if query.get("start"):
            where.append("(created_at, id_number, id) < (?, ?, ?)")
            values += decoded_cursor(query["start"])
        order = "created_at desc, id_number desc, id desc"
        rows = self.world.rows.select("customerio.messages", " and ".join(where), values, order=order, limit=limit + 1)
        following = cursor_of(rows[limit - 1].created_at, rows[limit - 1].id) if len(rows) > limit else ""
        return raw_answer(b'{"messages":[' + joined(rows[:limit]) + b'],"next":' + orjson.dumps(following) + b"}")

    async def campaigns(self, _request: Request) -> Response:
        """All campaigns, without pages."""
        rows = self.world.rows.select("customerio.campaigns", order="id_number, id")
        return raw_answer(b'{"campaigns":[' + joined(rows) + b"]}")

    async def campaign_metrics(self, request: Request) -> Response:
        """Counts per period, oldest first; the last entry is the running period."""
        query = request.query_params
        campaign_id = request.path_params["id"]
        if self.world.rows.get("customerio.campaigns", campaign_id) is None:
            raise CustomerioError(404, {"errors": [{"detail": "not found", "status": "404"}]})
        seconds = {"hours": 3600, "days": 86_400, "weeks": 604_800, "months": 2_592_000}
        period = query.get("period", "days")
        if period not in seconds:
            raise CustomerioError(400, {"errors": [{"detail": "invalid period", "status": "400"}]})
        most = {"hours": 24, "days": 45, "weeks": 12, "months": 12}[period]
        steps = whole_number(query.get("steps", str(min(most, 12))), "steps", most)
        length = seconds[period]
        first = (int(self.world.now()) // length - steps + 1) * length
        series = {name: [0] * steps for name in MESSAGE_METRICS}
        rows = self.world.rows.select(
            "customerio.messages", f"{json_field('campaign_id')} = ?", (int(campaign_id),), order="created_at"
        )
        for row in rows:
            message = row.parsed()
            if query.get("type") not in (None, message.get("type")):
                continue
            for name, at in ({"created": row.created_at} | (message.get("metrics") or {})).items():
                if name in series and at is not None and first <= at <= self.world.now():
                    series[name][int(at - first) // length] += 1
        return json_answer({"metric": {"series": series}})

    async def segments(self, _request: Request) -> Response:
        """All segments, without pages."""
        rows = self.world.rows.select("customerio.segments", order="id_number, id")
        return raw_answer(b'{"segments":[' + joined(rows) + b"]}")

    def member_condition(self, segment_id: str) -> tuple[str, list[Any]]:
        """Who is in a segment: the sandbox has one data-driven segment, of the people who unsubscribed.

        Raises:
            CustomerioError: if there is no such segment.
        """
        row = self.world.rows.get("customerio.segments", segment_id)
        if row is None:
            raise CustomerioError(404, {"errors": [{"detail": "not found", "status": "404"}]})
        if "unsubscribed" in str(row.parsed().get("name", "")).lower():
            return f"coalesce({json_field('unsubscribed')}, 0) and {EXISTS}", []
        return EXISTS, []

    async def segment_count(self, request: Request) -> Response:
        """How many people are in a segment."""
        where, values = self.member_condition(request.path_params["id"])
        return json_answer({"count": self.world.rows.count("customerio.customers", where, values)})

    async def membership(self, request: Request) -> Response:
        """The people in a segment."""
        query = request.query_params
        where, values = self.member_condition(request.path_params["id"])
        limit = whole_number(query.get("limit", "1000"), "limit", MEMBER_PAGE)
        if query.get("start"):
            where += " and (id_number, id) > (?, ?)"
            values += decoded_cursor(query["start"])[1:]
        rows = self.world.rows.select("customerio.customers", where, values, order="id_number, id", limit=limit + 1)
        following = cursor_of(0.0, rows[limit - 1].id) if len(rows) > limit else ""
        people = [row.parsed() for row in rows[:limit]]
        identifiers = [{"id": p["id"], "email": p.get("email"), "cio_id": p.get("cio_id")} for p in people]
        return json_answer({"ids": [p["id"] for p in people], "identifiers": identifiers, "next": following})

    async def customers(self, request: Request) -> Response:
        """People with an e-mail address."""
        email = request.query_params.get("email")
        if not email:
            raise CustomerioError(400, {"errors": [{"detail": "email parameter is required", "status": "400"}]})
        rows = self.world.rows.select(
            "customerio.customers",
            f"lower({json_field('email')}) = ? and {EXISTS}",
            (email.lower(),),
            order="id_number, id",
        )
        people = [row.parsed() for row in rows]
        results = [{"id": p["id"], "email": p.get("email"), "cio_id": p.get("cio_id")} for p in people]
        return json_answer({"results": results})

    async def customer_attributes(self, request: Request) -> Response:
        """Everything known about one person."""
        row = self.world.rows.get("customerio.customers", request.path_params["id"])
        person = row.parsed() if row else {}
        if row is None or person.get("deleted"):
            raise CustomerioError(404, {"errors": [{"detail": "customer not found", "status": "404"}]})
        identifiers = {name: person.get(name) for name in IDENTIFIERS}
        return json_answer(
            {
                "customer": {
                    "id": person["id"],
                    "identifiers": identifiers,
                    "attributes": {name: text_of(value) for name, value in attributes_of(person).items()},
                    "timestamps": {"created_at": int(row.created_at)},
                    "unsubscribed": bool(person.get("unsubscribed")),
                    "devices": person.get("devices", []),
                }
            }
        )


# Track API


class TrackApi(CustomerioApi):
    """The writing side, v1 and v2."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.workspace = Workspace(world)

    def new_window(self) -> SlidingWindow:
        """An empty window of the limit in force."""
        return SlidingWindow(self.world.limits.customerio_track_per_second, 1.0, self.world.clock)

    def app(self) -> Starlette:
        """The application to mount at the Track API's base."""
        routes = [
            Route("/api/v1/accounts/region", self.wrapped(self.region)),
            Route("/api/v1/customers/{id}", self.wrapped(self.customer), methods=["PUT", "DELETE"]),
            Route("/api/v1/customers/{id}/events", self.wrapped(self.customer_event), methods=["POST"]),
            Route("/api/v1/customers/{id}/suppress", self.wrapped(self.suppress), methods=["POST"]),
            Route("/api/v1/customers/{id}/unsuppress", self.wrapped(self.suppress), methods=["POST"]),
            Route("/api/v1/events", self.wrapped(self.anonymous_event), methods=["POST"]),
            Route("/api/v1/merge_customers", self.wrapped(self.merge), methods=["POST"]),
            Route("/api/v2/entity", self.wrapped(self.entity), methods=["POST"]),
            Route("/api/v2/batch", self.wrapped(self.batch), methods=["POST"]),
        ]
        return self.routed(routes)

    def admit(self, request: Request) -> None:
        """Refuse wrong credentials and a request above the limit."""
        keys = self.world.credentials
        if basic_credentials(request) != (keys.customerio_site_id, keys.customerio_track_key):
            raise CustomerioError(401, {"meta": {"error": "Unauthorized request"}})
        if not self.window.take():
            raise CustomerioError(429, {"meta": {"error": "Too many requests"}})

    async def unknown(self, _request: Request) -> Response:
        """What the API says about a path it does not know."""
        raise CustomerioError(404, {"meta": {"error": "not found"}})

    async def region(self, request: Request) -> Response:
        """Where the workspace lives; the cheapest way to try the credentials."""
        base = str(request.base_url).rstrip("/")
        return json_answer({"url": base, "data_center": "us", "region": "us", "environment_id": 1})

    # v1

    async def v1_body(self, request: Request) -> dict[str, Any]:
        """The flat JSON object of a v1 request.

        Raises:
            CustomerioError: if it is none, or too long.
        """
        raw = await request.body()
        if len(raw) > EVENT_DATA_BYTES:
            raise v1_error("request body is too large")
        try:
            body = orjson.loads(raw or b"{}")
        except ValueError:
            raise v1_error("malformed JSON") from None
        if not isinstance(body, dict):
            raise v1_error("request body must be a JSON object")
        return body

    def identifier(self, request: Request) -> dict[str, str]:
        """The person in the path: an id, an e-mail address or `cio_...`."""
        value: str = request.path_params["id"]
        if value.startswith("cio_"):
            return {"cio_id": value.removeprefix("cio_")}
        return {"email": value} if "@" in value else {"id": value}

    async def customer(self, request: Request) -> Response:
        """PUT creates or updates a person, DELETE removes one."""
        body = await self.v1_body(request)
        timestamp = body.pop("_timestamp", None)
        action = "identify" if request.method == "PUT" else "delete"
        operation: dict[str, Any] = {"type": "person", "identifiers": self.identifier(request), "action": action}
        if action == "identify":
            operation["attributes"] = body
            if timestamp is not None:
                operation["timestamp"] = timestamp
        return self.apply_v1(operation)

    async def customer_event(self, request: Request) -> Response:
        """Track an event of a person."""
        body = await self.v1_body(request)
        return self.apply_v1(v1_event(body, self.identifier(request)))

    async def anonymous_event(self, request: Request) -> Response:
        """Track an event of somebody who is not known yet."""
        body = await self.v1_body(request)
        event = v1_event(body, {})
        problem = event_problem(event)
        if problem:
            raise v1_error(problem.message)
        self.world.store.record_delivery("customerio", "anonymous_event", body, idempotency_key=body.get("id"))
        return json_answer({})

    async def suppress(self, request: Request) -> Response:
        """Stop or allow again all messages to a person."""
        action = request.url.path.rpartition("/")[2]
        return self.apply_v1({"type": "person", "identifiers": self.identifier(request), "action": action})

    async def merge(self, request: Request) -> Response:
        """Merge the secondary person into the primary one."""
        body = await self.v1_body(request)
        return self.apply_v1({"type": "person", "action": "merge", **body})

    def apply_v1(self, operation: dict[str, Any]) -> Response:
        """Run an operation and answer as v1 does."""
        problem = problem_of(operation)
        if problem:
            raise v1_error(f"{problem.field} {problem.message}")
        self.workspace.apply(operation)
        return json_answer({})

    # v2

    async def entity(self, request: Request) -> Response:
        """One operation."""
        raw = await request.body()
        operation = whole_json(raw)
        problem = too_long(raw, ENTITY_BYTES) or problem_of(operation)
        if problem:
            raise CustomerioError(400, {"errors": [problem.body()]})
        self.workspace.apply(operation)
        return json_answer({})

    async def batch(self, request: Request) -> Response:
        """Many operations; the good ones are taken, the bad ones are named by their index in an answer of 207."""
        raw = await request.body()
        problem = too_long(raw, BATCH_BYTES)
        body = whole_json(raw)
        operations = body.get("batch") if isinstance(body, dict) else None
        if problem is None and (not isinstance(operations, list) or not operations):
            problem = Problem("required", "batch", "must be a list of at least one operation")
        if problem:
            raise CustomerioError(400, {"errors": [problem.body()]})
        errors = []
        with self.world.store.transaction():
            for index, operation in enumerate(operations or []):
                found = too_long(orjson.dumps(operation), ENTITY_BYTES) or problem_of(operation)
                if found:
                    errors.append({"batch_index": index, **found.body()})
                else:
                    self.workspace.apply(operation)
        return json_answer({"errors": errors}, 207) if errors else json_answer({})


def v1_event(body: dict[str, Any], identifiers: dict[str, str]) -> dict[str, Any]:
    """A v1 event as the v2 operation it amounts to."""
    kind = body.get("type") or "event"
    event = {
        "type": "person",
        "identifiers": identifiers,
        "action": kind if kind in ("page", "screen") else "event",
        "name": str(body.get("name") or "").strip(),
        "attributes": body.get("data") or {},
    }
    return event | {name: body[name] for name in ("id", "timestamp") if body.get(name) is not None}


def v1_error(message: str) -> CustomerioError:
    """400 in the v1 envelope."""
    return CustomerioError(400, {"meta": {"errors": [message.strip()]}})


def whole_json(raw: bytes) -> Any:
    """The JSON of a v2 request.

    Raises:
        CustomerioError: if it is none; then nothing of the request is taken.
    """
    try:
        return orjson.loads(raw)
    except ValueError:
        problem = Problem("parse_error", "", "request body is not valid JSON")
        raise CustomerioError(400, {"errors": [problem.body()]}) from None


def too_long(raw: bytes, most: int) -> Problem | None:
    """The problem of a body over the size limit, or None."""
    return Problem("too_large", "", f"must be smaller than {most // 1024}kb") if len(raw) > most else None


# Small helpers


def text_of(value: Any) -> str:
    """An attribute as the App API shows it: everything is text."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def number(value: str | None, name: str) -> float | None:
    """A unix time in a query."""
    return None if value is None else float(whole_number(value, name, None, least=0))


def whole_number(value: str, name: str, most: int | None = None, *, least: int = 1) -> int:
    """A whole number in a query; more than `most` is cut down.

    Raises:
        CustomerioError: if it is no number, or below `least`.
    """
    if not value.isdecimal() or int(value) < least:
        raise CustomerioError(400, {"errors": [{"detail": f"invalid {name}", "status": "400"}]})
    return int(value) if most is None else min(int(value), most)


def cursor_of(at: float, row_id: str) -> str:
    """The opaque cursor behind a row."""
    return base64.urlsafe_b64encode(f"{at!r} {row_id}".encode()).decode()


def decoded_cursor(cursor: str) -> list[Any]:
    """Time, id as a number (0 when it is none) and id of a cursor.

    Raises:
        CustomerioError: if it was not made here.
    """
    try:
        at, _, row_id = base64.urlsafe_b64decode(cursor).decode().partition(" ")
        return [float(at), int(row_id) if row_id.isdecimal() else 0, row_id]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise CustomerioError(400, {"errors": [{"detail": "invalid start", "status": "400"}]}) from None


def error_body(status: int) -> dict[str, Any]:
    """How Customer.io words a failure of its own with this status."""
    return {"meta": {"error": "Too many requests" if status == 429 else "Internal server error"}}


def customerio_app_api(world: World) -> Starlette:
    """The App API, to be mounted at its base."""
    return AppApi(world).app()


def customerio_track_api(world: World) -> Starlette:
    """The Track API, to be mounted at its base."""
    return TrackApi(world).app()
