"""A Zendesk account's desk: what is wrong with a ticket, and what one that was taken becomes.

The API is one way in; nothing here knows of requests.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sandbox.accounts.shared import json_field

if TYPE_CHECKING:
    from sandbox.accounts.shared import World

PRIORITIES = frozenset({"urgent", "high", "normal", "low"})
TYPES = frozenset({"problem", "incident", "question", "task"})
STATUSES = frozenset({"new", "open", "pending", "hold", "solved", "closed"})


class TicketDesk:
    """Tickets and the people who ask."""

    def __init__(self, world: World) -> None:
        self.world = world

    def problems_of(self, ticket: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
        """What is wrong with a ticket that somebody wants to create, by field; nothing if nothing is."""
        details: dict[str, list[dict[str, str]]] = {}
        comment = ticket.get("comment")
        text = "" if not isinstance(comment, dict) else comment.get("body") or comment.get("html_body") or ""
        if not str(text).strip():
            details["base"] = [
                {"description": "Description: cannot be blank", "error": "BlankValue", "field_key": "description"}
            ]
        for field, allowed in (("priority", PRIORITIES), ("type", TYPES), ("status", STATUSES)):
            value = ticket.get(field)
            if value is not None and not (isinstance(value, str) and value in allowed):
                words = f"{field.capitalize()}: {value} is not a valid value"
                details[field] = [{"description": words, "error": "InvalidValue"}]
        requester_id = ticket.get("requester_id")
        if requester_id is not None and self.world.rows.get("zendesk.users", str(requester_id)) is None:
            words = "Requester: is not a valid user"
            details["requester"] = [{"description": words, "error": "InvalidValue"}]
        requester = ticket.get("requester")
        if isinstance(requester, dict) and "@" not in str(requester.get("email", "")):
            words = f"Requester: Email: {requester.get('email')} is not properly formatted"
            details["requester"] = [{"description": words, "error": "InvalidFormat"}]
        return details

    def create(self, ticket: dict[str, Any], base: str) -> dict[str, Any]:
        """Write the ticket, and its requester if new, as the next export shows it; `base` is the account's address."""
        now = self.world.now()
        ticket_id = self.world.new_id("zendesk.tickets")
        requester_id, organization_id = self.requester(ticket, now, base)
        comment, tags = ticket["comment"], ticket.get("tags")
        text = comment.get("body") or comment.get("html_body")
        shown = {
            "id": ticket_id,
            "url": f"{base}/api/v2/tickets/{ticket_id}.json",
            "external_id": ticket.get("external_id"),
            "via": {"channel": "api", "source": {"from": {}, "to": {}, "rel": None}},
            "created_at": iso(now),
            "updated_at": iso(now),
            "generated_timestamp": int(now),
            "type": ticket.get("type"),
            "subject": ticket.get("subject") or str(text)[:80],
            "raw_subject": ticket.get("subject") or str(text)[:80],
            "description": text,
            "priority": ticket.get("priority"),
            "status": ticket.get("status") or "new",
            "recipient": None,
            "requester_id": requester_id,
            "submitter_id": ticket.get("submitter_id") or requester_id,
            "assignee_id": ticket.get("assignee_id"),
            "organization_id": ticket.get("organization_id") or organization_id,
            "group_id": ticket.get("group_id"),
            "tags": sorted({str(tag) for tag in tags}) if isinstance(tags, list) else [],
            "custom_fields": ticket.get("custom_fields") or [],
            "satisfaction_rating": {"score": "unoffered"},
            "is_public": comment.get("public", True) is not False,
            "has_incidents": False,
            "allow_attachments": True,
        }
        self.world.store.put("zendesk.tickets", ticket_id, shown, created_at=now, updated_at=now)
        metrics = {
            "id": ticket_id,
            "ticket_id": ticket_id,
            "created_at": iso(now),
            "updated_at": iso(now),
            "reopens": 0,
            "replies": 0,
            "assignee_stations": 0,
            "group_stations": 1,
            "assigned_at": None,
            "solved_at": None,
            "reply_time_in_minutes": {"calendar": None, "business": None},
            "first_resolution_time_in_minutes": {"calendar": None, "business": None},
            "full_resolution_time_in_minutes": {"calendar": None, "business": None},
        }
        self.world.store.put("zendesk.ticket_metrics", ticket_id, metrics, created_at=now, updated_at=now)
        return shown

    def requester(self, ticket: dict[str, Any], now: float, base: str) -> tuple[int, int | None]:
        """Id and organisation of the requester: found by id or e-mail, else created; the agent when none is given."""
        user: dict[str, Any] | None = None
        if ticket.get("requester_id") is not None:
            user = self.world.store.get("zendesk.users", ticket["requester_id"])
        elif isinstance(ticket.get("requester"), dict):
            user = self.user_by_email(ticket["requester"], now, base)
        if user is None:
            return 1, None
        return int(user["id"]), user.get("organization_id")

    def user_by_email(self, requester: dict[str, Any], now: float, base: str) -> dict[str, Any]:
        """The end user with this address, created when there is none (Zendesk does so as well)."""
        email = str(requester["email"]).strip().lower()
        found = self.world.rows.select(
            "zendesk.users", f"lower({json_field('email')}) = ?", (email,), order="id_number, id", limit=1
        )
        if found:
            return found[0].parsed()
        user_id = self.world.new_id("zendesk.users")
        user: dict[str, Any] = {
            "id": user_id,
            "url": f"{base}/api/v2/users/{user_id}.json",
            "name": requester.get("name") or email,
            "email": email,
            "role": "end-user",
            "external_id": None,
            "organization_id": None,
            "active": True,
            "verified": False,
            "suspended": False,
            "shared": False,
            "locale": "en-US",
            "phone": None,
            "tags": [],
            "user_fields": {},
            "created_at": iso(now),
            "updated_at": iso(now),
        }
        self.world.store.put("zendesk.users", user_id, user, created_at=now, updated_at=now)
        return user


def iso(instant: float) -> str:
    """Unix seconds as Zendesk writes times."""
    return datetime.fromtimestamp(math.floor(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
