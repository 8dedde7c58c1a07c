"""A whole sync over a published file: what is compared, guarded, approved and looked at again."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from activation import batches
from activation.actions import Action, Outcome, State
from activation.deliver import Budget, Checks, work
from activation.desired import DesiredError, Published, Recheck, read_desired
from activation.destinations import Basics
from activation.errors import LimitedError
from activation.ledger import Ledger, metadata
from activation.pacing import Rate, Window
from activation.plan import Policy
from activation.step import Claimed, Step
from activation.sync import Guards, PlanChangedError, look_ahead, prepare
from activation.workers import own_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
SETS = {"desk": Policy(live=True, resends_changes=True)}
REPORTS = {"desk": Policy(live=True, resends_changes=False)}


class Desk(Basics):
    name = "desk"
    rate = Rate(1000, 1000)
    batch_size = 10
    concurrency = 1

    def __init__(self) -> None:
        self.sent: list[str] = []

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        self.sent.extend(action.payload for action in actions)
        return [Outcome.acknowledged(action.action_id) for action in actions]

    def close(self) -> None:
        pass


class Site:
    """A link to the newest of several published versions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.link = folder / "lifecycle.duckdb"

    def publish(self, version: str, rows: dict[int, Any], customers: int = 1000) -> None:
        path = self.folder / version / "lifecycle.duckdb"
        path.parent.mkdir()
        with duckdb.connect(str(path)) as connection:
            connection.execute("create schema marts; create schema activation")
            connection.execute(f"create table marts.customer_lifecycle as select range as id from range({customers})")
            connection.execute(
                "create table activation.act_desk__notes (action_id varchar, destination varchar, object varchar,"
                " action varchar, customer_id varchar, occurrence_id varchar, occurred_at timestamp,"
                " expires_at timestamp, priority integer, payload varchar)"
            )
            for number, payload in rows.items():
                text = payload if isinstance(payload, str) else json.dumps(payload, separators=(",", ":"))
                values = [f"a{number:04}", f"c_{number}", f"o_{number}", AS_OF - timedelta(hours=1), text]
                connection.execute(
                    "insert into activation.act_desk__notes values (?, 'desk', 'notes', 'greet', ?, ?, ?, null, 10, ?)",
                    values,
                )
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(path)

    def newest(self) -> Published:
        return Published.newest(self.link)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def sync(site: Site, ledger: Ledger, time: Any, rng: Any) -> Any:
    def go(desk: Desk, policies: Any = SETS, guards: Guards | None = None, **how: Any) -> Any:
        checks, limit = how.pop("checks", None), how.pop("limit", None)
        served, budget = {"desk": desk}, Budget(600, limit=limit)
        with prepare(site.newest(), ledger, policies, guards or Guards(), served, time, AS_OF, **how) as outlook:
            more = {"checks": checks, "fresh": outlook.fresh, "since": outlook.since}
            return outlook, work(outlook.plan_id, served, ledger, time, budget, rng=rng, **more)

    return go


