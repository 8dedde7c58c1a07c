"""What is personal goes when its term is over, and nothing is delivered twice for it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from activation.actions import Action, Outcome, State
from activation.ledger import Ledger, Result
from activation.plan import Policy, Verdict, plan
from ingest import tables
from lifecycle import report, retention, settings
from lifecycle.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.settings import Places

AS_OF = datetime.fromisoformat("2026-11-01T06:00:00")
LONG_AGO = AS_OF - timedelta(days=91)
MARK = "grace.hopper@firm.example"


@pytest.fixture(autouse=True)
def terms(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in (settings.KEEP_DELIVERIES, settings.KEEP_QUARANTINE, settings.KEEP_TICKETS):
        monkeypatch.setenv(setting.variable, "90")


@pytest.fixture
def connection(places: Places) -> Iterator[duckdb.DuckDBPyConnection]:
    """A warehouse in which of each kind one is past its term and one is not."""
    with duckdb.connect(str(places.warehouse)) as opened:
        tables.create_missing(opened)
        opened.execute("alter table raw_zendesk.tickets add column description varchar")
        for number, since in enumerate((LONG_AGO, AS_OF), start=1):
            opened.execute(
                "insert into raw_ops.quarantine by name"
                " select ? as quarantine_id, 'no id' as reason, ? as payload, ? as seen_at, 'x' as _dlt_load_id",
                [str(number), MARK, since],
            )
            opened.execute(
                "insert into raw_zendesk.tickets by name"
                " select ? as id, 'Help' as subject, ? as description, ? as updated_at, 'x' as _dlt_load_id",
                [number, MARK, since],
            )
        yield opened


def action(name: str) -> Action:
    return Action(name, "zendesk", "tickets", "escalate", f"c_{name}", "o", AS_OF, None, 1, f'{{"to":"{name} {MARK}"}}')


def test_old_records_and_texts_lose_what_they_said_and_nothing_else(
    connection: duckdb.DuckDBPyConnection, places: Places
) -> None:
    assert retention.expire(connection, places, AS_OF) == {"records in quarantine": 1, "texts of tickets": 1}
    said = connection.execute("select reason, payload from raw_ops.quarantine order by quarantine_id").fetchall()
    assert said == [("no id", "{}"), ("no id", MARK)]
    told = connection.execute("select subject, description from raw_zendesk.tickets order by id").fetchall()
    assert told == [("Help", None), ("Help", MARK)]
    assert retention.expire(connection, places, AS_OF) == {}


def test_a_vendor_that_never_sent_texts_has_none_to_lose(places: Places) -> None:
    with duckdb.connect(str(places.warehouse)) as connection:
        tables.create_missing(connection)
        assert retention.expire(connection, places, AS_OF) == {}


def test_what_was_delivered_long_ago_is_still_known_and_says_nothing(
    connection: duckdb.DuckDBPyConnection, places: Places
) -> None:
    old, dead, new, waiting = (action(name) for name in ("old", "dead", "new", "waiting"))
    ledger = Ledger(places.ledger)
    ledger.enqueue([old, dead, waiting], LONG_AGO)
    ledger.intend([old, dead], LONG_AGO)
    ledger.record(
        [Result(old, Outcome.acknowledged("7")), Result(dead, Outcome.rejected("nobody there", 422))], LONG_AGO
    )
    ledger.enqueue([new], AS_OF)
    ledger.intend([new], AS_OF)
    ledger.record([Result(new, Outcome.acknowledged("8"))], AS_OF)
    ledger.close()

    assert retention.expire(connection, places, AS_OF)["payloads of deliveries"] == 2

    written = b"".join(path.read_bytes() for path in places.data_dir.glob("ledger.sqlite*"))
    assert [f"{name} {MARK}".encode() in written for name in ("old", "dead", "new", "waiting")] == [
        False, False, True, True,
    ]  # fmt: skip
    ledger = Ledger(places.ledger)
    known = ledger.snapshot()
    ledger.close()
    assert (known["old"].state, known["dead"].state) == (State.ACKNOWLEDGED, State.DROPPED)
    assert known["dead"].reason == "Nobody decided on it in time. nobody there"
    policies = {"zendesk": Policy(live=True, resends_changes=True)}
    verdicts = {each.action.action_id: each.verdict for each in plan([old, new, waiting], known, policies, AS_OF)}
    assert verdicts == {"old": Verdict.UNCHANGED, "new": Verdict.UNCHANGED, "waiting": Verdict.NEW}


def test_a_ledger_in_a_database_is_kept_as_long_as_one_in_a_file(
    connection: duckdb.DuckDBPyConnection, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"sqlite:///{places.data_dir}/elsewhere.sqlite"
    monkeypatch.setenv("ACTIVATION__LEDGER_URL", address)
    ledger = Ledger(address)
    ledger.enqueue([action("old")], LONG_AGO)
    ledger.intend([action("old")], LONG_AGO)
    ledger.record([Result(action("old"), Outcome.acknowledged("7"))], LONG_AGO)
    ledger.close()
    assert retention.expire(connection, places, AS_OF)["payloads of deliveries"] == 1
    connection.close()
    assert report.read(places).delivered == {"zendesk": {"acknowledged": 1}}


def test_forever_keeps_everything_and_so_does_no_setting(
    connection: duckdb.DuckDBPyConnection, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    for setting in (settings.KEEP_QUARANTINE, settings.KEEP_TICKETS):
        monkeypatch.setenv(setting.variable, settings.FOREVER)
    assert retention.expire(connection, places, AS_OF) == {}


@pytest.mark.parametrize("given", ["soon", "0", "-3", "90 days"])
def test_a_term_that_is_none_is_named(
    given: str, connection: duckdb.DuckDBPyConnection, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(settings.KEEP_TICKETS.variable, given)
    with pytest.raises(ConfigurationError, match=r"retention\.ticket_days .* is neither forever nor a number of days"):
        retention.expire(connection, places, AS_OF)


def test_every_run_erases_what_is_past_its_term(
    connection: duckdb.DuckDBPyConnection, places: Places, progress: Any
) -> None:
    from lifecycle import run  # noqa: PLC0415 - loads much, for one test

    connection.close()
    run.expire(run.Run(places, "run-1", AS_OF, progress))
    assert progress.notes == [
        "past their term and erased: 1 records in quarantine",
        "past their term and erased: 1 texts of tickets",
    ]
