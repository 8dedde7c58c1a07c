"""A Stripe account's objects: which lists there are, how they are filtered, and how an object is shown.

Nothing here knows of requests; a filter or a path to expand that means nothing is a `StripeError`, in Stripe's words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from sandbox.accounts.shared import json_field

if TYPE_CHECKING:
    from sandbox.accounts.shared import Rows

EMBEDDED_LINES = 10


@dataclass(frozen=True, slots=True)
class Resource:
    """One list endpoint: where its objects are kept and which filters it has besides `created`."""

    name: str
    object_name: str
    # by the parameter's name, the value of the object that it is compared with
    filters: dict[str, str]

    @property
    def collection(self) -> str:
        """The store's name for it."""
        return f"stripe.{self.name}"


RESOURCES = {
    item.name: item
    for item in (
        Resource("customers", "customer", {"email": json_field("email")}),
        Resource("products", "product", {"active": json_field("active")}),
        Resource(
            "prices",
            "price",
            {
                "active": json_field("active"),
                "product": json_field("product"),
                "currency": json_field("currency"),
                "type": json_field("type"),
            },
        ),
        Resource("coupons", "coupon", {}),
        Resource(
            "subscriptions",
            "subscription",
            {"customer": json_field("customer"), "collection_method": json_field("collection_method")},
        ),
        Resource(
            "invoices",
            "invoice",
            {
                "customer": json_field("customer"),
                "status": json_field("status"),
                "collection_method": json_field("collection_method"),
                "subscription": json_field("parent.subscription_details.subscription"),
            },
        ),
        Resource("refunds", "refund", {"charge": json_field("charge"), "payment_intent": json_field("payment_intent")}),
        Resource(
            "charges", "charge", {"customer": json_field("customer"), "payment_intent": json_field("payment_intent")}
        ),
        Resource("events", "event", {"delivery_success": "1"}),
    )
}
SUBSCRIPTION_STATUSES = frozenset(
    {"incomplete", "incomplete_expired", "trialing", "active", "past_due", "canceled", "unpaid", "paused"}
)
ID_PREFIXES = {
    "cus": "stripe.customers",
    "prod": "stripe.products",
    "price": "stripe.prices",
    "sub": "stripe.subscriptions",
    "in": "stripe.invoices",
    "ch": "stripe.charges",
    "re": "stripe.refunds",
}
# the products that a coupon is limited to: shown on request only, and absent where it is not limited
ON_REQUEST = ("coupon", "applies_to")
# where a discount stands as an id unless it is asked for
DISCOUNT_PATHS: tuple[tuple[str, ...], ...] = (
    ("discounts",),
    ("items", "data", "discounts"),
    ("lines", "data", "discounts"),
)


