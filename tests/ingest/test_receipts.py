from __future__ import annotations

import datetime as dt
import sqlite3
import sys
from pathlib import Path

import ledgers
import pytest
from harness import NOW, Ingest, conserved
from ledgers import deliver

from activation.actions import Action, Outcome
from activation.ledger import Ledger, Result
from activation.step import Arrived, Claimed
from activation.workers import own_name
from benchmarks.vendors import actions_for
from lifecycle.errors import ConfigurationError
from lifecycle.ledger import open_ledger
from lifecycle.settings import Places
from tests import postgres


@pytest.fixture
def ledger(data_dir: Path) -> sqlite3.Connection:
    return ledgers.create(data_dir)


def test_a_ledger_that_does_not_exist_yet_is_empty(ingest: Ingest) -> None:
    result = ingest("receipts")
    assert result.ok
    assert ingest.count("raw_receipts.deliveries") == 0


def test_what_was_delivered_is_read_without_its_payload(ingest: Ingest, ledger: sqlite3.Connection) -> None:
    deliver(ledger, "a1", NOW)
    result = ingest("receipts")
    assert conserved(result)
    assert ingest.rows("select action_id, state, updated_at from raw_receipts.deliveries") == [
        ("a1", "acknowledged", NOW)
    ]
    assert ingest.rows("select column_name from (describe raw_receipts.deliveries) where column_name = 'payload'") == []


def test_later_loads_read_what_changed_also_within_the_same_second(ingest: Ingest, ledger: sqlite3.Connection) -> None:
    deliver(ledger, "a1", NOW - dt.timedelta(days=1))
    deliver(ledger, "a2", NOW, state="sending")
    ingest("receipts")
    deliver(ledger, "a2", NOW)
    deliver(ledger, "a3", NOW)
    result = ingest("receipts")
    assert {table.table_name: table.rows_extracted for table in result.tables} == {"deliveries": 2, "attempts": 3}
    assert ingest.rows("select action_id, state from raw_receipts.deliveries order by 1") == [
        ("a1", "acknowledged"),
        ("a2", "acknowledged"),
        ("a3", "acknowledged"),
    ]


def test_a_ledger_that_cannot_be_read_fails_with_a_sentence(ingest: Ingest, data_dir: Path) -> None:
    (data_dir / "ledger.sqlite").write_bytes(b"no database at all, just some bytes" * 100)
    assert ingest("receipts").error == "The delivery ledger ledger.sqlite cannot be read (DatabaseError)."


def sent_together(kept: Ledger, actions: list[Action]) -> None:
    """These in one request, which the vendor has taken."""
    items = [Claimed(each, 0, False, True, 0, 0, None) for each in actions]
    names = [f"ref {each.action_id}" for each in actions]
    with kept.step("make", own_name(), "plan") as step:
        (number,) = step.begin_whole([items], NOW - dt.timedelta(minutes=2), 0.0)
        step.arrived([Arrived(items, names, "", 202, number)], NOW - dt.timedelta(minutes=1))


def test_what_the_ledger_keeps_together_is_read_one_by_one(ingest: Ingest, data_dir: Path) -> None:
    kept, actions = Ledger(data_dir / "ledger.sqlite"), actions_for("make", range(1, 4))
    sent_together(kept, actions[:2])
    kept.enqueue(actions[2:], NOW - dt.timedelta(hours=1))
    kept.close()
    result = ingest("receipts")
    assert conserved(result)
    columns = "action_id, action, customer_id, payload_hash, state, vendor_reference, attempt_count, acknowledged_at"
    at = NOW - dt.timedelta(minutes=1)
    assert sorted(ingest.rows(f"select {columns} from raw_receipts.deliveries")) == sorted(
        (
            each.action_id, each.action, each.customer_id, each.payload_hash,
            *(("planned", None, 0, None) if each is actions[2] else ("acknowledged", f"ref {each.action_id}", 1, at)),
        )
        for each in actions
    )  # fmt: skip
    assert sorted(ingest.rows("select attempt_id, action_id, outcome, status_code from raw_receipts.attempts")) == [
        (f"{each.action_id}-1", each.action_id, "acknowledged", 202)
        for each in sorted(actions[:2], key=lambda each: each.action_id)
    ]


def test_a_ledger_in_postgresql_is_read_like_the_file_and_its_password_is_nowhere(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if postgres.WHY_NOT:
        pytest.skip(postgres.WHY_NOT)
    with postgres.server() as url:
        kept = Ledger(url)
        actions = actions_for("make", range(1, 6))
        sent_together(kept, actions[3:])
        kept.enqueue(actions[:3], NOW - dt.timedelta(hours=1))
        kept.intend(actions[:2], NOW - dt.timedelta(minutes=2))
        kept.record([Result(actions[0], Outcome.acknowledged("queued", 200))], NOW - dt.timedelta(minutes=1))
        kept.close()
        monkeypatch.setenv("ACTIVATION__LEDGER_URL", url.replace("ledger@", "ledger:hunter2@"))
        result = ingest("receipts")
        assert conserved(result)
        found = ingest.rows("select action_id, state from raw_receipts.deliveries order by first_planned_at, state")
        assert dict(found) == {
            actions[0].action_id: "acknowledged",
            actions[1].action_id: "sending",
            actions[2].action_id: "planned",
            actions[3].action_id: "acknowledged",
            actions[4].action_id: "acknowledged",
        }
        assert sorted(ingest.rows("select action_id, outcome, status_code from raw_receipts.attempts")) == sorted(
            (each.action_id, "acknowledged", status)
            for each, status in zip((actions[0], *actions[3:]), (200, 202, 202), strict=True)
        )
    failed = ingest("receipts")
    assert failed.error is not None
    assert failed.error.startswith("The delivery ledger postgresql at 127.0.0.1 cannot be read")
    assert "hunter2" not in failed.error


def test_who_reads_a_ledger_and_who_writes_it_say_alike_that_its_driver_is_missing(
    ingest: Ingest, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIVATION__LEDGER_URL", "postgresql://ledger:hunter2@127.0.0.1:1/none")
    monkeypatch.setitem(sys.modules, "pg8000", None)
    sentence = "The setting activation.ledger_url needs the driver pg8000: pip install 'customer-lifecycle[postgres]'."
    assert ingest("receipts").error == sentence
    with pytest.raises(ConfigurationError) as refused:
        open_ledger(Places(data_dir))
    assert str(refused.value) == sentence
