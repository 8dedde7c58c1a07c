"""Customer.io: events that start or stop its campaigns, by Track API v2 batches.

The answer to a batch may be 200 or 207, and either can list `errors` by `batch_index`: those events are refused, the
others accepted. Events cannot be looked up, so an unknown outcome is resolved by sending the same ULID again, which
Customer.io ignores if it has it. Messages are never sent directly (that API has no such id).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from activation.actions import Action, Outcome, State, all_parsed, written
from activation.destinations import Basics
from activation.errors import BatchRejectedError, OutcomeUnknownError
from activation.identifiers import seconds, ulids
from activation.pacing import Rate
from activation.transport import Reply, Transport, words

if TYPE_CHECKING:
    from collections.abc import Sequence

ITEM_BYTES = 32_000  # a single operation beyond 32 kB is refused with the whole batch, so it is not even sent
REQUEST_BYTES = 500_000
NAME_BYTES = 100
# written anew a payload grows at most sevenfold (1e5 becomes 100000.0), and its envelope has some 300 bytes more
SURELY_SMALL = 4_000


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
        references = ulids([action.occurred_at for action in actions], [action.action_id for action in actions])
        payloads = [action.payload for action in actions]
        is_small = max(map(len, payloads)) <= SURELY_SMALL
        entities: list[Any] = []
        problems: dict[int, Outcome] = {}
        for place, (action, body, reference) in enumerate(zip(actions, all_parsed(payloads), references, strict=True)):
            if user_id := body.get("user_id"):
                identifiers = {"id": str(user_id)}
            elif email := body.get("email"):
                identifiers = {"email": str(email)}
            else:
                problems[place] = Outcome.rejected("The payload names neither user_id nor email.")
                continue
            name, problem = _name(str(body.get("event_name") or ""))
            entity: Any = {
                "type": "person",
                "identifiers": identifiers,
                "action": "event",
                "name": name,
                "id": reference,
                "timestamp": seconds(action.occurred_at),
                "attributes": body.get("attributes") or {},
            }
            if not problem and not is_small:
                entity, problem = _measured(entity)
            if problem:
                problems[place] = Outcome.rejected(problem)
            else:
                entities.append(entity)
        if not problems:
            return self._sent(entities, references)
        sent = [reference for place, reference in enumerate(references) if place not in problems]
        answers = iter(self._sent(entities, sent) if sent else ())
        return [problems.get(place) or next(answers) for place in range(len(actions))]

    def close(self) -> None:
        """Drop the connections."""
        self._transport.close()

    def _sent(self, entities: list[Any], references: list[str]) -> list[Outcome]:
        """Send the events; their outcomes."""
        body = written({"batch": entities})
        if len(body) > REQUEST_BYTES:
            raise BatchRejectedError(f"The batch has {len(body)} bytes, Customer.io takes {REQUEST_BYTES}.", 413)
        return self._answers(self._transport.post("/api/v2/batch", body), references)

    def _answers(self, reply: Reply, references: list[str]) -> list[Outcome]:
        status = reply.status_code
        if status not in {200, 207}:
            raise BatchRejectedError(words(reply, self._transport.redact), status)
        errors = reply.data.get("errors") or [] if isinstance(reply.data, dict) else None
        if not isinstance(errors, list):
            raise OutcomeUnknownError("The answer was not what a batch is answered with.", status)
        if not errors:
            return [Outcome(State.ACKNOWLEDGED, "", status, reference) for reference in references]
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


@lru_cache(maxsize=1000)
def _name(given: str) -> tuple[str, str]:
    """The event's name as Customer.io keeps it, and what is wrong with it (nothing if it is empty)."""
    name = given.strip()
    size = len(name.encode())
    return name, "" if 0 < size <= NAME_BYTES else f"An event_name has 1 to {NAME_BYTES} bytes, this one has {size}."


def _measured(entity: dict[str, Any]) -> tuple[orjson.Fragment, str]:
    """The event as it is written, and what is wrong with its size (nothing if it is empty)."""
    text = written(entity)
    problem = f"The event has {len(text)} bytes, Customer.io takes {ITEM_BYTES}." if len(text) > ITEM_BYTES else ""
    return orjson.Fragment(text), problem
