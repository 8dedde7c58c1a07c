"""Zendesk objects as its incremental exports show them, with a metric set per ticket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.world.dates import iso

if TYPE_CHECKING:
    from sandbox.records.desk import Body, Desk

BASE = "https://sandbox.zendesk.example/api/v2"


def organization_created(
    desk: Desk,
    at: float,
    *,
    key: int,
    name: str,
    external_id: str | None,
    domain_names: list[str],
) -> None:
    """A company at the help desk."""
    body = {
        "id": key, "url": f"{BASE}/organizations/{key}.json", "name": name, "external_id": external_id,
        "domain_names": domain_names, "details": "", "notes": "", "group_id": None, "shared_tickets": False,
        "shared_comments": False, "tags": [], "organization_fields": {}, "created_at": iso(at), "updated_at": iso(at),
    }  # fmt: skip
    desk.create("zendesk.organizations", key, at, body)


def organization_changed(desk: Desk, at: float, *, key: int, changes: Body) -> None:
    """Other domains, for instance."""
    desk.change("zendesk.organizations", key, at, {**changes, "updated_at": iso(at)})


def user_created(
    desk: Desk, at: float, *, key: int, name: str, email: str, external_id: str | None,
    organization_id: int | None,
) -> None:  # fmt: skip
    """An end user, made when somebody is first heard of."""
    body = {
        "id": key, "url": f"{BASE}/users/{key}.json", "name": name, "email": email, "role": "end-user",
        "external_id": external_id, "organization_id": organization_id, "active": True, "verified": True,
        "suspended": False, "shared": False, "locale": "en-US", "phone": None, "tags": [], "user_fields": {},
        "created_at": iso(at), "updated_at": iso(at),
    }  # fmt: skip
    desk.create("zendesk.users", key, at, body)


def user_changed(desk: Desk, at: float, *, key: int, changes: Body) -> None:
    """Another organisation, for instance."""
    desk.change("zendesk.users", key, at, {**changes, "updated_at": iso(at)})


def ticket_created(desk: Desk, at: float, **fact: Any) -> None:
    """A new ticket with empty metrics."""
    number = fact["key"]
    body = {
        "id": number, "url": f"{BASE}/tickets/{number}.json", "external_id": None,
        "via": {"channel": fact["channel"], "source": {"from": {}, "to": {}, "rel": None}}, "created_at": iso(at),
        "updated_at": iso(at), "generated_timestamp": int(at), "type": "question", "subject": fact["subject"],
        "raw_subject": fact["subject"], "description": fact["subject"], "priority": fact["priority"], "status": "new",
        "recipient": None, "requester_id": fact["requester_id"], "submitter_id": fact["requester_id"],
        "assignee_id": None, "organization_id": fact["organization_id"], "group_id": 7001, "tags": fact["tags"],
        "custom_fields": [], "satisfaction_rating": {"score": "unoffered"}, "is_public": True, "has_incidents": False,
        "allow_attachments": True,
    }  # fmt: skip
    desk.create("zendesk.tickets", number, at, body)
    empty = {"calendar": None, "business": None}
    metrics = {
        "id": number, "ticket_id": number, "created_at": iso(at), "updated_at": iso(at), "reopens": 0, "replies": 0,
        "assignee_stations": 0, "group_stations": 1, "assigned_at": None, "solved_at": None,
        "reply_time_in_minutes": empty, "first_resolution_time_in_minutes": empty,
        "full_resolution_time_in_minutes": empty,
    }  # fmt: skip
    desk.create("zendesk.ticket_metrics", number, at, metrics)


def _ticket(desk: Desk, at: float, number: int, changes: Body, metrics: Body) -> None:
    times = {"updated_at": iso(at)}
    desk.change("zendesk.tickets", number, at, {**changes, **times, "generated_timestamp": int(at)})
    if metrics:
        desk.change("zendesk.ticket_metrics", number, at, {**metrics, **times})


def _minutes(desk: Desk, number: int, at: float) -> Body:
    created = desk.created_at("zendesk.tickets", number)
    minutes = int((at - created) // 60)
    return {"calendar": minutes, "business": minutes // 3}


def ticket_replied(desk: Desk, at: float, *, key: int, agent: int) -> None:
    """The first answer of an agent, who waits for the requester now."""
    metrics = {
        "replies": 1, "reply_time_in_minutes": _minutes(desk, key, at), "assigned_at": iso(at), "assignee_stations": 1,
    }  # fmt: skip
    _ticket(desk, at, key, {"status": "pending", "assignee_id": agent}, metrics)


def ticket_solved(desk: Desk, at: float, *, key: int) -> None:
    """Solved, for the first time or again."""
    metrics = desk.find("zendesk.ticket_metrics", key)
    minutes = _minutes(desk, key, at)
    changes = {"solved_at": iso(at), "full_resolution_time_in_minutes": minutes, "replies": metrics["replies"] + 1}
    if metrics["solved_at"] is None:
        changes["first_resolution_time_in_minutes"] = minutes
    _ticket(desk, at, key, {"status": "solved", "satisfaction_rating": {"score": "offered"}}, changes)


def ticket_reopened(desk: Desk, at: float, *, key: int) -> None:
    """The requester is not content with the solution."""
    metrics = desk.find("zendesk.ticket_metrics", key)
    _ticket(desk, at, key, {"status": "open", "priority": "high"}, {"reopens": metrics["reopens"] + 1})


def ticket_closed(desk: Desk, at: float, *, key: int) -> None:
    """Four days after the solution nothing can be added."""
    _ticket(desk, at, key, {"status": "closed"}, {})


def ticket_rated(desk: Desk, at: float, *, key: int, rating: int, score: str) -> None:
    """The requester's opinion, on the ticket and as a rating of its own."""
    ticket = desk.find("zendesk.tickets", key)
    _ticket(desk, at, key, {"satisfaction_rating": {"id": rating, "score": score, "comment": None}}, {})
    body = {
        "id": rating, "url": f"{BASE}/satisfaction_ratings/{rating}.json", "assignee_id": ticket["assignee_id"],
        "group_id": ticket["group_id"], "requester_id": ticket["requester_id"], "ticket_id": key, "score": score,
        "reason": "No reason provided" if score == "good" else "The issue took too long to resolve", "comment": None,
        "created_at": iso(at), "updated_at": iso(at),
    }  # fmt: skip
    desk.create("zendesk.satisfaction_ratings", rating, at, body)
