"""The last step of a run: deliver what the published file asks for, within what the configuration permits."""

from __future__ import annotations

import re
import time as clock_time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from activation.deliver import Budget, Checks, work
from activation.desired import Published, Recheck
from activation.destinations.bitrix24 import Bitrix24
from activation.destinations.customerio import CustomerIo
from activation.destinations.make import Make
from activation.destinations.zendesk import Zendesk
from activation.pacing import RunTime, Window
from activation.sync import Guards, Outlook, prepare
from activation.upkeep import Thresholds, alarms, health
from ingest.setting import Setting, number, truth, whole
from lifecycle import delivered, go_live, settings
from lifecycle.ledger import LEDGER_URL, open_ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from activation.actions import State
    from activation.destinations import Destination
    from activation.pacing import Time
    from activation.plan import Policy
    from activation.tally import Tally
    from lifecycle.progress import Progress
    from lifecycle.settings import Places


MOST = 10**9


def _share(value: str) -> str:
    return "is not a number above 0 and up to 1" if number(0, 1)(value) or float(value) == 0 else ""


def _customers(value: str) -> str:
    wrong = [each for each in map(str.strip, value.split(",")) if not re.fullmatch(r"c_\w+", each)]
    return f"is not customer ids with commas between ('{wrong[0][:40]}' is none)" if wrong else ""


def _window(value: str) -> str:
    try:
        Window.parse(value)
    except ValueError:
        return "does not look like 08:00-20:00"
    return ""


def _of_each(key: str, check: Callable[[str], str]) -> dict[str, Setting]:
    return {name: Setting(f"activation.{name}.{key}", check=check) for name in settings.DESTINATIONS}


CUSTOMERS = Setting("activation.only_customers", check=_customers)
PER_RUN = Setting("activation.guard_per_run", check=whole(1, MOST))
PER_ACTION = Setting("activation.guard_per_action", check=whole(1, MOST))
SHARE = Setting("activation.guard_share", check=_share)
ALARM_SHARE = Setting("alerts.failure_share", check=_share)
ALARM_DEAD = Setting("alerts.dead_letters", check=whole(1, MOST))
ALARM_HOURS = Setting("alerts.age_hours", check=whole(1, MOST))
OPERATING = Setting("activation.bitrix24.operating_seconds", check=whole(1, MOST), default="480")
WINDOWS = _of_each("send_window", _window)
PRIVATE = _of_each("allow_private", truth)


@dataclass(slots=True)
class Activation:
    """What a delivery came to: the plan in numbers, what became of it per destination, what somebody should know."""

    outlook: Outlook
    tallies: list[Tally]
    alarms: list[str]

    @property
    def is_clean(self) -> bool:
        """Whether everything that was planned arrived."""
        return not self.outlook.trips and all(tally.is_clean for tally in self.tallies)


def policies(places: Places, as_of: datetime) -> dict[str, Policy]:
    """How each destination is treated; if customers are named in `activation.only_customers`, only they get anything.

    Real destinations are in shadow mode, whatever is set, until going live is approved or overridden.

    Raises:
        ConfigurationError: if a setting is missing or wrong.
        GoLiveError: if the record of going live was tampered with.
    """
    held = frozenset() if go_live.standing(places, as_of).is_live else settings.real_destinations()
    named = CUSTOMERS.find()
    allowed = None if named is None else frozenset(each.strip() for each in named.split(",") if each.strip())
    return {
        name: replace(policy, live=policy.live and name not in held, customers=allowed)
        for name, policy in settings.policies().items()
    }


def guards() -> Guards:
    """The blast radius that is permitted.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    usual = Guards()
    return Guards(
        per_run=int(PER_RUN.find() or usual.per_run),
        per_action=int(PER_ACTION.find() or usual.per_action),
        share=float(SHARE.find() or usual.share),
    )


def windows() -> dict[str, Window]:
    """The hours (UTC) in which a destination may be written to, where they are bounded.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    given = {name: setting.find() for name, setting in WINDOWS.items()}
    return {name: Window.parse(value) for name, value in given.items() if value is not None}


def check_settings() -> None:
    """Look at what only delivering reads, so that no run finds it wrong after it has published.

    Raises:
        ConfigurationError: for the first setting that is wrong.
    """
    for setting in (LEDGER_URL, CUSTOMERS, OPERATING, settings.MAKE_API_KEY, settings.MAKE_REQUIRE_ACK):
        setting.find()
    guards()
    windows()
    thresholds()
    private_allowed()


