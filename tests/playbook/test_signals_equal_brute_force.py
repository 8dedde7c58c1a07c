"""Signals against an oracle that looks at every event of a customer, on random streams with ties, duplicates and gaps.

Times lie on a coarse grid and windows are whole steps of it, so that borders and ties are common, not exceptions. The
same streams are then detected in increments, with late arrivals, merged customers, edited definitions and a replayed
day in between, and have to end with what one full build finds.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.playbook.worlds import by_world, customers_of, difference, rng_of, rng_of_batch
from tests.warehouse import Warehouse

ORIGIN = datetime(2026, 2, 1)  # noqa: DTZ001 - the warehouse is naive UTC
AS_OF = datetime(2026, 3, 1)  # noqa: DTZ001 - the as_of that conftest compiles with
MINUTE = 60
DAY = 86400
FIELDS = {
    "signal_id": "varchar", "kind": "varchar", "behaviour": "varchar", "until_behaviour": "varchar",
    "then_behaviour": "varchar", "last_behaviour": "varchar", "occurrences": "bigint", "within_seconds": "bigint",
    "period": "varchar", "in_periods": "bigint", "of_periods": "bigint", "direction": "varchar",
    "threshold": "decimal(18, 6)", "rearm_threshold": "decimal(18, 6)", "lead_seconds": "bigint", "state": "varchar",
    "unit": "varchar", "rearm": "varchar", "rearm_after_seconds": "bigint", "max_lateness_hours": "bigint",
    "stale_after_hours": "bigint", "enabled_at": "timestamp", "meaning": "varchar",
}  # fmt: skip
BEHAVIOUR_FIELDS = (
    "behaviour varchar, source varchar, event_name varchar, product varchar, property_name varchar,"
    " property_test varchar, property_value varchar, grain varchar, meaning varchar"
)
BEHAVIOURS = [
    *((name, "product", f"event_{name}", None, None, None, None, "event", "A test.") for name in "abc"),
    ("m", "product", "metric", None, None, None, None, "measured", "A test."),
    ("r", "product", "promise", None, None, None, None, "measured", "A test."),
    ("use", "product", "*", None, None, None, None, "day_edges", "A test."),
    ("day", "product", "*", None, None, None, None, "day", "A test."),
]


@dataclass(frozen=True)
class Signal:
    """A row of the seed signal_definitions, with short names."""

    name: str
    kind: str
    behaviour: str
    until: str | None = None
    then: str | None = None
    last: str | None = None
    occurrences: int = 0
    within: int = 0
    period: str | None = None
    in_periods: int = 0
    of_periods: int = 0
    direction: str | None = None
    threshold: float = 0
    rearm_threshold: float = 0
    lead: int = 0
    unit: str = "customer"
    rearm: str = "every_time"
    rearm_after: int = 0

    @property
    def row(self) -> tuple[Any, ...]:
        crossed = self.kind == "crossed"
        return (
            self.name, self.kind, self.behaviour, self.until, self.then, self.last, self.occurrences or None,
            self.within or None, self.period, self.in_periods or None, self.of_periods or None, self.direction,
            self.threshold if crossed else None, self.rearm_threshold if crossed else None, self.lead, None, self.unit,
            self.rearm, self.rearm_after or None, 72, 168, None, "A test.",
        )  # fmt: skip


@dataclass(frozen=True, order=True)
class Event:
    """A message of the product (a, b, c), a value of a metric (m), or a promise (r)."""

    at: datetime
    id: str
    customer: str
    user: str
    name: str
    value: float = 0
    due: datetime | None = None
    gone: datetime | None = None

    @property
    def is_message(self) -> bool:
        return self.name in "abc"


WITHIN_MINUTES = (
    Signal("first_a", "first", "a", rearm="once"),
    Signal("first_a_of_user", "first", "a", unit="user", rearm="once"),
    Signal("every_b", "every", "b"),
    Signal("every_b_cooled", "every", "b", rearm="after_cooldown", rearm_after=3 * MINUTE),
    Signal("two_a", "count_within", "a", occurrences=2, within=MINUTE),
    Signal("three_a_rising", "count_within", "a", occurrences=3, within=4 * MINUTE, rearm="rising_edge"),
    Signal(
        "three_a_cooled", "count_within", "a", occurrences=3, within=5 * MINUTE, rearm="after_cooldown",
        rearm_after=2 * MINUTE,
    ),
    Signal("two_a_of_user", "count_within", "a", occurrences=2, within=3 * MINUTE, unit="user", rearm="rising_edge"),
    Signal("a_without_b", "absence", "a", "b", within=3 * MINUTE),
    Signal("a_without_b_of_user", "absence", "a", "b", within=2 * MINUTE, unit="user"),
    Signal("a_without_b_cooled", "absence", "a", "b", within=MINUTE, rearm="after_cooldown", rearm_after=4 * MINUTE),
    Signal("a_then_b", "sequence", "a", then="b", within=2 * MINUTE),
    Signal("a_then_b_then_c", "sequence", "a", then="b", last="c", within=6 * MINUTE),
    Signal("a_then_b_then_a_of_user", "sequence", "a", then="b", last="a", within=8 * MINUTE, unit="user"),
    Signal("a_stopped", "stopped", "a", within=2 * MINUTE),
    Signal("a_back", "restarted", "a", within=2 * MINUTE),
    Signal("m_high", "crossed", "m", direction="above", threshold=3, rearm_threshold=1),
    Signal("m_low", "crossed", "m", direction="below", threshold=1, rearm_threshold=1, rearm="once"),
    Signal("few_b_before_r", "due", "r", "b", occurrences=2, within=5 * MINUTE, direction="below", lead=3 * MINUTE),
    Signal("many_b_before_r", "due", "r", "b", occurrences=1, within=2 * MINUTE, direction="above", lead=4 * MINUTE),
)  # fmt: skip
WITHIN_DAYS = (
    Signal("use_stopped", "stopped", "use", within=2 * DAY),
    Signal("use_back", "restarted", "use", within=3 * DAY),
    Signal("c_without_use", "absence", "c", "use", within=DAY, rearm="after_cooldown", rearm_after=4 * DAY),
    Signal("three_days", "count_within", "day", occurrences=3, within=4 * DAY, rearm="rising_edge"),
    Signal("days_per_week", "regular", "day", occurrences=2, period="week", in_periods=2, of_periods=3),
    Signal(
        "days_per_week_rising", "regular", "day", occurrences=1, period="week", in_periods=2, of_periods=3,
        rearm="rising_edge",
    ),
    Signal(
        "a_per_day_of_user", "regular", "a", occurrences=1, period="day", in_periods=2, of_periods=4, unit="user",
        rearm="rising_edge",
    ),
    Signal("a_in_hours", "regular", "a", occurrences=2, period="hour", in_periods=1, of_periods=1),
    Signal("b_in_months", "regular", "b", occurrences=2, period="month", in_periods=2, of_periods=2),
)  # fmt: skip

# what an increment puts its rows in the place of; as dbt and macros/signals/changes.sql do it
LANDED = {
    "int_behaviours__found": "delete from intermediate.int_behaviours__found"
    " where received_date in (select received_date from news)",
    "int_signals__occurred": "delete from intermediate.int_signals__occurred as known using news as renewed"
    " where renewed.kind = 'listened' and known.customer_id = renewed.customer_id"
    " and (known.kind = 'listened' or known.occurred_at >= renewed.renewed_from_at)",
}

# what increments carry over a cut: a silence begun long before it, once, a cooldown, the side of a metric, a promise
CARRIED_OVER = (
    Signal("a_then_day", "sequence", "a", then="day", within=3 * DAY, rearm="after_cooldown", rearm_after=4 * DAY),
    Signal("b_back_of_user", "restarted", "b", within=2 * DAY, unit="user"),
    Signal("one_b_rising", "count_within", "b", occurrences=1, within=DAY, rearm="rising_edge"),
    Signal("few_days_before_r", "due", "r", "day", occurrences=2, within=3 * DAY, direction="below", lead=DAY),
)
# what makes the models look at use event by event
USE_IN_FULL = (
    Signal("first_use", "first", "use", rearm="once"),
    Signal("day_without_c", "absence", "day", "c", within=DAY),
)

Found = tuple[str, str, str, datetime, str]


def heard(name: str | None, events: list[Event]) -> list[Event]:
    """What a step of a signal hears of one entity, in order."""
    if name in ("use", "day"):
        uses = sorted(event for event in events if event.name in "ab")
        return uses if name == "use" else list({event.at.date(): event for event in reversed(uses)}.values())[::-1]
    return sorted(event for event in events if event.name == name)


def period_of(signal: Signal, event: Event) -> int:
    """The number of the calendar period an event is in."""
    if signal.period == "month":
        return event.at.year * 12 + event.at.month
    seconds = {"hour": 3600, "day": DAY, "week": 7 * DAY}[signal.period or ""]
    return int((event.at - datetime(1970, 1, 5)).total_seconds() // seconds)  # noqa: DTZ001


def regular(signal: Signal, mine: list[Event]) -> list[list[Event]]:
    """The proofs of a regularity: look at every event, count the good periods up to it."""

    def good_at(index: int) -> list[Event]:
        now = period_of(signal, mine[index])
        periods: dict[int, list[Event]] = {}
        for event in mine[: index + 1]:
            periods.setdefault(period_of(signal, event), []).append(event)
        return [
            events[signal.occurrences - 1]
            for period, events in sorted(periods.items())
            if period > now - signal.of_periods and len(events) >= signal.occurrences
        ]

    proofs = []
    for index, event in enumerate(mine):
        good = good_at(index)
        becomes_good = event in good
        enough = len(good) >= signal.in_periods
        if becomes_good and enough and (signal.rearm != "rising_edge" or len(good) - 1 < signal.in_periods):
            proofs.append(good[-signal.in_periods :])
    return proofs


def sequences(signal: Signal, mine: list[Event], events: list[Event]) -> list[list[Event]]:
    """The proofs of a sequence: of all ways to each last step that fit the window, the one with the latest steps."""
    second = heard(signal.then, events)
    proofs = []
    for final in heard(signal.last or signal.then, events):
        middles = second if signal.last else [final]
        ways = [
            ((middle.at, middle.id), (opening.at, opening.id), [opening, *([middle] if signal.last else []), final])
            for middle in middles
            for opening in mine
            if opening.at < middle.at
            and (not signal.last or middle.at < final.at)
            and final.at - opening.at <= timedelta(seconds=signal.within)
        ]
        if ways:
            proofs.append(max(ways)[2])
    return proofs


def crossings(signal: Signal, mine: list[Event]) -> list[list[Event]]:
    """The proofs of a crossing, one value after the other."""
    sign = 1 if signal.direction == "above" else -1
    proofs = []
    armed: Event | None = None
    for event in mine:
        if sign * event.value >= sign * signal.threshold:
            if armed:
                proofs.append([armed, event])
            armed = None
        elif sign * event.value < sign * signal.rearm_threshold:
            armed = event
    return proofs


def candidates(signal: Signal, events: list[Event], observed: datetime, as_of: datetime) -> list[Found]:  # noqa: C901, PLR0912 - a branch per kind
    """Every candidate of a signal among the events of one entity, found by looking at all of them."""
    mine = heard(signal.behaviour, events)
    others = heard(signal.until, events)
    window = timedelta(seconds=signal.within)
    found: list[Found] = []

    def add(at: datetime, proof: list[Event], outcome: str = "fired") -> None:
        found.append((signal.name, proof[0].customer, outcome, at, ",".join(event.id for event in proof)))

    def complete(index: int) -> bool:
        return len([e for e in mine[: index + 1] if mine[index].at - e.at <= window]) >= signal.occurrences

    for index, event in enumerate(mine):
        earlier, later = mine[:index], mine[index + 1 :]
        deadline = event.at + window
        silent = "fired" if deadline < observed else "unknown"
        if signal.kind == "every" or (signal.kind == "first" and not earlier):
            add(event.at, [event])
        elif signal.kind == "count_within" and complete(index):
            if signal.rearm != "rising_edge" or index == 0 or not complete(index - 1):
                add(event.at, mine[index + 1 - signal.occurrences : index + 1])
        elif signal.kind == "absence" and deadline < as_of:
            if not any(event.at <= other.at <= deadline for other in others):
                add(deadline, [event], silent)
        elif signal.kind == "stopped" and deadline < as_of:
            if not any(other.at <= deadline for other in later):
                add(deadline, [event], silent)
        elif signal.kind == "restarted" and earlier and event.at - earlier[-1].at > window:
            add(event.at, [earlier[-1], event])
        elif signal.kind == "due" and event.due:
            moment = max(event.due - timedelta(seconds=signal.lead), event.at)
            if moment < as_of and not (event.gone and event.gone <= moment):
                count = len([other for other in others if moment - window <= other.at <= moment])
                if signal.direction == "above" and count >= signal.occurrences:
                    add(moment, [event])
                elif signal.direction == "below" and count < signal.occurrences:
                    add(moment, [event], "fired" if moment < observed else "unknown")
    proofs = {
        "regular": lambda: regular(signal, mine),
        "sequence": lambda: sequences(signal, mine, events),
        "crossed": lambda: crossings(signal, mine),
    }.get(signal.kind, list)()
    for proof in proofs:
        add(proof[-1].at, proof)
    return found


def rearm(signal: Signal, found: list[Found]) -> list[Found]:
    """What is left after the re-arm rule, one candidate after the other."""
    if signal.rearm not in ("after_cooldown", "once"):
        return found
    kept: list[Found] = []
    last: datetime | None = None
    for candidate in sorted(found, key=lambda each: (each[3], each[4])):
        if candidate[2] == "unknown":
            kept.append(candidate)
        elif last is None or (
            signal.rearm == "after_cooldown" and candidate[3] >= last + timedelta(seconds=signal.rearm_after)
        ):
            kept.append(candidate)
            last = candidate[3]
    return kept


def oracle(signals: tuple[Signal, ...], events: set[Event], observed: datetime, as_of: datetime) -> list[Found]:
    """All occurrences of all signals."""
    found: list[Found] = []
    by_customer: dict[str, list[Event]] = {}
    for event in events:
        if event.at < as_of:
            by_customer.setdefault(event.customer, []).append(event)
    for own in by_customer.values():
        for signal in signals:
            users = sorted({event.user for event in own if event.is_message}) if signal.unit == "user" else [""]
            for user in users:
                mine = [event for event in own if user in ("", event.user)]
                found += rearm(signal, candidates(signal, mine, observed, as_of))
    return sorted(found)


class Detector:
    """The models of detection over events that arrive in any order."""

    def __init__(self, playbook: Any, incremental: dict[str, str]) -> None:
        self.playbook = playbook
        self.incremental = incremental
        playbook.connection.execute(f"create or replace table seeds.behaviours ({BEHAVIOUR_FIELDS})")
        playbook.fill("seeds.behaviours", BEHAVIOURS)
        playbook.connection.execute(
            "create or replace table seeds.product_events as select 'editor' as product, name as event_name,"
            " name != 'event_c' as is_qualifying from unnest(['event_a', 'event_b', 'event_c']) as t (name)"
        )
        columns = ", ".join(f"{name} {kind}" for name, kind in FIELDS.items())
        playbook.connection.execute(f"create or replace table seeds.signal_definitions ({columns})")

    def define(self, signals: tuple[Signal, ...]) -> None:
        self.playbook.fill("seeds.signal_definitions", [signal.row for signal in signals])

    def load(self, arrivals: list[tuple[Event, datetime, str]]) -> None:
        """Fill the inputs; an arrival is an event, when it was received and by which load."""
        self.playbook.fill(
            "intermediate.int_events__deduplicated",
            [
                (
                    event.id, "user", event.user, event.user, "track", f"event_{event.name}", "editor", "{}", None,
                    event.at, received, received.date(), load,
                )
                for event, received, load in arrivals
                if event.is_message
            ],
        )  # fmt: skip
        self.playbook.fill(
            "intermediate.int_signals__measured",
            sorted({
                (
                    event.customer, "metric" if event.name == "m" else "promise", "product", None, event.at, event.id,
                    None, event.value, event.due, event.gone,
                )
                for event, _, _ in arrivals
                if not event.is_message
            }, key=str),
        )  # fmt: skip
        owners = {event.user: event.customer for event, _, _ in arrivals}
        self.playbook.fill(
            "intermediate.int_identities__resolved",
            [(user, "product", "user", user, customer) for user, customer in owners.items()],
        )

    def build(
        self, observed: datetime, as_of: datetime = AS_OF, *, further: bool = False, extracts: Any = None
    ) -> list[tuple[Any, ...]]:
        """Detect, anew or going on from the last build; what was found."""
        connection = self.playbook.connection
        self.playbook.fill("staging.stg_ops__extracts", extracts or [("product", as_of, "succeeded", observed)])
        connection.execute(
            "create or replace table intermediate.int_events__attributed as"
            " select event_id, customer_id, is_qualifying, occurred_at, received_at, received_date"
            " from intermediate.int_events__deduplicated"
            " inner join intermediate.int_identities__resolved using (source_record_type, source_record_id)"
            " inner join seeds.product_events using (product, event_name)"
            " where occurred_at < $1 and received_at < $1",
            [as_of],
        )
        for model in (
            "int_signals__defined", "int_silos__observed", "int_behaviours__found", "int_behaviours__unioned",
            "int_signals__occurred", "int_signals__detected",
        ):  # fmt: skip
            going_on = further and model in self.incremental
            statement = self.incremental[model] if going_on else self.playbook.compiled[model]
            statement = statement.replace(f"'{AS_OF}'", f"'{as_of}'")
            if going_on:
                connection.execute(f"create or replace temp table news as {statement}")
                connection.execute(LANDED[model])
                connection.execute(f"insert into intermediate.{model} by name select * from news")
            else:
                connection.execute(f"create or replace table intermediate.{model} as {statement}")
        found: list[tuple[Any, ...]] = self.playbook.rows(
            "select signal_id, customer_id, outcome, occurred_at, proving_event_ids, occurrence_id"
            " from intermediate.int_signals__detected order by all"
        )
        return found


@pytest.fixture(scope="module")
def incremental(compiled: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SQL that dbt makes of the incremental models when they have been built before."""
    del compiled  # one compilation after the other
    folder = tmp_path_factory.mktemp("incremental")
    models = ("int_behaviours__found", "int_signals__occurred")
    warehouse = Warehouse(folder)
    warehouse.execute("create schema intermediate")
    for model in models:
        warehouse.execute(f"create table intermediate.{model} (customer_id varchar)")
    found = warehouse.compiled(*models, arguments=("--vars", f"{{as_of: '{AS_OF}'}}"))
    assert all(f'"intermediate"."{model}"' in found[model] for model in models)
    return found


