"""When a run last came to its end, and when one last published: a small file that needs no warehouse to be read.

Written by every run that ends by whatever way but being killed; read by `lifecycle watch` and `lifecycle doctor`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifecycle.settings import Places

FILE_NAME = "last_run.json"


@dataclass(frozen=True, slots=True)
class LastRun:
    """When a run last came to its end, and when one last published; naive UTC by the machine's clock."""

    run_id: str
    ended_at: datetime | None
    published_at: datetime | None


def note_end(places: Places, run_id: str, *, has_published: bool, now: datetime | None = None) -> None:
    """Note that a run came to its end, by whatever way but being killed."""
    now = now or datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    published_at = now if has_published else read(places).published_at
    noted = {
        "run_id": run_id,
        "ended_at": now.isoformat(),
        "published_at": None if published_at is None else published_at.isoformat(),
    }
    path = places.data_dir / FILE_NAME
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(noted), encoding="utf-8")
    fresh.replace(path)


def read(places: Places) -> LastRun:
    """What was noted last; nothing if no run ever ended."""
    try:
        noted = json.loads((places.data_dir / FILE_NAME).read_text(encoding="utf-8"))
        ended_at, published_at = (
            None if noted[name] is None else datetime.fromisoformat(noted[name])
            for name in ("ended_at", "published_at")
        )
        return LastRun(str(noted["run_id"]), ended_at, published_at)
    except (OSError, ValueError, KeyError, TypeError):
        return LastRun("", None, None)