class StripeError(Exception):
    """An answer in Stripe's error envelope."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.body: dict[str, Any] = {"type": "invalid_request_error", "message": message}
        if code:
            self.body |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
        if param:
            self.body["param"] = param


# Lists


def parameter_condition(resource: Resource, name: str, value: str, values: list[Any]) -> str:
    """The condition behind one filter parameter; its value is added to `values`.

    Raises:
        StripeError: if the resource has no such filter.
    """
    if name.partition("[")[0] == "created":
        values.append(integer(value, name))
        return f"created_at {created_operator(name)} ?"
    if resource.name == "subscriptions" and name == "status":
        return subscription_status(value, values)
    if name not in resource.filters:
        raise StripeError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    values.append(int(value == "true") if name in ("active", "delivery_success") else value)
    return f"{resource.filters[name]} = ?"


def created_operator(name: str) -> str:
    """The comparison of `created`, `created[gte]` and so on."""
    operators = {
        "created": "=",
        "created[gte]": ">=",
        "created[gt]": ">",
        "created[lte]": "<=",
        "created[lt]": "<",
    }
    if name not in operators:
        raise StripeError(400, f"Received unknown parameter: {name}", code="parameter_unknown", param=name)
    return operators[name]


def subscription_status(value: str, values: list[Any]) -> str:
    """The condition behind `status=` of the subscriptions list."""
    if value == "all":
        return "1"
    if value == "ended":
        return f"{json_field('status')} in ('canceled', 'incomplete_expired')"
    if value not in SUBSCRIPTION_STATUSES:
        allowed = ", ".join(sorted(SUBSCRIPTION_STATUSES | {"all", "ended"}))
        raise StripeError(400, f"Invalid status: must be one of {allowed}", param="status")
    values.append(value)
    return f"{json_field('status')} = ?"


def event_type_condition(kind: str, values: list[Any]) -> str:
    """The condition for one event type; `customer.*` style wildcards are allowed."""
    if kind.endswith("*"):
        values.append(kind[:-1])
        return f"substr({json_field('type')}, 1, {len(kind) - 1}) = ?"
    values.append(kind)
    return f"{json_field('type')} = ?"


def integer(value: str, param: str) -> int:
    """A parameter that must be a whole number."""
    try:
        return int(value)
    except ValueError:
        raise StripeError(400, f"Invalid integer: {value}", code="parameter_invalid_integer", param=param) from None


# Objects


class Objects:
    """The account's objects, as requests see them."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def shown(self, body: bytes, expand: list[list[str]]) -> bytes:
        """An object as the request sees it: discounts as ids, at most ten lines, what was asked for expanded."""
        has_discounts = b'"discounts":[{' in body
        has_long_lines = body.count(b'"line_item"') > EMBEDDED_LINES
        is_limited = b'"applies_to"' in body
        if not (expand or has_discounts or has_long_lines or is_limited):
            return body
        value = orjson.loads(body)
        if is_limited and value.get("object") == ON_REQUEST[0] and [ON_REQUEST[1]] not in expand:
            value.pop(ON_REQUEST[1], None)
        if has_long_lines and isinstance(value.get("lines"), dict):
            lines = value["lines"]
            lines["total_count"] = len(lines["data"])
            lines["has_more"] = len(lines["data"]) > EMBEDDED_LINES
            lines["data"] = lines["data"][:EMBEDDED_LINES]
        kept = {tuple(path[: index + 1]) for path in expand for index in range(len(path))}
        for discounts in DISCOUNT_PATHS:
            if discounts not in kept:
                collapse(value, discounts)
        for path in expand:
            self.expand(value, path, path)
        return orjson.dumps(value)

    def expand(self, value: Any, path: list[str], whole: list[str]) -> None:
        """Replace ids at `path` by their objects, in place."""
        if isinstance(value, list):
            for item in value:
                self.expand(item, path, whole)
            return
        if not path or value is None:
            return
        if isinstance(value, dict) and (value.get("object"), path[0]) == ON_REQUEST and path[0] not in value:
            return
        if not isinstance(value, dict) or path[0] not in value:
            raise StripeError(400, f"This property cannot be expanded ({'.'.join(whole)}).", param="expand[]")
        name, rest = path[0], path[1:]
        inner = value[name]
        if isinstance(inner, int | float):
            raise StripeError(400, f"This property cannot be expanded ({'.'.join(whole)}).", param="expand[]")
        if isinstance(inner, str):
            inner = value[name] = self.fetched(inner, whole)
        elif isinstance(inner, list):
            value[name] = inner = [self.fetched(item, whole) if isinstance(item, str) else item for item in inner]
        if rest:
            self.expand(inner, rest, whole)

    def fetched(self, object_id: str, whole: list[str]) -> Any:
        """The object behind an id; an id without an object stays an id, as for an unknown coupon of a discount."""
        collection = ID_PREFIXES.get(object_id.partition("_")[0])
        if collection is None:
            if object_id.startswith("di_"):
                return object_id
            raise StripeError(400, f"This property cannot be expanded ({'.'.join(whole)}).", param="expand[]")
        row = self.rows.get(collection, object_id)
        return orjson.loads(self.shown(row.body, [])) if row else object_id


def needs_rewriting(resource: Resource, expand: list[list[str]]) -> bool:
    """Whether some object of this resource may be shown other than stored."""
    return bool(expand) or resource.name in ("subscriptions", "invoices", "customers", "coupons")


def collapse(value: Any, path: tuple[str, ...]) -> None:
    """Replace the objects in the list at `path` by their ids, in place."""
    if isinstance(value, list):
        for item in value:
            collapse(item, path)
        return
    if not isinstance(value, dict) or path[0] not in value:
        return
    if len(path) > 1:
        collapse(value[path[0]], path[1:])
    elif isinstance(value[path[0]], list):
        value[path[0]] = [item["id"] if isinstance(item, dict) else item for item in value[path[0]]]