def verdicts(outlook: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for (_, _, verdict, _), number in outlook.counts.items():
        found[verdict] = found.get(verdict, 0) + number
    return found


def test_a_then_b_then_a_again_is_three_deliveries_and_the_same_again_none(site: Site, sync: Any) -> None:
    desk = Desk()
    for version, stage in (("v1", "A"), ("v2", "B"), ("v3", "A"), ("v4", "A")):
        site.publish(version, {1: {"stage": stage}})
        outlook, _ = sync(desk)
    assert desk.sent == ['{"stage":"A"}', '{"stage":"B"}', '{"stage":"A"}']
    assert verdicts(outlook) == {"unchanged": 1}


def test_what_a_guard_held_back_leaves_no_trace_once_the_definition_is_mended(
    site: Site, sync: Any, ledger: Ledger
) -> None:
    """Else the mended definition would set every deal again, over what people did in between, or trip the guard."""
    desk = Desk()
    right, wrong = [{number: {"stage": stage} for number in range(3)} for stage in "AB"]
    site.publish("v1", right)
    sync(desk)
    site.publish("v2", wrong)
    assert sync(desk, guards=Guards(per_action=2))[0].trips
    site.publish("v3", right)
    outlook, _ = sync(desk)
    assert (len(desk.sent), verdicts(outlook)) == (3, {"unchanged": 3})
    assert ledger.counts() == {"desk": {"acknowledged": 3}}
    site.publish("v4", wrong)
    assert verdicts(sync(desk)[0]) == {"changed": 3}
    assert len(desk.sent) == 6


def test_another_order_of_keys_is_no_change(site: Site, sync: Any) -> None:
    desk = Desk()
    site.publish("v1", {1: '{"a": 1, "b": 2}'})
    sync(desk)
    site.publish("v2", {1: '{"b":2,  "a":1}'})
    outlook, _ = sync(desk)
    assert (len(desk.sent), verdicts(outlook)) == (1, {"unchanged": 1})


def test_what_is_reported_once_is_not_reported_again(site: Site, sync: Any) -> None:
    desk = Desk()
    site.publish("v1", {1: {"n": 1}})
    sync(desk, REPORTS)
    site.publish("v2", {1: {"n": 2}, 2: {"n": 2}})
    outlook, _ = sync(desk, REPORTS)
    assert (len(desk.sent), verdicts(outlook)) == (2, {"new": 1, "unchanged": 1})


def test_requests_are_searched_only_for_what_went_out_in_one_and_has_changed_since(
    site: Site, sync: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[list[str]] = []
    holding = batches.holding

    def search(connection: Any, action_ids: Collection[str]) -> list[int]:
        searched.append(sorted(action_ids))
        return holding(connection, action_ids)

    monkeypatch.setattr(batches, "holding", search)
    desk = Desk()
    site.publish("v1", {number: {"n": number} for number in (1, 2, 3)})
    sync(desk, REPORTS)
    monkeypatch.setattr(Desk, "order_key", lambda _self, action: action.customer_id)  # so each is looked at by itself
    for version, new in (("v2", 4), ("v3", 5)):
        site.publish(version, {1: {"n": new}, 2: {"n": 2}, 3: {"n": 3}, new: {"n": new * 10}})
        sync(desk, SETS)
    assert desk.sent == ['{"n":1}', '{"n":2}', '{"n":3}', '{"n":4}', '{"n":40}', '{"n":5}', '{"n":50}']
    # by the plan, and when it was taken apart; from then on it stands on its own
    assert [ids for ids in searched if ids] == [["a0001"], ["a0001"]]


def test_looking_ahead_changes_nothing_and_says_what_sync_will_do(site: Site, sync: Any, ledger: Ledger) -> None:
    site.publish("v1", {number: {"n": number} for number in range(30)})
    outlook = look_ahead(site.newest(), ledger, SETS, Guards(), AS_OF)
    assert ledger.snapshot() == {}
    done, (tally,) = sync(Desk())
    assert done.fingerprint == outlook.fingerprint
    assert sum(outlook.to_send.values()) == tally.acknowledged == 30
    estimate = outlook.estimates({"desk": Desk()})["desk"]
    assert "1000 requests a second" in estimate.limit


def test_a_plan_is_the_same_plan_whether_its_actions_were_ever_heard_of_or_not(
    site: Site, sync: Any, ledger: Ledger
) -> None:
    """What nobody heard of is not looked at one by one; a run that ended before its queue was opened is known."""
    site.publish("v1", {number: {"n": number} for number in range(1, 4)})
    at_first = look_ahead(site.newest(), ledger, SETS, Guards(), AS_OF)
    ledger.enqueue(read_desired(site.link)[:2], AS_OF, "plan", queue="never opened")
    again = look_ahead(site.newest(), ledger, SETS, Guards(), AS_OF)
    assert (again.fingerprint, again.counts) == (at_first.fingerprint, at_first.counts)
    site.publish("v2", {number: {"n": number} for number in range(1, 6)})
    outlook, (tally,) = sync(Desk())
    assert (verdicts(outlook), tally.acknowledged) == ({"new": 5}, 5)


def test_the_ledger_holds_the_same_of_an_action_whichever_way_it_came_there(site: Site, where: Path | str) -> None:
    """In bulk as the engine gives it, or one by one; a name with a quote in it changes nothing."""
    site.publish("v1", {1: {"say": 'it\'s "so"', "long": 10**30}, 2: {"n": 2}})
    ledger = Ledger(where)

    def rows() -> list[Any]:
        with ledger.transaction() as connection:
            query = "select * from deliveries join payloads using (action_id) order by action_id"
            found = [dict(row._mapping) for row in connection.exec_driver_sql(query)]
            for table in metadata.sorted_tables:
                connection.execute(table.delete())
        return [{name: str(value) for name, value in row.items()} for row in found]

    def one_by_one(step: Step) -> None:
        claimed = step.claim(10, 1e9)
        step.intend([each.seq for each in claimed], AS_OF, 1e9, {each.seq for each in claimed})

    def apart(step: Step) -> None:
        (number,) = step.begin_whole([new], AS_OF, 1e9)
        assert [each.seq > 0 for each in step.take_apart(number, new)] == [True, True]

    wanted = read_desired(site.link)
    new = [Claimed(each, 0, is_unknown=False, is_wanted=True, tries=0, attempt_count=0, first_tried=None)
           for each in wanted]  # fmt: skip
    ledger.enqueue(wanted, AS_OF, "it's", queue="it's/1")
    ledger.open_queue("it's/1", "it's")
    ways: list[Callable[[Step], object]] = [
        one_by_one, apart,
        lambda step: step.begin(new, AS_OF, 1e9), lambda step: step.begin_whole([new], AS_OF, 1e9),
    ]  # fmt: skip
    found = []
    for way in ways:
        with ledger.step("desk", "it's/1/1/0", "it's") as step:
            way(step)
        found.append(rows())
    assert len(found[0]) == 2
    assert found == [found[0]] * len(ways)
    ledger.close()


def test_what_is_late_or_bound_for_a_place_not_open_to_all_is_looked_at_one_by_one(site: Site) -> None:
    site.publish("v1", {1: {"n": 1}, 2: {"n": 2}, 3: {"n": 3}})
    with duckdb.connect(str(site.link.resolve())) as connection:
        connection.execute("update activation.act_desk__notes set expires_at = ? where customer_id = 'c_1'", [AS_OF])
        connection.execute("update activation.act_desk__notes set destination = 'shadow' where customer_id = 'c_2'")
    with site.newest().compared([], welcome=["desk"], as_of=AS_OF) as compared:
        fresh = [each.customer_id for chunk in compared.fresh("desk") for each in chunk]
        others = [each.customer_id for chunk in compared.others() for each in chunk]
        assert (compared.counts()[0][:3], compared.unchanged()) == (("desk", "greet", 1), {})
    assert (fresh, sorted(others)) == (["c_3"], ["c_1", "c_2"])


def test_an_approved_plan_is_refused_once_anything_changed(site: Site, sync: Any, ledger: Ledger) -> None:
    site.publish("v1", {1: {"n": 1}, 2: {"n": 2}})
    approved = look_ahead(site.newest(), ledger, SETS, Guards(), AS_OF).fingerprint
    desk = Desk()
    for change in (
        lambda: sync(desk, REPORTS, expected=approved),  # configuration
        lambda: sync(desk, guards=Guards(per_run=10), expected=approved),
        lambda: (site.publish("v2", {1: {"n": 1}, 2: {"n": 3}}), sync(desk, expected=approved)),  # data
    ):
        with pytest.raises(PlanChangedError, match="nothing was sent"):
            change()
    assert desk.sent == []
    approved = look_ahead(site.newest(), ledger, SETS, Guards(), AS_OF).fingerprint
    sync(desk, expected=approved)
    assert len(desk.sent) == 2


def test_a_blast_radius_beyond_the_guard_sends_nothing_unless_overruled(site: Site, sync: Any) -> None:
    site.publish("v1", {number: {"n": number} for number in range(150)}, customers=200)
    desk = Desk()
    outlook, tallies = sync(desk)
    assert "more than 50% of 200 customers" in outlook.trips["greet"]
    assert (desk.sent, tallies) == ([], [])
    outlook, _ = sync(desk, guards=Guards(per_run=100, share=1.0))
    assert "150 deliveries in one run" in outlook.trips[""]
    assert desk.sent == []
    sync(desk, is_forced=True)
    assert len(desk.sent) == 150


def test_only_those_on_the_allow_list_get_anything(site: Site, sync: Any) -> None:
    site.publish("v1", {number: {"n": number} for number in range(5)})
    desk = Desk()
    outlook, _ = sync(desk, {"desk": Policy(live=True, resends_changes=True, customers=frozenset({"c_3"}))})
    assert desk.sent == ['{"n":3}']
    assert verdicts(outlook) == {"blocked": 4, "new": 1}


@pytest.mark.parametrize("wanted", [range(25), range(5), range(22, 25)], ids=["all", "few", "the last"])
def test_a_limit_bounds_the_deliveries_and_the_rest_comes_next(
    site: Site, sync: Any, ledger: Ledger, wanted: range
) -> None:
    rows = {number: {"n": number} for number in range(25)}
    site.publish("v1", rows)
    desk = Desk()
    sync(desk, limit=7)
    first = len(desk.sent)
    site.publish("v2", {number: rows[number] for number in wanted})  # more than what waits, or less
    sync(desk)
    assert (first, ledger.size()) == (7, 25)  # each is known once
    assert len(desk.sent) == len(set(desk.sent)) == 7 + len([number for number in wanted if number >= 7])


def test_what_a_newer_version_no_longer_wants_is_not_sent_even_if_it_was_planned(
    site: Site, ledger: Ledger, time: Any, rng: Any
) -> None:
    site.publish("v1", {1: {"n": 1}, 2: {"n": 2}, 3: {"n": 3}})
    planned, desk = site.newest(), Desk()
    checks, served = Checks(Recheck(site.link, planned).withdrawn), {"desk": desk}
    with prepare(planned, ledger, SETS, Guards(), served, time, AS_OF) as outlook:
        site.publish("v2", {1: {"n": 1}, 3: {"n": 33}})  # 2 withdrew its consent, 3 is told differently now
        fresh = outlook.fresh
        (tally,) = work(outlook.plan_id, served, ledger, time, Budget(60), rng=rng, checks=checks, fresh=fresh)
    assert desk.sent == ['{"n":1}']
    assert (tally.acknowledged, tally.withdrawn, tally.waiting) == (1, 2, 0)
    assert "no longer wants it" in ledger.snapshot()["a0002"].reason


def test_what_waits_in_hand_while_the_vendor_wants_a_rest_is_looked_at_again(
    site: Site, ledger: Ledger, time: Any, rng: Any
) -> None:
    class Busy(Desk):
        batch_bytes = 20  # two of the ten that are claimed at once

        def send(self, actions: Sequence[Action]) -> list[Outcome]:
            if not self.sent:
                self.sent.append("turned away")
                site.publish("v2", {number: {"n": number} for number in (1, 2, 3, 5, 6)})
                raise LimitedError("Busy.", 429, 120.0)
            return super().send(actions)

    site.publish("v1", {number: {"n": number} for number in range(1, 7)})
    planned, desk = site.newest(), Busy()
    checks, served = Checks(Recheck(site.link, planned).withdrawn), {"desk": desk}
    with prepare(planned, ledger, SETS, Guards(), served, time, AS_OF) as outlook:
        fresh = outlook.fresh
        (tally,) = work(outlook.plan_id, served, ledger, time, Budget(600), rng=rng, checks=checks, fresh=fresh)
    assert sorted(desk.sent[1:]) == [f'{{"n":{number}}}' for number in (1, 2, 3, 5, 6)]
    assert (tally.acknowledged, tally.withdrawn) == (5, 1)


def test_what_expires_while_it_waits_is_not_sent(ledger: Ledger, time: Any, rng: Any, action: Any) -> None:
    late = action(1, destination="desk", expires_at=time.now() + timedelta(seconds=30))
    ledger.enqueue([late], time.now(), "p", queue="p")
    ledger.open_queue("p", "p")
    time.pause(31)
    desk = Desk()
    (tally,) = work("p", {"desk": desk}, ledger, time, Budget(60), rng=rng)
    assert (desk.sent, tally.withdrawn) == ([], 1)


def test_outside_its_window_nothing_leaves_and_the_tally_says_so(site: Site, sync: Any, time: Any) -> None:
    site.publish("v1", {1: {"n": 1}})
    desk = Desk()
    closed = Checks(windows={"desk": Window.parse("08:00-09:00")})  # the test's wall clock shows midnight
    _, (tally,) = sync(desk, checks=closed)
    assert (desk.sent, tally.waiting) == ([], 1)
    assert "Outside its send window" in tally.stopped
    time.pause(8 * 3600)
    sync(desk, checks=closed)
    assert len(desk.sent) == 1


def test_an_unknown_outcome_of_what_nobody_wants_any_more_is_never_sent_again(
    site: Site, sync: Any, ledger: Ledger
) -> None:
    site.publish("v1", {1: {"n": 1}})
    (wanted,) = read_desired(site.link)
    ledger.enqueue([wanted], AS_OF)
    ledger.intend([wanted], AS_OF)
    site.publish("v2", {})
    before = look_ahead(site.newest(), ledger, SETS, Guards(), AS_OF)  # what its worker left shows without being healed
    assert verdicts(before) == {"resumed": 1}
    ledger.heal(AS_OF)
    desk = Desk()
    outlook, (tally,) = sync(desk)
    assert (desk.sent, tally.withdrawn, verdicts(outlook)) == ([], 1, {"resumed": 1})
    assert ledger.snapshot()["a0001"].state is State.UNKNOWN


def test_a_file_that_is_missing_or_holds_nonsense_is_a_sentence(site: Site, ledger: Ledger) -> None:
    with pytest.raises(DesiredError, match="There is no published file"):
        site.newest()
    site.publish("v1", {1: "no json"})
    with pytest.raises(DesiredError, match="the payload of action a0001 is not a JSON object"):
        look_ahead(site.newest(), ledger, SETS, Guards(), AS_OF)


def test_what_another_worker_has_out_in_a_request_is_left_to_it_and_a_dead_ones_is_resumed(
    site: Site, sync: Any, ledger: Ledger, time: Any
) -> None:
    site.publish("v1", {number: {"n": number} for number in range(1, 6)})
    wanted = sorted(read_desired(site.link))
    living, dead = own_name(), own_name().replace(f"/{os.getpid()}/", "/999999999/")
    for worker, some in ((living, wanted[:2]), (dead, wanted[2:4])):
        items = [Claimed(each, 0, False, True, 0, 0, None) for each in some]
        with ledger.step("desk", worker, "other") as step:
            step.begin_whole([items], AS_OF, time.wall().timestamp())
    outlook = look_ahead(site.newest(), ledger, REPORTS, Guards(), AS_OF)
    assert verdicts(outlook) == {"resumed": 4, "new": 1}
    desk = Desk()
    sync(desk, REPORTS)
    assert desk.sent == ['{"n":5}']
    assert ledger.heal(AS_OF, time.wall().timestamp()) == 2
    sync(desk, REPORTS)
    assert sorted(desk.sent) == ['{"n":3}', '{"n":4}', '{"n":5}']
