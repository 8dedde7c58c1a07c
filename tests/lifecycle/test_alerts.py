"""What the team is told, over real HTTP to a place on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from lifecycle import alerts, settings
from lifecycle.alerts import Trouble
from lifecycle.errors import ConfigurationError
from lifecycle.settings import Places

NOW = datetime.fromisoformat("2026-11-01T06:00:00")
CHAT = "?:message=text&:title=&:type=&:version=&:attachments=&cto=60&rto=60"  # patient, for a busy machine


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """A chat that takes JSON with a text and nothing else, as Slack's incoming webhook does."""
    heard = SimpleNamespace(texts=[], status=200, beats=0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert list(body) == ["text"]
            if heard.status == 200:
                heard.texts.append(body["text"])
            self.send_response(heard.status)
            self.end_headers()

        def do_GET(self) -> None:
            heard.beats += 1
            self.send_response(heard.status)
            self.end_headers()

        def log_message(self, *_args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    heard.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("ALERTS__URLS", f"json://127.0.0.1:{heard.port}/services/T0/B0/verysecretpath{CHAT}")
    monkeypatch.setattr(alerts, "SECONDS", 60.0)
    yield heard
    server.shutdown()
    server.server_close()


def tell(places: Places, *keys: str, later: timedelta = timedelta(0), scope: str = "run") -> str:
    return alerts.digest(places, scope, "The run.", [Trouble(key, f"{key} is wrong") for key in keys], NOW + later)


def test_what_is_new_is_told_once_and_what_is_over_is_told_as_over(places: Places, chat: Any) -> None:
    assert tell(places, "a", "b") == "The team was told."
    assert tell(places, "a", "b") == "The team was told before."
    assert tell(places, "b", "c") == "The team was told."
    assert tell(places) == "The team was told."
    assert tell(places) == ""
    assert chat.texts == [
        "The run.\n- a is wrong\n- b is wrong",
        "The run.\n- c is wrong\n- Over: a is wrong\n1 more that were told before still last.",
        "The run.\n- Over: b is wrong\n- Over: c is wrong",
    ]


def test_no_thread_is_left_when_the_team_was_told(places: Places, chat: Any) -> None:
    before = set(threading.enumerate())  # among them may be those of other tests' servers
    assert tell(places, "a") == "The team was told."
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("ThreadPoolExecutor"):
            thread.join(60)
            assert not thread.is_alive()
    assert tell(places, "b") == "The team was told."
    assert len(chat.texts) == 2


def test_what_lasts_is_told_again_after_a_day(places: Places, chat: Any) -> None:
    tell(places, "a")
    tell(places, "a", later=timedelta(hours=23))
    tell(places, "a", later=timedelta(hours=24))
    tell(places, "a", later=timedelta(hours=25))
    assert chat.texts == ["The run.\n- a is wrong", "The run.\n- Still: a is wrong"]


def test_one_scope_does_not_say_that_the_trouble_of_another_is_over(places: Places, chat: Any) -> None:
    tell(places, "a")
    assert tell(places, scope="sync") == ""
    assert len(chat.texts) == 1


def test_a_run_that_came_to_its_end_settles_that_one_could_not_go_on(places: Places, chat: Any) -> None:
    tell(places, "a")
    tell(places, "failed", scope="start")
    alerts.digest(places, "run", "The run.", [Trouble("a", "a is wrong")], NOW, settles="start")
    alerts.digest(places, "run", "The run.", [Trouble("a", "a is wrong")], NOW, settles="start")
    assert chat.texts[2:] == ["The run.\n- Over: failed is wrong\n1 more that were told before still last."]


def test_what_could_not_be_told_is_told_by_the_next(places: Places, chat: Any) -> None:
    chat.status = 500
    assert tell(places, "a") == "1 of 1 places for alerts did not take the message."
    chat.status = 200
    tell(places, "a")
    assert chat.texts == ["The run.\n- a is wrong"]


def test_a_memory_that_a_crash_tore_tells_again(places: Places, chat: Any) -> None:
    tell(places, "a")
    (places.data_dir / "alerts.json").write_text('{"run": {"a"')
    tell(places, "a")
    assert len(chat.texts) == 2


def test_a_long_list_is_cut_and_counted(places: Places, chat: Any) -> None:
    tell(places, *(f"key {number:02}" for number in range(30)))
    lines = chat.texts[0].splitlines()
    assert (len(lines), lines[-1]) == (14, "- and 18 more")


def test_without_a_place_nothing_is_said(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTS__URLS", "")
    assert tell(places, "a") == ""


@pytest.mark.parametrize(
    ("variable", "secret"),
    [
        ("SOURCES__STRIPE__API_KEY", "a-key-of-no-known-shape"),
        ("ACTIVATION__ZENDESK__API_TOKEN", "another0token0without0shape"),
        ("SOURCES__BITRIX24__WEBHOOK_URL", "https://portal.example/rest/1/hookhookhook"),
    ],
)
def test_no_configured_secret_leaves(
    places: Places, chat: Any, monkeypatch: pytest.MonkeyPatch, variable: str, secret: str
) -> None:
    monkeypatch.setenv(variable, secret)
    part = secret.rsplit("/", 1)[-1]
    alerts.digest(places, "run", f"It says {secret}", [Trouble("x", f"refused {part} for verysecretpath")], NOW)
    assert part not in chat.texts[0]
    assert "verysecretpath" not in chat.texts[0]
    assert "***" in chat.texts[0]


@pytest.mark.parametrize(
    "text",
    [
        "key sk_live_51HxyzABCDEF",
        "https://ada:hunter22@host/x",
        "Authorization: Bearer abcdef123456",
        "?api_key=abcdefgh1",
    ],
)
def test_what_looks_like_a_secret_does_not_leave_either(text: str) -> None:
    shown = alerts.hide(text)
    assert "***" in shown
    assert not any(each in shown for each in ("51HxyzABCDEF", "hunter22", "abcdef123456", "abcdefgh1"))


def test_a_sentence_without_secrets_stays_as_it_is() -> None:
    text = "labels stripe.invoices, for quality (stripe.invoices.currency 'eur' on 2026-10-31: 0 %, usual is 28 %)"
    assert alerts.hide(text) == text


def test_a_vendors_name_in_its_own_address_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__BITRIX24__WEBHOOK_URL", "http://127.0.0.1:8411/bitrix24/rest/1/averysecretword")
    assert alerts.hide("bitrix24.deals of averysecretword") == "bitrix24.deals of ***"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("slack.com/services", "is not one address with ://"),
        ("json://chat.example/x", "which is not encrypted; use jsons://"),
    ],
)
def test_a_place_in_clear_on_another_machine_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, words: str
) -> None:
    monkeypatch.setenv("ALERTS__URLS", value)
    with pytest.raises(ConfigurationError, match=words) as raised:
        settings.ALERTS.find()
    assert value not in str(raised.value)


def test_an_address_that_apprise_does_not_know_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTS__URLS", "json://127.0.0.1/x nowhere://x")
    assert alerts.unknown_addresses() == [2]


def test_the_heart_beats_outside(chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert alerts.beat() == ""
    monkeypatch.setenv("ALERTS__HEARTBEAT_URL", f"http://127.0.0.1:{chat.port}/ping/0123456789")
    assert (alerts.beat(), chat.beats) == ("", 1)
    chat.status = 500
    assert alerts.beat() == "The heartbeat was refused with status 500."
    monkeypatch.setenv("ALERTS__HEARTBEAT_URL", "http://127.0.0.1:1/ping")
    assert alerts.beat() == "The heartbeat could not be sent (ConnectionError)."
