"""What the scores are told about a month does not change when something happens after it.

A feature that peeks makes a score look better in every past month and useless today, and no test of the score can tell.
So the upstream tables are filled with made-up facts, once up to the end of a month and once with everything that came
later, and every column of every month up to then has to stay as it is, apart from what the later months are the outcome
of. The same facts moved before the end have to be seen, or the test could not fail.
"""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from tests.warehouse import Warehouse

if TYPE_CHECKING:
    from collections.abc import Callable

START = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - the warehouse keeps naive UTC
END = dt.datetime(2026, 4, 1)  # noqa: DTZ001
LATER = dt.datetime(2026, 5, 20, 6)  # noqa: DTZ001
CUSTOMERS = [f"c_{number}" for number in range(12)]
# what the month after says about a month, and which month is the last
OUTCOMES = {"has_left", "has_upgraded", "was_treated"}
Rows = list[dict[str, Any]]
Facts = dict[str, Rows]


def facts(rng: random.Random, begin: dt.datetime, until: dt.datetime) -> Facts:
    """Everything that happens to all customers between two instants, a few times a week."""
    made: Facts = {name: [] for name in ("usage", "events", "tickets", "deliveries")}
    day = begin
    while day < until:
        for customer in CUSTOMERS:
            at = day + dt.timedelta(seconds=rng.randrange(86400))
            if at >= until:
                continue
            if rng.random() < 0.3:
                made["usage"].append(
                    {
                        "customer_id": customer, "usage_date": at.date(), "feature_family": rng.choice("abcdefghij"),
                        "actor_id": f"{customer}_{rng.randrange(5)}", "minutes": rng.randrange(1, 30),
                        "failed_exports": rng.randrange(2), "api_calls": rng.randrange(9),
                    }
                )  # fmt: skip
            if rng.random() < 0.2:
                name = rng.choice(["plan_limit_reached", "pricing_viewed", "user_invited", "integration_completed"])
                made["events"].append({"customer_id": customer, "event_name": name, "occurred_at": at})
            if rng.random() < 0.08:
                rated = at + dt.timedelta(days=3)
                made["tickets"].append(
                    {
                        "customer_id": customer, "created_at": at,
                        "rated_at": rated if rated < until else None,
                        "satisfaction_score": "bad" if rated < until else None, "is_own_escalation": False,
                    }
                )  # fmt: skip
            if rng.random() < 0.05:
                made["deliveries"].append({"customer_id": customer, "sent_at": at})
        day += dt.timedelta(days=1)
    return made


def subscriptions(rng: random.Random, until: dt.datetime) -> tuple[Rows, Rows]:
    """States of one subscription per customer that changes every five weeks, and the bridge over its months."""
    states: Rows = []
    bridge: Rows = []
    for customer in CUSTOMERS:
        instant = START + dt.timedelta(days=rng.randrange(25))
        while instant < LATER:
            following = instant + dt.timedelta(days=35)
            state = {
                "customer_id": customer, "stripe_subscription_id": customer, "plan": rng.choice(["starter", "team"]),
                "billing_interval": rng.choice(["month", "year"]), "seats": rng.randrange(1, 9), "mrr_units": 1,
                "valid_from": instant, "valid_to": following if following < until else None,
            }  # fmt: skip
            if instant < until:
                states.append(state)
            instant = following
        for month in range(1, 6):
            opened = dt.datetime(2026, month, 1)  # noqa: DTZ001
            closed = dt.datetime(2026, month + 1, 1)  # noqa: DTZ001
            past_due, leaving = rng.choice([0, 0, 50]), rng.choice([0, 0, 0, 100])
            if opened < until:
                bridge.append(
                    {
                        "customer_id": customer, "month": opened.date(), "is_open_month": closed > until,
                        "closing_mrr": 100, "mrr_past_due": past_due, "mrr_scheduled_churn": leaving, "mrr_paused": 0,
                    }
                )  # fmt: skip
    return states, bridge


