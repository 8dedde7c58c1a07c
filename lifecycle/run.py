"""The whole job: lock, clock, ingest, build, gate, publish, activate. Every step can also be started by itself.

A run may be killed at any moment. What it had loaded stays loaded (merges by key), a half-built version is swept away
by the next run, the link still points at the last good version, and the ledger knows what may have been sent.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb

from ingest import extract, ops, tables
from lifecycle import activate, clock, dbt, gate, go_live, known, last_build, retention, settings, telling
from lifecycle.errors import CannotRunError
from lifecycle.forget import names
from lifecycle.gate import catalogue, readings
from lifecycle.lock import held
from lifecycle.playbook import sheets
from lifecycle.playbook.verdict import judge as judge_playbook
from lifecycle.publication import outcome, publish, standing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ingest.outcomes import SourceResult
    from lifecycle.activate import Activation
    from lifecycle.progress import Progress
    from lifecycle.settings import Places

MEMORY_LIMIT = "800MB"  # for counting and copying; the models are computed in dbt's process


@dataclass(slots=True)
class Run:
    """One run: where it keeps things, who it is, and at which instant it stands."""

    places: Places
    run_id: str
    as_of: datetime
    progress: Progress
    models: dbt.Child | None = None


@dataclass(slots=True)
class Summary:
    """What came of a run. `exit_code`: 0 done, 1 it ran and says no, 2 a silo or destination could not be reached."""

    run_id: str
    as_of: datetime
    sources: list[SourceResult] = field(default_factory=list)
    verdict: gate.Verdict | None = None
    version: str | None = None
    breaks: list[str] = field(default_factory=list)
    activation: Activation | None = None
    messages: list[str] = field(default_factory=list)

    @property
    def failed_sources(self) -> list[SourceResult]:
        """Silos that gave nothing this time."""
        return [source for source in self.sources if not source.ok]

    @property
    def exit_code(self) -> int:
        """See the class."""
        if self.verdict is not None and not self.verdict.is_open:
            return 1
        if self.failed_sources:
            return 2
        return 0 if self.activation is None or self.activation.is_clean else 1


@contextmanager
def started(
    command: str,
    progress: Progress,
    *,
    is_new: bool,
    builds: bool = False,
    prepare: Callable[[Places], None] | None = None,
) -> Iterator[Run]:
    """Take the lock and find out where the run stands: now if it is new, else where the last one stood.

    Of a run that `builds`, dbt reads the project from here on, while silos are waited for. `prepare` is what has to be
    done before the clock can be asked.

    Raises:
        HeldError: if another one is at work.
        ConfigurationError: if a setting is missing or wrong.
        clock.ClockError: if the clock does not answer.
        CannotRunError: if there was no run yet, or the playbook of a run that builds has faults.
    """
    places = settings.places()
    run_id = f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    with held(places.lock, run_id, command) as lock, telling.failures(places, run_id, command):
        known.check()
        settings.check_all()
        activate.check_settings()
        go_live.read(places)
        if builds:
            _require_playbook()
            catalogue.read()
        with dbt.start(places, inherited=(lock,)) if builds else nullcontext() as models:
            if prepare is not None:
                prepare(places)
            if is_new:
                as_of = clock.as_of()
                _stand_no_earlier(places, as_of)
            else:
                run_id, as_of = _last_run(places)
            _tidy(places)
            yield Run(places, run_id, as_of, progress, models)


@contextmanager
def delivering(command: str) -> Iterator[Places]:
    """Take the lock for delivering what is published; no silo and no warehouse is needed for that.

    Raises:
        HeldError: if another one is at work.
        ConfigurationError: if a setting is missing or wrong.
    """
    places = settings.places()
    with held(places.lock, "of none", command):
        known.check()
        activate.check_settings()
        yield places


def everything(run: Run) -> Summary:
    """The whole job. What fails on the way is in the summary; only what makes going on pointless is raised."""
    summary = Summary(run.run_id, run.as_of)
    run.progress.note(f"{run.run_id} stands at {run.as_of:%Y-%m-%d %H:%M} UTC")
    expire(run)
    with run.progress.step("ingest"):
        summary.sources = ingest(run)
    with run.progress.step("build"):
        built = build(run)
    with run.progress.step("gate"):
        summary.verdict = judge(run, built)
    if not summary.verdict.is_open:
        summary.messages.append(refuse(run, summary.verdict))
        return summary
    with run.progress.step("publish"):
        summary.version = make_public(run, summary.verdict)
        # before anything is sent: a breach that this run found already keeps real destinations in shadow mode
        summary.breaks = go_live.review(run.places, run.run_id, run.as_of)
    with run.progress.step("activate"):
        summary.activation = activate.activate(run.places, run.as_of, run.progress)
    summary.messages += [message for message in (telling.published(run.places, summary),) if message]
    return summary


def expire(run: Run) -> None:
    """Erase what is past its term, whatever becomes of the rest of the run."""
    if not run.places.warehouse.exists():
        return
    with warehouse(run.places) as connection:
        erased = retention.expire(connection, run.places, run.as_of)
    for what, count in erased.items():
        run.progress.note(f"past their term and erased: {count:,} {what}")


def ingest(run: Run, sources: Sequence[str] | None = None) -> list[SourceResult]:
    """Every silo into the raw tables; one that fails loses only itself."""

    def say(source: str, sentence: str) -> None:
        run.progress.detail(f"{source}: {sentence}")

    results = extract.run(run.places, run_id=run.run_id, as_of=run.as_of, sources=sources, progress=say)
    for result in results:
        if result.ok:
            aside = f", {result.rows_quarantined:,} set aside" if result.rows_quarantined else ""
            run.progress.note(f"{result.source:<11}{result.rows_loaded:>11,} rows in {result.seconds:.1f} s{aside}")
        else:
            run.progress.note(f"{result.source:<11} failed: {result.error}")
    return results


def build(run: Run, arguments: Sequence[str] = ()) -> dbt.Build:
    """Every model and data test at the run's as_of. What dbt said is kept for a later `gate`.

    With `arguments` a part of them: what dbt says of it replaces what it said of that part before, so that the gate
    judges the whole and not only what was built last. A build that is killed leaves nothing to judge.

    Raises:
        ValueError: if the run was not started as one that builds.
    """
    if run.models is None:
        raise ValueError("This run was started without dbt.")
    with warehouse(run.places) as connection:
        tables.create_missing(connection)
        names.bring(connection, run.places.data_dir)
    before = last_build.read(run.places, run.run_id) if arguments else dbt.Build()
    last_build.drop(run.places)
    built = run.models.build(run.progress, arguments=arguments)
    if before is not None:
        last_build.keep(run.places, run.run_id, before.amended(built), is_judged=False)
    failed = built.failed
    run.progress.note(
        f"{sum(node.resource_type != 'test' for node in built.nodes)} models and seeds,"
        f" {sum(node.resource_type == 'test' for node in built.nodes)} tests, {len(failed)} failed"
    )
    return built


def built_last(run: Run) -> dbt.Build:
    """What dbt said for this run.

    Raises:
        CannotRunError: if it was not built yet.
    """
    built = last_build.read(run.places, run.run_id)
    if built is None:
        raise CannotRunError("The last run was not built yet: `lifecycle build` comes before `lifecycle gate`.")
    return built


def judge(run: Run, built: dbt.Build) -> gate.Verdict:
    """The gate's verdict, recorded check by check."""
    with warehouse(run.places) as connection:
        errors = dict(
            connection.execute(
                "select source, max(case when status <> 'succeeded' then coalesce(error, status) end)"
                " from raw_ops.extracts where run_id = ? group by source",
                [run.run_id],
            ).fetchall()
        )
        name = connection_name(run.places)
        read = gate.Readings(
            extraction_errors=errors,
            counts=readings.count_marts(connection, name),
            published_counts=readings.published_counts(connection, run.places),
            columns=readings.mart_columns(connection, name),
            raw_columns=readings.changed_columns(connection, name),
            findings=readings.findings(connection, name, run.as_of),
        )
        tolerance = float(settings.SHRINK_TOLERANCE.read())
        verdict = gate.judge(built, read, catalogue.read(), tolerance, run.as_of)
        ops.record(connection, "gate_checks", gate.as_rows(verdict, run.run_id, run.as_of, _now()))
    last_build.keep(run.places, run.run_id, built, is_judged=True)
    run.progress.note(f"{verdict.passed} checks passed, {len(verdict.warnings)} warn, {len(verdict.blocking)} block")
    return verdict


