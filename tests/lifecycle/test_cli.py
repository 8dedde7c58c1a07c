"""The command line as a person or a scheduler meets it: exit codes and sentences, never a traceback."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.exc import SQLAlchemyError
from typer.testing import CliRunner

from ingest.outcomes import SourceResult
from lifecycle import answering, cli, dbt, report, run, settings
from lifecycle.commands import sandbox
from lifecycle.lock import held
from sandbox import detached

NOBODY = "http://127.0.0.1:9"  # the discard port: nothing listens there


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path))
    monkeypatch.setenv("LIFECYCLE__CLOCK", "sandbox")
    monkeypatch.setenv("SANDBOX__URL", NOBODY)
    for name in ("CUSTOMERIO__BASE_URL", "BITRIX24__WEBHOOK_URL", "MAKE__WEBHOOK_URL", "ZENDESK__BASE_URL"):
        monkeypatch.setenv(f"ACTIVATION__{name}", f"{NOBODY}/x/secret")
    for name in ("STRIPE__BASE_URL", "ZENDESK__BASE_URL", "CUSTOMERIO__BASE_URL", "BITRIX24__WEBHOOK_URL"):
        monkeypatch.setenv(f"SOURCES__{name}", f"{NOBODY}/x/secret")
    for name in (
        "ACTIVATION__CUSTOMERIO__SITE_ID",
        "ACTIVATION__CUSTOMERIO__API_KEY",
        "ACTIVATION__ZENDESK__API_TOKEN",
        "SOURCES__STRIPE__API_KEY",
        "SOURCES__ZENDESK__API_TOKEN",
        "SOURCES__CUSTOMERIO__APP_KEY",
        "SOURCES__PRODUCT__BUCKET_URL",
        "SOURCES__SPEND__BUCKET_URL",
    ):
        monkeypatch.setenv(name, "x")
    for name in ("ACTIVATION__ZENDESK__EMAIL", "SOURCES__ZENDESK__EMAIL"):
        monkeypatch.setenv(name, "ops@acme.example")
    monkeypatch.setenv("ACTIVATION__MAKE__SIGNING_SECRET", "whsec_c2FuZGJveC1zaWduaW5nLXNlY3JldC0wMTIz")


def call(*arguments: Any) -> Any:
    answer = CliRunner().invoke(cli.app, list(arguments))
    assert "Traceback" not in answer.output
    return answer


def test_every_command_explains_itself_and_takes_json() -> None:
    assert call("--help").exit_code == 0
    for command in ("ingest", "build", "gate", "publish", "plan", "sync", "run", "status"):
        assert "--json" in call(command, "--help").output
    for command in ("generate", "up", "down", "advance", "faults"):
        assert "--json" in call("sandbox", command, "--help").output


@pytest.mark.parametrize(
    "variable",
    [
        "ACTIVATION__GUARD_PER_RUN", "ACTIVATION__GUARD_PER_ACTION", "ACTIVATION__GUARD_SHARE",
        "ACTIVATION__MAKE__REQUIRE_ACK", "ACTIVATION__ZENDESK__ALLOW_PRIVATE", "ACTIVATION__MAKE__SEND_WINDOW",
        "ACTIVATION__BITRIX24__OPERATING_SECONDS", "ALERTS__FAILURE_SHARE", "ALERTS__DEAD_LETTERS", "ALERTS__AGE_HOURS",
    ],
)  # fmt: skip
def test_what_only_delivering_reads_is_looked_at_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "perhaps")
    answer = call("run")
    assert answer.exit_code == 2
    assert variable in answer.output, "not the sandbox that does not answer, which comes after"


def test_a_missing_setting_is_one_sentence_and_exit_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION__ZENDESK__MODE", "loud")
    answer = call("run")
    assert answer.exit_code == 2
    assert "ACTIVATION__ZENDESK__MODE" in answer.output
    as_json = call("run", "--json")
    assert as_json.exit_code == 2
    assert "ACTIVATION__ZENDESK__MODE" in json.loads(as_json.stdout)["error"]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SOURCES__STRIPE__BASE_URL", "not an address", "base_url under [sources.stripe]"),
        ("LIFECYCLE__CLOCK", "sundial", "lifecycle.clock"),
        ("ACTIVATION__MAKE__SIGNING_SECRET", "too short", "activation.make.signing_secret"),
    ],
)
def test_a_wrong_setting_ends_with_one_sentence_that_names_it_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    answer = call("run")
    assert answer.exit_code == 2
    assert words in answer.stderr
    assert answer.stderr.strip().count("\n") == 0
    assert value not in answer.output or variable != "ACTIVATION__MAKE__SIGNING_SECRET"


def test_a_sandbox_that_is_not_there_is_exit_2_and_says_how_to_start_it() -> None:
    for arguments in (("run",), ("sandbox", "faults")):
        answer = call(*arguments)
        assert answer.exit_code == 2
        assert "lifecycle sandbox up" in answer.output


@pytest.mark.parametrize("command", ["run", "ingest", "build", "gate", "publish", "sync"])
def test_beside_a_running_one_every_command_says_so(command: str, tmp_path: Path) -> None:
    with held(tmp_path / "run.lock", "run-1", "run"):
        answer = call(command)
    assert answer.exit_code == 2
    assert "`lifecycle run` is at work already" in answer.output


@pytest.mark.parametrize("command", ["plan", "sync"])
def test_nothing_can_be_delivered_before_something_is_published(command: str) -> None:
    answer = call(command)
    assert answer.exit_code == 2
    assert "Nothing is published yet" in answer.output


def test_status_before_the_first_run_says_what_to_type() -> None:
    answer = call("status")
    assert answer.exit_code == 0
    assert "lifecycle run" in answer.output


def test_an_unknown_destination_is_named() -> None:
    answer = call("sync", "--only", "pigeon")
    assert answer.exit_code == 2
    assert "no destination pigeon" in answer.output


def test_a_sandbox_address_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX__URL", "https://sandbox.example")
    monkeypatch.setattr(sandbox, "_ensure_world", lambda *_: None)
    answer = call("sandbox", "up")
    assert answer.exit_code == 2
    assert "is no address on this machine with a port" in answer.output


def test_advancing_a_world_that_is_not_there() -> None:
    answer = call("sandbox", "advance")
    assert answer.exit_code == 2
    assert "lifecycle sandbox generate" in answer.output


def test_stopping_what_does_not_run_is_no_error() -> None:
    answer = call("sandbox", "down")
    assert answer.exit_code == 0
    assert "No sandbox was running" in answer.output


def test_rules_that_are_no_json_are_refused() -> None:
    answer = call("sandbox", "faults", "{vendor: stripe}")
    assert answer.exit_code == 2
    assert "not JSON" in answer.output


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SQLAlchemyError("secret statement")])
def test_what_nobody_expected_is_a_sentence_with_the_details_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: Any
) -> None:
    def breaks(_places: Any) -> None:
        raise error

    monkeypatch.setattr(report, "read", breaks)
    answer = call("status")
    assert answer.exit_code == 2
    assert "last_error.log" in answer.output.replace("\n", "")
    assert "secret statement" not in answer.output
    assert "Traceback" in (tmp_path / "last_error.log").read_text()


def test_a_full_disk_is_called_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def breaks(_places: Any) -> None:
        raise SQLAlchemyError("database or disk is full")

    monkeypatch.setattr(report, "read", breaks)
    monkeypatch.setattr(answering.shutil, "disk_usage", lambda _path: SimpleNamespace(free=100))
    answer = call("status")
    assert answer.exit_code == 2
    assert f"The disk with {tmp_path} is full: make room" in answer.output


@pytest.mark.parametrize(("ok", "code"), [(True, 0), (False, 2)])
def test_ingest_exits_2_when_a_silo_gave_nothing(monkeypatch: pytest.MonkeyPatch, ok: Any, code: Any) -> None:
    results = [SourceResult("stripe", "ok" if ok else "failed", error=None if ok else "It does not answer.")]
    monkeypatch.setattr(run, "ingest", lambda _run, _sources: results)
    monkeypatch.setattr(settings, "check_all", lambda: None)
    monkeypatch.setattr(run.clock, "as_of", lambda: run.datetime(2026, 11, 1, 6))
    answer = call("ingest", "--json")
    assert answer.exit_code == code
    assert json.loads(answer.stdout)["sources"][0]["ok"] is ok


def test_a_wrong_world_is_said_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANDBOX__URL", "http://127.0.0.1:8499")

    def refuses(*_: Any) -> None:
        raise detached.ServerError("Port 8499 serves another sandbox.")

    monkeypatch.setattr(sandbox, "_ensure_world", lambda *_: None)
    monkeypatch.setattr(detached, "ensure_running", refuses)
    answer = call("sandbox", "up")
    assert (answer.exit_code, "Port 8499" in answer.output) == (2, True)


def test_a_selection_of_nothing_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "started", lambda *_args, **_options: nullcontext(SimpleNamespace()))
    monkeypatch.setattr(run, "build", lambda *_args: dbt.Build())
    answer = call("build", "--select", "mrr_movement")
    assert answer.exit_code == 2
    assert "Nothing is selected by mrr_movement" in answer.output
