"""The destinations, one file each, behind one small Protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from activation.actions import Action, Outcome
    from activation.pacing import Rate


class Destination(Protocol):
    """One vendor.

    `batch_size` and `batch_bytes` bound what one `send` is given. `resends_changes`: see `plan.Policy`.
    """

    name: str
    rate: Rate
    batch_size: int
    batch_bytes: int
    resends_changes: bool

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        """Send these in one request; one outcome per action, in the same order.

        The same action sent again carries the same identifiers, whatever the machine or the run.

        May raise, for the request as a whole:
            transport.NotSentError: it surely did not arrive.
            transport.OutcomeUnknownError: it may have arrived.
            transport.LimitedError: turned away for now.
            transport.BatchRejectedError: refused as a whole, nothing of it was done.
            transport.StoppedError: nothing more may be sent in this run.
        Nothing else, and nothing that holds a payload or a secret.
        """

    def resolve(self, action: Action) -> Outcome | None:
        """Find out, without sending, what became of an action whose outcome is unknown.

        None means: not there, or this vendor cannot be asked; sending it again with the same identifiers is right.
        May raise what `send` may raise, except BatchRejectedError.
        """

    def order_key(self, action: Action) -> str | None:
        """Actions with the same key must arrive one after the other; None where order does not matter."""

    def close(self) -> None:
        """Drop the connections."""


Destinations = Mapping[str, Destination]
