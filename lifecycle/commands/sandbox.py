"""The commands about the sandbox: `sandbox generate|serve|up|down|advance|faults`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from lifecycle import settings
from lifecycle.answering import Json, answering, say
from lifecycle.errors import CannotRunError, ConfigurationError
from sandbox import detached
from sandbox.world.parameters import WorldParameters

if TYPE_CHECKING:
    from lifecycle.progress import Lines

sandbox_app = typer.Typer(help="The four silos and the four destinations on this machine.", no_args_is_help=True)

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
        detached.stop_running(places.data_dir)
        _generate(places, progress, WorldParameters(customers, months, events_per_day, seed))
        say({"data_dir": str(places.sandbox)}, f"The world is in {places.sandbox}.", as_json=as_json)


@sandbox_app.command("serve")
def sandbox_serve() -> None:
    """Serve the world in the foreground until interrupted."""
    with answering(as_json=False) as progress:
        from sandbox.serve import announce, serve  # noqa: PLC0415 - the server and all vendors

        places = settings.places()
        _ensure_world(places, progress)
        serve(places.data_dir, _port(), on_started=announce)


@sandbox_app.command("up")
def sandbox_up(as_json: Json = False) -> None:
    """Start the sandbox in the background, making its world first if there is none. Does nothing if it runs."""
    with answering(as_json=as_json) as progress:
        url = serve_in_background(settings.places(), progress)
        say({"url": url}, f"The sandbox serves at {url}.", as_json=as_json)


@sandbox_app.command("down")
def sandbox_down(as_json: Json = False) -> None:
    """Stop the sandbox in the background."""
    with answering(as_json=as_json):
        was_running = detached.stop_running(settings.places().data_dir)
        text = "The sandbox is stopped." if was_running else "No sandbox was running."
        say({"was_running": was_running}, text, as_json=as_json)


@sandbox_app.command("advance")
def sandbox_advance(
    days: Annotated[int, typer.Option(help="How many days the world lives on.", min=1, max=366)] = 1,
    as_json: Json = False,
) -> None:
    """Let the world live on; what was delivered to it changes what happens."""
    with answering(as_json=as_json) as progress:
        places = settings.places()
        with progress.step(f"advance the sandbox's world by {days} day(s)"):
            if detached.is_ours(detached.health(_port()), places.data_dir):
                now = detached.steer(settings.SANDBOX_URL.read(), "advance", "POST", {"days": days})["now"]
            else:
                if not detached.store_path(places.data_dir).exists():
                    raise CannotRunError("There is no world yet: `lifecycle sandbox generate` makes one.")
                from sandbox.generate import advance  # noqa: PLC0415 - loads the whole simulation

                advance(places.data_dir, days)
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
            found = detached.steer(settings.SANDBOX_URL.read(), "faults", "DELETE")
        elif rules is not None:
            try:
                wanted = json.loads(rules)
            except ValueError as error:
                raise CannotRunError(f"The rules are not JSON: {error}.") from None
            found = detached.steer(settings.SANDBOX_URL.read(), "faults", "POST", wanted)
        else:
            found = detached.steer(settings.SANDBOX_URL.read(), "faults")
        say(found, "\n".join(json.dumps(rule) for rule in found) or "No faults.", as_json=as_json)


def serve_in_background(places: settings.Places, progress: Lines) -> str:
    """Make the sandbox's world if there is none, and serve it in the background; its address."""
    _ensure_world(places, progress)
    return detached.ensure_running(places.data_dir, _port())


def _port() -> int:
    url = settings.SANDBOX_URL.read()
    parts = urlsplit(url)
    if parts.hostname not in {"127.0.0.1", "localhost"} or parts.port is None:
        raise ConfigurationError(
            f"The setting {settings.SANDBOX_URL.name} '{url}' is no address on this machine with a port:"
            f" {settings.SANDBOX_URL.how}."
        )
    return parts.port


def _generate(places: settings.Places, progress: Lines, parameters: WorldParameters | None = None) -> None:
    with progress.step("generate the sandbox's world"):
        from sandbox.generate import generate  # noqa: PLC0415 - loads the whole simulation

        def report(done: int, days: int) -> None:
            progress.detail(f"day {done} of {days}")

        generate(places.data_dir, parameters, report)


def _ensure_world(places: settings.Places, progress: Lines) -> None:
    if not detached.store_path(places.data_dir).exists():
        _generate(places, progress)
