"""Customer.io: events that start or stop its campaigns, by Track API v2 batches.

The answer to a batch may be 200 or 207, and either can list `errors` by `batch_index`: those events are refused, the
others accepted. Events cannot be looked up, so an unknown outcome is resolved by sending the same ULID again, which
Customer.io ignores if it has it. Messages are never sent directly (that API has no such id).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from activation.actions import Action, Outcome
from activation.destinations import Basics
from activation.errors import BatchRejectedError, OutcomeUnknownError
from activation.identifiers import milliseconds, ulid
from activation.pacing import Rate
from activation.transport import Reply, Transport, words

if TYPE_CHECKING:
    from collections.abc import Sequence

ITEM_BYTES = 32_000  # a single operation beyond 32 kB is refused with the whole batch, so it is not even sent
REQUEST_BYTES = 500_000
NAME_BYTES = 100


class CustomerIo(Basics):
    """Track API v2 at `base_url` (https://track.customer.io, or track-eu for accounts in the EU)."""

    name = "customerio"
    rate = Rate(per_second=90, burst=10)  # together at most 100 in any second, what their own clients stay below
    batch_size = 500
    batch_bytes = 350_000  # of payloads; the envelopes of 500 events add up to 125 kB
    concurrency = 16  # enough to keep the rate while an answer takes a sixth of a second

    def __init__(self, base_url: str, site_id: str, api_key: str, *, allow_private: bool = False) -> None:
        self._transport = Transport(
            base_url, secrets=(api_key, site_id), auth=(site_id, api_key), allow_private=allow_private
        )

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """See Destination."""
        outcomes: list[Outcome | None] = []
        entities: list[bytes] = []
        references: list[str] = []
        for action in actions:
            reference = ulid(action.occurred_at, action.action_id)
            entity, problem = _entity(action, reference)
            outcomes.append(Outcome.rejected(problem) if problem else None)
            if not problem:
                entities.append(entity)
                references.append(reference)
        if entities:
            body = b'{"batch":[' + b",".join(entities) + b"]}"
            if len(body) > REQUEST_BYTES:
                raise BatchRejectedError(f"The batch has {len(body)} bytes, Customer.io takes {REQUEST_BYTES}.", 413)
            answers = iter(self._answers(self._transport.post("/api/v2/batch", body), references))
        return [outcome or next(answers) for outcome in outcomes]

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _answers(self, reply: Reply, references: list[str]) -> list[Outcome]:
        status = reply.status_code
        if status not in {200, 207}:
            raise BatchRejectedError(words(reply, self._transport.redact), status)
        errors = reply.data.get("errors") or [] if isinstance(reply.data, dict) else None
        if not isinstance(errors, list):
            raise OutcomeUnknownError("The answer was not what a batch is answered with.", status)
        refused: dict[int, str] = {}
        for error in errors:
            index = error.get("batch_index") if isinstance(error, dict) else None
            if not isinstance(index, int) or not 0 <= index < len(references):
                raise OutcomeUnknownError("An error in the answer does not say which event it is about.", status)
            refused[index] = self._transport.redact(
                f"{error.get('reason', 'refused')} {error.get('field', '')}: {error.get('message', '')}"
            )
        return [
            Outcome.rejected(refused[index], status) if index in refused else Outcome.acknowledged(reference, status)
            for index, reference in enumerate(references)
        ]


def _entity(action: Action, reference: str) -> tuple[bytes, str]:
    """The event as the vendor wants it, and why it cannot be sent (empty if it can)."""
    body = action.body
    name = str(body.get("event_name") or "").strip()
    if body.get("user_id"):
        identifiers = {"id": str(body["user_id"])}
    elif body.get("email"):
        identifiers = {"email": str(body["email"])}
    else:
        return b"", "The payload names neither user_id nor email."
    if not name or len(name.encode()) > NAME_BYTES:
        return b"", f"An event_name has 1 to {NAME_BYTES} bytes, this one has {len(name.encode())}."
    entity: dict[str, Any] = {
        "type": "person",
        "identifiers": identifiers,
        "action": "event",
        "name": name,
        "id": reference,
        "timestamp": milliseconds(action.occurred_at) // 1000,
        "attributes": body.get("attributes") or {},
    }
    written = orjson.dumps(entity)
    if len(written) > ITEM_BYTES:
        return b"", f"The event has {len(written)} bytes, Customer.io takes {ITEM_BYTES}."
    return written, ""
