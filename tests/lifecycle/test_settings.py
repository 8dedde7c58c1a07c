from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from activation.transport import is_loopback
from ingest import configuration
from ingest.setting import Setting
from lifecycle import known, ledger, settings
from lifecycle.settings import ConfigurationError
from sandbox import environment

GIVEN = {
    "LIFECYCLE__CLOCK": "system",
    "ACTIVATION__CUSTOMERIO__BASE_URL": "https://track.customer.io",
    "ACTIVATION__CUSTOMERIO__SITE_ID": "site",
    "ACTIVATION__CUSTOMERIO__API_KEY": "key",
    "ACTIVATION__BITRIX24__WEBHOOK_URL": "https://acme.bitrix24.example/rest/1/hush-hush",
    "ACTIVATION__MAKE__WEBHOOK_URL": "https://hook.eu1.make.com/hush-hush",
    "ACTIVATION__MAKE__SIGNING_SECRET": "whsec_c2FuZGJveC1zaWduaW5nLXNlY3JldC0wMTIz",
    "ACTIVATION__ZENDESK__BASE_URL": "https://acme.zendesk.com",
    "ACTIVATION__ZENDESK__EMAIL": "ops@acme.example",
    "ACTIVATION__ZENDESK__API_TOKEN": "token",
    "SOURCES__STRIPE__BASE_URL": "https://api.stripe.com",
    "SOURCES__STRIPE__API_KEY": "key",
    "SOURCES__ZENDESK__BASE_URL": "https://acme.zendesk.com",
    "SOURCES__ZENDESK__EMAIL": "ops@acme.example",
    "SOURCES__ZENDESK__API_TOKEN": "token",
    "SOURCES__BITRIX24__WEBHOOK_URL": "https://acme.bitrix24.example/rest/1/hush-hush",
    "SOURCES__CUSTOMERIO__BASE_URL": "https://api.customer.io",
    "SOURCES__CUSTOMERIO__APP_KEY": "key",
    "SOURCES__PRODUCT__BUCKET_URL": "events",
    "SOURCES__SPEND__BUCKET_URL": "spend",
    "SOURCES__REPORTS__BUCKET_URL": "reports",
}


