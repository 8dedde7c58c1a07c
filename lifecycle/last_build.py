"""What dbt said of a run's last build, kept for a `gate` in another process, and whether the gate has judged it."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lifecycle import dbt

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.settings import Places


def keep(places: Places, run_id: str, built: dbt.Build, *, is_judged: bool) -> None:
    """Put a build on record in place of the one before."""
    kept = {"run_id": run_id, "is_judged": is_judged, **asdict(built)}
    _path(places).write_text(json.dumps(kept), encoding="utf-8")


def drop(places: Places) -> None:
    """Take the last build off the record: another one begins, and until it has ended nothing is known."""
    _path(places).unlink(missing_ok=True)


def read(places: Places, run_id: str) -> dbt.Build | None:
    """The last build, or None if it was none of this run's."""
    kept = _kept(places, run_id)
    if not kept:
        return None
    return dbt.Build(
        nodes=[dbt.Node(**node) for node in kept["nodes"]],
        freshness=[dbt.Freshness(**each) for each in kept["freshness"]],
        problem=kept["problem"],
    )


def is_judged(places: Places, run_id: str) -> bool:
    """Whether the last build was this run's and the gate has judged it, whatever it said."""
    return bool(_kept(places, run_id).get("is_judged"))


def _path(places: Places) -> Path:
    return places.dbt / "build.json"


def _kept(places: Places, run_id: str) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(_path(places).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return kept if kept.get("run_id") == run_id else {}
