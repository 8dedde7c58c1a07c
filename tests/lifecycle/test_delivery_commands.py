"""`lifecycle plan`, `sync` and `dead` from the command line, over a published file, to the sandbox's vendors."""

from __future__ import annotations

import json
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
import requests
from typer.testing import CliRunner

from benchmarks.vendors import AS_OF, HOOK, SECRET, actions_for, arrived, make_world
from lifecycle import cli
from sandbox.limits import Limits
from sandbox.serve import RunningSandbox, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PER_DESTINATION = 4


@pytest.fixture
def vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningSandbox]:
    """The vendors, and the settings that lead to them."""
    make_world(tmp_path, PER_DESTINATION)
    with start(tmp_path, limits=Limits.off()) as running:
        for name, value in {
            "LIFECYCLE__DATA_DIR": str(tmp_path),
            "LIFECYCLE__DELIVERY_SECONDS": "3600",
            "ACTIVATION__CUSTOMERIO__BASE_URL": f"{running.url}/customerio/track",
            "ACTIVATION__CUSTOMERIO__SITE_ID": "sandbox-site",
            "ACTIVATION__CUSTOMERIO__API_KEY": "sandbox-track-key",
            "ACTIVATION__BITRIX24__WEBHOOK_URL": f"{running.url}/bitrix24/rest/1/sandboxsecret",
            "ACTIVATION__MAKE__WEBHOOK_URL": f"{running.url}/make/{HOOK}",
            "ACTIVATION__MAKE__SIGNING_SECRET": SECRET,
            "ACTIVATION__ZENDESK__BASE_URL": f"{running.url}/zendesk",
            "ACTIVATION__ZENDESK__EMAIL": "ops@sandbox.example",
            "ACTIVATION__ZENDESK__API_TOKEN": "sandbox-zendesk-token",
        }.items():
            monkeypatch.setenv(name, value)
        yield running


@pytest.fixture
def publish(tmp_path: Path) -> Any:
    """Publishes a version that wants these changes of payloads; `changes` is a payload by destination and number."""
    versions = iter(range(1, 100))

    def go(changes: dict[tuple[str, int], dict[str, Any]] | None = None, numbers: int = PER_DESTINATION) -> None:
        path = tmp_path / "published" / f"v{next(versions)}" / "lifecycle.duckdb"
        path.parent.mkdir(parents=True)
        with duckdb.connect(str(path)) as connection:
            connection.execute("create schema marts; create schema activation")
            connection.execute(
                "create table marts.publish_log as"
                f" select timestamp '{AS_OF}' as as_of, 'published' as outcome;"
                "create table marts.customer_lifecycle as select range as id from range(1000);"
                "create table marts.action_decisions as select 'celebrate' as action, 'suppressed' as decision,"
                " 'no consent' as suppression_reason, true as is_open;"
                "create table activation.act_all (action_id varchar, destination varchar, object varchar,"
                " action varchar, customer_id varchar, occurrence_id varchar, occurred_at timestamp,"
                " expires_at timestamp, priority integer, payload varchar)"
            )
            for name in ("customerio", "bitrix24", "make", "zendesk"):
                for number, each in enumerate(actions_for(name, range(1, numbers + 1)), start=1):
                    payload = {**json.loads(each.payload), **(changes or {}).get((name, number), {})}
                    connection.execute(
                        "insert into activation.act_all values (?, ?, 'objects', 'celebrate', ?, ?, ?, ?, 10, ?)",
                        [
                            each.action_id, name, each.customer_id, each.occurrence_id, each.occurred_at,
                            AS_OF + timedelta(days=1), json.dumps(payload),
                        ],
                    )  # fmt: skip
        link = tmp_path / "published" / "lifecycle.duckdb"
        link.unlink(missing_ok=True)
        link.symlink_to(path)

    return go


def call(*arguments: str, code: int = 0) -> str:
    answer = CliRunner().invoke(cli.app, list(arguments))
    assert "Traceback" not in answer.output
    assert answer.exit_code == code, answer.output
    return str(answer.output)