def private_allowed() -> dict[str, bool]:
    """Whether a destination may be on a private network.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    return {name: (setting.find() or "").lower() == "true" for name, setting in PRIVATE.items()}


@contextmanager
def destinations(time: Time) -> Iterator[dict[str, Destination]]:
    """Every destination, ready to send.

    Raises:
        ConfigurationError: if a setting is missing or wrong.
    """
    values = {name: [each.read() for each in group] for name, group in settings.DESTINATIONS.items()}
    private = private_allowed()
    hook, signing_secret = values["make"]
    require_ack = (settings.MAKE_REQUIRE_ACK.find() or "false").lower() == "true"
    operating = float(OPERATING.read())
    made: dict[str, Destination] = {
        "bitrix24": Bitrix24(*values["bitrix24"], operating_seconds=operating, allow_private=private["bitrix24"]),
        "customerio": CustomerIo(*values["customerio"], allow_private=private["customerio"]),
        "make": Make(
            hook,
            signing_secret,
            time,
            api_key=settings.MAKE_API_KEY.find(),
            require_ack=require_ack,
            allow_private=private["make"],
        ),
        "zendesk": Zendesk(*values["zendesk"], allow_private=private["zendesk"]),
    }
    try:
        yield made
    finally:
        for destination in made.values():
            destination.close()


def activate(
    places: Places,
    as_of: datetime,
    progress: Progress,
    *,
    only: Sequence[str] = (),
    limit: int | None = None,
    is_forced: bool = False,
    expected: str | None = None,
) -> Activation:
    """Deliver what the published file asks for.

    `only` names destinations; none means all. `limit` bounds the deliveries. `is_forced` overrules the guards.
    `expected` is the fingerprint of a plan that a person has seen.

    Raises:
        activation.sync.PlanChangedError: if the plan is another one. Nothing was sent then.
        CannotRunError: if the ledger lost deliveries. Nothing was sent then either.
    """
    ledger = open_ledger(places)
    try:
        # several syncs may stand on one version: what one writes must not look older than what was read back since
        time = RunTime(max(as_of, ledger.latest() or as_of))
        delivered.require(places, ledger)
        with destinations(time) as served:
            healed = ledger.heal(time.now())
            if healed:
                progress.note(f"{healed} deliveries of an earlier run have an unknown outcome and are resolved first")
            published = Published.newest(places.complete_file)
            with prepare(
                published, ledger, policies(places, as_of), guards(), served, time, as_of,
                only=only, is_forced=is_forced, expected=expected,
            ) as outlook:  # fmt: skip
                for sentence in outlook.trips.values():
                    progress.note(sentence + (" Overruled." if is_forced else ""))
                if is_forced:
                    outlook.trips = {}
                budget = Budget(seconds=float(settings.DELIVERY_SECONDS.read()), limit=limit)
                checks = Checks(Recheck(places.complete_file, published).withdrawn, windows())
                said = _counting(progress, sum(outlook.to_send.values()))
                tallies = work(
                    outlook.plan_id, served, ledger, time, budget,
                    on_progress=said, checks=checks, fresh=outlook.fresh, since=outlook.since,
                )  # fmt: skip
            delivered.note(places, ledger)
            sentences = alarms(tallies, health(ledger, clock_time.time(), as_of), thresholds())
    finally:
        ledger.close()
    for tally in tallies:
        trouble = f", {tally.dead} given up" if tally.dead else ""
        trouble += f", {tally.withdrawn} withdrawn" if tally.withdrawn else ""
        trouble += f", {tally.left} left for another time" if tally.left else ""
        trouble += f", stopped: {tally.stopped}" if tally.stopped else ""
        progress.note(
            f"{tally.destination:<11}{tally.acknowledged:>6} delivered, {tally.rejected} rejected,"
            f" {tally.unknown} unknown, {tally.waiting} waiting, {tally.requests} requests{trouble}"
        )
    return Activation(outlook, tallies, [*outlook.trips.values(), *sentences])


def thresholds() -> Thresholds:
    """From where on the team is told.

    Raises:
        ConfigurationError: if a setting is wrong.
    """
    usual = Thresholds()
    return Thresholds(
        failure_share=float(ALARM_SHARE.find() or usual.failure_share),
        dead_letters=int(ALARM_DEAD.find() or usual.dead_letters),
        age_hours=float(ALARM_HOURS.find() or usual.age_hours),
    )


def _counting(progress: Progress, total: int) -> Callable[[str, State], None]:
    done = 0

    def count(destination: str, state: State) -> None:
        nonlocal done
        done += 1
        progress.detail(f"{done} of {total}  {destination} {state}")

    return count
