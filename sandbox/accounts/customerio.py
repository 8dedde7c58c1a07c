"""A Customer.io workspace: what is wrong with an operation on it, and what a good one does to its people.

The Track API is one way in; nothing here knows of requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sandbox.accounts.shared import json_field

if TYPE_CHECKING:
    from sandbox.accounts.shared import World

NAME_BYTES = 150
EVENT_NAME_BYTES = 100
VALUE_BYTES = 1000
ATTRIBUTES = 300
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
PERSON_ACTIONS = frozenset(
    {"identify", "delete", "event", "screen", "page", "merge", "suppress", "unsuppress"}
    | {"add_relationships", "delete_relationships", "add_device", "delete_device"}
)
EXISTS = f"not coalesce({json_field('deleted')}, 0)"
IDENTIFIERS = ("id", "email", "cio_id")
SUPPRESSED = "customerio.suppressed"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one operation of the v2 API."""

    reason: str
    field: str
    message: str

    def body(self) -> dict[str, Any]:
        """The problem as the API writes it."""
        return {"reason": self.reason, "field": self.field, "message": self.message}


def problem_of(operation: Any) -> Problem | None:
    """What is wrong with a v2 operation, or None."""
    if not isinstance(operation, dict):
        return Problem("invalid", "", "operation must be an object")
    kind, action = operation.get("type"), operation.get("action")
    if kind not in ("person", "object", "delivery"):
        return Problem("invalid" if kind else "required", "type", "must be one of person, object, delivery")
    if not action:
        return Problem("required", "action", "is required")
    if kind == "person":
        return person_problem(operation, action)
    return None if isinstance(operation.get("identifiers"), dict) else Problem("required", "identifiers", "is required")


def person_problem(operation: dict[str, Any], action: Any) -> Problem | None:
    """What is wrong with an operation on a person, or None."""
    if not isinstance(action, str) or action not in PERSON_ACTIONS:
        return Problem("invalid", "action", "is not supported for type person")
    fields = ("primary", "secondary") if action == "merge" else ("identifiers",)
    problems = [identifier_problem(operation.get(field), field) for field in fields]
    if action in ("event", "screen", "page"):
        problems.append(event_problem(operation))
    if action == "identify":
        problems.append(attribute_problem(operation.get("attributes")))
    timestamp = operation.get("timestamp")
    if timestamp is not None and (not isinstance(timestamp, int) or isinstance(timestamp, bool)):
        problems.append(Problem("invalid", "timestamp", "must be a unix timestamp in seconds"))
    return next((problem for problem in problems if problem), None)


def identifier_problem(identifiers: Any, field: str) -> Problem | None:
    """What is wrong with a person's identifiers, or None."""
    if not isinstance(identifiers, dict) or not identifiers:
        return Problem("required", field, "is required")
    given = [name for name in IDENTIFIERS if identifiers.get(name) not in (None, "")]
    if len(given) != 1 or set(identifiers) - set(IDENTIFIERS):
        return Problem("invalid", field, "must be exactly one of id, email, cio_id")
    value = identifiers[given[0]]
    if not isinstance(value, str | int) or len(str(value).encode()) > NAME_BYTES:
        return Problem("invalid", f"{field}.{given[0]}", f"must be text of at most {NAME_BYTES} bytes")
    if given[0] == "email" and "@" not in str(value):
        return Problem("invalid", f"{field}.email", "is not a valid email address")
    return None


def event_problem(event: dict[str, Any]) -> Problem | None:
    """What is wrong with an event, or None."""
    name = event.get("name")
    if not isinstance(name, str) or not name.strip():
        return Problem("required", "name", "is required")
    if len(name.strip().encode()) > EVENT_NAME_BYTES:
        return Problem("invalid", "name", f"must be at most {EVENT_NAME_BYTES} bytes")
    event_id = event.get("id")
    if event_id is not None and not (isinstance(event_id, str) and ULID.fullmatch(event_id)):
        return Problem("invalid", "id", "must be a valid ULID")
    attributes = event.get("attributes")
    if attributes is not None and not isinstance(attributes, dict):
        return Problem("invalid", "attributes", "must be an object")
    return None


def attribute_problem(attributes: Any) -> Problem | None:
    """What is wrong with a person's attributes, or None."""
    if attributes is None:
        return None
    if not isinstance(attributes, dict):
        return Problem("invalid", "attributes", "must be an object")
    if len(attributes) > ATTRIBUTES:
        return Problem("invalid", "attributes", f"must be at most {ATTRIBUTES} attributes")
    for name, value in attributes.items():
        if len(name.encode()) > NAME_BYTES:
            return Problem("invalid", f"attributes.{name}", f"name must be at most {NAME_BYTES} bytes")
        if isinstance(value, str) and len(value.encode()) > VALUE_BYTES:
            return Problem("invalid", f"attributes.{name}", f"must be at most {VALUE_BYTES} bytes")
    return None


