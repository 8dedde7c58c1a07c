"""What to send: desired actions against the ledger. A pure function; printing it is `lifecycle plan`.

The comparison is with the payload that was last acknowledged, not with any payload ever seen: A, then B, then A again
is three deliveries, and what failed comes back by construction because it was never acknowledged.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from activation.actions import DOUBT, Action, State
from activation.errors import DesiredError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime


class Verdict(StrEnum):
    """What plan says about one desired action."""

    NEW = "new"
    CHANGED = "changed"
    RESUMED = "resumed"
    UNCHANGED = "unchanged"
    EXPIRED = "expired"
    BLOCKED = "blocked"


HELD_BACK = {
    State.REJECTED: "refused this payload",
    State.DEAD: "is a dead letter",
    State.DROPPED: "gets this payload no more",
}
SENT_VERDICTS = frozenset({Verdict.NEW, Verdict.CHANGED, Verdict.RESUMED})


class Entry(NamedTuple):
    """What the ledger knows about one action. `action` carries the payload of the last intent."""

    action: Action
    state: State
    payload_hash: str
    acknowledged_hash: str | None
    attempt_count: int
    reason: str

    @property
    def never_left(self) -> bool:
        """Whether its payload surely was never at the vendor, so that what was acknowledged before is there still."""
        return self.state is State.PLANNED and DOUBT not in self.reason

    @property
    def is_dead_in_doubt(self) -> bool:
        """Whether it was given up without anybody knowing whether it arrived."""
        return self.state is State.DEAD and DOUBT in self.reason


@dataclass(frozen=True, slots=True)
class Policy:
    """How a destination is treated.

    `live` false is shadow mode: planned, shown, never sent. `resends_changes` says whether a changed payload of a
    delivered action is sent again: right where we set a state (a deal's stage), wrong where we report a fact (an event,
    a ticket), which happened once. `customers` is the allow-list: while it is not None, nobody else gets anything.
    Whether something arrived is not looked for where the vendor cannot be asked (`can_be_asked`).
    `where` tells one account from another, without naming it: a plan for one is none for the other.
    """

    live: bool
    resends_changes: bool
    customers: frozenset[str] | None = None
    where: str = ""
    can_be_asked: bool = True


class Delivery(NamedTuple):
    """One desired action and what is to happen with it."""

    action: Action
    verdict: Verdict
    reason: str = ""
    outcome_is_unknown: bool = False
    is_wanted: bool = True  # false: no longer desired, and only taken up to learn whether it arrived

    @property
    def is_sent(self) -> bool:
        """Whether sync will send it."""
        return self.verdict in SENT_VERDICTS


def plan(
    desired: Iterable[Action], ledger: Mapping[str, Entry], policies: Mapping[str, Policy], as_of: datetime
) -> list[Delivery]:
    """The deliveries for these actions, in the order in which they should go out.

    Urgent first (lowest `priority` number), then oldest occurrence; the action id breaks ties so that two plans over
    the same data are equal. Actions that were sent with an unknown outcome and are no longer desired are taken up as
    well: whether they arrived must be known.

    Raises:
        DesiredError: if two desired actions share an id.
    """
    actions = list(desired)
    wanted = unique([action.action_id for action in actions])
    deliveries = [_judge(action, ledger.get(action.action_id), policies, as_of) for action in actions]
    deliveries += [
        _abandoned(entry, policies.get(entry.action.destination))
        for action_id, entry in ledger.items()
        if action_id not in wanted and entry.state in {State.SENDING, State.UNKNOWN}
    ]
    deliveries.sort(key=attrgetter("action.priority", "action.occurred_at", "action.action_id"))
    return deliveries


def unique(action_ids: Sequence[str]) -> set[str]:
    """These ids.

    Raises:
        DesiredError: if one is there twice.
    """
    found = set(action_ids)
    if len(found) < len(action_ids):
        ((twice, _),) = Counter(action_ids).most_common(1)
        raise DesiredError(f"Action {twice} is desired twice; action ids are unique over all act_ models.")
    return found


def _judge(  # noqa: PLR0911 - one reason after the other, the first that holds
    action: Action, entry: Entry | None, policies: Mapping[str, Policy], as_of: datetime
) -> Delivery:
    policy = policies.get(action.destination)
    if policy is None:
        return Delivery(action, Verdict.BLOCKED, f"There is no destination named {action.destination}.")
    is_late = action.expires_at is not None and action.expires_at <= as_of
    if entry is None and not is_late and policy.live and policy.customers is None:
        return Delivery(action, Verdict.NEW)  # said first, because of many it is true of most
    if entry is not None and entry.action.destination != action.destination:
        elsewhere = _elsewhere(action, entry, policies)
        if elsewhere is not None:
            return elsewhere
    elif entry is not None and (settled := _settled(action, entry, policy)) is not None:
        return settled
    if is_late and entry is not None and entry.state in {State.SENDING, State.UNKNOWN}:
        return _abandoned(entry, policy)
    if action.expires_at is not None and is_late:
        return Delivery(action, Verdict.EXPIRED, f"It was to be sent before {action.expires_at:%Y-%m-%d %H:%M} UTC.")
    if not policy.live:
        return Delivery(action, Verdict.BLOCKED, f"{action.destination} is in shadow mode.")
    if policy.customers is not None and action.customer_id not in policy.customers:
        return Delivery(action, Verdict.BLOCKED, "The customer is not on the allow-list.")
    return _open(action, entry)


def _abandoned(entry: Entry, policy: Policy | None) -> Delivery:
    """An unknown outcome of something that must not be sent any more: find out, if the destination may be spoken to."""
    if policy is None or not policy.live:
        return Delivery(entry.action, Verdict.BLOCKED, "Its outcome is unknown, and the destination is not live.")
    if not policy.can_be_asked:
        why = f"Nobody wants it any more, and {entry.action.destination} cannot be asked whether it arrived."
        return Delivery(entry.action, Verdict.BLOCKED, why)
    return Delivery(entry.action, Verdict.RESUMED, entry.reason, outcome_is_unknown=True, is_wanted=False)


def _elsewhere(action: Action, entry: Entry, policies: Mapping[str, Policy]) -> Delivery | None:
    """What became of it where it was to go before the playbook sent it somewhere else; None if it is still to go."""
    before = entry.action.destination
    if entry.state is State.ACKNOWLEDGED:
        return Delivery(action, Verdict.UNCHANGED, f"Delivered before, to {before}.")
    if entry.is_dead_in_doubt:
        return Delivery(action, Verdict.BLOCKED, f"{before} {HELD_BACK[entry.state]}: {entry.reason}")
    if entry.state in {State.SENDING, State.UNKNOWN}:  # two vendors would have it, so the first is asked first
        return _abandoned(entry, policies.get(before))
    if entry.state is State.DROPPED:
        return Delivery(action, Verdict.BLOCKED, f"Dropped: {entry.reason}")
    return None


def _settled(action: Action, entry: Entry, policy: Policy) -> Delivery | None:
    """What the vendor has decided already, or None."""
    if entry.never_left and action.payload_hash == entry.acknowledged_hash:
        return Delivery(action, Verdict.UNCHANGED, "Delivered before, with this payload.")
    if entry.state is State.ACKNOWLEDGED:
        if action.payload_hash == entry.acknowledged_hash or (
            entry.payload_hash == entry.acknowledged_hash and action.means(entry.action.payload)
        ):
            return Delivery(action, Verdict.UNCHANGED, "Delivered before, with this payload.")
        if not policy.resends_changes:
            return Delivery(action, Verdict.UNCHANGED, "Delivered before; what happened is reported once.")
    # asked for again, what may have arrived is looked for before it is sent, which another payload would get round
    if entry.is_dead_in_doubt or (entry.state in HELD_BACK and action.means(entry.action.payload)):
        return Delivery(action, Verdict.BLOCKED, f"{action.destination} {HELD_BACK[entry.state]}: {entry.reason}")
    if entry.state is State.DROPPED and not policy.resends_changes:
        return Delivery(action, Verdict.BLOCKED, f"Dropped: {entry.reason}")
    return None


def _open(action: Action, entry: Entry | None) -> Delivery:
    """What has not come to an end."""
    if entry is None or (entry.state is State.PLANNED and entry.attempt_count == 0):
        return Delivery(action, Verdict.NEW)
    if entry.state in {State.SENDING, State.UNKNOWN}:
        # what may already be there must be repeated byte for byte: another body under the same key is refused
        as_sent = action._replace(payload=entry.action.payload, digest=entry.action.digest)
        return Delivery(as_sent, Verdict.RESUMED, entry.reason, outcome_is_unknown=True)
    if entry.state in {State.PLANNED, State.WAITING}:
        return Delivery(action, Verdict.RESUMED, entry.reason)
    return Delivery(action, Verdict.CHANGED)
