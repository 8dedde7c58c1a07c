"""What was given under a dotted name, by dlt's rules but without dlt: importing it takes a second of every start.

`sources.stripe.api_key` is SOURCES__STRIPE__API_KEY in the environment, or api_key under [sources.stripe] in
`.dlt/secrets.toml` or `.dlt/config.toml`; the first that has it wins, and a file of the project wins over the file of
the same name in dlt's directory of the user. A secret may also be a file in /run/secrets, and never stands in
config.toml. Where a vault is set up ([providers]), or Airflow is there to be asked, dlt itself looks.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import tempfile
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from ingest.errors import ConfigurationError

CONFIG = "config.toml"
SECRETS = "secrets.toml"
VAULTS = "providers"
MOUNTED_SECRETS = Path("/run/secrets")
LEDGER_URL = "activation.ledger_url"  # of two rooms that do not know each other: who writes the ledger, who reads it


def find(name: str, *, is_secret: bool) -> Any:
    """The value under a dotted name as it was written, or None: text from the environment, else what TOML makes of it.

    Raises:
        ConfigurationError: if a file cannot be read or is not TOML. The sentence names it.
    """
    files = _files()
    if _has_vaults(files):
        return _ask_dlt(name, is_secret=is_secret)
    variable = name.upper().replace(".", "__")
    if is_secret and (mounted := _mounted(variable)) is not None:
        return mounted
    if variable in os.environ:
        return os.environ[variable]
    for file in (SECRETS,) if is_secret else (SECRETS, CONFIG):
        for directory in files:
            if (value := _under(_document(directory / file), name)) is not None:
                return value
    return None


def file_of(*, is_secret: bool) -> str:
    """The file that a value belongs into."""
    return SECRETS if is_secret else CONFIG


def written(sections: Collection[str]) -> Iterator[tuple[str, str]]:
    """Every name that is given, and where: all of both files, and the variables of these sections.

    Raises:
        ConfigurationError: if a file cannot be read or is not TOML.
    """
    for directory in _files():
        for file in (CONFIG, SECRETS):
            for name in _names(_document(directory / file)):
                yield name, str(Path(directory.name) / file)
    for variable in os.environ:
        section, separator, _ = variable.partition("__")
        if separator and section.lower() in sections:
            yield variable.lower().replace("__", "."), variable


def _names(document: Mapping[str, Any], above: str = "") -> Iterator[str]:
    for key, value in document.items():
        if isinstance(value, dict) and value:
            yield from _names(value, f"{above}{key}.")
        elif not isinstance(value, dict):
            yield f"{above}{key}"


def lacks_driver(missing: ModuleNotFoundError) -> str:
    """What to tell who gave a database as the ledger and cannot reach it."""
    return f"The setting {LEDGER_URL} needs the driver {missing.name}: pip install 'customer-lifecycle[postgres]'."


def _files() -> tuple[Path, Path]:
    """The directories of the two files, the stronger first: the project's and the user's."""
    folder = os.environ.get("DLT_CONFIG_FOLDER", ".dlt")
    return Path(os.environ.get("DLT_PROJECT_DIR", ".")) / folder, _of_the_user(folder)


def _of_the_user(folder: str) -> Path:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/dlt")
    home = Path("~").expanduser()
    if not os.access(home, os.W_OK):
        return Path(tempfile.gettempdir()) / "dlt"
    if "XDG_DATA_HOME" in os.environ and not (home / folder).is_dir():
        return Path(os.environ["XDG_DATA_HOME"]) / "dlt"
    return home / folder


@functools.cache
def _document(path: Path) -> Mapping[str, Any]:
    """A file of settings, read once per process; empty without the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is not TOML: {error}"
        raise ConfigurationError(f"{path} cannot be read ({reason}).") from None


def _under(document: Mapping[str, Any], name: str) -> Any:
    found: Any = document
    for key in name.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    return found


def _mounted(variable: str) -> str | None:
    """A secret that a container was given as a file, by Docker's layout or Kubernetes'."""
    name = variable.lower().replace("_", "-")
    path = MOUNTED_SECRETS / name
    try:
        return (path / name if path.is_dir() else path).read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _has_vaults(directories: tuple[Path, Path]) -> bool:
    written = any(VAULTS in _document(directory / file) for directory in directories for file in (SECRETS, CONFIG))
    set_up = any(variable.startswith(f"{VAULTS.upper()}__") for variable in os.environ)
    return written or set_up or importlib.util.find_spec("airflow") is not None


def _ask_dlt(name: str, *, is_secret: bool) -> Any:
    import dlt  # noqa: PLC0415 - see the top of the file

    return (dlt.secrets if is_secret else dlt.config).get(name)
