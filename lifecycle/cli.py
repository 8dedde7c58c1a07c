"""The command line. Exit codes: 0 done, 1 it ran and says no, 2 it could not run."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import requests
import typer
from rich.console import Console

from lifecycle import delivery, report, run, settings
from lifecycle.answering import Json, answering, say
from lifecycle.backtest import backtest_command
from lifecycle.check import check
from lifecycle.docs import docs_command
from lifecycle.doctor import doctor
from lifecycle.explain import explain_app
from lifecycle.explore import explore_command
from lifecycle.forget.command import forget_command
from lifecycle.going_live import go_live_app
from lifecycle.simulate import simulate_command
from lifecycle.watch import watch
from sandbox.world.parameters import WorldParameters

if TYPE_CHECKING:
    from lifecycle.gate import Verdict
    from lifecycle.progress import Lines

app = typer.Typer(
    help="Four silos into one governed customer table, and the right action out of it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
sandbox_app = typer.Typer(help="The four silos and the four destinations on this machine.", no_args_is_help=True)
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(explain_app, name="explain")
app.add_typer(go_live_app, name="go-live")
app.command("check")(check)
app.command("backtest")(backtest_command)
app.command("explore")(explore_command)
app.command("forget")(forget_command)
app.command("docs")(docs_command)
app.command("doctor")(doctor)
app.command("watch")(watch)
app.command("simulate")(simulate_command)
delivery.register(app)

FAULT = '{"vendor": "stripe", "kind": "silo_down"}'


@sandbox_app.command("generate")
def sandbox_generate(
    customers: Annotated[int, typer.Option(help="Accounts that sign up over the whole time.", min=1)] = 2000,
    months: Annotated[int, typer.Option(help="Months of history.", min=1)] = 18,
    events_per_day: Annotated[int, typer.Option(help="Mean number of product events a day.", min=1)] = 1650,
    seed: Annotated[int, typer.Option(help="The same seed makes the same world.")] = 20250501,
    as_json: Json = False,
) -> None:
    """Make a world: what the silos hold, and the truth about it. Replaces the one that is there."""
    with answering(as_json=as_json) as progress:
        places = settings.places()
        from sandbox.serve import stop_running  # noqa: PLC0415

        stop_running(places.data_dir)
        _generate(places, progress, WorldParameters(customers, months, events_per_day, seed))
        say({"data_dir": str(places.sandbox)}, f"The world is in {places.sandbox}.", as_json=as_json)


@sandbox_app.command("serve")
def sandbox_serve() -> None:
    """Serve the world in the foreground until interrupted."""
    with answering(as_json=False) as progress:
        from sandbox.serve import announce, serve  # noqa: PLC0415

        places = settings.places()
        _ensure_world(places, progress)
        serve(places.data_dir, _port(), on_started=announce)


@sandbox_app.command("up")
def sandbox_up(as_json: Json = False) -> None:
    """Start the sandbox in the background, making its world first if there is none. Does nothing if it runs."""
    with answering(as_json=as_json) as progress:
        url = _serve(settings.places(), progress)
        say({"url": url}, f"The sandbox serves at {url}.", as_json=as_json)


@sandbox_app.command("down")
def sandbox_down(as_json: Json = False) -> None:
    """Stop the sandbox in the background."""
    with answering(as_json=as_json):
        from sandbox.serve import stop_running  # noqa: PLC0415

        was_running = stop_running(settings.places().data_dir)
        text = "The sandbox is stopped." if was_running else "No sandbox was running."
        say({"was_running": was_running}, text, as_json=as_json)


@sandbox_app.command("advance")
def sandbox_advance(
    days: Annotated[int, typer.Option(help="How many days the world lives on.", min=1, max=366)] = 1,
    as_json: Json = False,
) -> None:
    """Let the world live on; what was delivered to it changes what happens."""
    with answering(as_json=as_json) as progress:
        from sandbox import generate, serve  # noqa: PLC0415

        places = settings.places()
        with progress.step(f"advance the sandbox's world by {days} day(s)"):
            if serve.is_ours(serve.health(_port()), places.data_dir):
                now = _steer("POST", "advance", {"days": days})["now"]
            else:
                if not serve.store_path(places.data_dir).exists():
                    raise run.CannotRunError("There is no world yet: `lifecycle sandbox generate` makes one.")
                generate.advance(places.data_dir, days)
                now = None
        say({"now": now}, f"The world's clock shows {now}." if now else "The world lived on.", as_json=as_json)


@sandbox_app.command("faults")
def sandbox_faults(
    rules: Annotated[str | None, typer.Argument(help=f"A rule or a list of rules as JSON, such as {FAULT}.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Remove all rules.")] = False,
    as_json: Json = False,
) -> None:
    """Tell the running sandbox to misbehave; without a rule, show the rules in force."""
    with answering(as_json=as_json):
        if clear:
            found = _steer("DELETE", "faults")
        elif rules is not None:
            try:
                wanted = json.loads(rules)
            except ValueError as error:
                raise run.CannotRunError(f"The rules are not JSON: {error}.") from None
            found = _steer("POST", "faults", wanted)
        else:
            found = _steer("GET", "faults")
        say(found, "\n".join(json.dumps(rule) for rule in found) or "No faults.", as_json=as_json)


@app.command("ingest")
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


@app.command("build")
def build_command(
    select: Annotated[str | None, typer.Option(help="A dbt selection; none means everything.")] = None,
    as_json: Json = False,
) -> None:
    """Compute every model as of the last ingest, and test it."""
    with answering(as_json=as_json) as progress:
        with run.started("build", progress, is_new=False, builds=True) as this, progress.step("build"):
            built = run.build(this, ("--select", select) if select else ())
        failed = [f"{node.name}: {node.message}" for node in built.failed]
        if built.problem:
            failed.insert(0, built.problem)
        text = "\n".join(failed) or f"{len(built.nodes)} nodes built and tested."
        say({"nodes": len(built.nodes), "failed": failed}, text, as_json=as_json)
        if failed:
            raise typer.Exit(1)


@app.command("gate")
def gate_command(as_json: Json = False) -> None:
    """Judge the last build: may these numbers be shown?"""
    with answering(as_json=as_json) as progress:
        with run.started("gate", progress, is_new=False) as this, progress.step("gate"):
            verdict = run.judge(this, run.last_build(this))
        text = f"{verdict.passed} checks passed." if verdict.is_open else f"The gate is shut: {verdict.reason()}"
        say(_verdict(verdict), text, as_json=as_json)
        if not verdict.is_open:
            raise typer.Exit(1)


@app.command("publish")
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


@app.command("run")
def run_command(
    sandbox: Annotated[bool, typer.Option("--sandbox", help="Start the sandbox first, if it does not run.")] = False,
    as_json: Json = False,
) -> None:
    """The whole job once: ingest, build, gate, publish, activate."""
    with answering(as_json=as_json) as progress:

        def prepare(places: settings.Places) -> None:
            if sandbox:
                _serve(places, progress)

        with run.started("run", progress, is_new=True, builds=True, prepare=prepare) as this:
            summary = run.everything(this)
            found = report.read(this.places)
        if as_json:
            print(json.dumps({**_summary(summary), "report": found.as_json()}))  # noqa: T201
        else:
            report.show(found, report.console())
            for message in summary.messages:
                Console(stderr=True, highlight=False).print(message, style="yellow", markup=False)
        if summary.exit_code:
            raise typer.Exit(summary.exit_code)


@app.command("status")
def status_command(as_json: Json = False) -> None:
    """Show what is published and delivered now."""
    with answering(as_json=as_json):
        found = report.read(settings.places())
        if as_json:
            print(json.dumps(found.as_json()))  # noqa: T201
        else:
            report.show(found, report.console())


@app.command("report")
def report_command(as_json: Json = False) -> None:
    """Write the pages about what is published now: executive, growth, success, trust."""
    with answering(as_json=as_json) as progress:
        from dashboard import pages, published  # noqa: PLC0415 - brings the drawing library along

        places = settings.places()
        try:
            with progress.step("write the pages"):
                files = pages.write(places.complete_file, places.reports)
        except published.NothingPublishedError as error:
            raise run.CannotRunError(str(error)) from None
        say({"files": [str(file) for file in files]}, "\n".join(str(file) for file in files), as_json=as_json)


def _serve(places: settings.Places, progress: Lines) -> str:
    """Make the sandbox's world if there is none, and serve it in the background; its address."""
    from sandbox.serve import ensure_running  # noqa: PLC0415

    _ensure_world(places, progress)
    return ensure_running(places.data_dir, _port())