def fill(warehouse: Warehouse, made: Facts, states: Rows, bridge: Rows) -> None:
    """Put the facts where the model reads them."""
    with warehouse.connect() as connection:
        for name, rows in {**made, "states": states, "bridge": bridge}.items():
            connection.register(f"made_{name}", pd.DataFrame(rows))
        connection.execute(
            """
            create schema if not exists intermediate; create schema if not exists seeds;
            create or replace table intermediate.int_mrr__bridged as from made_bridge;
            create or replace table intermediate.int_subscription_states__historized as from made_states;
            create or replace table seeds.plans as
            select * from (values ('starter', 1), ('team', 2)) as plans (plan, plan_rank);
            create or replace table intermediate.int_usage__daily as
            select customer_id, 'all' as product, usage_date, 1 as qualifying_events, sum(minutes) as active_minutes
            from made_usage group by all;
            create or replace table intermediate.int_actor_usage__daily as
            select 'account' as source_record_type, customer_id as source_record_id, 'user' as actor_type, actor_id,
                'esign' as product, feature_family, usage_date, 1 as qualifying_events, failed_exports, api_calls
            from made_usage;
            create or replace table intermediate.int_events__attributed as from made_events;
            create or replace table intermediate.int_tickets__attributed as
            select * replace (cast(rated_at as timestamp) as rated_at,
                cast(satisfaction_score as varchar) as satisfaction_score) from made_tickets;
            create or replace table intermediate.int_deliveries__committed as from made_deliveries;
            create or replace table intermediate.int_identities__resolved as
            select distinct 'product' as source_system, 'account' as source_record_type,
                customer_id as source_record_id, customer_id
            from made_usage;
            create or replace table intermediate.int_acquisition__first_touched as
            select customer_id, 'content' as channel, min(valid_from) as touched_at from made_states group by all
            """
        )


@pytest.fixture(scope="module")
def featured(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Facts, dt.datetime], dict[tuple[Any, ...], Any]]:
    """Build the person-period table on facts, as of an instant: (customer, month) -> columns."""
    warehouse = Warehouse(tmp_path_factory.mktemp("features"))

    def building(made: Facts, as_of: dt.datetime) -> dict[tuple[Any, ...], Any]:
        states, bridge = subscriptions(random.Random(1), as_of)
        fill(warehouse, made, states, bridge)
        warehouse.stand_at(as_of)
        warehouse.dbt("run", "--select", "int_customer_months__featured")
        with warehouse.connect(read_only=True) as connection:
            found = connection.execute("select * from intermediate.int_customer_months__featured")
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        return {(row["customer_id"], row["month"]): row for row in rows}

    return building


def test_no_feature_of_a_month_changes_with_what_came_later(
    featured: Callable[[Facts, dt.datetime], dict[tuple[Any, ...], Any]],
) -> None:
    """As of the end of March, and as of May with seven more weeks of everything."""
    rng = random.Random(5)
    before, after = facts(rng, START, END), facts(rng, END, LATER)
    then = featured(before, END)
    now = featured({name: [*before[name], *after[name]] for name in before}, LATER)

    months = {month for _, month in then}
    assert months == {dt.date(2026, 1, 1), dt.date(2026, 2, 1), dt.date(2026, 3, 1)}
    for key, row in then.items():
        unchanged = {name: value for name, value in row.items() if name not in OUTCOMES}
        assert {name: now[key][name] for name in unchanged} == unchanged, key
    # the outcomes of the last month are what has become known
    assert all(row["has_left"] is None for (_, month), row in then.items() if month == max(months))
    assert all(row["has_left"] is not None for (_, month), row in now.items() if month == max(months))

    # and a fact one second before the end is seen where one second after it was not
    eve = END - dt.timedelta(seconds=1)
    early = [{**row, "occurred_at": eve} for row in after["events"]]
    seen = featured({**before, "events": [*before["events"], *early]}, END)
    counts = ("limits_reached_56d", "prices_viewed_56d", "users_invited_56d")
    assert sum(seen[key][name] - then[key][name] for key in then for name in counts) > len(CUSTOMERS)
