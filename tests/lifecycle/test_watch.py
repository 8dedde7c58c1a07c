from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from lifecycle import alerts, cli, last_run, settings, watch
from lifecycle.settings import Places

NOW = datetime.fromisoformat("2026-11-02T06:00:00")


def keys(places: Places, hours: float = 26) -> list[str]:
    return [trouble.key for trouble in watch.troubles(places, hours, NOW)]


def test_where_no_run_ever_ended_that_is_the_trouble(places: Places) -> None:
    assert keys(places) == ["watch:run"]


def test_a_run_that_is_late_and_a_publication_that_is_late_are_two_things(places: Places) -> None:
    last_run.note_end(places, "run-1", has_published=True, now=NOW - timedelta(hours=30))
    assert keys(places) == ["watch:run", "watch:publication"]
    last_run.note_end(places, "run-2", has_published=False, now=NOW - timedelta(hours=1))
    assert keys(places) == ["watch:publication"]
    assert keys(places, hours=30) == []
    last_run.note_end(places, "run-3", has_published=True, now=NOW)
    assert keys(places) == []


def test_a_first_run_that_published_nothing_is_told(places: Places) -> None:
    last_run.note_end(places, "run-1", has_published=False, now=NOW)
    assert keys(places) == ["watch:publication"]


def test_the_command_alerts_once_says_it_is_over_and_has_an_exit_code(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def send(text: str) -> alerts.Sent:
        told.append(text)
        return alerts.Sent(ok=True, sentence="The team was told.")

    monkeypatch.setattr(alerts, "send", send)
    monkeypatch.setattr(settings, "places", lambda: places)

    def ask() -> Any:
        return CliRunner().invoke(cli.app, ["watch", "--json"])

    first, second = ask(), ask()
    assert (first.exit_code, second.exit_code) == (1, 1)
    assert "No run has ever come to its end here." in json.loads(first.stdout)["troubles"]
    last_run.note_end(places, "run-1", has_published=True)
    assert ask().exit_code == 0
    assert [text.splitlines()[1][:12] for text in told] == ["- No run has", "- Over: No r"]
