"""Customer.io: events that start or stop its campaigns, by Track API v2 batches.

One request carries up to 100 events. The answer may be 200 or 207, and either can list `errors` by `batch_index`: those
events are refused, the others accepted. Events cannot be looked up, so an unknown outcome is resolved by sending the
same ULID again, which Customer.io ignores if it has it. Messages are never sent directly (that API has no such id).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from activation.actions import Action, Outcome
from activation.identifiers import milliseconds, ulid
from activation.pacing import Rate
from activation.transport import BatchRejectedError, OutcomeUnknownError, Reply, Transport, words

if TYPE_CHECKING:
    from collections.abc import Sequence

ITEM_BYTES = 32_000  # a single operation beyond 32 kB is refused with the whole batch, so it is not even sent
NAME_BYTES = 100


class CustomerIo:
    """Track API v2 at `base_url` (https://track.customer.io, or track-eu for accounts in the EU)."""

    name = "customerio"
    rate = Rate(per_second=100, burst=100)
    batch_size = 100
    batch_bytes = 400_000  # the vendor's limit is 500 kB; the envelope of each event adds to its payload
    resends_changes = False

    def __init__(self, base_url: str, site_id: str, api_key: str) -> None:
        self._transport = Transport(base_url, secrets=(api_key, site_id), auth=(site_id, api_key))

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """See Destination."""
        outcomes: list[Outcome | None] = []
        entities: list[dict[str, Any]] = []
        for action in actions:
            entity, problem = _entity(action)
            outcomes.append(Outcome.rejected(problem) if problem else None)
            if not problem:
                entities.append(entity)
        if not entities:
            return [outcome for outcome in outcomes if outcome is not None]

        body = json.dumps({"batch": entities}, separators=(",", ":"), ensure_ascii=False).encode()
        reply = self._transport.post("/api/v2/batch", body)
        answers = iter(self._answers(reply, entities))
        return [outcome or next(answers) for outcome in outcomes]

    def resolve(self, action: Action) -> None:
        """Events cannot be looked up; the same ULID again is harmless."""
        del action

    def order_key(self, action: Action) -> None:
        """Events carry their own time."""
        del action

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _answers(self, reply: Reply, entities: list[dict[str, Any]]) -> list[Outcome]:
        status = reply.status_code
        if status not in {200, 207}:
            raise BatchRejectedError(words(reply, self._transport.redact), status)
        if not isinstance(reply.data, dict):
            raise OutcomeUnknownError("The answer was not JSON.", status)
        refused: dict[int, str] = {}
        for error in reply.data.get("errors") or []:
            index = error.get("batch_index")
            if not isinstance(index, int) or not 0 <= index < len(entities):
                raise OutcomeUnknownError("An error in the answer does not say which event it is about.", status)
            refused[index] = self._transport.redact(
                f"{error.get('reason', 'refused')} {error.get('field', '')}: {error.get('message', '')}"
            )
        return [
            Outcome.rejected(refused[index], status) if index in refused else Outcome.acknowledged(entity["id"], status)
            for index, entity in enumerate(entities)
        ]


def _entity(action: Action) -> tuple[dict[str, Any], str]:
    """The event as the vendor wants it, and why it cannot be sent (empty if it can)."""
    body = action.body
    name = str(body.get("event_name") or "").strip()
    if body.get("user_id"):
        identifiers = {"id": str(body["user_id"])}
    elif body.get("email"):
        identifiers = {"email": str(body["email"])}
    else:
        return {}, "The payload names neither user_id nor email."
    if not name or len(name.encode()) > NAME_BYTES:
        return {}, f"An event_name has 1 to {NAME_BYTES} bytes, this one has {len(name.encode())}."
    entity = {
        "type": "person",
        "identifiers": identifiers,
        "action": "event",
        "name": name,
        "id": ulid(action.occurred_at, action.action_id),
        "timestamp": milliseconds(action.occurred_at) // 1000,
        "attributes": body.get("attributes") or {},
    }
    size = len(json.dumps(entity, separators=(",", ":"), ensure_ascii=False).encode())
    if size > ITEM_BYTES:
        return {}, f"The event has {size} bytes, Customer.io takes {ITEM_BYTES}."
    return entity, ""
