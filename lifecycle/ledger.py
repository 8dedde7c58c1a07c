"""Which ledger of deliveries this project keeps: a file in its data directory, or a database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from activation.ledger import Ledger
from ingest import given
from lifecycle.errors import ConfigurationError
from lifecycle.settings import Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.settings import Places

LEDGER_URL = Setting(given.LEDGER_URL, is_secret=True)


def open_ledger(places: Places) -> Ledger:
    """The ledger: the data directory's own, or the database that is configured.

    Raises:
        ConfigurationError: if the database's driver is not installed.
    """
    url = LEDGER_URL.find()
    if url is None:
        return Ledger(places.ledger)
    try:
        return Ledger(url)
    except ModuleNotFoundError as missing:
        raise ConfigurationError(given.lacks_driver(missing)) from None


@contextmanager
def existing_ledger(places: Places) -> Iterator[Ledger | None]:
    """The ledger while it is needed, for those who have nothing to do where nothing was ever delivered."""
    if LEDGER_URL.find() is None and not places.ledger.exists():
        yield None
        return
    ledger = open_ledger(places)
    try:
        yield ledger
    finally:
        ledger.close()
