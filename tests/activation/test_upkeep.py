from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from activation.actions import Action, Outcome, State
from activation.deliver import Budget, deliver
from activation.destinations import Basics
from activation.errors import OutcomeUnknownError
from activation.ledger import Ledger, Result
from activation.pacing import Rate, Retry
from activation.plan import Policy, Verdict, plan
from activation.tally import Tally
from activation.upkeep import (
    Health,
    Thresholds,
    alarms,
    dead_letters,
    drop,
    expire,
    forget,
    forget_matching,
    health,
    retry,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
POLICIES = {"customerio": Policy(live=True, resends_changes=False)}


class Deaf(Basics):
    """Takes requests and never answers."""

    name = "customerio"
    rate = Rate(1000, 1000)
    concurrency = 1

    def send(self, actions: Sequence[Action]) -> list[Outcome]:
        del actions
        raise OutcomeUnknownError("No answer.")

    def close(self) -> None:
        pass


@pytest.fixture
def rejected(ledger: Ledger, action: Any) -> list[Action]:
    """Three deliveries that the vendor refused."""
    actions = [action(number) for number in range(1, 4)]
    ledger.enqueue(actions, AS_OF)
    ledger.intend(actions, AS_OF)
    ledger.record([Result(each, Outcome.rejected("no such person", 422)) for each in actions], AS_OF)
    return actions


def verdicts(ledger: Ledger, actions: list[Action]) -> list[Verdict]:
    return [each.verdict for each in plan(actions, ledger.snapshot(), POLICIES, AS_OF)]


def test_what_is_past_its_term_says_nothing_more_and_stays_settled(
    ledger: Ledger, rejected: list[Action], action: Any
) -> None:
    later = AS_OF + timedelta(days=1)
    ledger.enqueue([action(9)], AS_OF)
    assert expire(ledger, AS_OF, later) == 0
    assert expire(ledger, later, later) == len(rejected)
    known = ledger.snapshot()
    assert {known[each.action_id].state for each in rejected} == {State.DROPPED}
    assert known[action(9).action_id].state == State.PLANNED
    assert verdicts(ledger, rejected) == [Verdict.BLOCKED] * len(rejected)


def test_what_was_never_sent_in_time_is_neither_stuck_nor_kept_for_ever(either: Ledger, action: Any) -> None:
    """Nobody wants it any more, so no plan takes it up again: it must not be told of, or lie there, for ever."""
    late, later = action(1, expires_at=AS_OF + timedelta(hours=2)), AS_OF + timedelta(days=60)
    either.enqueue([late], AS_OF, "p", queue="p")
    either.open_queue("p", "p")
    with either.step("customerio", "w", "p") as step:
        (claimed,) = step.claim(1, 1000.0)
        step.intend([claimed.seq], AS_OF, 1000.0, {claimed.seq})
        step.record([Result(late, Outcome.waiting("busy"), 2000.0, seq=claimed.seq)], AS_OF)
    assert health(either, 90_000.0, AS_OF).open == 1
    assert health(either, 90_000.0, AS_OF + timedelta(hours=3)) == Health(0, 0, 0.0)
    assert expire(either, AS_OF + timedelta(hours=1), later) == 0
    assert expire(either, AS_OF + timedelta(days=30), later) == 1
    (entry,) = either.snapshot().values()
    assert (entry.state, entry.action.payload) == (State.DROPPED, "{}")


def test_dead_letters_keep_the_vendors_words_and_a_person_decides(ledger: Ledger, rejected: list[Action]) -> None:
    letters = dead_letters(ledger)
    assert {letter.reason for letter in letters} == {"no such person"}
    assert retry(ledger, [rejected[0].action_id], AS_OF) == 1
    assert drop(ledger, [rejected[1].action_id, "unheard of"], AS_OF) == 1
    assert [letter.action_id for letter in dead_letters(ledger, "customerio")] == [rejected[2].action_id]
    assert dead_letters(ledger, "make") == []
    assert verdicts(ledger, rejected) == [Verdict.RESUMED, Verdict.BLOCKED, Verdict.BLOCKED]
    assert retry(ledger, [rejected[1].action_id], AS_OF) == 0  # dropped is dropped


@pytest.mark.parametrize("bound", [{"total_attempts": 4}, {"total_seconds": 5.0}])
def test_attempts_and_age_are_capped_and_end_as_a_dead_letter_that_says_what_is_not_known(
    ledger: Ledger, time: Any, rng: Any, action: Any, bound: dict[str, Any]
) -> None:
    wanted = [action(1)]
    for _ in range(12):
        planned = plan(wanted, ledger.snapshot(), POLICIES, AS_OF)
        deliver(planned, {"customerio": Deaf()}, ledger, time, Budget(60, Retry(attempts=2, base=1, **bound)), rng=rng)
        time.pause(3600)
    (letter,) = dead_letters(ledger)
    assert letter.state == State.DEAD
    assert "Given up after" in letter.reason
    assert "Whether it arrived is unknown." in letter.reason
    assert letter.attempt_count < 12
    retry(ledger, [letter.action_id], AS_OF)
    (entry,) = ledger.snapshot().values()
    assert entry.state is State.UNKNOWN  # so it is resolved before it is sent again
    before = entry.attempt_count
    planned = plan(wanted, ledger.snapshot(), POLICIES, AS_OF)
    deliver(planned, {"customerio": Deaf()}, ledger, time, Budget(60, Retry(attempts=2, base=1, **bound)), rng=rng)
    assert ledger.snapshot()[wanted[0].action_id].attempt_count > before


def kept_in(ledger: Ledger) -> bytes:
    """All that the database keeps of its tables, byte for byte."""
    if ledger.is_sqlite:
        files = list(ledger.path.parent.glob("ledger.sqlite*"))
    else:
        with ledger.reading() as connection:
            connection.exec_driver_sql("checkpoint")
            folder = Path(str(connection.exec_driver_sql("show data_directory").scalar()))
        files = [path for path in (folder / "base").rglob("*") if path.is_file()]
    assert files
    return b"".join(path.read_bytes() for path in files)


def test_a_forgotten_customer_leaves_no_byte_behind(either: Ledger, action: Any) -> None:
    ledger = either
    secret = "ann.private@acme.example"
    theirs = [
        action(number, customer_id="c_ann", payload=f'{{"email":"{secret}","event_name":"e{number}"}}')
        for number in (1, 2)
    ]
    other = action(3)
    ledger.enqueue([*theirs, other], AS_OF)
    ledger.intend([theirs[0]], AS_OF)
    ledger.record([Result(theirs[0], Outcome.acknowledged(f"ref {secret}"))], AS_OF)
    assert forget(ledger, "c_ann", AS_OF) == 2
    states = {key: entry.state for key, entry in ledger.snapshot().items()}
    assert states == {
        theirs[0].action_id: State.ACKNOWLEDGED,
        theirs[1].action_id: State.DROPPED,
        other.action_id: State.PLANNED,
    }
    assert secret.encode() not in kept_in(ledger)
    assert verdicts(ledger, theirs) == [Verdict.UNCHANGED, Verdict.BLOCKED]


def test_what_expires_day_by_day_is_wiped_where_it_lies_and_the_tables_are_rewritten_now_and_then(
    either: Ledger, action: Any
) -> None:
    """Rewriting a large ledger stops everybody who works with it, so no day may need it."""
    ledger, rewritten = either, []

    def watched(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if statement.startswith("vacuum full" if not ledger.is_sqlite else "vacuum"):
            rewritten.append(day)

    sa.event.listen(ledger._engine, "before_cursor_execute", watched)
    for day in (0, 1, 2, 31):
        today = AS_OF + timedelta(days=day)
        # long enough for a page of its own to be freed with it
        sent = [action(100 + 10 * day + n, payload=f'{{"email":"{"day@acme.example " * 400}"}}') for n in range(5)]
        ledger.enqueue(sent, today)
        ledger.intend(sent, today)
        ledger.record([Result(each, Outcome.acknowledged("ref")) for each in sent], today)
        later = today + timedelta(hours=1)
        assert expire(ledger, later, later) == len(sent)
        if ledger.is_sqlite:
            assert b"@acme.example" not in kept_in(ledger)
    assert rewritten == ([0, 31] if ledger.is_sqlite else [])
    day = 32
    forget(ledger, action(100).customer_id, AS_OF + timedelta(days=day))
    assert rewritten[-1] == day, "who is forgotten leaves no byte anywhere"
    assert b"@acme.example" not in kept_in(ledger)


def test_one_of_several_people_is_forgotten_by_what_names_them(either: Ledger, action: Any) -> None:
    ledger = either
    ann = action(1, customer_id="c_firm", payload='{"email":"ann@firm.example"}')
    ben = action(2, customer_id="c_firm", payload='{"email":"ben@firm.example"}')
    refused = action(3, customer_id="c_firm", payload='{"stage":"won"}')
    ledger.enqueue([ann, ben, refused], AS_OF)
    ledger.intend([refused], AS_OF)
    ledger.record([Result(refused, Outcome.rejected("ann@firm.example is nobody", 422))], AS_OF)
    found = forget_matching(ledger, AS_OF, lambda _customer, texts: any("ann@" in text for text in texts))
    assert found == 2, "what a vendor answered names people too"
    kept = {key: entry.state for key, entry in ledger.snapshot().items()}
    assert kept[ben.action_id] is State.PLANNED
    assert b"ann@firm.example" not in kept_in(ledger)
    assert b"ben@firm.example" in kept_in(ledger)


def test_health_counts_what_is_stuck_and_alarms_name_it(ledger: Ledger, rejected: list[Action], action: Any) -> None:
    waiting = action(9)
    ledger.enqueue([waiting], AS_OF, "p", queue="p")
    ledger.open_queue("p", "p")
    with ledger.step("customerio", "w", "p") as step:
        (claimed,) = step.claim(1, 1000.0)
        step.intend([claimed.seq], AS_OF, 1000.0, {claimed.seq})
        step.record([Result(waiting, Outcome.waiting("busy"), 2000.0, seq=claimed.seq)], AS_OF)
    found = health(ledger, 1000.0 + 30 * 3600, AS_OF)
    assert found == Health(dead=len(rejected), open=1, oldest_seconds=30 * 3600.0)
    tally = Tally("customerio", acknowledged=5, rejected=3, stopped="It refused our credentials.")
    tally.blame("no such person")
    said = alarms([tally], found, Thresholds(failure_share=0.1, dead_letters=2, age_hours=24))
    assert len(said) == 4
    assert "refused 3 of 8 deliveries, most often with: no such person" in said[0]
    assert alarms([Tally("make", acknowledged=100, rejected=1)], Health(0, 0, 0.0), Thresholds()) == []


def test_a_ledger_of_an_earlier_version_gets_the_columns_it_lacks(tmp_path: Any, action: Any) -> None:
    import sqlite3  # noqa: PLC0415

    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute(
            "create table deliveries (action_id text primary key, destination text not null, object text not null,"
            " action text not null, customer_id text not null, occurrence_id text not null,"
            " occurred_at datetime not null,"
            " expires_at datetime, priority integer not null, state text not null, payload text not null,"
            " payload_hash text not null, acknowledged_hash text, vendor_reference text,"
            " reason text not null default '', attempt_count integer not null default 0,"
            " first_planned_at datetime not null, acknowledged_at datetime, not_before datetime,"
            " updated_at datetime not null)"
        )
        connection.execute("create index deliveries_queue on deliveries (destination, state)")
        connection.execute(
            "insert into deliveries values ('old', 'make', 'o', 'a', 'c', 'x', '2026-10-01 00:00:00', null, 1,"
            " 'acknowledged', '{\"b\": 1}', 'h', 'h', null, '', 2, '2026-10-01 00:00:00', '2026-10-01 00:00:00', null,"
            " '2026-10-01 00:00:00')"
        )
    old = Ledger(path)
    old.enqueue([action(1)], AS_OF + timedelta(days=1))
    known = old.snapshot()
    assert {key: entry.state for key, entry in known.items()} == {
        "old": State.ACKNOWLEDGED, action(1).action_id: State.PLANNED,
    }  # fmt: skip
    assert (known["old"].attempt_count, known["old"].action.payload) == (2, '{"b": 1}')
    old.close()
    again = Ledger(path)
    assert again.snapshot() == known
    again.close()