def _port() -> int:
    url = settings.SANDBOX_URL.read()
    parts = urlsplit(url)
    if parts.hostname not in {"127.0.0.1", "localhost"} or parts.port is None:
        raise settings.ConfigurationError(
            f"The setting {settings.SANDBOX_URL.name} '{url}' is no address on this machine with a port:"
            f" {settings.SANDBOX_URL.how}."
        )
    return parts.port


def _steer(method: str, path: str, body: Any = None) -> Any:
    """One call of the sandbox's steering endpoints."""
    url = settings.SANDBOX_URL.read().rstrip("/")
    try:
        answer = requests.request(method, f"{url}/_sandbox/{path}", json=body, timeout=600)
        found = answer.json()
    except (requests.RequestException, ValueError):
        raise run.CannotRunError(f"No sandbox answers at {url}: start it with `lifecycle sandbox up`.") from None
    if answer.status_code >= 400:
        raise run.CannotRunError(str(found.get("error", found)))
    return found


def _generate(places: settings.Places, progress: Lines, parameters: WorldParameters | None = None) -> None:
    with progress.step("generate the sandbox's world"):
        from sandbox.generate import generate  # noqa: PLC0415 - loads the whole simulation

        def report(done: int, days: int) -> None:
            progress.detail(f"day {done} of {days}")

        generate(places.data_dir, parameters, report)


def _ensure_world(places: settings.Places, progress: Lines) -> None:
    from sandbox.serve import store_path  # noqa: PLC0415

    if not store_path(places.data_dir).exists():
        _generate(places, progress)


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


if __name__ == "__main__":
    sys.exit(app())
