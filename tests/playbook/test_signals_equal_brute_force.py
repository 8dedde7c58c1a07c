"""Signals against an oracle that looks at every pair of events, on random streams with ties, duplicates and gaps.

Times lie on a grid of one minute and windows are whole minutes, so that borders and ties are common, not exceptions.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ORIGIN = datetime(2026, 2, 1)  # noqa: DTZ001 - the warehouse is naive UTC
AS_OF = datetime(2026, 3, 1)  # noqa: DTZ001 - the as_of that conftest compiles with
MINUTE = 60
DETECTION_INPUT = "intermediate.int_events__attributed"
SIGNAL_COLUMNS = (
    "signal_id varchar, kind varchar, behaviour varchar, until_behaviour varchar, occurrences bigint,"
    " within_seconds bigint, unit varchar, rearm varchar, rearm_after_seconds bigint, max_lateness_hours bigint,"
    " meaning varchar, state varchar"
)
BEHAVIOUR_COLUMNS = (
    "behaviour varchar, source varchar, event_name varchar, product varchar, property_name varchar,"
    " property_value varchar, grain varchar, meaning varchar"
)


@dataclass(frozen=True)
class Signal:
    """A row of the seed signal_definitions."""

    name: str
    kind: str
    behaviour: str
    until: str | None = None
    occurrences: int | None = None
    within: int | None = None
    unit: str = "customer"
    rearm: str = "every_time"
    rearm_after: int | None = None

    @property
    def row(self) -> tuple[Any, ...]:
        return (
            self.name, self.kind, self.behaviour, self.until, self.occurrences, self.within, self.unit, self.rearm,
            self.rearm_after, 72, "A test.", None,
        )  # fmt: skip


@dataclass(frozen=True, order=True)
class Event:
    """A message of the product."""

    at: datetime
    id: str
    customer: str
    user: str
    name: str


SIGNALS = (
    Signal("first_a", "first", "a", rearm="once"),
    Signal("first_a_of_user", "first", "a", unit="user", rearm="once"),
    Signal("every_b", "every", "b"),
    Signal("every_b_cooled", "every", "b", rearm="after_cooldown", rearm_after=3 * MINUTE),
    Signal("two_a", "count_within", "a", occurrences=2, within=MINUTE, rearm="every_time"),
    Signal("three_a_rising", "count_within", "a", occurrences=3, within=4 * MINUTE, rearm="rising_edge"),
    Signal("three_a_cooled", "count_within", "a", None, 3, 5 * MINUTE, "customer", "after_cooldown", 2 * MINUTE),
    Signal("two_a_of_user", "count_within", "a", None, 2, 3 * MINUTE, "user", "rising_edge"),
    Signal("a_without_b", "absence", "a", "b", None, 3 * MINUTE),
    Signal("a_without_b_of_user", "absence", "a", "b", None, 2 * MINUTE, "user"),
    Signal("a_without_b_cooled", "absence", "a", "b", None, MINUTE, "customer", "after_cooldown", 4 * MINUTE),
    Signal("a_stopped", "stopped", "a", within=2 * MINUTE),
    Signal("a_back", "restarted", "a", within=2 * MINUTE),
)
BEHAVIOURS = [(name, "product", f"event_{name}", None, None, None, "event", "A test.") for name in "ab"]

Found = tuple[str, str, str, datetime, str]


def candidates(signal: Signal, events: list[Event], observed: datetime) -> list[Found]:  # noqa: C901 - a branch per kind
    """Every candidate of a signal among the events of one entity, found by looking at all pairs."""
    mine = sorted(event for event in events if event.name == signal.behaviour)
    others = [event for event in events if event.name == signal.until]
    window = timedelta(seconds=signal.within or 0)
    found: list[Found] = []

    def add(at: datetime, proof: list[Event], outcome: str = "fired") -> None:
        found.append((signal.name, mine[0].customer, outcome, at, ",".join(event.id for event in proof)))

    def complete(index: int) -> bool:
        within = [event for event in mine[: index + 1] if mine[index].at - event.at <= window]
        return len(within) >= (signal.occurrences or 0)

    for index, event in enumerate(mine):
        earlier, later = mine[:index], mine[index + 1 :]
        deadline = event.at + window
        silent_outcome = "fired" if deadline < observed else "unknown"
        if signal.kind == "every" or (signal.kind == "first" and not earlier):
            add(event.at, [event])
        elif signal.kind == "count_within" and complete(index):
            if signal.rearm != "rising_edge" or index == 0 or not complete(index - 1):
                add(event.at, mine[index + 1 - (signal.occurrences or 0) : index + 1])
        elif signal.kind == "absence" and deadline < AS_OF:
            if not any(event.at <= other.at <= deadline for other in others):
                add(deadline, [event], silent_outcome)
        elif signal.kind == "stopped" and deadline < AS_OF:
            if not any(other.at <= deadline for other in later):
                add(deadline, [event], silent_outcome)
        elif signal.kind == "restarted" and earlier and event.at - earlier[-1].at > window:
            add(event.at, [earlier[-1], event])
    return found


def rearm(signal: Signal, found: list[Found]) -> list[Found]:
    """What is left after the re-arm rule, one candidate after the other."""
    if signal.rearm != "after_cooldown":
        return found
    kept: list[Found] = []
    last: datetime | None = None
    for candidate in sorted(found, key=lambda each: (each[3], each[4])):
        if candidate[2] == "unknown":
            kept.append(candidate)
        elif last is None or candidate[3] >= last + timedelta(seconds=signal.rearm_after or 0):
            kept.append(candidate)
            last = candidate[3]
    return kept


def oracle(events: set[Event], observed: datetime) -> list[Found]:
    """All occurrences of all signals."""
    found: list[Found] = []
    for signal in SIGNALS:
        entities = {(event.customer, event.user if signal.unit == "user" else "") for event in events}
        for customer, user in sorted(entities):
            own = [event for event in events if event.customer == customer and user in ("", event.user)]
            if own:
                found += rearm(signal, candidates(signal, own, observed))
    return sorted(found)


def detect(playbook: Any, arrivals: list[Event], observed: datetime) -> list[tuple[Any, ...]]:
    """The same by the models, with the events in the order and as often as they arrived."""
    rows = [
        (event.id, event.customer, event.user, "editor", f"event_{event.name}", True, event.at, event.at, "{}")
        for event in arrivals
    ]
    playbook.fill(DETECTION_INPUT, rows)
    playbook.fill("staging.stg_ops__extracts", [("product", AS_OF, "succeeded", observed)])
    playbook.build(
        ["int_signals__defined", "int_silos__observed", "int_activity__daily_edged", "int_behaviours__unioned"]
        + [f"int_signals__{kind}" for kind in ("first", "every", "count_within", "absence", "stopped", "restarted")]
        + ["int_signals__occurred", "int_signals__detected"]
    )
    return playbook.rows(
        "select signal_id, customer_id, outcome, occurred_at, proving_event_ids, occurrence_id"
        " from intermediate.int_signals__detected order by all"
    )


@pytest.fixture(scope="module")
def detector(shared_playbook: Any) -> Any:
    """The playbook with the signals of this file instead of the shipped ones."""
    shared_playbook.connection.execute(f"create or replace table seeds.signal_definitions ({SIGNAL_COLUMNS})")
    shared_playbook.connection.execute(f"create or replace table seeds.behaviours ({BEHAVIOUR_COLUMNS})")
    shared_playbook.fill("seeds.signal_definitions", [signal.row for signal in SIGNALS])
    shared_playbook.fill("seeds.behaviours", BEHAVIOURS)
    return shared_playbook


@st.composite
def worlds(draw: st.DrawFn) -> tuple[set[Event], list[Event], datetime]:
    """Some customers with some events, an order of arrival with duplicates, and how far the silo is complete."""
    moments = draw(
        st.lists(
            st.tuples(st.integers(0, 14), st.sampled_from(["c1", "c2"]), st.sampled_from("uv"), st.sampled_from("aab")),
            max_size=16,
        )
    )
    # close to as_of, so that deadlines fall before and after what is known; ids do not follow time, as in real life
    start = AS_OF - timedelta(minutes=draw(st.integers(8, 20)))
    keys = draw(st.permutations(range(len(moments))))
    events = {
        Event(start + timedelta(minutes=minute), f"e{key:02d}", customer, customer + user, name)
        for key, (minute, customer, user, name) in zip(keys, moments, strict=True)
    }
    ordered = sorted(events)
    copies = draw(st.lists(st.sampled_from(ordered), max_size=4)) if ordered else []
    arrivals = draw(st.permutations(ordered + copies))
    observed = AS_OF - timedelta(minutes=draw(st.sampled_from([0, 0, 3, 7])))
    return {event for event in events if event.at < AS_OF}, arrivals, observed


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(world=worlds())
def test_signals_equal_brute_force_on_random_streams(
    detector: Any, world: tuple[set[Event], list[Event], datetime]
) -> None:
    events, arrivals, observed = world
    found = detect(detector, arrivals, observed)
    assert sorted(row[:5] for row in found) == oracle(events, observed)
    assert len({row[5] for row in found}) == len(found)


def test_signals_equal_brute_force_on_five_hundred_worlds(detector: Any) -> None:
    rng = random.Random(20260301)
    events: set[Event] = set()
    for world in range(500):
        for number in range(rng.randrange(0, 18)):
            customer = f"c{world:03d}_{rng.randrange(2)}"
            at = ORIGIN + timedelta(minutes=rng.randrange(0, 20))
            user = f"{customer}_{rng.randrange(2)}"
            events.add(Event(at, f"e{world:03d}_{rng.random():.12f}_{number}", customer, user, rng.choice("aab")))
    arrivals = sorted(events) + sorted(events)[::7]
    rng.shuffle(arrivals)
    found = detect(detector, arrivals, AS_OF)
    expected = oracle(events, AS_OF)
    assert len(expected) > 5_000
    assert [row[:5] for row in found] == expected

    # the order of arrival and repeated messages leave no trace, not even in the ids
    assert detect(detector, sorted(events), AS_OF) == found


def test_an_edited_definition_gives_new_occurrence_ids(detector: Any) -> None:
    event = Event(ORIGIN, "e1", "c1", "u1", "a")
    before = {row[0]: row[5] for row in detect(detector, [event], AS_OF)}
    detector.connection.execute("update seeds.signal_definitions set meaning = 'Said otherwise.'")
    assert {row[0]: row[5] for row in detect(detector, [event], AS_OF)} == before
    detector.connection.execute(
        "update seeds.signal_definitions set within_seconds = within_seconds + 60 where kind = 'stopped'"
    )
    after = {row[0]: row[5] for row in detect(detector, [event], AS_OF)}
    assert {name for name in before if before[name] != after[name]} == {"a_stopped"}
    detector.fill("seeds.signal_definitions", [signal.row for signal in SIGNALS])