@pytest.fixture(scope="module")
def detector(shared_playbook: Any, incremental: dict[str, str]) -> Detector:
    """The playbook with the behaviours of this file instead of the shipped ones."""
    return Detector(shared_playbook, incremental)


def make_event(at: datetime, key: str, customer: str, user: str, name: str, number: int) -> Event:
    """An event; the number is a metric's value, or says when a promise falls due and whether it is withdrawn."""
    if name == "m":
        return Event(at, key, customer, user, name, value=number)
    if name == "r":
        gone = at + timedelta(minutes=3) if number == 1 else None
        return Event(at, key, customer, user, name, due=at + timedelta(minutes=2 + 2 * number), gone=gone)
    return Event(at, key, customer, user, name)


def at_once(arrivals: list[Event]) -> list[tuple[Event, datetime, str]]:
    return [(event, event.at, "1") for event in arrivals]


def differing(detector: Detector, numbers: range) -> dict[int, Any]:
    """The worlds whose signals are not the oracle's, or not the same ones when messages arrive in another order."""
    rng = rng_of_batch(numbers)
    observed = AS_OF - timedelta(minutes=rng.choice((0, 0, 3, 7)))
    events: dict[int, set[Event]] = {}
    for world in numbers:
        chances = rng_of(world)
        # close to as_of, so that deadlines fall on it and around it, and some of what happens lies behind it
        start = AS_OF - timedelta(minutes=chances.randrange(8, 26))
        events[world] = set()
        for number in range(chances.randrange(0, 24)):
            customer = chances.choice(customers_of(world, 2))
            at = start + timedelta(minutes=chances.randrange(0, 14))
            key = f"e{world:03d}_{chances.random():.12f}_{number}"
            name = chances.choice("aabbcmmr")
            events[world].add(make_event(at, key, customer, f"{customer}_{chances.randrange(2)}", name, number % 5))
    ordered = sorted((event for mine in events.values() for event in mine), key=lambda event: event.id)
    arrivals = ordered + ordered[::7]
    rng.shuffle(arrivals)
    detector.define(WITHIN_MINUTES)
    detector.load(at_once(arrivals))
    found = detector.build(observed)
    assert len({row[5] for row in found}) == len(found), "an occurrence has an id of its own"
    expected = {world: oracle(WITHIN_MINUTES, mine, observed, AS_OF) for world, mine in events.items()}
    if len(numbers) > 100:
        assert {row[0] for mine in expected.values() for row in mine} == {signal.name for signal in WITHIN_MINUTES}
    detector.load(at_once(sorted(ordered, key=lambda event: (event.at, event.id))))
    again = detector.build(observed)
    expected = {world: sorted(mine, key=repr) for world, mine in expected.items() if mine}
    differ = difference(expected, by_world([row[:5] for row in found], 1), numbers)
    return differ | difference(by_world(found, 1), by_world(again, 1), numbers)


