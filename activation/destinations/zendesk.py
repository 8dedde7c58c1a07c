"""Zendesk: escalation tickets with the customer's recent behaviour, internal, never mailing the customer.

A public first comment e-mails the requester, so `public` is false here and not a matter of the payload. The action id
is both `Idempotency-Key` (kept for two hours) and `external_id`, by which a ticket is looked up before a second send.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from activation.actions import Action, Outcome
from activation.pacing import Rate
from activation.transport import LimitedError, OutcomeUnknownError, Reply, Transport, words

if TYPE_CHECKING:
    from collections.abc import Sequence

PRIORITIES = frozenset({"urgent", "high", "normal", "low"})
PASSED_THROUGH = ("priority", "tags", "type", "group_id", "custom_fields")
CONFLICT_SECONDS = 1.0


class Zendesk:
    """The account at `base_url` (https://{subdomain}.zendesk.com), with an API token or an OAuth access token."""

    name = "zendesk"
    rate = Rate(per_second=5, burst=100)  # together at most 400 in any minute, what Growth and Professional allow
    batch_size = 1
    batch_bytes = 1_000_000
    resends_changes = False

    def __init__(self, base_url: str, email: str, api_token: str) -> None:
        basic = b64encode(f"{email}/token:{api_token}".encode()).decode()
        self._transport = Transport(base_url, secrets=(api_token, basic), auth=(f"{email}/token", api_token))

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """See Destination."""
        (action,) = actions
        ticket, problem = _ticket(action)
        if problem:
            return [Outcome.rejected(problem)]
        body = json.dumps({"ticket": ticket}, separators=(",", ":"), ensure_ascii=False).encode()
        reply = self._transport.post("/api/v2/tickets.json", body, {"Idempotency-Key": action.action_id})
        return [self._outcome(reply)]

    def resolve(self, action: Action) -> Outcome | None:
        """Look for the ticket by its external id. The lowest id is ours should there be several."""
        reply = self._transport.get("/api/v2/tickets.json", {"external_id": action.action_id})
        if reply.status_code != 200 or not isinstance(reply.data, dict):
            raise OutcomeUnknownError("The lookup by external id failed.", reply.status_code)
        ours = [ticket for ticket in reply.data.get("tickets") or [] if ticket.get("external_id") == action.action_id]
        if not ours:
            return None
        return Outcome.acknowledged(str(min(ticket["id"] for ticket in ours)), 200, "Found by its external id.")

    def order_key(self, action: Action) -> None:
        """Tickets do not depend on each other."""
        del action

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _outcome(self, reply: Reply) -> Outcome:
        status = reply.status_code
        said = words(reply, self._transport.redact)
        if status in {200, 201}:
            ticket = reply.data.get("ticket") if isinstance(reply.data, dict) else None
            if not isinstance(ticket, dict) or "id" not in ticket:
                raise OutcomeUnknownError("The answer names no ticket.", status)
            hit = reply.headers.get("x-idempotency-lookup") == "hit"
            return Outcome.acknowledged(str(ticket["id"]), status, "It was there already." if hit else "")
        if status == 409:
            raise LimitedError(said, status, CONFLICT_SECONDS)
        return Outcome.rejected(said, status)


def _ticket(action: Action) -> tuple[dict[str, Any], str]:
    """The ticket as the vendor wants it, and why it cannot be sent (empty if it can)."""
    body = action.body
    if not body.get("subject") or not body.get("comment"):
        return {}, "The payload needs a subject and a comment."
    if body.get("priority") is not None and body["priority"] not in PRIORITIES:
        return {}, f"A priority is one of {', '.join(sorted(PRIORITIES))}."
    ticket: dict[str, Any] = {
        "subject": body["subject"],
        "comment": {"body": body["comment"], "public": False},
        "external_id": action.action_id,
        **{name: body[name] for name in PASSED_THROUGH if body.get(name) is not None},
    }
    if body.get("requester_id"):
        ticket["requester_id"] = body["requester_id"]
    elif body.get("requester_email"):
        email = str(body["requester_email"])
        ticket["requester"] = {"email": email, "name": str(body.get("requester_name") or email)}
    return ticket, ""
