"""`lifecycle simulate`: the daily job, day after day, on a simulated company of its own, until it may go live.

What runs each day is what `lifecycle run` runs. Around it, the company lives on for a day, its people file their
reports, and when every metric has agreed for long enough, going live is approved on that record. With `--plant-on`
finance changes what it counts on a day and changes it back after some: the streak has to break there and begin again.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import requests
import typer

from lifecycle import go_live, report, run, settings
from lifecycle.answering import Json, answering
from lifecycle.progress import Lines
from sandbox import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.go_live import Status
    from sandbox.world.parameters import WorldParameters

APPROVER = "simulation"
PARSED = Path("target") / "partial_parse.msgpack"
# what the vendors, and our own courtesy towards them, would make a day wait for: here days follow within seconds
UNHURRIED = {
    "SOURCES__STRIPE__REQUESTS_PER_SECOND": "1000",
    "SOURCES__ZENDESK__EXPORTS_PER_MINUTE": "1000",
    "SOURCES__CUSTOMERIO__REQUESTS_PER_SECOND": "1000",
    "LIFECYCLE__TABLEAU_EXTRACT": "false",
}


@dataclass(frozen=True, slots=True)
class Simulated:
    """One day: how its run ended, how long it took, and where validation stands after it."""

    day: int
    as_of: str
    exit_code: int
    seconds: float
    shortest_streak: int
    is_live: bool
    breaks: list[str]
    messages: list[str]


def simulate_command(
    days: Annotated[int, typer.Option(help="How many days the job runs.", min=1, max=366)] = 60,
    customers: Annotated[int, typer.Option(help="Accounts of the simulated company.", min=1)] = 100,
    months: Annotated[int, typer.Option(help="Months of history before the first day.", min=1)] = 6,
    events_per_day: Annotated[int, typer.Option(help="Mean number of product events a day.", min=1)] = 150,
    seed: Annotated[int, typer.Option(help="The same seed makes the same company.")] = 20250501,
    plant_on: Annotated[
        int | None,
        typer.Option(help="Day on which finance begins to count otherwise; 0 and below lie before the first."),
    ] = None,
    plant_days: Annotated[int, typer.Option(help="For how many days it does.", min=1)] = 3,
    as_json: Json = False,
) -> None:
    """Run the daily job day by day on a simulated company, and approve going live when the numbers have agreed."""
    with answering(as_json=as_json) as progress:
        from sandbox.world.parameters import WorldParameters  # noqa: PLC0415

        ours = settings.places()
        folder = ours.data_dir / "simulation"
        parameters = WorldParameters(customers, months, events_per_day, seed)
        if plant_on is not None:
            first = parameters.days + plant_on - 1
            parameters = replace(parameters, net_of_fees=(first, first + plant_days))
        began = time.monotonic()
        with _apart(folder, ours.dbt / PARSED, parameters, progress) as url:
            found = list(_days(url, days, progress))
            status = go_live.status(settings.places())
        answer = {
            "days": len(found),
            "seconds": round(time.monotonic() - began, 1),
            "data_dir": str(folder),
            **go_live.as_json(status),
            "by_day": [asdict(day) for day in found],
        }
        if as_json:
            print(json.dumps(answer))  # noqa: T201
        else:
            _show(answer, status)
        if not status.standing.is_live:
            raise typer.Exit(1)


@contextmanager
def _apart(folder: Path, parsed: Path, parameters: WorldParameters, progress: Lines) -> Iterator[str]:
    """A company and a data directory of the simulation's own, and every setting pointing there; the sandbox's address.

    What dbt has read of the project is taken along: reading it again takes as long as half a day's run.
    """
    from sandbox import generate, serve  # noqa: PLC0415 - brings the whole simulation along
    from sandbox.limits import Limits  # noqa: PLC0415

    kept = next((path.read_bytes() for path in (folder / "dbt" / PARSED, parsed) if path.exists()), None)
    serve.stop_running(folder)
    shutil.rmtree(folder, ignore_errors=True)
    target = folder / "dbt" / PARSED
    target.parent.mkdir(parents=True)
    if kept is not None:
        target.write_bytes(kept)
    port = environment.free_port()
    ours = {**environment.moved(folder, port), **UNHURRIED, "SANDBOX__URL": f"http://127.0.0.1:{port}"}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        with progress.step("generate the simulated company"):
            generate.generate(folder, parameters)
        yield serve.ensure_running(folder, port, limits=Limits.off())
    finally:
        serve.stop_running(folder)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _days(url: str, days: int, progress: Lines) -> Iterator[Simulated]:
    """Every day's run, and what validation says after it."""

    def advance(_places: settings.Places) -> None:
        requests.post(f"{url}/_sandbox/advance", json={"days": 1}, timeout=600).raise_for_status()

    for number in range(1, days + 1):
        began = time.monotonic()
        # the company lives on while dbt reads the project
        prepare = advance if number > 1 else None
        with run.started("simulate", Lines(quiet=True), is_new=True, builds=True, prepare=prepare) as this:
            summary = run.everything(this)
        found = go_live.status(this.places)
        if not found.standing.is_live and not found.missing:
            with run.delivering("go-live") as places:
                go_live.approve(
                    places, by=APPROVER, evidence=f"simulated days 1 to {number}, published {found.version}"
                )
            found = go_live.status(this.places)
        day = Simulated(
            day=number,
            as_of=str(this.as_of),
            exit_code=summary.exit_code,
            seconds=round(time.monotonic() - began, 1),
            shortest_streak=min(each.periods for each in found.streaks if each.grain == "day"),
            is_live=found.standing.is_live,
            breaks=summary.breaks,
            messages=summary.messages,
        )
        mode, told = "live" if day.is_live else "shadow", day.messages if day.exit_code else day.breaks
        progress.note(
            f"day {number:>3}  {this.as_of:%Y-%m-%d}  {day.seconds:5.1f} s  {day.shortest_streak:>3} in a row  {mode}"
            + "".join(f"  {sentence}" for sentence in told)
        )
        yield day


def _show(answer: dict[str, Any], status: Status) -> None:
    console = report.console()
    mode = "live" if status.standing.is_live else "in shadow mode"
    console.print(
        f"{answer['days']} days in {answer['seconds']:,.0f} s; real destinations would be {mode}:"
        f" {status.standing.reason}. Everything is in {answer['data_dir']}.",
        markup=False,
        soft_wrap=True,
    )
    for streak in status.missing:
        console.print(f"  {streak.metric} by {streak.grain}: {streak.periods} of {streak.required}", markup=False)