def refuse(run: Run, verdict: gate.Verdict) -> str:
    """Record that nothing was published and tell the team; the sentence for the person at the terminal."""
    serving = publish.current_version(run.places)
    with warehouse(run.places) as connection:
        outcome.hold_back(connection, run, verdict, serving)
    publish.prune(run.places, int(float(settings.KEEP_VERSIONS.read())))
    goes_on = f"version {standing.origin(serving)} goes on serving" if serving else "there is no earlier version"
    told = telling.held_back(run.places, run.run_id, verdict, goes_on)
    return f"Nothing was published: {verdict.reason()} {goes_on[0].upper()}{goes_on[1:]}. {told}".rstrip()


def make_public(run: Run, verdict: gate.Verdict) -> str:
    """Publish this run's numbers; the version's name.

    Raises:
        publish.PublishError: if the candidate fails its audit. The version that serves goes on serving.
    """
    with warehouse(run.places) as connection:
        shown = outcome.show(connection, run, verdict)
    publish.prune(run.places, int(float(settings.KEEP_VERSIONS.read())))
    run.progress.note(f"version {shown['version']}: {shown['tables']} tables, {shown['rows']:,} rows")
    return str(shown["version"])


def held_back(places: Places) -> list[tuple[str, str, int]]:
    """(action, reason, number) of the decisions that are suppressed and still in time, from the published file."""
    with duckdb.connect(str(places.complete_file.resolve()), read_only=True) as connection:
        return connection.execute(
            "select action, suppression_reason, count(*) from marts.action_decisions"
            " where decision = 'suppressed' and is_open group by all order by all"
        ).fetchall()