class Workspace:
    """The people of the workspace, as operations change them."""

    def __init__(self, world: World) -> None:
        self.world = world

    def apply(self, operation: dict[str, Any]) -> None:
        """Let a valid operation change the workspace, and note it."""
        action = operation["action"]
        key = operation.get("id") if action in ("event", "screen", "page") else None
        store = self.world.store
        if action not in ("suppress", "unsuppress") and self.is_suppressed(operation):
            store.record_delivery("customerio", "ignored", operation)
            return
        if key is not None and store.deliveries("customerio", idempotency_key=key):
            # the vendor drops the repeat without a word; we keep a trace under another kind, so that tests can count it
            store.record_delivery("customerio", "repeated_event", operation)
            return
        store.record_delivery("customerio", action, operation, idempotency_key=key)
        if operation["type"] != "person":
            return
        if action == "identify":
            self.identify(operation)
        elif action == "delete":
            self.remove(operation["identifiers"])
        elif action == "suppress":
            self.suppress(operation["identifiers"])
        elif action == "unsuppress":
            self.unsuppress(operation["identifiers"])
        elif action == "merge" and self.find(operation["primary"]):
            self.remove(operation["secondary"])

    def suppress(self, identifiers: dict[str, Any]) -> None:
        """Take a person out and let nobody come back under the same id or address."""
        person = self.find(identifiers) or {}
        known = {name: person.get(name) for name in ("id", "email")} | identifiers
        now = self.world.now()
        for key in _keys(known):
            self.world.store.put(SUPPRESSED, key, {"with": _keys(known)}, now, now)
        self.remove(identifiers)

    def unsuppress(self, identifiers: dict[str, Any]) -> None:
        """Let an id or address be used again, with those it was suppressed with. Nobody is brought back by it."""
        for key in _keys(identifiers):
            for each in (self.world.store.get(SUPPRESSED, key) or {}).get("with", []):
                self.world.store.delete(SUPPRESSED, each)

    def is_suppressed(self, operation: dict[str, Any]) -> bool:
        """Whether an operation names somebody who is suppressed: it is accepted then, and ignored."""
        named = [operation.get(field) for field in ("identifiers", "primary", "secondary")]
        keys = [key for each in named if isinstance(each, dict) for key in _keys(each)]
        return any(self.world.store.get(SUPPRESSED, key) is not None for key in keys)

    def remove(self, identifiers: dict[str, Any]) -> None:
        """Take a person out of the workspace. The document stays, marked: the simulated person lives on elsewhere."""
        person = self.find(identifiers)
        document = self.world.store.document("customerio.customers", person["id"]) if person else None
        if document:
            body = document.body | {"deleted": True}
            self.world.store.put("customerio.customers", document.id, body, document.created_at, self.world.now())

    def find(self, identifiers: dict[str, Any]) -> dict[str, Any] | None:
        """The person with these identifiers, by the first that is given."""
        store = self.world.store
        if identifiers.get("id") is not None:
            person = store.get("customerio.customers", str(identifiers["id"]))
            return None if person is None or person.get("deleted") else person
        for name in ("email", "cio_id"):
            if identifiers.get(name) is None:
                continue
            rows = self.world.rows.select(
                "customerio.customers",
                f"lower({json_field(name)}) = ? and {EXISTS}",
                (str(identifiers[name]).lower(),),
                order="id_number, id",
                limit=1,
            )
            return store.get("customerio.customers", rows[0].id) if rows else None
        return None

    def identify(self, operation: dict[str, Any]) -> None:
        """Create or update a person."""
        attributes = dict(operation.get("attributes") or {})
        only_update = attributes.pop("_update", False)
        # an id of the vendor's own that nobody has makes nobody: it belonged to somebody who was deleted
        is_new = not self.change(operation["identifiers"], attributes) and not operation["identifiers"].get("cio_id")
        if is_new and not only_update:
            now = self.world.now()
            number_ = self.world.store.next_id("customerio.cio_id")
            identifiers = operation["identifiers"]
            person_id = str(identifiers.get("id") or identifiers.get("email") or number_)
            person = {
                "id": person_id,
                "email": identifiers.get("email"),
                "cio_id": f"5a{number_:010x}",
                "unsubscribed": False,
                "attributes": {},
            }
            self.world.store.put("customerio.customers", person_id, person, now, now)
            self.change({"id": person_id}, attributes)

    def change(self, identifiers: dict[str, Any], attributes: dict[str, Any]) -> bool:
        """Set attributes of a person; whether there is one. Null and empty values remove an attribute."""
        person = self.find(identifiers)
        if person is None:
            return False
        document = self.world.store.document("customerio.customers", person["id"])
        if document is None:
            return False
        kept = person.setdefault("attributes", {})
        for name, value in attributes.items():
            if name == "unsubscribed":
                person["unsubscribed"] = value in (True, "true", 1)
            elif name == "email":
                person["email"] = value
            elif value in (None, ""):
                kept.pop(name, None)
            else:
                kept[name] = value
        parent = "unsubscribed" if person.get("unsubscribed") else None
        self.world.store.put("customerio.customers", document.id, person, document.created_at, self.world.now(), parent)
        return True


def _keys(identifiers: dict[str, Any]) -> list[str]:
    """Under which keys the identifiers of a person are kept as suppressed; the vendor's own id is never."""
    given = [(name, identifiers.get(name)) for name in ("id", "email")]
    return [f"{name}:{str(value).lower() if name == 'email' else value}" for name, value in given if value]


def attributes_of(person: dict[str, Any]) -> dict[str, Any]:
    """A person's attributes, the reserved ones included."""
    custom: dict[str, Any] = person.get("attributes", {})
    return {"id": person["id"], "email": person.get("email")} | custom
