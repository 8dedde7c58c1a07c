"""Which ledger of deliveries this project keeps: a file in its data directory, or a database."""

from __future__ import annotations

import re
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy.exc import ArgumentError, DatabaseError

from activation.ledger import Ledger
from ingest import given
from ingest.setting import Setting
from lifecycle.errors import CannotRunError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.settings import Places


def _is_database(value: str) -> str:
    is_one = re.match(r"(postgresql(\+\w+)?://[^/\s]+/\S+|sqlite:///\S(.*\S)?)$", value)
    return "" if is_one else "is no database address such as postgresql://user:password@host:5432/name"


LEDGER_URL = Setting(given.LEDGER_URL, is_secret=True, check=_is_database, may_be_empty=True)


def open_ledger(places: Places) -> Ledger:
    """The ledger: the data directory's own, or the database that is configured.

    Raises:
        ConfigurationError: if the address is none, or the database's driver is not installed.
        CannotRunError: if the file is damaged.
    """
    url = LEDGER_URL.find()
    if url is None:
        try:
            return Ledger(places.ledger)
        except DatabaseError as error:
            if isinstance(error.orig, sqlite3.OperationalError):  # no room, no right: the file is not to blame
                raise
            raise CannotRunError(
                f"The ledger {places.ledger} is damaged: restore it from the last backup. Without it, what was sent"
                " would be sent again."
            ) from None
    try:
        return Ledger(url)
    except ModuleNotFoundError as missing:
        raise ConfigurationError(given.lacks_driver(missing)) from None
    except (ArgumentError, ValueError):  # a port that is none; the address itself is a secret
        raise ConfigurationError(f"The setting {LEDGER_URL.name} is no database address: {LEDGER_URL.how}.") from None


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
