"""A whole sync: compare what is desired with the ledger, look at the blast radius, and only then let the couriers work.

Everything streams. What did not change is counted where it lies, and so is what the ledger never heard of: it is read
when it goes out, and its first trace in the ledger is the intent to send it. What has a history goes through the
ledger's queue.
"""

from __future__ import annotations

import gc
import json
import secrets
from collections import Counter
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import md5, sha256
from itertools import chain
from typing import TYPE_CHECKING, Any

from activation.batches import Mark
from activation.deliver import stage, takes_any_order
from activation.enqueue import keep
from activation.pacing import estimate
from activation.plan import SENT_VERDICTS, Delivery, Verdict, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime

    from activation.actions import Action
    from activation.compared import Compared
    from activation.desired import Published
    from activation.destinations import Destinations
    from activation.ledger import Ledger
    from activation.pacing import Estimate, Time
    from activation.plan import Entry, Policy

COLLECTED_AFTER = 500_000  # objects made since the garbage was last collected; many more than are alive at a time
SMALL = 100  # a share of the customers is no measure for fewer deliveries than this


@dataclass(frozen=True, slots=True)
class Guards:
    """How much one run may do: deliveries in all, of one action, and of one action as a share of all customers.

    A run that wants more sends nothing of it. Most often a broken definition is behind it, and messages cannot be
    called back; a person who has looked says so with the run.
    """

    per_run: int = 50_000
    per_action: int = 20_000
    share: float = 0.5

    def trips(self, counts: Mapping[str, int], customers: int) -> dict[str, str]:
        """Per action what is wrong with its number, and under "" what is wrong with the whole."""
        found: dict[str, str] = {}
        largest = max(int(customers * self.share), SMALL) if customers else self.per_action
        for action, number in sorted(counts.items()):
            if number > self.per_action:
                found[action] = f"{number:,} deliveries of {action} in one run; the guard allows {self.per_action:,}."
            elif number > largest:
                base = f"{self.share:.0%} of {customers:,} customers"
                found[action] = f"{number:,} deliveries of {action} in one run, more than {base}."
        total = sum(counts.values())
        if total > self.per_run:
            found[""] = f"{total:,} deliveries in one run; the guard allows {self.per_run:,}."
        return found


@dataclass(slots=True)
class Outlook:
    """What a sync would do, in numbers; and where it may do it, by destination what is fresh and may go out."""

    plan_id: str
    version: str
    as_of: datetime
    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)  # destination, action, verdict, reason
    to_send: Counter[tuple[str, str]] = field(default_factory=Counter)  # destination, action
    trips: dict[str, str] = field(default_factory=dict)
    digest: int = 0
    fresh: dict[str, Iterator[list[Action]]] = field(default_factory=dict)
    since: Mark = field(default_factory=Mark)  # what came into the ledger later was not looked at

    @property
    def fingerprint(self) -> str:
        """The same for two plans if and only if they send the same, from the same version under the same rules."""
        return sha256(f"{self.plan_id} {self.digest:x}".encode()).hexdigest()

    def add(self, deliveries: Collection[Delivery]) -> None:
        """Count these."""
        found = Counter([(each[0].destination, each[0].action, each[1], each[2]) for each in deliveries])
        for (destination, action, verdict, reason), number in found.items():
            self.counts[destination, action, str(verdict), reason] += number
            if verdict in SENT_VERDICTS:
                self.to_send[destination, action] += number
        sent = [each for each in deliveries if each.is_sent]
        self._say(sum(said(each.action.action_id, each.verdict, each.action.payload_hash) for each in sent))

    def add_fresh(self, destination: str, action: str, number: int, digest: int) -> None:
        """Count so many, all of which are new; what is said of each of them adds up to this."""
        self.counts[destination, action, str(Verdict.NEW), ""] += number
        self.to_send[destination, action] += number
        self._say(digest)

    def _say(self, number: int) -> None:
        # a sum does not depend on the order in which the rows came
        self.digest = (self.digest + number) % 2**64

    def per_action(self) -> dict[str, int]:
        """What would be sent, by action."""
        found: Counter[str] = Counter()
        for (_, action), number in self.to_send.items():
            found[action] += number
        return dict(found)

    def estimates(self, destinations: Destinations) -> dict[str, Estimate]:
        """Per destination the time its limits leave, and the limit that binds."""
        per_destination: Counter[str] = Counter()
        for (name, _), number in self.to_send.items():
            per_destination[name] += number
        return {
            name: estimate(number, each.batch_size, each.rate, each.quota)
            for name, number in sorted(per_destination.items())
            if (each := destinations.get(name)) is not None
        }

    def as_json(self, destinations: Destinations) -> dict[str, Any]:
        """For programs, and for `lifecycle sync --plan`."""
        return {
            "as_of": self.as_of.isoformat(),
            "version": self.version,
            "plan_id": self.plan_id,
            "fingerprint": self.fingerprint,
            "counts": [
                {"destination": each[0], "action": each[1], "verdict": each[2], "reason": each[3], "number": number}
                for each, number in sorted(self.counts.items())
            ],
            "to_send": sum(self.to_send.values()),
            "guards": self.trips,
            "estimates": {name: asdict(each) for name, each in self.estimates(destinations).items()},
        }


