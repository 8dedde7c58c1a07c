from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import traceback
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from activation.actions import Outcome, State
from activation.ledger import DIED_IN_FLIGHT, Ledger, Result

if TYPE_CHECKING:
    from pathlib import Path

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")

DIES_IN_FLIGHT = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from activation.actions import Action
from activation.ledger import Ledger

now = datetime.fromisoformat("2026-11-01T06:00:00")
actions = [
    Action(str(n), "make", "webhooks", "tell", "c", "o", now, None, 1, '{"n":%d}' % n) for n in range(3)
]
ledger = Ledger(Path(sys.argv[1]))
ledger.enqueue(actions, now)
ledger.intend(actions[:2], now)
os.kill(os.getpid(), signal.SIGKILL)  # the request has left, its answer will never be recorded
"""


def attempts_of(ledger: Ledger) -> list[tuple[object, ...]]:
    with sqlite3.connect(ledger.path) as connection:
        return connection.execute(
            "select action_id, attempt_number, outcome, reason from attempts order by attempt_id"
        ).fetchall()


def test_an_intent_is_on_disk_before_the_send_and_a_killed_process_leaves_it_unknown(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    child = subprocess.run([sys.executable, "-c", DIES_IN_FLIGHT, str(path)], check=False)
    assert child.returncode == -signal.SIGKILL
    ledger = Ledger(path)
    assert {key: entry.state for key, entry in ledger.snapshot().items()} == {
        "0": State.SENDING,
        "1": State.SENDING,
        "2": State.PLANNED,
    }
    assert ledger.heal(AS_OF + timedelta(minutes=1)) == 2
    assert {key: entry.state for key, entry in ledger.snapshot().items()} == {
        "0": State.UNKNOWN,
        "1": State.UNKNOWN,
        "2": State.PLANNED,
    }
    assert attempts_of(ledger) == [("0", 1, "unknown", DIED_IN_FLIGHT), ("1", 1, "unknown", DIED_IN_FLIGHT)]
    assert ledger.heal(AS_OF + timedelta(minutes=2)) == 0
    ledger.close()


def test_attempts_are_only_ever_added(ledger: Ledger, action: Any) -> None:
    sent = action()
    ledger.enqueue([sent], AS_OF)
    for number, outcome in enumerate(
        (Outcome.waiting("busy", 429), Outcome.unknown("lost"), Outcome.acknowledged("42", 200)), start=1
    ):
        ledger.intend([sent], AS_OF + timedelta(seconds=number))
        ledger.record([Result(sent, outcome)], AS_OF + timedelta(seconds=number, milliseconds=500))
    assert attempts_of(ledger) == [
        (sent.action_id, 1, "waiting", "busy"),
        (sent.action_id, 2, "unknown", "lost"),
        (sent.action_id, 3, "acknowledged", ""),
    ]
    (entry,) = ledger.snapshot().values()
    assert (entry.state, entry.acknowledged_hash, entry.attempt_count) == (State.ACKNOWLEDGED, sent.payload_hash, 3)


def test_what_was_acknowledged_is_the_payload_that_was_sent_last(ledger: Ledger, action: Any) -> None:
    first, second = action(payload='{"s":"A"}'), action(payload='{"s":"B"}')
    ledger.enqueue([first], AS_OF)
    ledger.intend([first], AS_OF)
    ledger.record([Result(first, Outcome.acknowledged("1"))], AS_OF)
    ledger.enqueue([second], AS_OF, is_changed=True)
    ledger.intend([second], AS_OF)
    ledger.record([Result(second, Outcome.waiting("busy"))], AS_OF)
    (entry,) = ledger.snapshot().values()
    assert entry.acknowledged_hash == first.payload_hash
    assert entry.payload_hash == second.payload_hash


def test_enqueueing_again_keeps_the_history(ledger: Ledger, action: Any) -> None:
    sent = action()
    ledger.enqueue([sent], AS_OF)
    ledger.intend([sent], AS_OF)
    ledger.record([Result(sent, Outcome.acknowledged("1"))], AS_OF)
    ledger.enqueue([sent], AS_OF + timedelta(days=1))
    assert ledger.counts() == {"customerio": {"acknowledged": 1}}


def test_nothing_can_be_sent_that_was_not_enqueued(ledger: Ledger, action: Any) -> None:
    with pytest.raises(LookupError, match="without having been enqueued"):
        ledger.intend([action()], AS_OF)


def test_every_commit_reaches_the_disk(ledger: Ledger) -> None:
    with ledger._engine.connect() as connection:
        assert connection.execute(sa.text("pragma synchronous")).scalar() == 2
        assert connection.execute(sa.text("pragma journal_mode")).scalar() == "wal"


def test_the_ledger_is_for_its_owner_only(ledger: Ledger) -> None:
    assert ledger.path.stat().st_mode & 0o077 == 0


def test_times_are_text_that_sql_readers_understand(ledger: Ledger, action: Any) -> None:
    ledger.enqueue([action()], AS_OF)
    with sqlite3.connect(ledger.path) as connection:
        (planned,) = connection.execute("select first_planned_at from deliveries").fetchone()
    assert planned.startswith("2026-11-01 06:00:00")


def test_an_error_of_the_database_holds_no_payload(ledger: Ledger, action: Any) -> None:
    name = "etavirp.nna"[::-1]  # backwards, for a traceback shows lines of this file
    private, answer = action(payload=f'{{"email":"{name}"}}'), Outcome.rejected(f"{name} is unknown")
    ledger.enqueue([private], AS_OF)
    with ledger.transaction() as connection:
        connection.exec_driver_sql("drop table single_attempts")
        connection.exec_driver_sql(
            "create trigger no before update on single_deliveries begin select raise(abort, 'no'); end"
        )
    for broken in (
        lambda: ledger.enqueue([private], AS_OF),
        lambda: ledger.record([Result(private, answer)], AS_OF),
    ):
        with pytest.raises(sa.exc.SQLAlchemyError) as said:
            broken()
        shown = "".join(traceback.format_exception(said.value))
        assert name not in shown
        assert "Error" in shown