@contextmanager
def warehouse(places: Places) -> Iterator[duckdb.DuckDBPyConnection]:
    """The warehouse for writing, alone.

    Raises:
        CannotRunError: if another program has it open, or it is damaged.
    """
    try:
        connection = duckdb.connect(str(places.warehouse), config={"memory_limit": MEMORY_LIMIT})
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise CannotRunError(
                f"The warehouse {places.warehouse} is open in another program; close it there. People and tools read"
                f" {places.published_file} instead."
            ) from None
        raise CannotRunError(
            f"The warehouse {places.warehouse} is damaged: put back the copy that you keep, or move it away and"
            " everything is read from the silos anew."
        ) from None
    with connection:
        yield connection


def connection_name(places: Places) -> str:
    """How DuckDB calls the warehouse within a connection to it."""
    return places.warehouse.stem


def published_as_of(places: Places) -> datetime:
    """The instant at which the published numbers stand.

    Raises:
        CannotRunError: if nothing is published.
    """
    path = places.complete_file.resolve()
    if not path.exists():
        raise CannotRunError(
            "Nothing is published yet: `lifecycle run` does it all, `lifecycle publish` the last step."
        )
    with duckdb.connect(str(path), read_only=True) as connection:
        row = connection.execute("select max(as_of) from marts.publish_log where outcome = 'published'").fetchone()
    if row is None or row[0] is None:
        raise CannotRunError(f"{path} does not say at which instant it stands; publish again.")
    found: datetime = row[0]
    return found


def verdict_of(run: Run) -> gate.Verdict:
    """The verdict that `gate` recorded for this run.

    Raises:
        CannotRunError: if there is none, or something was built since.
    """
    with warehouse(run.places) as connection:
        rows = connection.execute(
            "select check_id, subject, outcome, message, family, owner, severity, silo, observed, expected"
            " from raw_ops.gate_checks where run_id = ? order by result_id",
            [run.run_id],
        ).fetchall()
    if not rows:
        raise CannotRunError("The last run was not judged yet: `lifecycle gate` comes before `lifecycle publish`.")
    if not last_build.is_judged(run.places, run.run_id):
        raise CannotRunError("The last build was not judged yet: `lifecycle gate` comes before `lifecycle publish`.")
    return gate.Verdict([gate.Check(*row) for row in rows])


def _require_playbook() -> None:
    """A slip in a seed is said with its row before any silo is asked, and not by a build that fails after it."""
    found = judge_playbook(sheets.read())
    if found:
        faults = "".join(f"\n  {finding}" for finding in found)
        raise CannotRunError(f"The playbook cannot run:{faults}\n`lifecycle check` says so again when it is mended.")


def _stand_no_earlier(places: Places, as_of: datetime) -> None:
    """The models stand at the latest recorded as_of, so a run at an earlier one would show what it did not read.

    Raises:
        CannotRunError: if an earlier run stood at a later instant.
    """
    if not places.warehouse.exists():
        return
    with warehouse(places) as connection:
        tables.create_missing(connection)
        latest = connection.execute("select max(as_of) from raw_ops.runs").fetchone()
    if latest and latest[0] and latest[0] > as_of:
        raise CannotRunError(
            f"The clock shows {as_of:%Y-%m-%d %H:%M:%S} UTC, but an earlier run stood at {latest[0]:%Y-%m-%d %H:%M:%S}:"
            " set the clock right, or start with an empty data directory."
        )


def _last_run(places: Places) -> tuple[str, datetime]:
    with warehouse(places) as connection:
        tables.create_missing(connection)
        row = connection.execute(
            "select run_id, as_of from raw_ops.runs order by as_of desc, started_at desc, run_id desc limit 1"
        ).fetchone()
    if row is None:
        raise CannotRunError("Nothing was loaded yet: `lifecycle ingest` comes first, or `lifecycle run` does it all.")
    return row[0], row[1]


def _tidy(places: Places) -> None:
    """Correct what a killed run left: half-built versions, and a log that speaks of a flip that did not happen."""
    publish.prune(places, int(float(settings.KEEP_VERSIONS.read())))
    if not places.warehouse.exists():
        return
    with warehouse(places) as connection:
        tables.create_missing(connection)
        outcome.correct(connection, places)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
