"""The settings of the sources, in dlt's configuration: `.dlt/config.toml`, `.dlt/secrets.toml`, environment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ingest.errors import ConfigurationError
from ingest.guards import SMALLEST_SHARE
from ingest.setting import Setting, address, key, mailbox, number, whole

_RATE = whole(1, 1_000)

SOURCE_SETTINGS: Mapping[str, tuple[Setting, ...]] = {
    "stripe": (
        Setting("sources.stripe.base_url", check=address),
        Setting("sources.stripe.api_key", is_secret=True, check=key),
        # reads per second and endpoint; the vendor's limit is 25
        Setting("sources.stripe.requests_per_second", check=_RATE, default="25"),
    ),
    "zendesk": (
        Setting("sources.zendesk.base_url", check=address),
        Setting("sources.zendesk.email", check=mailbox),
        Setting("sources.zendesk.api_token", is_secret=True, check=key),
        # the vendor's limit on incremental exports; 30 with its high-volume add-on
        Setting("sources.zendesk.exports_per_minute", check=_RATE, default="10"),
    ),
    "bitrix24": (Setting("sources.bitrix24.webhook_url", is_secret=True, check=address),),
    "customerio": (
        Setting("sources.customerio.base_url", check=address),
        Setting("sources.customerio.app_key", is_secret=True, check=key),
        Setting("sources.customerio.requests_per_second", check=_RATE, default="10"),
    ),
    "spend": (Setting("sources.spend.bucket_url"),),
    "product": (Setting("sources.product.bucket_url"),),
    "reports": (Setting("sources.reports.bucket_url"),),
    "receipts": (),
}
SHARE = Setting("ingest.smallest_share", check=number(0, 1), default=str(SMALLEST_SHARE))


def credentials_hint(source: str) -> str:
    """The sentence that follows a refusal for bad credentials."""
    secret = [setting for setting in SOURCE_SETTINGS[source] if setting.is_secret]
    return f"Look at the setting {secret[0].name}: {secret[0].how}." if secret else ""


def resolve(source: str) -> dict[str, Any]:
    """The settings of one source as the arguments of its `@dlt.source` function.

    Raises:
        ConfigurationError: if one is missing, or not what it has to be.
    """
    if source not in SOURCE_SETTINGS:
        raise ConfigurationError(f"There is no source {source}; known are {', '.join(SOURCE_SETTINGS)}.")
    return {
        setting.key: int(setting.read()) if setting.check is _RATE else setting.read()
        for setting in SOURCE_SETTINGS[source]
    }


def check(sources: Iterable[str]) -> None:
    """Resolve the settings of several sources and keep nothing.

    Raises:
        ConfigurationError: for the first one that is missing or wrong.
    """
    for source in sources:
        resolve(source)
    smallest_share()


def smallest_share() -> float:
    """The share of the last good answer below which an answer is refused (`[ingest] smallest_share`).

    Raises:
        ConfigurationError: if it is no number from 0 to 1.
    """
    return float(SHARE.read())
