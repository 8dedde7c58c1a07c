"""Stripe's API v1 as a restricted read-only key sees it (objects of API version 2025-03-31.basil).

Lists come newest first in pages of 1-100, with a cursor that is an object's id. There is no filter on changes: who
wants them reads /v1/events, which go back 30 days. Limits answer 429 without Retry-After.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any

import orjson
from starlette.applications import Starlette
from starlette.routing import Route

from sandbox.accounts.shared import World, joined, json_field
from sandbox.accounts.stripe import (
    RESOURCES,
    Objects,
    Resource,
    StripeError,
    event_type_condition,
    integer,
    needs_rewriting,
    parameter_condition,
)
from sandbox.limits import SlidingWindow
from sandbox.servers.common import basic_credentials, bearer_token, json_answer, late_filter, raw_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

API_VERSION = "2025-03-31.basil"
EVENT_DAYS = 30
EXPAND_DEPTH = 4


class StripeServer:
    """The handlers and their limiters."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects = Objects(world.rows)
        self.account_window: SlidingWindow
        self.endpoint_windows: dict[str, SlidingWindow]
        self.reset_limits()
        world.on_limits_changed.append(self.reset_limits)

    def reset_limits(self) -> None:
        """Start counting afresh with the limits in force."""
        self.account_window = SlidingWindow(self.world.limits.stripe_per_second, 1.0, self.world.clock)
        self.endpoint_windows = {}

    def app(self) -> Starlette:
        """The application to mount at the API's base."""
        routes = [
            Route("/v1/account", self.wrapped("/v1/account", self.account)),
            Route("/v1/subscription_items", self.wrapped("/v1/subscription_items", self.subscription_items)),
            Route("/v1/invoices/{id}/lines", self.wrapped("/v1/invoices/lines", self.invoice_lines)),
        ]
        for name in RESOURCES:
            routes.append(Route(f"/v1/{name}", self.wrapped(f"/v1/{name}", self.list_of(name))))
            routes.append(Route(f"/v1/{name}/{{id}}", self.wrapped(f"/v1/{name}/id", self.single_of(name))))
        unknown = self.wrapped("other", self.unknown_url)
        every_method = ["GET", "POST", "DELETE", "PUT", "PATCH"]
        routes.append(Route("/{path:path}", unknown, methods=every_method))
        return Starlette(routes=routes)

    def wrapped(
        self, endpoint: str, handler: Callable[[Request], Response]
    ) -> Callable[[Request], Awaitable[Response]]:
        """Authentication, limits, errors and the headers every answer carries, around a handler."""

        async def handle(request: Request) -> Response:
            headers = {"request-id": f"req_{secrets.token_hex(7)}", "stripe-version": API_VERSION}
            try:
                self.authenticate(request)
                self.take_from_limits(endpoint)
                answer = handler(request)
            except StripeError as error:
                answer = json_answer({"error": error.body}, error.status)
                if error.status == 401:
                    answer.headers["www-authenticate"] = 'Basic realm="Stripe"'
                if error.reason:
                    answer.headers["stripe-rate-limited-reason"] = error.reason
            answer.headers.update(headers)
            return answer

        return handle

    def authenticate(self, request: Request) -> None:
        """Accept the key as Bearer token or as the user of HTTP Basic."""
        basic = basic_credentials(request)
        key = bearer_token(request) or (basic[0] if basic else None)
        if not key:
            raise StripeError(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, using"
                " Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See"
                " https://stripe.com/docs/api#authentication for details, or we can help at"
                " https://support.stripe.com/.",
            )
        if key != self.world.credentials.stripe_api_key:
            shown = key[:8] + "*" * max(len(key) - 12, 0) + key[-4:] if len(key) > 12 else "*" * len(key)
            raise StripeError(401, f"Invalid API Key provided: {shown}")
        if request.method != "GET":
            raise StripeError(
                403,
                f"The provided key '{key[:8]}***' does not have the required permissions for this endpoint on account"
                " 'acct_sandbox'.",
            )

    def take_from_limits(self, endpoint: str) -> None:
        """Count the request against the account's and the endpoint's second."""
        window = self.endpoint_windows.setdefault(
            endpoint, SlidingWindow(self.world.limits.stripe_endpoint_per_second, 1.0, self.world.clock)
        )
        for reason, full in (
            ("global-rate", not self.account_window.allows()),
            ("endpoint-rate", not window.allows()),
        ):
            if full:
                raise StripeError(
                    429,
                    "Request rate limit exceeded. Learn more about rate limits here"
                    " https://stripe.com/docs/rate-limits.",
                    code="rate_limit",
                    reason=reason,
                )
        self.account_window.take()
        window.take()

    def unknown_url(self, request: Request) -> Response:
        """What Stripe says about a path it does not know."""
        raise StripeError(
            404,
            f"Unrecognized request URL ({request.method}: {request.url.path.removeprefix(request.scope['root_path'])})."
            " Please see https://stripe.com/docs or we can help at https://support.stripe.com/.",
        )

    def account(self, _request: Request) -> Response:
        """The account behind the key; the cheapest way to try a key."""
        return json_answer({"id": "acct_sandbox", "object": "account", "country": "US", "default_currency": "usd"})

    # Lists

    def list_of(self, name: str) -> Callable[[Request], Response]:
        """The handler of one list endpoint."""
        resource = RESOURCES[name]

        def handle(request: Request) -> Response:
            limit, after, before = page_parameters(request)
            expand = expand_parameters(request, is_list=True)
            where, values = self.conditions(resource, request)
            reference = after or before
            if reference:
                row = self.world.rows.get(resource.collection, reference)
                if row is None:
                    param = "starting_after" if after else "ending_before"
                    raise StripeError(
                        400, f"No such {resource.object_name}: '{reference}'", code="resource_missing", param=param
                    )
                where += f" and (created_at, id_number, id) {'<' if after else '>'} (?, 0, ?)"
                values += [row.created_at, row.id]
            direction = "" if before else " desc"
            rows = self.world.rows.select(
                resource.collection,
                where,
                values,
                order=f"created_at{direction}, id_number{direction}, id{direction}",
                limit=limit + 1,
            )
            has_more = len(rows) > limit
            rows = rows[:limit]
            if before:
                rows.reverse()
            if needs_rewriting(resource, expand):
                data = b",".join(self.objects.shown(row.body, expand) for row in rows)
            else:
                data = joined(rows)
            return raw_answer(list_envelope(data, has_more, f"/v1/{name}"))

        return handle

    def conditions(self, resource: Resource, request: Request) -> tuple[str, list[Any]]:
        """SQL of the request's filters.

        Raises:
            StripeError: if a parameter is unknown or has no meaning.
        """
        late, late_values = late_filter(request, self.world)
        # deleted objects are short stubs that can be fetched by id but never listed
        where = [late, f"not (length(body) < 200 and coalesce({json_field('deleted')}, 0))"]
        values: list[Any] = list(late_values)
        if resource.name == "events":
            where.append("created_at >= ?")
            values.append(self.world.now() - EVENT_DAYS * 86_400)
        types: list[str] = []
        names = {name for name, _ in request.query_params.multi_items()}
        for name, value in request.query_params.multi_items():
            base = name.partition("[")[0]
            if name in ("limit", "starting_after", "ending_before") or base == "expand":
                continue
            if resource.name == "events" and base in ("type", "types"):
                types.append(value)
            else:
                where.append(parameter_condition(resource, name, value, values))
        if resource.name == "subscriptions" and "status" not in names:
            where.append(f"{json_field('status')} <> 'canceled'")
        if types:
            where.append("(" + " or ".join(event_type_condition(kind, values) for kind in types) + ")")
        return " and ".join(where), values

    def single_of(self, name: str) -> Callable[[Request], Response]:
        """The handler that fetches one object by id."""
        resource = RESOURCES[name]

        def handle(request: Request) -> Response:
            object_id = request.path_params["id"]
            row = self.world.rows.get(resource.collection, object_id)
            too_old = row is not None and name == "events" and row.created_at < self.world.now() - EVENT_DAYS * 86_400
            if row is None or too_old:
                raise StripeError(
                    404, f"No such {resource.object_name}: '{object_id}'", code="resource_missing", param="id"
                )
            return raw_answer(self.objects.shown(row.body, expand_parameters(request, is_list=False)))

        return handle

    def invoice_lines(self, request: Request) -> Response:
        """All lines of one invoice; the invoice itself shows the first ten."""
        invoice_id = request.path_params["id"]
        row = self.world.rows.get("stripe.invoices", invoice_id)
        if row is None:
            raise StripeError(404, f"No such invoice: '{invoice_id}'", code="resource_missing", param="invoice")
        limit, after, before = page_parameters(request)
        lines = row.parsed().get("lines", {}).get("data", [])
        page, has_more = page_of(lines, limit, after, before, "line item")
        expand = expand_parameters(request, is_list=True)
        data = b",".join(self.objects.shown(orjson.dumps(line), expand) for line in page)
        return raw_answer(list_envelope(data, has_more, f"/v1/invoices/{invoice_id}/lines"))

    def subscription_items(self, request: Request) -> Response:
        """The items of one subscription."""
        subscription_id = request.query_params.get("subscription")
        if not subscription_id:
            raise StripeError(
                400, "Missing required param: subscription.", code="parameter_missing", param="subscription"
            )
        row = self.world.rows.get("stripe.subscriptions", subscription_id)
        if row is None:
            raise StripeError(
                404, f"No such subscription: '{subscription_id}'", code="resource_missing", param="subscription"
            )
        limit, after, before = page_parameters(request)
        items = row.parsed().get("items", {}).get("data", [])
        page, has_more = page_of(items, limit, after, before, "subscription item")
        expand = expand_parameters(request, is_list=True)
        data = b",".join(self.objects.shown(orjson.dumps(item), expand) for item in page)
        return raw_answer(list_envelope(data, has_more, "/v1/subscription_items"))


