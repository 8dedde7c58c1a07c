"""Customer.io: people, campaigns, one message per delivery with the instants of what happened to it."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from sandbox.world.catalog import CAMPAIGNS
from sandbox.world.parameters import FOUNDED_AT

if TYPE_CHECKING:
    from sandbox.records.desk import Body, Desk


def open_account(desk: Desk) -> None:
    """The campaigns, and the segment of those who unsubscribed."""
    at = FOUNDED_AT + 60
    for campaign in CAMPAIGNS:
        body = {
            "id": campaign.id, "deduplicate_id": f"{campaign.id}:{at}", "name": campaign.name, "type": campaign.kind,
            "created": at, "updated": at, "active": True, "state": "running", "first_started": at,
            "actions": [{"id": 10 * campaign.id, "type": "email"}], "tags": ["lifecycle"], "date_attribute": None,
            "event_name": campaign.event_name, "trigger_segment_ids": [],
        }  # fmt: skip
        desk.create("customerio.campaigns", campaign.id, at, body)
    for number, name in ((1, "All people"), (2, "Unsubscribed")):
        body = {
            "id": number, "deduplicate_id": f"{number}:{at}", "name": name, "description": name, "state": "finished",
            "progress": None, "type": "dynamic", "tags": None,
        }  # fmt: skip
        desk.create("customerio.segments", number, at, body)


def customer_created(desk: Desk, at: float, *, key: str, email: str, name: str, account_id: str) -> None:
    """A person that can be written to."""
    body = {
        "id": key, "email": email, "cio_id": f"5a{blake2b(key.encode(), digest_size=5).hexdigest()}",
        "unsubscribed": False, "attributes": {"name": name, "account_id": account_id, "created_at": int(at)},
        "devices": [],
    }  # fmt: skip
    desk.create("customerio.customers", key, at, body)


def customer_changed(desk: Desk, at: float, *, key: str, changes: Body) -> None:
    """Another address, or the wish to hear no more."""
    parent = "unsubscribed" if changes.get("unsubscribed") else None
    desk.change("customerio.customers", key, at, changes, parent=parent)


def message_sent(
    desk: Desk,
    at: float,
    *,
    key: str,
    campaign: int,
    subject: str,
    user_id: str,
    email: str,
    bounced: bool,
) -> None:
    """An e-mail went out."""
    person = desk.find("customerio.customers", user_id)
    metrics = {"created": int(at), "sent": int(at) + 1}
    metrics |= {"bounced": int(at) + 4} if bounced else {"delivered": int(at) + 3}
    body = {
        "id": key, "deduplicate_id": f"{key}:{int(at)}", "type": "email", "campaign_id": campaign,
        "action_id": 10 * campaign, "newsletter_id": None, "broadcast_id": None, "parent_action_id": None,
        "msg_template_id": 10 * campaign, "customer_id": user_id,
        "customer_identifiers": {"id": user_id, "email": person["email"], "cio_id": person["cio_id"]},
        "recipient": email, "subject": subject, "metrics": metrics, "created": int(at), "failure_message": None,
        "forgotten": False,
    }  # fmt: skip
    desk.create("customerio.messages", key, at, body, parent=user_id)


def message_changed(desk: Desk, at: float, *, key: str, metric: str) -> None:
    """It was opened, clicked, or answered by unsubscribing."""
    metrics = {**desk.find("customerio.messages", key)["metrics"], metric: int(at)}
    desk.change("customerio.messages", key, at, {"metrics": metrics})
