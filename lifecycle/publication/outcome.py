"""What becomes of a run's numbers: shown, or held back while the last good ones are shown again; and the log of both.

What is shown is remembered in the same breath (identities, states, verdicts, closed months, profiles), because the next
run is held against it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ingest import ops
from lifecycle.publication import forms, publish, standing
from lifecycle.remembered import closed_months, identities, profiles, states, verdicts

if TYPE_CHECKING:
    import duckdb

    from lifecycle.gate import Verdict
    from lifecycle.run import Run
    from lifecycle.settings import Places


def show(connection: duckdb.DuckDBPyConnection, run: Run, verdict: Verdict) -> dict[str, Any]:
    """Publish what the warehouse behind `connection` holds; the publication as it was logged.

    Raises:
        publish.PublishError: if the candidate fails its audit. The version that serves goes on serving.
    """
    version = publish.version_name(run.as_of, run.run_id, run.places)
    name = run.places.warehouse.stem
    form = forms.of_build(connection, name, run.progress)
    relations = publish.measure(connection, name)
    row = _publication(run, verdict, "published", "")
    row |= {
        "version": version,
        "file_name": f"versions/{version}/{publish.FILE_NAME}",
        "tables": len(relations),
        "rows": sum(relation.rows for relation in relations if relation.name not in publish.VOLATILE),
        "sha256": publish.content_digest(relations),
    }
    # written before the flip so that the published log knows its own version; `correct` mends it after a crash
    ops.record(connection, "publications", [row])
    # before the flip, so that no id is ever shown without being remembered
    identities.remember(connection, run.run_id, run.as_of)
    states.remember(connection, run.run_id, run.as_of)
    verdicts.remember(connection, run.run_id, run.as_of)
    try:
        publish.publish(connection, name, run.places, version, run.progress, form)
    except publish.PublishError as error:
        ops.record(connection, "publications", [row | {"outcome": "failed", "reason": str(error)}])
        raise
    closed_months.remember(connection, run.run_id, run.as_of, row["published_at"])
    profiles.remember(connection, run.run_id, run.as_of)
    return row


def hold_back(connection: duckdb.DuckDBPyConnection, run: Run, verdict: Verdict, serving: str | None) -> None:
    """Log that nothing was published, and show the version that serves again, with what happened written into it."""
    reason = verdict.reason()
    row = _publication(run, verdict, "blocked", reason)
    if serving is not None:
        again = standing.name_again(serving, run.run_id)
        row |= {"version": again, "file_name": f"versions/{again}/{publish.FILE_NAME}"}
    ops.record(connection, "publications", [row])
    if serving is not None and serving != row["version"]:
        name = run.places.warehouse.stem
        form = forms.of_build(connection, name, run.progress)
        standing.show_again(connection, name, run.places, row["version"], (run.as_of, reason), run.progress, form)


def correct(connection: duckdb.DuckDBPyConnection, places: Places) -> None:
    """Mend a log that speaks of a flip that did not happen, because the run was killed before it."""
    connection.execute(
        "update raw_ops.publications"
        " set outcome = 'abandoned', reason = 'The run ended before the link was flipped.'"
        " where outcome = 'published' and version is distinct from ? and published_at ="
        " (select max(published_at) from raw_ops.publications where outcome = 'published')",
        [standing.origin(publish.current_version(places))],
    )


def _publication(run: Run, verdict: Verdict, outcome: str, reason: str) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "as_of": run.as_of,
        "published_at": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
        "outcome": outcome,
        "gates_passed": verdict.passed,
        "gates_failed": len(verdict.blocking),
        "gates_warned": len(verdict.warnings),
        "reason": reason,
    }