def list_envelope(data: bytes, has_more: bool, url: str) -> bytes:
    """Stripe's list object around objects that are already JSON."""
    flag = b"true" if has_more else b"false"
    return b'{"object":"list","data":[' + data + b'],"has_more":' + flag + b',"url":"' + url.encode() + b'"}'


def page_parameters(request: Request) -> tuple[int, str | None, str | None]:
    """limit, starting_after and ending_before.

    Raises:
        StripeError: if the limit is out of 1-100 or both cursors are given.
    """
    query = request.query_params
    limit = integer(query.get("limit", "10"), "limit")
    if limit < 1:
        raise StripeError(
            400, "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="limit"
        )
    if limit > 100:
        raise StripeError(
            400, "This value must be less than or equal to 100 (it currently is '" + str(limit) + "').", param="limit"
        )
    after, before = query.get("starting_after"), query.get("ending_before")
    if after and before:
        raise StripeError(
            400, "You may only specify one of these parameters: ending_before, starting_after.", param="ending_before"
        )
    return limit, after, before


def page_of(
    items: list[dict[str, Any]], limit: int, after: str | None, before: str | None, what: str
) -> tuple[list[dict[str, Any]], bool]:
    """A page out of a list in memory, with Stripe's cursors."""
    ids = [item["id"] for item in items]
    for param, reference in (("starting_after", after), ("ending_before", before)):
        if reference and reference not in ids:
            raise StripeError(400, f"No such {what}: '{reference}'", code="resource_missing", param=param)
    if before:
        rest = items[: ids.index(before)]
        return rest[-limit:], len(rest) > limit
    rest = items[ids.index(after) + 1 :] if after else items
    return rest[:limit], len(rest) > limit


def expand_parameters(request: Request, *, is_list: bool) -> list[list[str]]:
    """The paths to expand, inside an object.

    Raises:
        StripeError: if a path is too deep, or, for a list, does not start with `data`.
    """
    paths = []
    for name, value in request.query_params.multi_items():
        if not re.fullmatch(r"expand(\[\d*\])?", name):
            continue
        path = value.split(".")
        if len(path) > EXPAND_DEPTH:
            message = f"You cannot expand more than {EXPAND_DEPTH} levels of a property. Property: {value}"
            raise StripeError(400, message, param="expand[]")
        if is_list:
            if path[0] != "data":
                hint = f"You may want to try expanding 'data.{value}' instead."
                raise StripeError(400, f"This property cannot be expanded ({value}). {hint}", param="expand[]")
            path = path[1:]
        if path:
            paths.append(path)
    return paths


def error_body(status: int) -> dict[str, Any]:
    """How Stripe words a failure of its own with this status."""
    if status == 429:
        return {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}}
    return {"error": {"type": "api_error", "message": "Sorry, something went wrong on our end."}}


def stripe_app(world: World) -> Starlette:
    """Stripe, to be mounted at the base of its API."""
    return StripeServer(world).app()