@pytest.fixture(autouse=True)
def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every setting from the environment, with real hosts."""
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path))
    for name, value in GIVEN.items():
        monkeypatch.setenv(name, value)


def test_with_everything_given_nothing_is_missing() -> None:
    settings.check_all()


def test_a_missing_setting_is_named_with_both_ways_to_give_it() -> None:
    missing = Setting("activation.nowhere.api_token", is_secret=True)
    with pytest.raises(ConfigurationError) as said:
        missing.read()
    assert str(said.value) == (
        "The setting activation.nowhere.api_token is missing: put api_token under [activation.nowhere] in"
        " .dlt/secrets.toml or set ACTIVATION__NOWHERE__API_TOKEN."
    )


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("ACTIVATION__ZENDESK__BASE_URL", "acme.zendesk.com", "is not an http(s) address"),
        ("ACTIVATION__ZENDESK__BASE_URL", "http://acme.zendesk.com", "is plain http to another machine"),
        ("ACTIVATION__ZENDESK__BASE_URL", f"https://{'a' * 64}.example", "is not an http(s) address"),
        ("ACTIVATION__ZENDESK__BASE_URL", "https://me:you@acme.zendesk.com", "has more than a host and a path"),
        ("ACTIVATION__MAKE__WEBHOOK_URL", "https://hook.make.com/ü", "has a path with characters"),
        ("ACTIVATION__CUSTOMERIO__MODE", "loud", "is not one of live, shadow"),
        ("LIFECYCLE__CLOCK", "cuckoo", "is not one of sandbox, system"),
        ("LIFECYCLE__KEEP_VERSIONS", "0", "is not a whole number from 1 to 1,000"),
        ("LIFECYCLE__SHRINK_TOLERANCE", "a fifth", "is not a number from 0 to 1"),
        ("ACTIVATION__MAKE__SIGNING_SECRET", "whsec_hush", "is not whsec_ followed by the base64 of 24 to 64 bytes"),
        ("SOURCES__STRIPE__BASE_URL", "api.stripe.com", "SOURCES__STRIPE__BASE_URL"),
    ],
)
def test_a_wrong_setting_is_named_and_a_secret_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, variable: Any, value: Any, sentence: Any
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigurationError) as said:
        settings.check_all()
    assert sentence in str(said.value)
    assert variable in str(said.value)
    assert ("whsec_hush" in str(said.value)) is False


def test_real_hosts_are_shadow_until_somebody_says_live(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {policy.live for policy in settings.policies().values()} == {False}
    monkeypatch.setenv("ACTIVATION__ZENDESK__MODE", "live")
    assert [name for name, policy in settings.policies().items() if policy.live] == ["zendesk"]


def test_each_destination_has_its_adapter() -> None:
    assert {each.name for each in settings.ADAPTERS} == set(settings.DESTINATIONS) == set(settings.policies())


def test_this_machine_is_live_until_somebody_says_shadow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIVATION__CUSTOMERIO__BASE_URL", "http://127.0.0.1:8411/customerio/track")
    assert settings.policies()["customerio"].live
    monkeypatch.setenv("ACTIVATION__CUSTOMERIO__MODE", "shadow")
    assert not settings.policies()["customerio"].live


def test_a_place_one_cannot_write_to_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(blocked / "data"))
    with pytest.raises(ConfigurationError, match="is no directory one can write to"):
        settings.places()


@pytest.mark.parametrize("name", ["it's", "100%", "year=2026", "[new]", "what?", "a\x85b"])
def test_a_path_that_cannot_be_loaded_from_is_refused_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    # a link with a plain name helps nobody: dlt and DuckDB follow it
    (tmp_path / "plain").symlink_to(tmp_path / name, target_is_directory=True)
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path / "plain" / "data"))
    with pytest.raises(ConfigurationError, match=r"cannot read a path with .* in it"):
        settings.places()
    assert not (tmp_path / name).exists()


def test_the_settings_of_a_sandbox_of_its_own_lead_nowhere_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = {
        "ACTIVATION__LEDGER_URL": "postgresql://ops@db.acme.example/ledger",
        "ALERTS__HEARTBEAT_URL": "https://beat.acme.example/1",
        "ALERTS__URLS": "slack://acme",
        "ACTIVATION__ZENDESK__MODE": "shadow",
    }
    for name, value in real.items():
        monkeypatch.setenv(name, value)
    given = environment.moved(tmp_path, 1234)
    assert (GIVEN.keys() | real.keys()) - given.keys() == set()
    for name, value in given.items():
        monkeypatch.setenv(name, value)
        assert "://" not in value or "://127.0.0.1:1234" in value, name
    settings.check_all()
    assert ledger.LEDGER_URL.find() is settings.HEARTBEAT.find() is None
    assert {policy.live for policy in settings.policies().values()} == {True}
    leading = [each.variable for each in known.every() if each.name.endswith("_url")]
    assert set(leading) <= given.keys(), "whatever leads anywhere is among them"


def test_the_committed_files_give_every_setting_for_the_sandbox_and_nothing_else() -> Any:
    directory = settings.PROJECT_DIR / ".dlt"
    config = tomllib.loads((directory / "config.toml").read_text())
    secrets = tomllib.loads((directory / "secrets.sandbox.toml").read_text())

    def find(tree: Any, name: Any) -> Any:
        for part in name.split("."):
            tree = tree.get(part, {})
        return tree

    wanted = [setting for group in settings.DESTINATIONS.values() for setting in group]
    wanted += [
        setting for group in configuration.SOURCE_SETTINGS.values() for setting in group if setting.default is None
    ]
    for setting in wanted:
        value = find(secrets if setting.is_secret else config, setting.name)
        assert value, setting.name
        assert not find(config if setting.is_secret else secrets, setting.name), setting.name
        assert "://" not in value or is_loopback(value), setting.name
        assert setting.check is None or setting.check(value) == "", setting.name
