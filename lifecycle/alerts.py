"""One digest per run to the team, wherever Apprise can reach it: what is new, what is over, how much still lasts.

What was told once is not told again while it lasts, but once a day as a number; what was told is told as over when it
is gone. What could not be told is told by the next one. The memory of that is `data/alerts.json`, beside the warehouse
and not in it: a run that has no warehouse is the very one to be told of.

Addresses of places are secrets, and so is much of what vendors say in their errors: every text is searched for the
configured secrets before it leaves, and no exception of a library gets out of here.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ingest import configuration
from lifecycle import settings
from lifecycle.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from lifecycle.settings import Places

AGAIN_AFTER = timedelta(days=1)  # how long what lasts is left unmentioned
MOST = 12  # more than so many lines nobody reads
LONGEST = 400  # characters of one line
SECONDS = 5.0
HIDDEN = "***"
# what is secret by its looks, should a vendor repeat a key that is not ours
_LOOKS_SECRET = re.compile(
    r"(?:[rs]k|whsec|xox[a-z]?|ghp|pat)[_-][A-Za-z0-9_\-+/=]{8,}"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )|(?<=basic ))[A-Za-z0-9._~+/=\-]{8,}"
    r"|(?i:(?<=token=)|(?<=api_key=)|(?<=secret=)|(?<=password=))[^\s&;,]+"
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something to be told. `key` is the same as long as it is the same trouble; `text` may change with every run."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a message: whether all places took it, and the sentence about it (empty without places)."""

    ok: bool
    sentence: str


def digest(
    places: Places,
    scope: str,
    headline: str,
    troubles: Iterable[Trouble],
    now: datetime | None = None,
    settles: str = "",
) -> str:
    """Tell the team what is new and what is over since the last digest of this scope; what is to be said about it.

    `scope` is who tells (run, sync, watch): what one of them no longer sees, another may still. What was told by the
    scope that it `settles` is over by its having come this far. `now` is naive UTC.
    """
    now = now or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    memory = _read(places.data_dir / "alerts.json")
    known: dict[str, Any] = memory.get(scope, {})
    settled: dict[str, Any] = memory.get(settles, {})
    current = {trouble.key: hide(trouble.text) for trouble in troubles}
    new = [key for key in current if key not in known]
    over = [key for key in known if key not in current]
    lasting = [key for key in current if key in known]
    overdue = [key for key in lasting if now - datetime.fromisoformat(known[key]["told_at"]) >= AGAIN_AFTER]
    if not (new or over or overdue or settled):
        return "The team was told before." if lasting else ""
    lines = [hide(headline)]
    lines += _listed("", [current[key] for key in new])
    lines += _listed("Over: ", [*(each["text"] for each in settled.values()), *(known[key]["text"] for key in over)])
    if overdue:
        lines += _listed("Still: ", [current[key] for key in lasting])
    elif lasting:
        lines.append(f"{len(lasting)} more that were told before still last.")
    sent = send("\n".join(lines))
    if sent.ok:
        told = {"told_at": now.isoformat()}
        memory[scope] = {
            key: {"text": text, "since": known.get(key, {}).get("since", now.isoformat())}
            | (told if key in new or overdue else {"told_at": known[key]["told_at"]})
            for key, text in current.items()
        }
        memory.pop(settles, None)
        _write(places.data_dir / "alerts.json", memory)
    return sent.sentence


def send(text: str) -> Sent:
    """Send to every place that is configured."""
    addresses = (settings.ALERTS.find() or "").split()
    if not addresses:
        return Sent(ok=True, sentence="")
    apprise = _apprise()
    refused = 0
    for address in addresses:
        place = apprise.Apprise(asset=apprise.AppriseAsset(app_id="Customer lifecycle", secure_logging=True))
        try:
            taken = place.add(address) and place.notify(body=hide(text), body_format=apprise.NotifyFormat.TEXT)
        except Exception:  # noqa: BLE001 - a plugin's own exception may hold the address
            taken = False
        refused += not taken
    _end_threads()
    if refused:
        return Sent(ok=False, sentence=f"{refused} of {len(addresses)} places for alerts did not take the message.")
    return Sent(ok=True, sentence="The team was told.")


def unknown_addresses() -> list[int]:
    """Which of the configured addresses (counted from 1) Apprise does not understand."""
    apprise = _apprise()
    addresses = (settings.ALERTS.find() or "").split()
    return [number for number, address in enumerate(addresses, 1) if not apprise.Apprise().add(address)]


def beat() -> str:
    """Tell the monitor outside this machine that a run came to its end; what went wrong with that, or nothing."""
    url = settings.HEARTBEAT.find()
    if url is None:
        return ""
    import requests  # noqa: PLC0415 - as for apprise: a run without a monitor has no use for it

    try:
        answer = requests.get(url, timeout=SECONDS, allow_redirects=False)
    except requests.RequestException as error:
        return f"The heartbeat could not be sent ({type(error).__name__})."
    return "" if answer.status_code < 300 else f"The heartbeat was refused with status {answer.status_code}."


def hide(text: str) -> str:
    """The text without anything that is, or looks like, a secret of this configuration."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _LOOKS_SECRET.sub(HIDDEN, text)


def _secrets() -> set[str]:
    """Every secret value that is configured, and the parts of secret addresses that make them secret."""
    found: set[str] = set()
    groups = (*settings.DESTINATIONS.values(), *configuration.SOURCE_SETTINGS.values())
    known = [setting for group in groups for setting in group if setting.is_secret]
    for setting in [*known, settings.MAKE_API_KEY, settings.ALERTS, settings.HEARTBEAT]:
        # a setting that is wrong is said elsewhere, and is no reason to keep silent here
        with contextlib.suppress(ConfigurationError):
            found.update((setting.find() or "").split())
    parts = {part for secret in found if "://" in secret for part in re.split(r"[/?&=]", secret)[3:]}
    # a path may hold the vendor's name, which every sentence about the vendor needs
    return {each for each in found | parts if len(each) >= 8} - {*configuration.SOURCE_SETTINGS, *settings.DESTINATIONS}


def _listed(mark: str, texts: list[str]) -> list[str]:
    lines = [f"- {mark}{text if len(text) <= LONGEST else text[: LONGEST - 1] + '…'}" for text in texts[:MOST]]
    return lines + ([f"- {mark}and {len(texts) - MOST} more"] if len(texts) > MOST else [])


def _apprise() -> Any:
    import apprise  # noqa: PLC0415 - takes half a second, and a run with nothing to tell does not need it

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs what a place answers
    return apprise


def _end_threads() -> None:
    """Apprise keeps threads for the next message, and a process that has any cannot be copied (ingest/forked.py)."""
    module: Any = sys.modules["apprise.apprise"]
    pool: ThreadPoolExecutor | None = module._shared_executor  # noqa: SLF001 - it makes another when it needs one
    module._shared_executor = None  # noqa: SLF001
    if pool is not None:
        pool.shutdown(wait=False)


def _read(path: Path) -> dict[str, Any]:
    """What was told; nothing if there is no such file or a crash tore it, and then it is told again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, memory: Mapping[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(memory, indent=1), encoding="utf-8")
    fresh.replace(path)
