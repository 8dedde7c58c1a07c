"""How far deliveries had come: a note beside the ledger, by which one that was lost is seen before anything is sent.

An empty ledger knows nobody who was written to, and would send everything that is still due once more. Nothing in it
says that it is not the first one; this note does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lifecycle.errors import CannotRunError

if TYPE_CHECKING:
    from activation.ledger import Ledger
    from lifecycle.settings import Places

FILE_NAME = "delivered.json"


def missing(places: Places, ledger: Ledger | None) -> str:
    """What is wrong with the ledger, or nothing if it has all that was noted."""
    noted, found = _noted(places), ledger.size() if ledger is not None else 0
    if found >= noted:
        return ""
    return (
        f"The ledger knows {found:,} deliveries, and knew {noted:,} when it was last used: restore it from a backup."
        f" What it does not know would be sent again; if that is right, delete {places.data_dir / FILE_NAME}."
    )


def require(places: Places, ledger: Ledger) -> None:
    """Stop before anything is sent by a ledger that does not know what was sent.

    Raises:
        CannotRunError: if it has fewer deliveries than were noted.
    """
    if sentence := missing(places, ledger):
        raise CannotRunError(sentence)


def note(places: Places, ledger: Ledger) -> None:
    """Note how many deliveries the ledger has."""
    path = places.data_dir / FILE_NAME
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"deliveries": ledger.size()}), encoding="utf-8")
    fresh.replace(path)


def _noted(places: Places) -> int:
    try:
        return int(json.loads((places.data_dir / FILE_NAME).read_text(encoding="utf-8"))["deliveries"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