# how far the silo is complete is drawn for a whole batch: three minutes less than as_of, seven less, all of it
@pytest.mark.parametrize("numbers", [range(250), range(250, 450), range(500, 700)], ids=str)
def test_signals_equal_brute_force_on_hundreds_of_worlds(detector: Detector, numbers: range) -> None:
    assert differing(detector, numbers) == {}


def spread_over_days(rng: random.Random, customers: int, days: int) -> list[tuple[Event, datetime, str]]:
    """Weeks of use with silences, a fifth of it received days late, some of it twice; load by load."""
    arrivals = []
    for number in range(customers):
        customer = f"c{number:03d}"
        day = rng.randrange(5)
        while day < days:
            for _ in range(rng.choice((1, 1, 2, 4))):
                at = ORIGIN + timedelta(days=day, hours=rng.choice((0, 9, 9, 23)), minutes=rng.choice((0, 30)))
                key = f"{customer}_{rng.random():.12f}"
                event = Event(at, key, customer, f"{customer}_{rng.randrange(2)}", rng.choice("aabc"))
                late = timedelta(days=rng.randrange(1, 5)) if rng.random() < 0.2 else timedelta()
                again = [late, late + timedelta(days=8)] if rng.random() < 0.1 else [late]
                arrivals += [
                    (event, at + wait + timedelta(seconds=2), f"{(at + wait).date():%Y%m%d}") for wait in again
                ]
            day += rng.choice((1, 1, 1, 2, 3, 4, 9))
    rng.shuffle(arrivals)
    return arrivals


