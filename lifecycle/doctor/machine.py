"""This machine: settings, versions, clock, disk."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.markers import Marker

from lifecycle import activate, clock, known, settings
from lifecycle.doctor.finding import FAIL, OK, WARN, Finding
from lifecycle.errors import ConfigurationError
from lifecycle.gate import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lifecycle.settings import Places

LOCK = settings.PROJECT_DIR / "requirements.lock"
SECRETS = settings.PROJECT_DIR / ".dlt" / "secrets.toml"
OLDEST_PYTHON = (3, 11)
MOST_SKEW, WORST_SKEW = 30.0, 300.0  # seconds; signed webhooks are refused beyond the second
LEAST_FREE = 2 * 1024**3


def configuration() -> list[Finding]:
    """Every setting that a run reads, who may read the secrets, and the seeds that are read before a run."""
    found = [
        _tried("settings", "names", known.check),
        _tried("settings", "all that a run reads", settings.check_all),
        _tried("settings", "delivery", activate.check_settings),
        _tried("settings", "the gate's checks and exceptions", catalogue.read),
    ]
    if SECRETS.exists():
        mode = SECRETS.stat().st_mode & 0o777
        said, remedy = f"Its mode is {mode:o}.", f"`chmod 600 {SECRETS.relative_to(settings.PROJECT_DIR)}`"
        is_open = bool(mode & 0o077)
        found.append(Finding("settings", "secrets.toml", WARN if is_open else OK, said, remedy if is_open else ""))
    return found


def _tried(area: str, subject: str, look: Callable[[], object]) -> Finding:
    try:
        look()
    except ConfigurationError as error:
        return Finding(area, subject, FAIL, str(error))
    return Finding(area, subject, OK, "Everything that is needed is there and makes sense.")


def versions(lock: Path = LOCK) -> list[Finding]:
    """The interpreter, and every installed package against the lock."""
    running = sys.version_info[:2]
    python = Finding(
        "versions",
        "Python",
        OK if running >= OLDEST_PYTHON else FAIL,
        f"{platform.python_version()}.",
        "" if running >= OLDEST_PYTHON else "Python 3.11 or newer is needed: `make PYTHON=python3.12 install`.",
    )
    wrong = [
        f"{name} {found or 'missing'} (locked {wanted})"
        for name, wanted in locked(lock.read_text(encoding="utf-8")).items()
        if (found := _installed(name)) != wanted
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        said = f"{', '.join(wrong[:5])}{more}."
        return [python, Finding("versions", "packages", WARN, said, "`make install` installs what is locked.")]
    return [python, Finding("versions", "packages", OK, "Every package has the version that is locked.")]


def locked(text: str) -> dict[str, str]:
    """Name and version of what the lock wants on this machine."""
    found = {}
    for line in text.splitlines():
        matched = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\]+))?", line)
        if matched and (matched[3] is None or Marker(matched[3].strip()).evaluate()):
            found[matched[1]] = matched[2]
    return found


def _installed(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def clock_answers() -> Finding:
    """Whether somebody says at which instant a run would stand."""
    try:
        now = clock.as_of()
    except (clock.ClockError, ConfigurationError) as error:
        return Finding("clock", "as_of", FAIL, str(error))
    return Finding("clock", "as_of", OK, f"A run would stand at {now} UTC ({settings.CLOCK.read()} clock).")


def clock_skew(skews: Mapping[str, float]) -> Finding:
    """This machine's clock against the vendors': most of them have to agree with it."""
    if not skews:
        return Finding(
            "clock", "this machine", WARN, "No vendor said what time it is.", "Look at it yourself: `date -u`."
        )
    middle = sorted(skews.values())[len(skews) // 2]
    size = abs(middle)
    state = OK if size <= MOST_SKEW else WARN if size <= WORST_SKEW else FAIL
    text = f"{size:.0f} seconds {'behind' if middle > 0 else 'ahead of'} the vendors' clocks."
    return Finding("clock", "this machine", state, text, "" if state == OK else "Let a time service (NTP) set it.")


def clock_findings(skews: Mapping[str, float]) -> list[Finding]:
    """Both."""
    return [clock_answers(), clock_skew(skews)]


def disk(places: Places) -> list[Finding]:
    """Whether the next run has room: a second warehouse's worth for building, and a version to publish."""
    usage = shutil.disk_usage(places.data_dir)
    size = places.warehouse.stat().st_size if places.warehouse.exists() else 0
    least = max(LEAST_FREE, 2 * size)
    state = FAIL if usage.free < size else WARN if usage.free < least else OK
    text = f"{usage.free / 1e9:.1f} GB free in {places.data_dir}, the warehouse has {size / 1e9:.1f} GB."
    remedy = f"Make room: {least / 1e9:.1f} GB are wanted; lower lifecycle.keep_versions, or move lifecycle.data_dir."
    return [Finding("disk", "room", state, text, "" if state == OK else remedy)]
