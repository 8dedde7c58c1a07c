"""The settings of the sources, in dlt's configuration: `.dlt/config.toml`, `.dlt/secrets.toml`, environment."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ingest import given
from ingest.errors import ConfigurationError
from ingest.guards import SMALLEST_SHARE

URL_SCHEMES = ("http://", "https://")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting of a source. `is_url`: it must be an http(s) address."""

    name: str
    secret: bool = False
    is_url: bool = False
    default: Any = None
    kind: type = str


SOURCE_SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "stripe": (
        Setting("base_url", is_url=True),
        Setting("api_key", secret=True),
        # reads per second and endpoint; the vendor's limit is 25
        Setting("requests_per_second", default=25, kind=int),
    ),
    "zendesk": (
        Setting("base_url", is_url=True),
        Setting("email"),
        Setting("api_token", secret=True),
        # the vendor's limit on incremental exports; 30 with its high-volume add-on
        Setting("exports_per_minute", default=10, kind=int),
    ),
    "bitrix24": (Setting("webhook_url", secret=True, is_url=True),),
    "customerio": (
        Setting("base_url", is_url=True),
        Setting("app_key", secret=True),
        Setting("requests_per_second", default=10, kind=int),
    ),
    "spend": (Setting("bucket_url"),),
    "product": (Setting("bucket_url"),),
    "reports": (Setting("bucket_url"),),
    "receipts": (),
}


def how_to_give(source: str, setting: Setting) -> str:
    """The two ways to give a setting, for a message."""
    file = ".dlt/secrets.toml" if setting.secret else ".dlt/config.toml"
    variable = f"SOURCES__{source}__{setting.name}".upper()
    return f"{setting.name} under [sources.{source}] in {file}, or the environment variable {variable}"


def credentials_hint(source: str) -> str:
    """The sentence that follows a refusal for bad credentials."""
    names = [setting for setting in SOURCE_SETTINGS[source] if setting.secret]
    return f"Check {how_to_give(source, names[0])}." if names else ""


def resolve(source: str) -> dict[str, Any]:
    """The settings of one source as the arguments of its `@dlt.source` function.

    Raises:
        ConfigurationError: if one is missing, empty, of the wrong type, or no address where one is needed.
    """
    if source not in SOURCE_SETTINGS:
        raise ConfigurationError(f"There is no source {source}; known are {', '.join(SOURCE_SETTINGS)}.")
    return {setting.name: _value(source, setting) for setting in SOURCE_SETTINGS[source]}


def _value(source: str, setting: Setting) -> Any:
    value = given.find(f"sources.{source}.{setting.name}", is_secret=setting.secret)
    if value is None:
        value = setting.default
    if value is None or value == "":
        raise ConfigurationError(f"A setting is missing: give {how_to_give(source, setting)}.")
    try:
        value = setting.kind(value)
    except (TypeError, ValueError):
        kind = "text" if setting.kind is str else "number"
        raise ConfigurationError(f"A setting is no {kind}: correct {how_to_give(source, setting)}.") from None
    if setting.is_url and not value.startswith(URL_SCHEMES):
        raise ConfigurationError(
            f"A setting is no address that starts with http:// or https://: correct {how_to_give(source, setting)}."
        )
    if setting.is_url and value.startswith("http://") and not _is_this_machine(value):
        raise ConfigurationError(
            "A setting is plain http to another machine, which would show the credentials on the way; use https:"
            f" correct {how_to_give(source, setting)}."
        )
    if setting.kind is int and value < 1:
        raise ConfigurationError(f"A setting must be at least 1: correct {how_to_give(source, setting)}.")
    return value


def _is_this_machine(url: str) -> bool:
    """Whether an address stays on this machine: localhost, or a loopback number."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check(sources: Iterable[str]) -> None:
    """Resolve the settings of several sources and keep nothing.

    Raises:
        ConfigurationError: for the first one that is missing or wrong.
    """
    for source in sources:
        resolve(source)


def smallest_share() -> float:
    """The share of the last good answer below which an answer is refused (`[ingest] smallest_share`).

    Raises:
        ConfigurationError: if it is no number from 0 to 1.
    """
    value = given.find("ingest.smallest_share", is_secret=False)
    if value is None:
        return SMALLEST_SHARE
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise ConfigurationError(
            "A setting is no share between 0 and 1: correct smallest_share under [ingest] in .dlt/config.toml, or the"
            " environment variable INGEST__SMALLEST_SHARE."
        )
    return share