def look_ahead(
    published: Published,
    ledger: Ledger,
    policies: Mapping[str, Policy],
    guards: Guards,
    as_of: datetime,
    *,
    only: Collection[str] = (),
    on_planned: Callable[[list[Delivery], Mapping[str, Entry]], None] | None = None,
) -> Outlook:
    """Plan without changing anything; `on_planned` is told each chunk, with what the ledger knows about it.

    `only` names destinations; none means all.

    Raises:
        DesiredError: if the published file cannot be read, or two desired actions share an id.
    """
    outlook = Outlook(_name(published, policies, guards, as_of, only), published.version, as_of, since=ledger.mark())
    with _compared(published, ledger, policies, as_of, only) as compared:
        for planned, known in _planned(compared, outlook, ledger, policies, as_of, only):
            if on_planned is not None:
                on_planned(planned, known)
        if on_planned is not None:
            for destination in sorted({each[0] for each in compared.counts()}):
                for actions in compared.fresh(destination):
                    on_planned([Delivery(action, Verdict.NEW) for action in actions], {})
    outlook.trips = guards.trips(outlook.per_action(), published.customers())
    return outlook


@contextmanager
def prepare(  # noqa: PLR0913 - what a sync is made of
    published: Published,
    ledger: Ledger,
    policies: Mapping[str, Policy],
    guards: Guards,
    destinations: Destinations,
    time: Time,
    as_of: datetime,
    *,
    only: Collection[str] = (),
    is_forced: bool = False,
    expected: str | None = None,
) -> Iterator[Outlook]:
    """Plan, and open for work what may go out, as long as this lasts; hand `fresh` over to `deliver.work`.

    `expected` is the fingerprint of a plan that a person has seen.

    Raises:
        DesiredError: if the published file cannot be read, or two desired actions share an id.
        PlanChangedError: if this plan is another one. Nothing is opened then.
    """
    outlook = Outlook(_name(published, policies, guards, as_of, only), published.version, as_of, since=ledger.mark())
    # a queue of its own, so that nobody works on this plan before the whole of it has been looked at
    queue = f"{outlook.plan_id}/{secrets.token_hex(4)}"
    in_order = [name for name, each in destinations.items() if not takes_any_order(each)]
    with _seldom_collected(), _compared(published, ledger, policies, as_of, only, in_order) as compared:
        for planned, known in _planned(compared, outlook, ledger, policies, as_of, only):
            stage(planned, destinations, ledger, time, outlook.plan_id, queue, outlook.since)
            if back := [each.action for each in planned if _is_back(each, known)]:
                with ledger.transaction() as connection:
                    keep(connection, back)
        outlook.trips = guards.trips(outlook.per_action(), published.customers())
        if expected is not None and expected != outlook.fingerprint:
            raise PlanChangedError(
                "The plan has changed since the file was written (data, configuration or deliveries): nothing was sent."
                " Look at `lifecycle plan` again."
            )
        blocked = set() if is_forced else set(outlook.trips)
        if "" not in blocked:
            ledger.open_queue(queue, outlook.plan_id, blocked)
            welcome = {name for name, action, *_ in compared.counts() if action not in blocked}
            outlook.fresh = {name: compared.fresh(name, blocked) for name in sorted(welcome)}
        yield outlook


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """Rows are alive by the thousand; to look through them for garbage at every turn takes a sixth of all the time."""
    before = gc.get_threshold()
    gc.set_threshold(COLLECTED_AFTER, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _compared(
    published: Published,
    ledger: Ledger,
    policies: Mapping[str, Policy],
    as_of: datetime,
    only: Collection[str],
    in_order: Collection[str] = (),
) -> AbstractContextManager[Compared]:
    """What is desired against the ledger; what has to arrive `in_order` is never fresh, but looked at one by one."""
    once = [each for each, policy in policies.items() if not policy.resends_changes]
    # nothing speaks against what goes there but its age and what the ledger knows
    welcome = [
        each
        for each, policy in policies.items()
        if policy.live and policy.customers is None and (not only or each in only) and each not in in_order
    ]
    return published.compared(ledger.delivered(), once, welcome, as_of)


def _planned(
    compared: Compared,
    outlook: Outlook,
    ledger: Ledger,
    policies: Mapping[str, Policy],
    as_of: datetime,
    only: Collection[str],
) -> Iterator[tuple[list[Delivery], Mapping[str, Entry]]]:
    """Count everything that is desired; of what is not fresh, the deliveries and what the ledger knows of them."""
    batched = ledger.batched(outlook.since)  # by others, while this plan is made; most often nothing
    compared.look_for_twins()
    compared.are_known(batched)
    # whichever is less is looked through: what the ledger keeps singly, or what is fresh
    is_little_kept = outlook.since.single <= sum(number for *_, number, _ in compared.counts())
    for ids in ledger.single_ids() if is_little_kept else map(ledger.known, compared.fresh_ids()):
        compared.are_known(ids)
    for destination, action, number, digest in compared.counts():
        outlook.add_fresh(destination, action, number, digest)
    for (destination, action), number in compared.unchanged().items():
        if not only or destination in only:
            unchanged = (destination, action, str(Verdict.UNCHANGED), "Delivered before, with this payload.")
            outlook.counts[unchanged] += number
    abandoned = ledger.unresolved()
    # at last what was sent, has an unknown outcome and is not desired any more: whether it arrived must be known
    for chunk in chain(compared.others(), [[]]):
        known = _known(chunk, compared, ledger, batched, policies) if chunk else abandoned
        for wanted in chunk:
            abandoned.pop(wanted.action_id, None)
        deliveries = plan(chunk, known, policies, as_of)
        chosen = [each for each in deliveries if not only or each.action.destination in only]
        outlook.add(chosen)
        yield chosen, known


def _known(
    chunk: Collection[Action],
    compared: Compared,
    ledger: Ledger,
    batched: Mapping[str, Entry],
    policies: Mapping[str, Policy],
) -> dict[str, Entry]:
    """What the ledger knows about these."""
    known = ledger.entries([action.action_id for action in chunk])
    known.update({each.action_id: batched[each.action_id] for each in chunk if each.action_id in batched})
    # what is set again and again goes out singly; unless its destination used to report once what happened
    set_again = {name for name, policy in policies.items() if policy.resends_changes}
    unheard = [each.action_id for each in chunk if each.destination in set_again and each.action_id not in known]
    in_requests = compared.were_delivered(unheard) if unheard else unheard
    return {**known, **ledger.batched_ever(in_requests)} if in_requests else known


def _is_back(delivery: Delivery, known: Mapping[str, Entry]) -> bool:
    """Whether it is wanted as it was delivered, after another payload was planned that never left."""
    entry = known.get(delivery.action.action_id)
    return delivery.verdict is Verdict.UNCHANGED and entry is not None and entry.never_left


def said(action_id: str, verdict: Verdict, payload_hash: str) -> int:
    """What a plan says about one action, as a number; DuckDB computes the same, see `Compared.counts`."""
    digest = md5(f"{action_id}{verdict}{payload_hash}".encode(), usedforsecurity=False).digest()
    return int.from_bytes(digest[8:], "little")


class PlanChangedError(Exception):
    """What was approved is not what would be done."""


def _name(
    published: Published, policies: Mapping[str, Policy], guards: Guards, as_of: datetime, only: Collection[str]
) -> str:
    """What the plan is made from, as a name: who plans from the same, works on the same plan."""
    rules = json.dumps([_plain(policies), asdict(guards), sorted(only)], sort_keys=True, default=str)
    return sha256(f"{published.path} {as_of.isoformat()} {rules}".encode()).hexdigest()[:16]


def _plain(policies: Mapping[str, Policy]) -> dict[str, Any]:
    return {
        name: {**asdict(policy), "customers": None if policy.customers is None else sorted(policy.customers)}
        for name, policy in policies.items()
    }