def asked(*arguments: str, code: int = 0) -> Any:
    return json.loads(call(*arguments, "--json", code=code))


def things(tmp_path: Path) -> dict[str, int]:
    return {name: found["things"] for name, found in arrived(tmp_path).items()}


def test_a_plan_says_what_where_why_how_long_and_by_which_limit(vendors: RunningSandbox, publish: Any) -> None:
    assert vendors.url
    publish()
    text = call("plan")
    assert "16 would be sent" in text
    assert "suppressed" in text
    assert "no consent" in text
    for name in ("customerio", "bitrix24", "make", "zendesk"):
        assert f"{name:<11} at least" in text
    assert "requests a second" in text
    document = asked("plan", "--only", "make")
    assert document["to_send"] == PER_DESTINATION
    assert {each["verdict"] for each in document["deliveries"]} == {"new"}
    assert {each["destination"] for each in document["deliveries"]} == {"make"}
    assert set(document["estimates"]) == {"make"}


def test_a_plan_names_each_verdict_and_a_diff_shows_what_changed_without_an_address(
    vendors: RunningSandbox, publish: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vendors.url
    publish()
    call("sync")
    monkeypatch.setenv("ACTIVATION__ZENDESK__MODE", "shadow")
    publish(
        {
            ("bitrix24", 1): {"fields": {"stageId": "WON", "ufCrmLifecycleState": "for ann.private@acme.example"}},
            ("make", 1): {"data": {"customer_id": "another"}},
        },
        numbers=PER_DESTINATION + 1,
    )
    verdicts = {(each["destination"], each["verdict"]): each["number"] for each in asked("plan")["counts"]}
    assert verdicts == {
        ("bitrix24", "changed"): 1,
        ("bitrix24", "new"): 1,
        ("bitrix24", "unchanged"): 3,
        ("customerio", "new"): 1,
        ("customerio", "unchanged"): 4,
        ("make", "new"): 1,
        ("make", "unchanged"): 4,  # what happened is reported once, however it is told now
        ("zendesk", "blocked"): 1,
        ("zendesk", "unchanged"): 4,
    }
    shown = call("plan", "--diff", "--only", "bitrix24")
    assert "fields.stageId: EXECUTING -> WON" in shown
    assert "fields.ufCrmLifecycleState: adopted -> for [address]" in shown
    assert "ann.private" not in shown
    (changed,) = (each for each in asked("plan", "--diff")["deliveries"] if each["verdict"] == "changed")
    assert changed["diff"]["fields.stageId"] == ["EXECUTING", "WON"]


def test_sync_does_what_the_plan_said_and_the_second_time_nothing(
    vendors: RunningSandbox, publish: Any, tmp_path: Path
) -> None:
    assert vendors.url
    publish()
    planned = tmp_path / "plan.json"
    call("plan", "--out", str(planned))
    done = asked("sync", "--plan", str(planned))
    assert done["verdicts"] == {"new": 4 * PER_DESTINATION}
    assert {each["destination"]: each["acknowledged"] for each in done["destinations"]} == dict.fromkeys(
        ("bitrix24", "customerio", "make", "zendesk"), PER_DESTINATION
    )
    assert things(tmp_path) == dict.fromkeys(("bitrix24", "customerio", "make", "zendesk"), PER_DESTINATION)
    again = asked("sync")
    assert (again["verdicts"], again["destinations"]) == ({"unchanged": 4 * PER_DESTINATION}, [])
    assert json.loads(call("sync", "--plan", str(planned), "--json", code=1))["error"].startswith(
        "The plan has changed"
    )


def test_a_plan_is_refused_when_data_or_configuration_changed_since(
    vendors: RunningSandbox, publish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vendors.url
    publish()
    planned = tmp_path / "plan.json"
    call("plan", "--out", str(planned))
    publish({("make", 1): {"type": "another"}})
    assert "The plan has changed" in call("sync", "--plan", str(planned), code=1)
    call("plan", "--out", str(planned))
    monkeypatch.setenv("ACTIVATION__ONLY_CUSTOMERS", "c_1")
    assert "The plan has changed" in call("sync", "--plan", str(planned), code=1)
    monkeypatch.delenv("ACTIVATION__ONLY_CUSTOMERS")
    monkeypatch.setenv("ACTIVATION__MAKE__WEBHOOK_URL", f"{vendors.url}/make/{HOOK[::-1]}")
    assert "The plan has changed" in call("sync", "--plan", str(planned), code=1)
    assert "is no plan" in call("sync", "--plan", str(tmp_path / "none.json"), code=2)
    assert set(things(tmp_path).values()) == {0}


def test_only_and_limit_bound_what_is_sent(vendors: RunningSandbox, publish: Any, tmp_path: Path) -> None:
    assert vendors.url
    publish()
    assert "1 left for another time" in call("sync", "--only", "zendesk", "--limit", "3")
    assert things(tmp_path) == {"customerio": 0, "bitrix24": 0, "make": 0, "zendesk": 3}
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        (read_up_to,) = connection.execute("select max(updated_at) from deliveries").fetchone()
    call("sync", "--only", "zendesk", "--only", "make")
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:
        # receipts are read from the newest on that was read before: what a later sync writes must not look older
        later = "select count(*) from deliveries where state = 'acknowledged' and updated_at > ?"
        assert connection.execute(later, [read_up_to]).fetchone() == (5,)
    assert things(tmp_path) == {"customerio": 0, "bitrix24": 0, "make": 4, "zendesk": 4}


def test_real_destinations_are_shown_and_never_sent_to_until_somebody_says_live(
    vendors: RunningSandbox, publish: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert vendors.url
    publish()
    monkeypatch.setenv("ACTIVATION__CUSTOMERIO__BASE_URL", "https://track.customer.example")
    blocked = [each for each in asked("plan")["counts"] if each["verdict"] == "blocked"]
    assert [(each["destination"], each["reason"], each["number"]) for each in blocked] == [
        ("customerio", "customerio is in shadow mode.", PER_DESTINATION)
    ]
    call("sync")
    assert things(tmp_path)["customerio"] == 0


def test_dead_letters_are_listed_with_the_vendors_words_retried_and_dropped(
    vendors: RunningSandbox, publish: Any, tmp_path: Path
) -> None:
    wrong = {"fields": {"stageId": "NO_SUCH_STAGE"}}
    publish({("bitrix24", 1): wrong, ("bitrix24", 2): wrong, ("bitrix24", 3): wrong})
    document = asked("sync", code=1)
    assert any("refused 3 of 4" in sentence for sentence in document["alarms"])
    letters = asked("dead", "list")
    assert [each["state"] for each in letters] == ["rejected"] * 3
    assert all(each["reason"] for each in letters)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as connection:  # brackets are the vendor's, and no markup
        connection.execute("update single_deliveries set reason = '[/b] no [address]' where state = 'rejected'")
    assert call("dead", "list").count("[/b] no [address]") == 3
    assert "[/b]" in call("plan")
    assert asked("dead", "list", "--destination", "make") == []
    ids = [each["action_id"] for each in letters]
    assert asked("dead", "drop", ids[0]) == {"changed": 1}
    assert asked("dead", "drop", "unheard-of", code=1) == {"changed": 0}
    # the portal learns the stage, so that the same payload is right now
    requests.post(f"{vendors.url}/_sandbox/faults", json=[], timeout=60)
    store = vendors.world.store
    status = {"ID": 9, "ENTITY_ID": "DEAL_STAGE", "STATUS_ID": "NO_SUCH_STAGE", "NAME": "x", "SEMANTICS": None}
    store.put("bitrix24.statuses", "9", status, store.now(), store.now())
    assert asked("sync")["verdicts"] == {"unchanged": 13, "blocked": 3}
    assert asked("dead", "retry", "--all", "--destination", "bitrix24") == {"changed": 2}
    done = asked("sync")
    assert done["verdicts"] == {"unchanged": 13, "resumed": 2, "blocked": 1}
    assert asked("dead", "list") == []
    assert things(tmp_path)["bitrix24"] == 3
