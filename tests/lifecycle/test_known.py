"""A setting under a name that nobody reads is said, and not passed over; nor is a value that cannot be meant."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ingest import given
from ingest.errors import ConfigurationError
from ingest.setting import key
from lifecycle import known
from lifecycle.settings import PROJECT_DIR

EVERY = {setting.name: setting for setting in known.every()}


@pytest.mark.parametrize(
    ("name", "where", "words"),
    [
        ("lifecycle.keep_version", ".dlt/config.toml", "did you mean lifecycle.keep_versions?"),
        ("activation.guard_per_ruin", "ACTIVATION__GUARD_PER_RUIN", "did you mean activation.guard_per_run?"),
        ("retention.tickets", ".dlt/config.toml", "There is no setting retention.tickets"),
        ("sources.strype.api_key", ".dlt/secrets.toml", "did you mean sources.stripe.api_key?"),
        ("sources.salesforce.token", ".dlt/secrets.toml", "There is no setting sources.salesforce.token"),
        ("lifecyle.clock", ".dlt/config.toml", "The section [lifecyle] in .dlt/config.toml is none of this"),
        ("sources.stripe.api_key", ".dlt/config.toml", "no secret is read from: put api_key under [sources.stripe]"),
    ],
)
def test_a_name_that_nobody_reads_is_said_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, name: str, where: str, words: str
) -> None:
    monkeypatch.setattr(given, "written", lambda _sections: [(name, where)])
    with pytest.raises(ConfigurationError) as said:
        known.check()
    assert words in str(said.value)
    assert where in str(said.value)


def test_what_is_committed_and_what_is_dlts_own_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SOURCES__FILESYSTEM__CREDENTIALS__AWS_ACCESS_KEY_ID", "LOAD__WORKERS", "LIFECYCLE_WAREHOUSE"):
        monkeypatch.setenv(name, "x")
    known.check()
    names = {name for name, _ in given.written(known.OURS)}
    assert names >= {"lifecycle.clock", "sources.filesystem.credentials.aws_access_key_id", "runtime.log_level"}


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("", "is empty"),
        (" \t", "is empty"),
        ([1, 2], "is not one value"),
        ({}, "is not one value"),
        (dt.date(2026, 11, 1), "is not one value"),
        ("1\n2", "has a line break"),
        ("1\0", "has a line break"),
        ("9" * 30_000, "is longer than"),
    ],
)
def test_no_setting_takes_what_cannot_be_meant(monkeypatch: pytest.MonkeyPatch, value: Any, words: str) -> None:
    monkeypatch.setattr(given, "find", lambda _name, *, is_secret: value)  # noqa: ARG005
    for setting in EVERY.values():
        if setting.may_be_empty and value == "":
            assert setting.find() is None
            continue
        with pytest.raises(ConfigurationError) as said:
            setting.find()
        sentence = str(said.value)
        assert sentence.startswith(f"The setting {setting.name}")
        assert words in sentence
        assert sentence.endswith(f"{setting.how}.")
        assert len(sentence) < 400
        assert "\n" not in sentence


NUMBERS = [name for name, setting in EVERY.items() if setting.check not in {None, key} and not setting.check("1")]


def test_numbers_are_numbers_and_texts_are_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in EVERY.items():
        wrong: list[Any] = [7, "a b", "ключ"] if setting.check is key else [7]
        for value in [-1, "-1", "nan", True, "٣", "1_0", "many", 10**30] if name in NUMBERS else wrong:
            monkeypatch.setattr(given, "find", lambda _name, *, is_secret, value=value: value)  # noqa: ARG005
            with pytest.raises(ConfigurationError):
                setting.find()


def test_every_setting_is_in_the_pages() -> None:
    text = "".join(page.read_text("utf-8") for page in (PROJECT_DIR / "docs").glob("*.md"))
    assert [name for name, setting in EVERY.items() if setting.key not in text] == []
