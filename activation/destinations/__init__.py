"""The destinations, one file each, behind one small Protocol. docs/add_a_destination.md adds one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from activation.pacing import Quota, Rate

if TYPE_CHECKING:
    from activation.actions import Action, Outcome


class Destination(Protocol):
    """One vendor. Derive from `Basics` to state only what differs.

    `batch_size` and `batch_bytes` (of payloads) bound what one `send` or `resolve` is given; `concurrency` is how many
    requests may be out at once, each in a thread of its own. `resends_changes`: see `plan.Policy`. `can_be_asked` says
    whether `resolve` can find out anything. `rate`, `quota` and `batch_size` may change with what answers teach.
    """

    name: str
    rate: Rate
    quota: Quota | None
    batch_size: int
    batch_bytes: int
    concurrency: int
    resends_changes: bool
    can_be_asked: bool

    def send(self, actions: Sequence[Action]) -> Sequence[Outcome]:
        """Send these in one request; one outcome per action, in the same order.

        The same action sent again carries the same identifiers, whatever the machine or the run.

        May raise, for the request as a whole, what is in `activation.errors`:
            NotSentError: it surely did not arrive.
            OutcomeUnknownError: it may have arrived.
            LimitedError: turned away for now.
            BatchRejectedError: refused as a whole, nothing of it was done.
            StoppedError: nothing more may be sent in this run.
        Nothing else, and nothing that holds a payload or a secret.
        """

    def resolve(self, actions: Sequence[Action]) -> Sequence[Outcome | None]:
        """Find out, without sending, what became of actions whose outcome is unknown; one answer each, in their order.

        Acknowledged: it is there. Waiting: it surely is not. None: nobody can say, but sending it again with the same
        identifiers does no harm. May raise what `send` may raise, except BatchRejectedError.
        """

    def order_key(self, action: Action) -> str | None:
        """Actions with the same key must arrive one after the other; None where order does not matter."""

    def close(self) -> None:
        """Drop the connections."""


Destinations = Mapping[str, Destination]


class Basics:
    """What most destinations have in common: one action a request, in any order, reported once, and no way to ask."""

    quota: Quota | None = None
    batch_size = 1
    batch_bytes = 1_000_000
    concurrency = 8
    resends_changes = False
    can_be_asked = False

    def resolve(self, actions: Sequence[Action]) -> Sequence[Outcome | None]:
        """Nobody can say."""
        return [None] * len(actions)

    def order_key(self, action: Action) -> str | None:
        """Order does not matter."""
        del action
        return None
