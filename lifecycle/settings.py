"""What this project is told: `.dlt/config.toml`, `.dlt/secrets.toml` and the environment, by dlt's own rules.

A setting that is missing or wrong ends in a `ConfigurationError`: one sentence that names it and says how to give it.
Values that are secret never appear in one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from activation.destinations.bitrix24 import Bitrix24
from activation.destinations.customerio import CustomerIo
from activation.destinations.make import Make
from activation.destinations.zendesk import Zendesk
from activation.identifiers import signing_key
from activation.plan import Policy
from activation.transport import is_loopback
from ingest import configuration
from ingest.setting import Setting, address, key, mailbox, number, one_of, truth, whole
from lifecycle.errors import ConfigurationError

# Apprise's spellings of plain http; each has one with an s that is encrypted
IN_CLEAR = frozenset({"http", "json", "xml", "form", "apprise", "gotify", "mmost", "ntfy", "rocket", "matrix"})
FOREVER = "forever"
# of the path to a Parquet file DuckDB reads these as the end of a text, a pattern or a partition, and dlt as a place
# for a value
NOT_IN_PATHS = "'\"%*?[]=\\"
PROJECT_DIR = Path(__file__).resolve().parent.parent


def _are_places(value: str) -> str:
    """Apprise knows a hundred kinds of places; what is looked at here is that none is told in clear over a network."""
    for place in value.split():
        scheme, separator, rest = place.partition("://")
        if not separator:
            return "is not one address with :// or several with spaces between"
        if scheme.lower() in IN_CLEAR and address(f"http://{rest}"):
            return f"has a {scheme}:// address, which is not encrypted; use {scheme}s://"
    return ""


def _base(value: str) -> str:
    """A destination's address: what is put behind it, or dropped, must not lead elsewhere."""
    if problem := address(value):
        return problem
    parts = urlsplit(value)
    if "@" in parts.netloc or parts.query or parts.fragment:
        return "has more than a host and a path; a name, a key or a question within it would be dropped"
    return "" if parts.path.isascii() and " " not in parts.path else "has a path with characters to be written as %.."


def _term(value: str) -> str:
    is_term = value == FOREVER or not number(1, 36_500)(value)
    return "" if is_term else f"is neither {FOREVER} nor a number of days from 1 to 36500"


def _is_signing_secret(value: str) -> str:
    try:
        signing_key(value)
    except ValueError:
        return "is not whsec_ followed by the base64 of 24 to 64 bytes"
    return ""


DATA_DIR = Setting("lifecycle.data_dir")
CLOCK = Setting("lifecycle.clock", check=one_of("sandbox", "system"))
KEEP_VERSIONS = Setting("lifecycle.keep_versions", check=whole(1, 1000))
SHRINK_TOLERANCE = Setting("lifecycle.shrink_tolerance", check=number(0, 1))
TABLEAU_EXTRACT = Setting("lifecycle.tableau_extract", check=one_of("auto", "true", "false"))
PERSONAL_DATA = Setting("lifecycle.personal_data", check=one_of("inline", "apart"))
DELIVERY_SECONDS = Setting("lifecycle.delivery_seconds", check=number(0, 86400))
KEEP_DELIVERIES = Setting("retention.delivery_days", check=_term)
KEEP_QUARANTINE = Setting("retention.quarantine_days", check=_term)
KEEP_TICKETS = Setting("retention.ticket_days", check=_term)
SANDBOX_URL = Setting("sandbox.url", check=address)
# Apprise's addresses, with spaces between; an empty variable keeps a run silent
ALERTS = Setting("alerts.urls", is_secret=True, check=_are_places, may_be_empty=True)
HEARTBEAT = Setting("alerts.heartbeat_url", is_secret=True, check=address, may_be_empty=True)
ALERT_AFTER_HOURS = Setting("alerts.after_hours", check=number(0.01, 8760))

DESTINATIONS: dict[str, tuple[Setting, ...]] = {
    "customerio": (
        Setting("activation.customerio.base_url", check=_base),
        Setting("activation.customerio.site_id", is_secret=True, check=key),
        Setting("activation.customerio.api_key", is_secret=True, check=key),
    ),
    "bitrix24": (Setting("activation.bitrix24.webhook_url", is_secret=True, check=_base),),
    "make": (
        Setting("activation.make.webhook_url", is_secret=True, check=_base),
        Setting("activation.make.signing_secret", is_secret=True, check=_is_signing_secret),
    ),
    "zendesk": (
        Setting("activation.zendesk.base_url", check=_base),
        Setting("activation.zendesk.email", check=mailbox),
        Setting("activation.zendesk.api_token", is_secret=True, check=key),
    ),
}
ADAPTERS = (Bitrix24, CustomerIo, Make, Zendesk)  # one for each of them
MODES = {name: Setting(f"activation.{name}.mode", check=one_of("live", "shadow")) for name in DESTINATIONS}
MAKE_API_KEY = Setting("activation.make.api_key", is_secret=True, check=key)
MAKE_REQUIRE_ACK = Setting("activation.make.require_ack", check=truth)


