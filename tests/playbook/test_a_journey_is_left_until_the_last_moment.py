"""A step of a journey that was permitted when the plan was made, and what happens before it is sent.

Journeys have no queue of their own: whether a step still makes sense is what decisions say, and a courier asks for the
newest published decisions before each request. So this goes the whole way: decisions by the models, published, planned,
and while the first step is being sent, decisions of an hour later are published.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from activation.actions import Action, Outcome
from activation.deliver import Budget, Checks, work
from activation.desired import Published, Recheck
from activation.destinations import Basics
from activation.ledger import Ledger
from activation.pacing import Rate, RunTime
from activation.plan import Policy
from activation.sync import Guards, prepare
from tests.playbook.test_decisions_equal_admission_one_by_one import (
    AS_OF,
    HOUR,
    NEXT,
    Occurrence,
    Receipt,
    World,
    decide,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

FIRST, REACHED, LEFT, WITHDREW, STAYS = people = ("j_c1", "j_c3", "j_c8", "j_c6", "j_c7")


def on_the_way() -> World:
    """Everybody got the first message of the journey, and has reached the turn to the next."""
    world = World([], {}, [], set_of_people(), set())
    for place, customer in enumerate(people):
        at = AS_OF - 40 * HOUR + timedelta(minutes=place)
        world.stays[customer] = [("trial", AS_OF - 400 * HOUR, None)]
        world.occurrences.append(Occurrence(f"turn {customer}", "s1", customer, at, at, historical=False))
        world.receipts.append(
            Receipt(f"hello|{customer}", customer, "hello", f"turn {customer}", "acknowledged", at + HOUR, at + HOUR)
        )
        world.turns.add(f"turn {customer}")
    return together([world])


def set_of_people() -> dict[str, Any]:
    return dict.fromkeys(people, ("u", "a@b.c", True, "7", "12"))


def an_hour_later(world: World) -> World:
    """One has reached the goal, one has left the state, one has withdrawn the consent."""
    soon = AS_OF + HOUR / 2
    world.as_of = AS_OF + HOUR
    world.occurrences.append(Occurrence("goal", "s3", REACHED, soon, soon, historical=False))
    world.stays[LEFT] = [("trial", AS_OF - 400 * HOUR, soon), ("churned", soon, None)]
    world.people[WITHDREW] = ("u", "a@b.c", False, "7", "12")
    return world


class Desk(Basics):
    """Takes one step at a time; something happens while the first is on its way."""

    name = "customerio"
    rate = Rate(1000, 1000)
    concurrency = 1

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.sent: list[str] = []
        self._meanwhile = meanwhile

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        if not self.sent:
            self._meanwhile()
        self.sent += [action.customer_id for action in actions]
        return [Outcome.acknowledged(action.action_id) for action in actions]

    def close(self) -> None:
        pass


def publish(playbook: Any, path: Path, link: Path) -> None:
    """What the decisions let through of the journey, as a new version."""
    rows = playbook.rows(
        "select action_id, destination, object, action, customer_id, occurrence_id, occurred_at, expires_at, priority"
        f" from intermediate.int_actions__decided where action = '{NEXT}' and decision = 'permitted' and is_open"
        " and not is_sent"
    )
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts; create schema activation")
        connection.execute("create table marts.customer_lifecycle as select 1 as id")
        connection.execute(
            "create table activation.act_customerio__events (action_id varchar, destination varchar, object varchar,"
            " action varchar, customer_id varchar, occurrence_id varchar, occurred_at timestamp, expires_at timestamp,"
            " priority integer, payload varchar)"
        )
        values = ", ".join(["?"] * 9)
        connection.executemany(f"insert into activation.act_customerio__events values ({values}, '{{}}')", rows)
    link.unlink(missing_ok=True)
    link.symlink_to(path)


@pytest.mark.parametrize("looks_again", [True, False])
def test_a_step_whose_exit_condition_is_met_between_plan_and_dispatch_is_held_back(
    playbook: Any, tmp_path: Path, *, looks_again: bool
) -> None:
    link, world = tmp_path / "lifecycle.duckdb", on_the_way()
    decide(playbook, world)
    publish(playbook, tmp_path / "v1" / "lifecycle.duckdb", link)
    reasons: dict[str, set[str]] = {}

    def meanwhile() -> None:
        found = decide(playbook, an_hour_later(world))
        reasons.update({customer: found[f"turn {customer}", NEXT] for customer in people})
        publish(playbook, tmp_path / "v2" / "lifecycle.duckdb", link)

    planned, desk, time = Published.newest(link), Desk(meanwhile), RunTime(AS_OF)
    ledger = Ledger(tmp_path / "ledger.sqlite")
    policies = {desk.name: Policy(live=True, resends_changes=False)}
    checks = Checks(Recheck(link, planned).withdrawn) if looks_again else Checks()
    with prepare(planned, ledger, policies, Guards(), {desk.name: desk}, time, AS_OF) as outlook:
        assert sum(outlook.to_send.values()) == len(people)
        (tally,) = work(
            outlook.plan_id, {desk.name: desk}, ledger, time, Budget(60), checks=checks, fresh=outlook.fresh
        )
    held_back = {
        entry.action.customer_id for entry in ledger.snapshot().values() if "no longer wants it" in entry.reason
    }
    ledger.close()
    expected = {FIRST: set(), REACHED: {"goal_met"}, LEFT: {"state_left"}, WITHDREW: {"no_consent"}, STAYS: set()}
    assert reasons == expected
    if looks_again:
        assert (desk.sent, held_back, tally.withdrawn) == ([FIRST, STAYS], {REACHED, LEFT, WITHDREW}, 3)
    else:  # what would happen if nobody looked: the test can fail
        assert desk.sent == list(people)
