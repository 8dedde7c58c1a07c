"""Zendesk: escalation tickets with the customer's recent behaviour, internal, never mailing the customer.

A public first comment e-mails the requester, so `public` is false here and not a matter of the payload. The action id
is both `Idempotency-Key` (kept for two hours) and `external_id`, by which a ticket is looked up before a second send.
Tickets go one by one: `create_many` takes no such key and answers with a job, so a lost answer could not be told from a
lost job. How many a minute the account may send is learned from its rate headers.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from activation.actions import Action, Outcome, written
from activation.destinations import Basics
from activation.errors import OutcomeUnknownError
from activation.pacing import Rate
from activation.transport import Reply, Transport, words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PRIORITIES = frozenset({"urgent", "high", "normal", "low"})
PASSED_THROUGH = ("priority", "tags", "type", "group_id", "custom_fields")
KEY_IS_TAKEN = "IdempotentRequestError"  # another body came with this key in the last two hours
LEAST_LIMIT, LARGEST_LIMIT = 10, 2500  # requests a minute that Zendesk's plans grant


def rate_of(per_minute: int) -> Rate:
    """The rate that keeps below so many requests in any minute, the burst included, with some to spare."""
    burst = max(per_minute // 40, 1)
    return Rate((per_minute * 0.985 - burst) / 60, burst)


class Zendesk(Basics):
    """The account at `base_url` (https://{subdomain}.zendesk.com), with an API token."""

    name = "zendesk"
    batch_size = 1
    concurrency = 8
    can_be_asked = True

    def __init__(self, base_url: str, email: str, api_token: str, *, allow_private: bool = False) -> None:
        self.rate = rate_of(400)  # what Growth and Professional grant, until an answer says otherwise
        self._limit = 400
        basic = b64encode(f"{email}/token:{api_token}".encode()).decode()
        self._transport = Transport(
            base_url, secrets=(api_token, basic), auth=(f"{email}/token", api_token), allow_private=allow_private
        )

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """See Destination."""
        (action,) = actions
        ticket, problem = _ticket(action)
        if problem:
            return [Outcome.rejected(problem)]
        body = written({"ticket": ticket})
        reply = self._transport.post("/api/v2/tickets.json", body, {"Idempotency-Key": action.action_id})
        return [self._outcome(reply)]

    def resolve(self, actions: Sequence[Action]) -> list[Outcome]:
        """Look for the ticket by its external id. The lowest id is ours should there be several."""
        (action,) = actions
        reply = self._transport.get("/api/v2/tickets.json", {"external_id": action.action_id})
        found = reply.data.get("tickets") if reply.status_code == 200 and isinstance(reply.data, dict) else None
        if not isinstance(found, list):
            raise OutcomeUnknownError("The lookup by external id failed.", reply.status_code)
        rest = self._learned(reply.headers)
        ours = [ticket["id"] for ticket in found if ticket.get("external_id") == action.action_id]
        if not ours:
            return [Outcome.waiting("There is no ticket with its external id.", 200, rest=rest)]
        return [Outcome.acknowledged(str(min(ours)), 200, "Found by its external id.", rest)]

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _outcome(self, reply: Reply) -> Outcome:
        status = reply.status_code
        if status in {200, 201}:
            ticket = reply.data.get("ticket") if isinstance(reply.data, dict) else None
            if not isinstance(ticket, dict) or "id" not in ticket:
                raise OutcomeUnknownError("The answer names no ticket.", status)
            hit = reply.headers.get("x-idempotency-lookup") == "hit"
            said = "It was there already." if hit else ""
            return Outcome.acknowledged(str(ticket["id"]), status, said, self._learned(reply.headers))
        said = words(reply, self._transport.redact)
        if status == 409 or KEY_IS_TAKEN in said:  # so there was a first one: what became of it, its external id says
            return Outcome.unknown(said, status)
        return Outcome.rejected(said, status)

    def _learned(self, headers: Mapping[str, str]) -> float:
        """Take over the account's limit; the seconds to rest if others have used it up."""
        limit, remaining = _number(headers.get("x-rate-limit")), _number(headers.get("x-rate-limit-remaining"))
        if limit is not None and limit != self._limit and LEAST_LIMIT <= limit <= LARGEST_LIMIT:
            self._limit, self.rate = limit, rate_of(limit)
        if remaining == 0:
            return float(_number(headers.get("ratelimit-reset")) or 60)
        return 0.0


def _number(value: str | None) -> int | None:
    return int(value) if value is not None and value.isdecimal() else None


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