@dataclass(frozen=True, slots=True)
class Places:
    """Where a run keeps what. Only `published` is for readers; the warehouse is the pipeline's alone."""

    data_dir: Path

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that ingest and dbt write."""
        return self.data_dir / "warehouse.duckdb"

    @property
    def ledger(self) -> Path:
        """The SQLite file of the deliveries."""
        return self.data_dir / "ledger.sqlite"

    @property
    def published(self) -> Path:
        """The directory with what people and tools read."""
        return self.data_dir / "published"

    @property
    def published_file(self) -> Path:
        """The stable name of the published DuckDB file, a link."""
        return self.published / "lifecycle.duckdb"

    @property
    def reports(self) -> Path:
        """The pages people look at."""
        return self.data_dir / "reports"

    @property
    def complete_file(self) -> Path:
        """The published file with everything in it: the restricted one where personal data is kept apart."""
        restricted = self.published / "current" / "restricted.duckdb"
        return restricted if restricted.exists() else self.published_file

    @property
    def erasures(self) -> Path:
        """Who must not come back (as salted hashes), and the receipts of what was erased."""
        return self.data_dir / "erasures"

    @property
    def go_live(self) -> Path:
        """The record of who decided that real destinations may get anything."""
        return self.data_dir / "go_live.jsonl"

    @property
    def dbt(self) -> Path:
        """Dbt's artefacts and logs."""
        return self.data_dir / "dbt"

    @property
    def lock(self) -> Path:
        """Held by the one run at work."""
        return self.data_dir / "run.lock"

    @property
    def sandbox(self) -> Path:
        """The sandbox's world."""
        return self.data_dir / "sandbox"


def places() -> Places:
    """Where this project keeps its data; a relative data_dir counts from the repository's root.

    Raises:
        ConfigurationError: if data_dir is not given, is not a directory one can write to, or has a path that what
            loads and builds there reads as something else.
    """
    data_dir = PROJECT_DIR / Path(DATA_DIR.read()).expanduser()
    path = str(data_dir.resolve())
    sign = next((each for each in path if each in NOT_IN_PATHS or not each.isprintable()), None)
    if sign is not None:
        raise ConfigurationError(
            f"The setting {DATA_DIR.name} leads to {path!r:.200}, and what loads and builds there cannot read a path"
            f" with {sign if sign.isprintable() else repr(sign)} in it: {DATA_DIR.how}, to a directory without."
        )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The setting {DATA_DIR.name} '{data_dir}' is no directory one can write to ({error.strerror}):"
            f" {DATA_DIR.how}."
        ) from None
    if not os.access(data_dir, os.W_OK):
        raise ConfigurationError(
            f"The setting {DATA_DIR.name} '{data_dir}' is a directory one cannot write to: {DATA_DIR.how}."
        )
    return Places(data_dir)


def check_all() -> None:
    """Look at every setting that a run needs before it starts, so that nothing fails half-way for want of one.

    Raises:
        ConfigurationError: for the first one that is missing or wrong.
    """
    for setting in (DATA_DIR, CLOCK, KEEP_VERSIONS, SHRINK_TOLERANCE, DELIVERY_SECONDS):
        setting.read()
    for setting in (TABLEAU_EXTRACT, PERSONAL_DATA, KEEP_DELIVERIES, KEEP_QUARANTINE, KEEP_TICKETS):
        setting.find()
    if CLOCK.read() == "sandbox":
        SANDBOX_URL.read()
    ALERTS.find()
    HEARTBEAT.find()
    ALERT_AFTER_HOURS.read()
    for settings in DESTINATIONS.values():
        for setting in settings:
            setting.read()
    policies()
    configuration.check(configuration.SOURCE_SETTINGS)


def real_destinations() -> frozenset[str]:
    """The destinations whose address is not on this machine: what they get, somebody sees.

    Raises:
        ConfigurationError: if an address is missing or wrong.
    """
    return frozenset(name for name, settings in DESTINATIONS.items() if not is_loopback(settings[0].read()))


def policies() -> dict[str, Policy]:
    """How each destination is set: live or shadow, by its `mode` or else by its host.

    A real one that is set live still gets nothing before going live was approved (lifecycle/activate.py).

    Raises:
        ConfigurationError: if a setting is missing or wrong.
    """
    adapters = {each.name: each for each in ADAPTERS}
    real = real_destinations()
    found = {}
    for name, group in DESTINATIONS.items():
        mode = MODES[name].find()
        is_live = mode == "live" if mode else name not in real
        where = sha256("\n".join(each.find() or "" for each in group).encode()).hexdigest()
        found[name] = Policy(
            live=is_live,
            resends_changes=adapters[name].resends_changes,
            where=where,
            can_be_asked=adapters[name].can_be_asked,
        )
    return found
