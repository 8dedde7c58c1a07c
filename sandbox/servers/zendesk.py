"""Zendesk's API v2: cursor exports, organisations, ratings, and the creation of tickets.

The exports order by the time the system last touched a record (`generated_timestamp`), which may be later than its
`updated_at`; they leave out the last minute. A ticket created here is in the next export that may show it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.accounts.shared import Row, World, joined, json_field
from sandbox.accounts.zendesk import TicketDesk, iso
from sandbox.faults import Fault, is_held_back
from sandbox.limits import SlidingWindow
from sandbox.servers.common import basic_credentials, bearer_token, json_answer, json_body, late_filter, raw_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

EXCLUDED_SECONDS = 60
IDEMPOTENCY_SECONDS = 2 * 3600
EXPORT_PAGE = 1000
LIST_PAGE = 100


class ZendeskError(Exception):
    """An answer in one of Zendesk's error shapes."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = headers or {}


class ZendeskServer:
    """The handlers and their limiters."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.desk = TicketDesk(world)
        self.account_window: SlidingWindow
        self.export_window: SlidingWindow
        self.reset_limits()
        world.on_limits_changed.append(self.reset_limits)

    def reset_limits(self) -> None:
        """Start counting afresh with the limits in force."""
        limits = self.world.limits
        self.account_window = SlidingWindow(limits.zendesk_per_minute, 60.0, self.world.clock)
        self.export_window = SlidingWindow(limits.zendesk_incremental_per_minute, 60.0, self.world.clock)

    def app(self) -> Starlette:
        """The application to mount at the account's base."""
        routes: list[Route] = []

        def add(path: str, handler: Any, methods: tuple[str, ...] = ("GET",), *, is_export: bool = False) -> None:
            wrapped = self.wrapped(handler, is_export=is_export)
            suffixes = ("", ".json")
            routes.extend(Route(f"/api/v2{path}{suffix}", wrapped, methods=list(methods)) for suffix in suffixes)

        add("/incremental/tickets/cursor", self.export_of("tickets"), is_export=True)
        add("/incremental/users/cursor", self.export_of("users"), is_export=True)
        add("/incremental/organizations", self.changed_organizations, is_export=True)
        add("/organizations", self.list_of("organizations"))
        add("/organizations/count", self.count_of("organizations"))
        add("/satisfaction_ratings", self.list_of("satisfaction_ratings"))
        add("/users", self.list_of("users"))
        add("/users/me", self.current_user)
        add("/tickets/count", self.count_of("tickets"))
        add("/tickets", self.tickets, ("GET", "POST"))
        add("/tickets/{id:int}", self.single_of("tickets", "ticket"))
        add("/users/{id:int}", self.single_of("users", "user"))
        add("/organizations/{id:int}", self.single_of("organizations", "organization"))
        every_method = ["GET", "POST", "PUT", "DELETE", "PATCH"]
        routes.append(Route("/{path:path}", self.wrapped(self.unknown), methods=every_method))
        return Starlette(routes=routes)

    def wrapped(self, handler: Any, *, is_export: bool = False) -> Callable[[Request], Awaitable[Response]]:
        """Authentication, limits, errors and rate headers around a handler."""

        async def handle(request: Request) -> Response:
            try:
                self.authenticate(request)
                self.take_from_limits(is_export=is_export)
                answer: Response = await handler(request)
            except ZendeskError as error:
                answer = json_answer(error.body, error.status, error.headers)
            answer.headers.update(self.rate_headers(is_export=is_export))
            return answer

        return handle

    def authenticate(self, request: Request) -> None:
        """Accept `email/token:api_token` by HTTP Basic, or the OAuth token as Bearer."""
        keys = self.world.credentials
        basic = basic_credentials(request)
        if basic == (f"{keys.zendesk_email}/token", keys.zendesk_api_token):
            return
        token = bearer_token(request)
        if token == keys.zendesk_oauth_token:
            return
        if token is not None:
            body = {"error": "invalid_token", "error_description": "The access token provided is invalid."}
            raise ZendeskError(401, body, {"www-authenticate": 'Bearer realm="Zendesk", error="invalid_token"'})
        headers = {"www-authenticate": 'Basic realm="Web Password"'}
        raise ZendeskError(401, {"error": "Couldn't authenticate you"}, headers)

    def take_from_limits(self, *, is_export: bool) -> None:
        """Count the request against the account's minute and, for exports, against theirs."""
        windows = [self.account_window, *([self.export_window] if is_export else [])]
        full = [window for window in windows if not window.allows()]
        if full:
            wait = max(window.reset_seconds() for window in full)
            description = "Number of allowed API requests per minute exceeded"
            body = {"error": "APIRateLimitExceeded", "description": description}
            raise ZendeskError(429, body, {"retry-after": str(wait)})
        for window in windows:
            window.take()

    def rate_headers(self, *, is_export: bool) -> dict[str, str]:
        """What Zendesk tells about the state of its limits with every answer."""
        headers: dict[str, str] = {}
        account = self.account_window
        if account.limit is not None:
            headers |= {
                "x-rate-limit": str(account.limit),
                "x-rate-limit-remaining": str(account.remaining()),
                "ratelimit-limit": str(account.limit),
                "ratelimit-remaining": str(account.remaining()),
                "ratelimit-reset": str(account.reset_seconds()),
            }
        export = self.export_window
        if is_export and export.limit is not None:
            headers["zendesk-ratelimit-incremental-exports"] = (
                f"total={export.limit}; remaining={export.remaining()}; resets={export.reset_seconds()}"
            )
        return headers

    async def unknown(self, _request: Request) -> Response:
        """What Zendesk says about a path it does not know."""
        raise ZendeskError(404, {"error": "InvalidEndpoint", "description": "Not found"})

    async def current_user(self, _request: Request) -> Response:
        """The agent behind the credentials."""
        email = self.world.credentials.zendesk_email
        return json_answer({"user": {"id": 1, "name": "Operations", "email": email, "role": "admin", "active": True}})

    # Exports

    def export_of(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler of one cursor export."""
        collection = f"zendesk.{name}"

        async def handle(request: Request) -> Response:
            query = request.query_params
            limit = page_size(query.get("per_page"), EXPORT_PAGE, EXPORT_PAGE)
            newest = self.world.now() - EXCLUDED_SECONDS
            where, values = ["updated_at <= ?"], [newest]
            cursor = query.get("cursor")
            if cursor:
                at, row_id = decoded_export_cursor(cursor)
                where.append("(updated_at, id_number) > (?, ?)")
                values += [at, row_id]
            else:
                where.append("updated_at >= ?")
                values.append(self.start_time(query.get("start_time")))
            if query.get("exclude_deleted") == "true":
                where.append(f"coalesce({json_field('status')}, '') <> 'deleted'")
            rows = self.world.rows.select(
                collection, " and ".join(where), values, order="updated_at, id_number, id", limit=limit + 1
            )
            is_end = len(rows) <= limit
            rows, is_end = self.before_late_rows(request, rows[:limit], is_end=is_end)
            after = export_cursor(rows[-1].updated_at, int(rows[-1].id)) if rows else cursor
            if after is None:
                after = export_cursor(float(query["start_time"]), 0)
            includes = query.get("include", "").split(",")
            data = self.with_metric_sets(rows) if "metric_sets" in includes and name == "tickets" else joined(rows)
            parameters = {"cursor": after, **{key: query[key] for key in ("include", "per_page") if key in query}}
            url = f"{own_url(request)}?{urlencode(parameters)}"
            tail = {
                "after_url": url,
                "after_cursor": after,
                "before_url": None,
                "before_cursor": None,
                "end_of_stream": is_end,
            }
            return raw_answer(b'{"' + name.encode() + b'":[' + data + b"]," + orjson.dumps(tail)[1:])

        return handle

    async def changed_organizations(self, request: Request) -> Response:
        """The export of organisations by change time.

        A page ends with the last row of a second, at least one second after the one it began with: the next page is
        asked from `end_time`, shows that second again, and still gets further however many rows it has.
        """
        query = request.query_params
        limit = page_size(query.get("per_page"), EXPORT_PAGE, EXPORT_PAGE)
        start, newest = self.start_time(query.get("start_time")), self.world.now() - EXCLUDED_SECONDS
        late, bound = late_filter(request, self.world)

        def select(since: float, until: float, most: int) -> list[Row]:
            where = f"updated_at >= ? and updated_at < ? and updated_at <= ? and {late}"
            values = [since, until, newest, *bound]
            order = "updated_at, id_number, id"
            return self.world.rows.select("zendesk.organizations", where, values, order=order, limit=most)

        rows = select(start + 1, newest + 1, limit + 1)
        is_end = len(rows) <= limit
        end = float(int(rows[min(limit, len(rows)) - 1].updated_at)) if rows else start
        rows = select(start, end + 1, sys.maxsize)
        is_end = is_end or not select(end + 1, newest + 1, 1)
        url = f"{own_url(request)}?{urlencode({'start_time': int(end)})}"
        tail = {"count": len(rows), "next_page": url, "end_time": int(end), "end_of_stream": is_end}
        return raw_answer(b'{"organizations":[' + joined(rows) + b"]," + orjson.dumps(tail)[1:])

    def start_time(self, value: str | None) -> float:
        """The unix second an export begins with.

        Raises:
            ZendeskError: if it is missing, no number, or within the last minute of the world.
        """
        if value is None:
            raise ZendeskError(400, {"error": "MissingParameter", "description": "Missing parameter: start_time"})
        try:
            start = float(int(value))
        except ValueError:
            description = "start_time must be an integer"
            raise ZendeskError(400, {"error": "InvalidParameter", "description": description}) from None
        if start > self.world.now() - EXCLUDED_SECONDS:
            description = "Too recent start_time. Use a start_time older than 1 minute"
            raise ZendeskError(400, {"error": "StartTimeTooRecent", "description": description})
        return start

    def before_late_rows(self, request: Request, rows: list[Row], *, is_end: bool) -> tuple[list[Row], bool]:
        """End the stream before the first row that a fault holds back.

        An export must not move its cursor past a row that it did not show: the vendor would rather stop early.
        """
        rule: Fault | None = request.scope.get("sandbox.late")
        if rule is None:
            return rows, is_end
        horizon = self.world.now() - rule.seconds
        for position, row in enumerate(rows):
            if row.updated_at > horizon and is_held_back(row.id, rule.share):
                return rows[:position], True
        return rows, is_end

    def with_metric_sets(self, rows: list[Row]) -> bytes:
        """Tickets with their metrics inside, as `include=metric_sets` gives them."""
        metrics = self.world.rows.bodies_by_id("zendesk.ticket_metrics", [row.id for row in rows])
        return b",".join(row.body[:-1] + b',"metric_set":' + metrics.get(row.id, b"null") + b"}" for row in rows)

    # Lists

    def list_of(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler of a list with cursor pagination (`page[size]`, `page[after]`), ordered by id."""
        collection = f"zendesk.{name}"

        async def handle(request: Request) -> Response:
            query = request.query_params
            limit = page_size(query.get("page[size]") or query.get("per_page"), LIST_PAGE, LIST_PAGE)
            late, values = late_filter(request, self.world)
            where, bound = [late], list(values)
            if name == "satisfaction_ratings":
                self.rating_filters(request, where, bound)
            after = query.get("page[after]")
            if after:
                where.append("id_number > ?")
                bound.append(decoded_list_cursor(after))
            rows = self.world.rows.select(
                collection, " and ".join(where), bound, order="id_number, id", limit=limit + 1
            )
            has_more = len(rows) > limit
            rows = rows[:limit]
            last = list_cursor(int(rows[-1].id)) if rows else None
            parameters = [(key, value) for key, value in query.multi_items() if not key.startswith("page[")]
            parameters += [("page[size]", str(limit)), ("page[after]", last or "")]
            tail = {
                "meta": {"has_more": has_more, "after_cursor": last, "before_cursor": None},
                "links": {"prev": None, "next": f"{own_url(request)}?{urlencode(parameters)}" if has_more else None},
            }
            return raw_answer(b'{"' + name.encode() + b'":[' + joined(rows) + b"]," + orjson.dumps(tail)[1:])

        return handle

    def rating_filters(self, request: Request, where: list[str], values: list[Any]) -> None:
        """start_time, end_time and score of the ratings list."""
        for name, condition in (("start_time", "created_at >= ?"), ("end_time", "created_at <= ?")):
            value = request.query_params.get(name)
            if value is None:
                continue
            if not value.isdecimal():
                raise ZendeskError(400, {"error": "InvalidParameter", "description": f"{name} must be an integer"})
            where.append(condition)
            values.append(float(value))
        score = request.query_params.get("score")
        if score:
            where.append(f"{json_field('score')} = ?")
            values.append(score)

    def single_of(self, name: str, key: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler that shows one record."""

        async def handle(request: Request) -> Response:
            row = self.world.rows.get(f"zendesk.{name}", str(request.path_params["id"]))
            if row is None:
                raise ZendeskError(404, {"error": "RecordNotFound", "description": "Not found"})
            return raw_answer(b'{"' + key.encode() + b'":' + row.body + b"}")

        return handle

    def count_of(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The handler that gives the number of records, with the time it was counted."""

        async def handle(_request: Request) -> Response:
            count = self.world.rows.count(f"zendesk.{name}")
            return json_answer({"count": {"value": count, "refreshed_at": iso(self.world.now())}})

        return handle

    # Tickets

    async def tickets(self, request: Request) -> Response:
        """GET looks tickets up by external id or lists them; POST creates one."""
        if request.method == "POST":
            return await self.create_ticket(request)
        external_id = request.query_params.get("external_id")
        if external_id is None:
            return await self.list_of("tickets")(request)
        rows = self.world.rows.select(
            "zendesk.tickets",
            f"{json_field('external_id')} = ?",
            (external_id,),
            order="id_number, id",
            limit=LIST_PAGE,
        )
        tail = {"next_page": None, "previous_page": None, "count": len(rows)}
        return raw_answer(b'{"tickets":[' + joined(rows) + b"]," + orjson.dumps(tail)[1:])

    async def create_ticket(self, request: Request) -> Response:
        """Create a ticket; with an Idempotency-Key a repeat within two hours gets the first answer again."""
        raw = await request.body()
        try:
            body = await json_body(request)
        except ValueError:
            description = "Server could not parse JSON"
            raise ZendeskError(400, {"error": "Unprocessable Entity", "message": description}) from None
        ticket = body.get("ticket") if isinstance(body, dict) else None
        if not isinstance(ticket, dict):
            description = "Parameter ticket is required"
            raise ZendeskError(400, {"error": "ParameterMissing", "description": description})
        key = request.headers.get("idempotency-key")
        digest = hashlib.sha256(raw).hexdigest()
        if key is not None:
            if len(key) > 255:
                description = "Idempotency-Key must be at most 255 characters"
                raise ZendeskError(400, {"error": "IdempotentRequestError", "description": description})
            earlier = self.remembered(key, digest)
            if earlier is not None:
                return json_answer(earlier, 201, {"x-idempotency-lookup": "hit"})
        details = self.desk.problems_of(ticket)
        if details:
            refused = {"error": "RecordInvalid", "description": "Record validation errors", "details": details}
            raise ZendeskError(422, refused)
        headers = {} if key is None else {"x-idempotency-lookup": "miss"}
        store = self.world.store
        with store.transaction():
            shown = self.desk.create(ticket, str(request.base_url).rstrip("/"))
            store.record_delivery(
                "zendesk",
                "ticket",
                {"ticket_id": shown["id"], "ticket": ticket, "request_sha256": digest},
                status=201,
                idempotency_key=key,
            )
        return json_answer({"ticket": shown}, 201, headers | {"location": shown["url"]})

    def remembered(self, key: str, digest: str) -> dict[str, Any] | None:
        """The answer given to this key within the last two hours of the world, if any.

        Raises:
            ZendeskError: if the key came with another body then.
        """
        since = self.world.now() - IDEMPOTENCY_SECONDS
        seen = self.world.store.deliveries("zendesk", received_gte=since, idempotency_key=key)
        if not seen:
            return None
        if seen[-1].body["request_sha256"] != digest:
            description = "Request parameters don't match the given idempotency key"
            raise ZendeskError(400, {"error": "IdempotentRequestError", "description": description})
        return {"ticket": self.world.store.get("zendesk.tickets", seen[-1].body["ticket_id"])}


def own_url(request: Request) -> str:
    """The request's own address without its query, as the client wrote it."""
    return str(request.url.replace(query=""))


def page_size(value: str | None, default: int, largest: int) -> int:
    """A page size; too large is cut down, as Zendesk does.

    Raises:
        ZendeskError: if it is no positive number.
    """
    if value is None:
        return default
    if not value.isdecimal() or int(value) < 1:
        raise ZendeskError(400, {"error": "InvalidParameter", "description": "per_page must be a positive integer"})
    return min(int(value), largest)


def export_cursor(at: float, row_id: int) -> str:
    """The opaque cursor of an export: the position after a record."""
    return base64.b64encode(f"{at!r}||{row_id}|".encode()).decode()


def decoded_export_cursor(cursor: str) -> tuple[float, int]:
    """The position behind a cursor.

    Raises:
        ZendeskError: if it was not made here.
    """
    try:
        at, _, rest = base64.b64decode(cursor, validate=True).decode().partition("||")
        return float(at), int(rest.rstrip("|"))
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise ZendeskError(400, {"error": "InvalidPaginationParameter", "description": "cursor is invalid"}) from None


def list_cursor(row_id: int) -> str:
    """The opaque cursor of a list: the position after a record."""
    return base64.urlsafe_b64encode(orjson.dumps({"o": "id", "v": row_id})).decode()


def decoded_list_cursor(cursor: str) -> int:
    """The id behind a list cursor.

    Raises:
        ZendeskError: if it was not made here.
    """
    try:
        return int(orjson.loads(base64.urlsafe_b64decode(cursor))["v"])
    except (binascii.Error, ValueError, KeyError, TypeError):
        title = "The page[after] parameter was not valid."
        raise ZendeskError(400, {"errors": [{"code": "InvalidPaginationParameter", "title": title}]}) from None


def error_body(status: int) -> dict[str, Any]:
    """How Zendesk words a failure of its own with this status."""
    if status == 429:
        description = "Number of allowed API requests per minute exceeded"
        return {"error": "APIRateLimitExceeded", "description": description}
    return {"error": "InternalError", "description": "We're sorry, but something went wrong."}


def zendesk_app(world: World) -> Starlette:
    """Zendesk, to be mounted at the account's base."""
    return ZendeskServer(world).app()
