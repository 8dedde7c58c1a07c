"""Every setting there is, by name: one that is given under another name would be passed over without a word.

A misspelt bound bounds nothing, and a misspelt term keeps what should go. So what is written in the sections that are
this project's own has to be one of its settings, and a section that is spelt almost like one of them is asked about.
Sections of dlt's ([runtime], [load], ...) are dlt's own business, and so is how a bucket's key is given to it.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ingest import configuration, given
from ingest.setting import Setting
from lifecycle import activate, ledger, settings
from lifecycle.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = ("activation", "alerts", "ingest", "lifecycle", "retention", "sandbox", "sources")
OF_DLT = ("sources.credentials.", "sources.filesystem.")  # with which key a bucket is read
ALIKE = 0.8


def check() -> None:
    """Look for names that no setting has.

    Raises:
        ConfigurationError: for the first name that means nothing, or that stands in a file it is not read from.
    """
    names = {setting.name: setting for setting in every()}
    for name, where in given.written(OURS):
        section = name.partition(".")[0]
        if section not in OURS:
            alike = difflib.get_close_matches(section, OURS, 1, ALIKE)
            if alike and "." in name:
                raise ConfigurationError(
                    f"The section [{section}] in {where} is none of this project's; [{alike[0]}] is."
                )
        elif name in names:
            if names[name].is_secret and where.endswith(given.CONFIG):
                raise ConfigurationError(
                    f"The setting {name} stands in {where}, where no secret is read from: {names[name].how}."
                )
        elif not name.startswith(OF_DLT):
            alike = difflib.get_close_matches(name, names, 1, ALIKE)
            said = f"did you mean {alike[0]}?" if alike else "docs/real_accounts.md lists them all."
            raise ConfigurationError(f"There is no setting {name}, which {where} gives; {said}")


def every() -> Iterator[Setting]:
    """Every setting, in no order."""
    for module in (settings, activate, ledger):
        yield from (found for found in vars(module).values() if isinstance(found, Setting))
    for group in (*settings.DESTINATIONS.values(), *configuration.SOURCE_SETTINGS.values()):
        yield from group
    for each in (settings.MODES, activate.WINDOWS, activate.PRIVATE):
        yield from each.values()
    yield configuration.SHARE