def test_days_and_periods_equal_brute_force(detector: Detector) -> None:
    arrivals = spread_over_days(random.Random(11), 60, 40)
    as_of = ORIGIN + timedelta(days=41, hours=6)
    observed = as_of - timedelta(days=1)
    detector.define(WITHIN_DAYS)
    detector.load(arrivals)
    found = detector.build(observed, as_of)
    events = {event for event, received, _ in arrivals if received < as_of}
    expected = oracle(WITHIN_DAYS, events, observed, as_of)
    assert {row[0] for row in expected} == {signal.name for signal in WITHIN_DAYS}
    assert [row[:5] for row in found] == expected


def test_detection_is_dated_by_the_first_extract_that_could_know(detector: Detector) -> None:
    """Nothing is detected before its proof was there or before a run read so far; later runs date it alike."""
    arrivals = spread_over_days(random.Random(12), 40, 20)
    received: dict[str, datetime] = {}
    for event, at, _ in arrivals:
        received[event.id] = min(at, received.get(event.id, at))
    runs = [
        ("product", ORIGIN + timedelta(days=day, hours=6), "failed" if day % 5 == 3 else "succeeded",
         ORIGIN + timedelta(days=day, hours=6 - day % 3))
        for day in range(1, 24)
    ]  # fmt: skip
    detector.define(WITHIN_DAYS)
    detector.load(arrivals)
    before: dict[str, tuple[datetime, bool]] = {}
    for as_of in (runs[12][1], runs[17][1], runs[22][1]):
        known = [run for run in runs if run[1] <= as_of]
        detector.build(max(run[3] for run in known if run[2] == "succeeded"), as_of, extracts=known)
        rows = detector.playbook.rows(
            "select occurrence_id, occurred_at, proving_event_ids, detected_at, is_historical"
            " from intermediate.int_signals__detected where outcome = 'fired'"
        )
        assert len(rows) > 200
        for occurrence, at, proof, detected, historical in rows:
            knowable = max([at, *(received[key] for key in proof.split(","))])
            reached = [run[1] for run in known if run[2] == "succeeded" and run[3] > knowable]
            assert detected == max(knowable, min(reached, default=as_of))
            assert historical == (detected > at + timedelta(hours=72))
            if reached:
                assert before.setdefault(occurrence, (detected, historical)) == (detected, historical)
    assert {historical for _, historical in before.values()} == {True, False}


