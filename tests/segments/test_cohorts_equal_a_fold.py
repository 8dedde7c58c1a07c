"""Usage cohorts, found by running maxima, are those of a customer followed from Monday to Monday."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from typing import Any

import pandas as pd
import pytest

from tests.warehouse import Warehouse

MONDAY = dt.date(2026, 1, 5)
FIRST_SIGHT = dt.time(8, 45)
DAYS = 190
AS_OF = dt.datetime(2026, 7, 16, 6)  # noqa: DTZ001 - the warehouse keeps naive UTC
FREQUENCY = [("dormant", 0, 0), ("light", 1, 1), ("regular", 4, 3), ("frequent", 12, 10), ("daily", 20, 17)]
DURATION = [("brief", 0.0, 0.0), ("medium", 3.0, 2.7), ("long", 5.0, 4.5)]
MIX = [("broad", 0.0, 0.0), ("dominant", 0.5, 0.4)]
Use = tuple[dt.date, str, int, int]
Stay = tuple[dt.datetime, str]


def follow(use: list[Use], known_since: dt.date) -> list[Stay]:
    """Every Monday look back at 28 dates: rise to the band reached, fall only below the held band's threshold."""
    stays: list[Stay] = [(dt.datetime.combine(known_since, FIRST_SIGHT), "new")]
    held = {"frequency": 0, "duration": 0}
    dominant: str | None = None
    top_before: str | None = None
    monday = known_since - dt.timedelta(days=known_since.weekday()) + dt.timedelta(days=7)
    while monday <= AS_OF.date():
        window = [row for row in use if monday - dt.timedelta(days=28) <= row[0] < monday]
        active_days = len({day for day, *_ in window})
        held["frequency"] = move(FREQUENCY, held["frequency"], active_days)
        top = None
        if window:
            held["duration"] = move(DURATION, held["duration"], sum(row[3] for row in window) / active_days)
            events: dict[str, int] = defaultdict(int)
            for _, family, count, _ in window:
                events[family] += count
            top = min(events, key=lambda family: (-events[family], family))
            share = events[top] / sum(events.values())
            if share >= 0.5:
                dominant = top
            elif share < 0.4 or top != top_before:
                dominant = None
        top_before = top
        name = FREQUENCY[held["frequency"]][0]
        if window:
            name += f"/{DURATION[held['duration']][0]}/{dominant or 'broad'}"
        if stays[-1][1] != name:
            stays.append((dt.datetime.combine(monday, dt.time()), name))
        monday += dt.timedelta(days=7)
    return stays


def move(bands: list[tuple[str, Any, Any]], held: int, value: float) -> int:
    """The band held after a value: never below the highest one entered, never above the highest one not left."""
    entered = max(place for place, (_, enter, _) in enumerate(bands) if value >= enter)
    kept = max(place for place, (_, _, leave) in enumerate(bands) if value >= leave)
    return min(max(held, entered), kept)


def lives(rng: random.Random) -> dict[str, tuple[dt.date, list[Use]]]:
    """Customers who use a product in phases of different intensity, some with long silences, some not at all."""
    customers: dict[str, tuple[dt.date, list[Use]]] = {}
    for number in range(150):
        first = MONDAY + dt.timedelta(days=rng.randrange(60))
        use: list[Use] = []
        chance, families = 0.0, ["a"]
        for day in range((first - MONDAY).days, DAYS):
            if rng.random() < 0.04:
                chance = rng.choice([0, 0, 0.05, 0.12, 0.2, 0.45, 0.6, 0.75])
                families = rng.sample(["a", "b", "c"], rng.randrange(1, 4))
            if rng.random() < chance:
                minutes = rng.randrange(1, 4)
                use += [
                    (MONDAY + dt.timedelta(days=day), family, rng.randrange(1, 4), minutes)
                    for family in rng.sample(families, rng.randrange(1, len(families) + 1))
                ]
        customers[f"c_{number}"] = (first, use)
    return customers


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, dict[str, tuple[dt.date, list[Use]]]]:
    """The model, built on made-up days of use."""
    customers = lives(random.Random(3))
    rows = [
        {"customer_id": customer, "usage_date": day, "feature_family": family, "events": events, "minutes": minutes}
        for customer, (_, use) in customers.items()
        for day, family, events, minutes in use
    ]
    frames = {
        "use": pd.DataFrame(rows),
        "known": pd.DataFrame([{"customer_id": name, "known_since": first} for name, (first, _) in customers.items()]),
        "bands": pd.DataFrame(
            [
                {"measure": measure, "band": band, "band_order": place + 1, "lower_bound": enter, "leave_below": leave}
                for measure, bands in (("frequency", FREQUENCY), ("duration", DURATION), ("mix", MIX))
                for place, (band, enter, leave) in enumerate(bands)
            ]
        ),
    }
    warehouse = Warehouse(tmp_path_factory.mktemp("cohorts"))
    warehouse.stand_at(AS_OF)
    with warehouse.connect() as connection:
        for name, frame in frames.items():
            connection.register(name, frame)
        connection.execute(
            """
            create schema intermediate; create schema seeds;
            create table intermediate.int_usage__daily as
            select customer_id, 'esign' as product, usage_date, sum(events) as qualifying_events,
                sum(minutes) as active_minutes
            from use group by all;
            create table intermediate.int_actor_usage__daily as
            select 'account' as source_record_type, customer_id as source_record_id, 'esign' as product,
                feature_family, usage_date, events as qualifying_events
            from use;
            create table intermediate.int_identities__resolved as
            select 'product' as source_system, 'account' as source_record_type, customer_id as source_record_id,
                customer_id, cast(known_since as timestamp) + interval (525) minute as first_seen_at
            from known;
            create table seeds.usage_cohort_bands as select '1' as rule_version, 'esign' as product, * from bands
            """
        )
    warehouse.dbt("run", "--select", "int_usage_cohorts__held")
    return warehouse, customers


def test_every_stay_is_that_of_a_fold(
    built: tuple[Warehouse, dict[str, tuple[dt.date, list[Use]]]],
) -> None:
    """The same cohorts from the same Mondays on, for lives with every kind of rise, fall, silence and return."""
    warehouse, customers = built
    rows = warehouse.rows(
        "select customer_id, entered_at, usage_cohort from intermediate.int_usage_cohorts__held order by all"
    )
    ours: dict[str, list[Stay]] = defaultdict(list)
    for customer, entered_at, cohort in rows:
        ours[customer].append((entered_at, cohort))
    folded = {customer: follow(use, first) for customer, (first, use) in customers.items()}
    assert dict(ours) == folded
    # the lives were rich enough to hold bands that the four weeks alone would not give
    assert len({cohort for stays in folded.values() for _, cohort in stays}) > 25


def test_holding_is_what_keeps_customers_still(
    built: tuple[Warehouse, dict[str, tuple[dt.date, list[Use]]]],
) -> None:
    """With thresholds to leave as high as those to enter, the same lives change cohort more often."""
    _, customers = built
    eager = [[(name, enter, enter) for name, enter, _ in bands] for bands in (FREQUENCY, DURATION)]
    held = sum(len(follow(use, first)) for first, use in customers.values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "FREQUENCY", eager[0])
        patch.setitem(globals(), "DURATION", eager[1])
        unheld = sum(len(follow(use, first)) for first, use in customers.values())
    assert held < 0.95 * unheld
