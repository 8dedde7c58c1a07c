"""The commands of the run, whole and step by step: `run`, `ingest`, `build`, `gate`, `publish`."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from lifecycle import report, run
from lifecycle.answering import Json, answering, console, say
from lifecycle.commands.sandbox import serve_in_background
from lifecycle.errors import CannotRunError

if TYPE_CHECKING:
    from lifecycle.gate import Verdict
    from lifecycle.settings import Places


def ingest_command(
    source: Annotated[list[str] | None, typer.Option(help="A source by name; may be repeated. None means all.")] = None,
    as_json: Json = False,
) -> None:
    """Read the silos into the raw tables."""
    with answering(as_json=as_json) as progress:
        with run.started("ingest", progress, is_new=True) as this, progress.step("ingest"):
            results = run.ingest(this, source)
        failed = [result for result in results if not result.ok]
        say(
            {"run_id": this.run_id, "as_of": str(this.as_of), "sources": [_source(result) for result in results]},
            f"{len(results) - len(failed)} of {len(results)} sources loaded.",
            as_json=as_json,
        )
        if failed:
            raise typer.Exit(2)


def build_command(
    select: Annotated[str | None, typer.Option(help="A dbt selection; none means everything.")] = None,
    as_json: Json = False,
) -> None:
    """Compute every model as of the last ingest, and test it."""
    with answering(as_json=as_json) as progress:
        with run.started("build", progress, is_new=False, builds=True) as this, progress.step("build"):
            built = run.build(this, ("--select", select) if select else ())
        if not built.nodes and not built.problem:
            raise CannotRunError(
                f"Nothing is selected by {select}: give a model or a seed by name, or path:FOLDER; a + before it adds"
                " what it comes from, a + behind it what comes from it."
            )
        failed = [f"{node.name}: {node.message}" for node in built.failed]
        if built.problem:
            failed.insert(0, built.problem)
        text = "\n".join(failed) or f"{len(built.nodes)} nodes built and tested."
        say({"nodes": len(built.nodes), "failed": failed}, text, as_json=as_json)
        if failed:
            raise typer.Exit(1)


def gate_command(as_json: Json = False) -> None:
    """Judge the last build: may these numbers be shown?"""
    with answering(as_json=as_json) as progress:
        with run.started("gate", progress, is_new=False) as this, progress.step("gate"):
            verdict = run.judge(this, run.built_last(this))
        text = f"{verdict.passed} checks passed." if verdict.is_open else f"The gate is shut: {verdict.reason()}"
        say(_verdict(verdict), text, as_json=as_json)
        if not verdict.is_open:
            raise typer.Exit(1)


def publish_command(as_json: Json = False) -> None:
    """Publish the last build, if its gate is open."""
    with answering(as_json=as_json) as progress:
        with run.started("publish", progress, is_new=False) as this:
            verdict = run.verdict_of(this)
            if verdict.is_open:
                with progress.step("publish"):
                    version = run.make_public(this, verdict)
                say({"version": version}, f"Version {version} is published.", as_json=as_json)
                return
            message = run.refuse(this, verdict)
        say({"version": None, "reason": message}, message, as_json=as_json)
        raise typer.Exit(1)


def run_command(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Start the sandbox first, if it does not run.")] = False,
    as_json: Json = False,
) -> None:
    """The whole job once: ingest, build, gate, publish, activate."""
    with answering(as_json=as_json) as progress:

        def prepare(places: Places) -> None:
            if sandbox:
                serve_in_background(places, progress)

        with run.started("run", progress, is_new=True, builds=True, prepare=prepare) as this:
            summary = run.everything(this)
            found = report.read(this.places)
        if as_json:
            print(json.dumps({**_summary(summary), "report": found.as_json()}))  # noqa: T201
        else:
            report.show(found, console())
            for message in summary.messages:
                Console(stderr=True, highlight=False).print(message, style="yellow", markup=False)
        if summary.exit_code:
            raise typer.Exit(summary.exit_code)


def _source(result: Any) -> dict[str, Any]:
    return {
        "source": result.source,
        "ok": result.ok,
        "rows_loaded": result.rows_loaded,
        "rows_quarantined": result.rows_quarantined,
        "seconds": round(result.seconds, 2),
        "error": result.error,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "is_open": verdict.is_open,
        "passed": verdict.passed,
        "warnings": [check.name for check in verdict.warnings],
        "blocking": [{"check": check.name, "message": check.message} for check in verdict.blocking],
    }


def _tally(tally: Any) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in tally.__slots__}


def _verdicts(summary: run.Summary) -> dict[str, int]:
    found: Counter[str] = Counter()
    for (_, _, verdict, _), number in summary.activation.outlook.counts.items() if summary.activation else ():
        found[verdict] += number
    return found


def _summary(summary: run.Summary) -> dict[str, Any]:
    return {
        "run_id": summary.run_id,
        "as_of": str(summary.as_of),
        "exit_code": summary.exit_code,
        "sources": [_source(result) for result in summary.sources],
        "gate": _verdict(summary.verdict) if summary.verdict else None,
        "version": summary.version,
        "verdicts": _verdicts(summary),
        "destinations": [_tally(tally) for tally in summary.activation.tallies] if summary.activation else [],
        "messages": summary.messages,
    }