@pytest.mark.parametrize("seed", [1, 2])
def test_increments_equal_a_full_build(detector: Detector, seed: int) -> None:
    rng = random.Random(seed)
    signals: tuple[Signal, ...] = (*WITHIN_MINUTES, *WITHIN_DAYS, *CARRIED_OVER)
    signals += USE_IN_FULL if seed == 1 else ()
    arrivals = spread_over_days(rng, 12, 16)
    for number in range(60):  # figures are known when they are dated
        customer = f"c{rng.randrange(12):03d}"
        at = ORIGIN + timedelta(days=rng.randrange(16), minutes=number)
        due = at + timedelta(days=rng.randrange(1, 6))
        event = Event(at, f"f{number}", customer, f"{customer}_0", rng.choice("mmr"), value=rng.randrange(5), due=due)
        arrivals.append((event, at, "1"))
    days = [ORIGIN + timedelta(days=day, hours=6) for day in (6, 7, 8, 8, 9, 7, 10, 12, 16, 17)]
    if seed == 1:
        days = days[:8]  # use in full is read alike on the quiet days at the end
    merged: dict[str, str] = {}
    for step, as_of in enumerate(days):
        if step == 4:
            merged["c001"] = "c000"  # two customers turn out to be one
        if step == 6:
            merged.clear()  # and not to be one after all
        if step == 7:
            signals = tuple(
                replace(each, within=each.within + DAY) if each.kind == "stopped" else each for each in signals
            )
        known = [
            (replace(event, customer=merged.get(event.customer, event.customer)), received, load)
            for event, received, load in arrivals
            if received < max(days[: step + 1])
        ]
        observed = as_of - timedelta(days=rng.choice((0, 0, 2)))
        detector.define(signals)
        detector.load(known)
        grown = detector.build(observed, as_of, further=step > 0)
        if step in (4, 6, 7, len(days) - 1):  # ids, which the oracle has none of, stay in the rows until then
            state = {
                model: detector.playbook.connection.execute(f"select * from intermediate.{model}").to_arrow_table()
                for model in detector.incremental
            }
            assert grown == detector.build(observed, as_of)
            for model, rows in state.items():  # what the increments left is what the next one goes on from
                detector.playbook.connection.register("rows_before", rows)
                detector.playbook.connection.execute(
                    f"create or replace table intermediate.{model} as select * from rows_before"
                )
                detector.playbook.connection.unregister("rows_before")
        events = {event for event, received, _ in known if received < as_of}
        assert [row[:5] for row in grown] == oracle(signals, events, observed, as_of)


