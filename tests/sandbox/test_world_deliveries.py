from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

from sandbox.generate import advance, generate, store_path
from sandbox.store import Store
from sandbox.world.parameters import WorldParameters
from sandbox.world.state import NEVER, Integration, Phase, World
from tests.sandbox.worlds import bodies

if TYPE_CHECKING:
    from pathlib import Path

PARAMETERS = WorldParameters(customers=200, months=4, events_per_day=100, seed=11)


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    generate(folder, PARAMETERS)
    return folder


@pytest.fixture
def data_dir(generated: Path, tmp_path: Path) -> Path:
    """A world of the test's own."""
    return shutil.copytree(generated, tmp_path / "data")


def state(data_dir: Path) -> World:
    (folder,) = (data_dir / "sandbox" / "world").iterdir()
    return World.load(folder)


def deliver(data_dir: Path, vendor: str, kind: str, body: dict[str, Any], status: int = 200) -> None:
    store = Store(store_path(data_dir))
    store.record_delivery(vendor, kind, body, status=status)
    store.close()


def effects(data_dir: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(data_dir / "sandbox" / "truth" / "action_effects.parquet").to_pylist()
    return rows


def paying(world: World) -> int:
    return int(((world.accounts.phase == Phase.ACTIVE) & (world.accounts.success_deal > 0)).nonzero()[0][0])


def test_a_delivered_event_shields_the_account_and_is_answered_by_a_message(data_dir: Path) -> None:
    world = state(data_dir)
    account = paying(world)
    user = str(world.people.user_id[world.accounts.first_user[account]])
    operation = {"type": "person", "identifiers": {"id": user}, "action": "event", "name": "inactivity_risk"}
    deliver(data_dir, "customerio", "event", operation)
    summary = advance(data_dir, 2)
    assert summary.deliveries_applied == 1
    (effect,) = effects(data_dir)
    assert effect["account_id"] == str(world.accounts.account_id[account])
    assert effect["effect"] == "calls_back"
    assert effect["true_effect"] > 0
    after = state(data_dir)
    assert after.accounts.shielded_until[account] > after.day
    messages = [m for m in bodies(data_dir, "customerio.messages") if m["campaign_id"] == 8]
    assert [message["customer_id"] for message in messages] == [user]


def test_an_effect_begins_the_day_after_the_delivery(data_dir: Path) -> None:
    world = state(data_dir)
    account = paying(world)
    body = {"type": "renewal", "data": {"account": str(world.accounts.account_id[account])}}
    deliver(data_dir, "make", "webhook", body)
    advance(data_dir, 1)
    assert state(data_dir).accounts.shielded_until[account] == 0
    advance(data_dir, 1)
    assert state(data_dir).accounts.shielded_until[account] > 0


def test_what_a_vendor_refused_or_nobody_knows_has_no_effect(data_dir: Path) -> None:
    world = state(data_dir)
    user = str(world.people.user_id[world.accounts.first_user[paying(world)]])
    deliver(data_dir, "customerio", "event", {"identifiers": {"id": user}, "name": "x"}, status=400)
    deliver(data_dir, "customerio", "event", {"identifiers": {"id": "usr_nobody"}, "name": "x"})
    advance(data_dir, 2)
    assert effects(data_dir) == []


def test_a_deal_that_was_moved_stays_where_it_was_moved(data_dir: Path) -> None:
    world = state(data_dir)
    store = Store(store_path(data_dir))
    waiting = (world.accounts.success_deal > 0) & (world.accounts.success_stage == 0)
    waiting &= world.accounts.phase == Phase.ACTIVE
    moved = []
    for account in waiting.nonzero()[0].tolist():
        deal = int(world.accounts.success_deal[account])
        document = store.document("bitrix24.deals", deal)
        assert document
        body = {**document.body, "stageId": "C1:ADOPTED"}
        store.put("bitrix24.deals", deal, body, document.created_at, store.now(), document.parent)
        store.record_delivery(
            "bitrix24", "crm.item.update", {"entityTypeId": 2, "id": deal, "fields": {"stageId": "C1:ADOPTED"}}
        )
        moved.append(deal)
    store.close()
    assert moved
    advance(data_dir, 12)
    stages = {deal["id"]: deal["stageId"] for deal in bodies(data_dir, "bitrix24.deals")}
    assert {stages[deal] for deal in moved} <= {"C1:ADOPTED", "C1:LOSE"}


def test_an_escalation_is_worked_on(data_dir: Path) -> None:
    world = state(data_dir)
    account = str(world.accounts.account_id[paying(world)])
    store = Store(store_path(data_dir))
    number = store.next_id("zendesk.tickets")
    now = store.now()
    for collection, body in (
        ("zendesk.tickets", {"id": number, "status": "new", "requester_id": 1, "group_id": None, "assignee_id": None}),
        ("zendesk.ticket_metrics", {"id": number, "replies": 0, "reopens": 0, "solved_at": None}),
    ):
        store.put(collection, number, body, now)
    store.record_delivery("zendesk", "ticket", {"ticket_id": number, "ticket": {"tags": [account]}}, status=201)
    store.close()
    assert number > 9_000_000
    advance(data_dir, 12)
    (ticket,) = [body for body in bodies(data_dir, "zendesk.tickets") if body["id"] == number]
    assert ticket["status"] in ("solved", "closed")
    assert ticket["assignee_id"] is not None


def test_nudges_unblock_integrations_more_often_than_nothing(tmp_path: Path) -> None:
    """The true effect is there to be found: the same world twice, once with help for everybody who is stuck."""
    finished = []
    generate(tmp_path / "False", WorldParameters(customers=350, months=2, events_per_day=180, seed=2))
    shutil.copytree(tmp_path / "False", tmp_path / "True")
    for helped in (False, True):
        data_dir = tmp_path / str(helped)
        world = state(data_dir)
        stuck = (world.accounts.integration == Integration.STARTED) & (world.accounts.phase != Phase.GONE)
        for account in stuck.nonzero()[0].tolist() if helped else []:
            user = str(world.people.user_id[world.accounts.first_user[account]])
            deliver(data_dir, "customerio", "event", {"identifiers": {"id": user}, "name": "integration_stalled"})
        advance(data_dir, 7)
        finished.append(
            int((stuck & (state(data_dir).accounts.integration[: len(stuck)] == Integration.WORKING)).sum())
        )
    assert finished[1] > finished[0]


def test_the_state_survives_being_saved(data_dir: Path, tmp_path: Path) -> None:
    world = state(data_dir)
    copy = tmp_path / "copy"
    copy.mkdir()
    world.save(copy)
    again = World.load(copy)
    assert again.day == world.day == PARAMETERS.days
    assert again.agenda == world.agenda
    assert again.counters == world.counters
    assert (again.accounts.account_id == world.accounts.account_id).all()
    assert again.late_events.equals(world.late_events)
    assert (again.people.leaves_at == NEVER).any()