def test_nobody_is_looked_at_again_without_a_reason(detector: Detector) -> None:
    as_of = ORIGIN + timedelta(days=10, hours=6)
    detector.define((Signal("every_a", "every", "a"), Signal("a_stopped", "stopped", "a", within=7 * DAY)))
    old = [
        (Event(ORIGIN + timedelta(hours=hour), f"{customer}{hour}", customer, customer, "a"), ORIGIN, "1")
        for customer in ("c1", "c2", "c3")
        for hour in (1, 2)
    ]
    detector.load(old)
    detector.build(as_of, as_of)
    news = (Event(as_of, "new", "c2", "c2", "a"), as_of, "2")
    detector.load([*old, news])
    detector.build(as_of, as_of + timedelta(days=1), further=True)
    assert detector.playbook.rows("select customer_id from news where kind = 'listened'") == [("c2",)]
    # nothing new, but a week of silence after the news is over
    detector.build(as_of + timedelta(days=9), as_of + timedelta(days=9), further=True)
    assert detector.playbook.rows("select customer_id from news where kind = 'listened'") == [("c2",)]


def test_an_edited_definition_gives_new_occurrence_ids(detector: Detector) -> None:
    event = Event(ORIGIN, "e1", "c1", "u1", "a")
    detector.define(WITHIN_MINUTES)
    detector.load(at_once([event]))
    before = {row[0]: row[5] for row in detector.build(AS_OF)}
    detector.playbook.connection.execute("update seeds.signal_definitions set meaning = 'Said otherwise.'")
    assert {row[0]: row[5] for row in detector.build(AS_OF)} == before
    detector.playbook.connection.execute(
        "update seeds.signal_definitions set within_seconds = within_seconds + 60 where kind = 'stopped'"
    )
    after = {row[0]: row[5] for row in detector.build(AS_OF)}
    assert {name for name in before if before[name] != after[name]} == {"a_stopped"}


def test_history_is_what_was_known_late_or_before_the_signal_was_enabled(detector: Detector) -> None:
    detector.define((Signal("every_a", "every", "a"),))
    events = [Event(AS_OF - timedelta(hours=hours), f"e{hours}", "c1", "u1", "a") for hours in (1, 30, 100)]
    detector.load(at_once(events))
    enabled = AS_OF - timedelta(hours=20)
    for value, expected in ((None, ["e100"]), (enabled, ["e100", "e30"])):
        detector.playbook.connection.execute("update seeds.signal_definitions set enabled_at = ?", [value])
        detector.build(AS_OF)
        history = detector.playbook.rows(
            "select proving_event_ids from intermediate.int_signals__detected where is_historical order by 1"
        )
        assert [row[0] for row in history] == expected
