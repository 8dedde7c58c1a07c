"""`lifecycle simulate`: the daily job, day after day, on a simulated company of its own, until it may go live.

What runs each day is what `lifecycle run` runs. Around it, the company lives on for a day, its people file their
reports, and when every metric has agreed for long enough, going live is approved on that record. With `--plant-on`
finance changes what it counts on a day and changes it back after some: the streak has to break there and begin again.

Each day is written down when it is over (`DAYS` in the simulation's folder), so that a simulation which was interrupted
goes on where it stood.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingest import extract, forked, given
from lifecycle import clock, dbt, go_live, run, settings
from lifecycle.answering import Json, answering, console
from lifecycle.errors import CannotRunError
from lifecycle.progress import Lines
from sandbox import detached, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lifecycle.go_live import Status
    from sandbox.world.parameters import WorldParameters

APPROVER = "simulation"
DAYS = "days.jsonl"
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
    """One day: how its run ended, how long it took, and where validation stands after it.

    `processor_seconds` of everything but the sandbox, by phase: `advance` waits for the sandbox, what dbt reads of the
    project is in `build`.
    """

    day: int
    as_of: str
    exit_code: int
    seconds: float
    phases: dict[str, float]
    processor_seconds: dict[str, float]
    warnings: list[str]
    shortest_streak: int
    is_live: bool
    breaks: list[str]
    messages: list[str]


class Stopwatch(Lines):
    """Says nothing and keeps how long each step took, in seconds of the clock and of the processor.

    A child's processor time counts in the step that waits for its end.
    """

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.seconds: dict[str, float] = {}
        self.processor_seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        began, used = time.monotonic(), _processor_seconds()
        yield
        self.seconds[name] = round(time.monotonic() - began, 2)
        self.processor_seconds[name] = round(_processor_seconds() - used, 2)


def _processor_seconds() -> float:
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, kinds))


def simulate_command(  # noqa: PLR0913, PLR0917 - an option each
    days: Annotated[int, typer.Option(help="How many days the job runs.", min=1, max=366)] = 60,
    customers: Annotated[int, typer.Option(help="Accounts of the simulated company.", min=1)] = 100,
    months: Annotated[int, typer.Option(help="Months of history before the first day.", min=1)] = 6,
    events_per_day: Annotated[int, typer.Option(help="Mean number of product events a day.", min=1)] = 150,
    seed: Annotated[int, typer.Option(help="The same seed makes the same company.")] = 20250501,
    plant_on: Annotated[
        int | None,
        typer.Option(
            help="Day on which finance begins to count otherwise; 0 and below lie before the first. With --resume a"
            " day that is ahead."
        ),
    ] = None,
    plant_days: Annotated[int, typer.Option(help="For how many days it does.", min=1)] = 3,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the simulation that is there; its company stays as it is.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the daily job day by day on a simulated company, and approve going live when the numbers have agreed."""
    with answering(as_json=as_json) as progress:
        from sandbox.world.parameters import WorldParameters  # noqa: PLC0415

        ours = settings.places()
        folder = ours.data_dir / "simulation"
        done = _done(folder) if resume else []
        planted = None if plant_on is None else (plant_on, plant_on + plant_days)
        if planted is not None and resume and planted[0] < len(done):
            raise CannotRunError(f"Day {planted[0]} is over; plant on day {len(done)} or later.")
        parameters = WorldParameters(customers, months, events_per_day, seed)
        with _apart(folder, ours.dbt / PARSED, None if resume else parameters, planted, progress) as url:
            with forked.warmed((*dbt.MODULES, *extract.MODULES)):
                _live(url, done, days, progress)
            status = go_live.status(settings.places())
        answer = {
            "days": len(done),
            "seconds": round(sum(day.seconds for day in done), 1),
            "processor_seconds": round(sum(sum(day.processor_seconds.values()) for day in done), 1),
            "data_dir": str(folder),
            **go_live.as_json(status),
            "by_day": [asdict(day) for day in done],
        }
        if as_json:
            print(json.dumps(answer))  # noqa: T201
        else:
            _show(answer, status)
        if not status.standing.is_live:
            raise typer.Exit(1)


def _done(folder: Path) -> list[Simulated]:
    """The days that an interrupted simulation has behind it.

    Raises:
        CannotRunError: if there is none.
    """
    try:
        lines = (folder / DAYS).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise CannotRunError(f"There is no simulation in {folder} to go on with: leave --resume out.") from None
    return [Simulated(**json.loads(line)) for line in lines]


@contextmanager
def _apart(
    folder: Path, parsed: Path, parameters: WorldParameters | None, planted: tuple[int, int] | None, progress: Lines
) -> Iterator[str]:
    """A company and a data directory of the simulation's own, and every setting pointing there; the sandbox's address.

    Without `parameters` they are those of the last simulation. From the first of the days `planted` to before the
    second finance counts otherwise. What dbt has read of the project is taken along: reading it again takes as long as
    half a day's run.
    """
    from sandbox import generate  # noqa: PLC0415 - brings the whole simulation along
    from sandbox.limits import Limits  # noqa: PLC0415

    detached.stop_running(folder)
    if parameters is not None:
        kept = next((path.read_bytes() for path in (folder / "dbt" / PARSED, parsed) if path.exists()), None)
        shutil.rmtree(folder, ignore_errors=True)
        target = folder / "dbt" / PARSED
        target.parent.mkdir(parents=True)
        if kept is not None:
            target.write_bytes(kept)
    port = environment.free_port()
    ours = {**environment.moved(folder, port), **UNHURRIED}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        _require(ours)
        if parameters is not None:
            with progress.step("generate the simulated company"):
                generate.generate(folder, _planted(parameters, planted) if planted else parameters)
        elif planted is not None:
            generate.change_habits(folder, partial(_planted, days=planted))
        yield detached.ensure_running(folder, port, limits=Limits.off())
    finally:
        detached.stop_running(folder)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _require(ours: dict[str, str]) -> None:
    """Go on only if these are the settings in force: a container's secrets and a vault come before the environment.

    Raises:
        CannotRunError: if another value is in force, which a real account's would be.
    """
    for name, value in ours.items():
        if str(given.find(name.lower().replace("__", "."), is_secret=True) or "") != value:
            raise CannotRunError(
                f"{name} is given by a file in /run/secrets or by a vault, which come before what a simulation sets:"
                " simulate where no real account's secrets are."
            )


def _planted(parameters: WorldParameters, days: tuple[int, int]) -> WorldParameters:
    """The parameters of a company whose finance counts otherwise on these days of the simulation."""
    # simulated day 1 begins when the world's days are over
    first, last = (parameters.days + day - 1 for day in days)
    return replace(parameters, net_of_fees=(first, last))


def _live(url: str, done: list[Simulated], days: int, progress: Lines) -> None:
    """Every further day's run, and what validation says after it; each is written down and added to `done`."""
    for number in range(len(done) + 1, days + 1):
        began = time.monotonic()
        watch = Stopwatch()
        last = done[-1].as_of if done else None

        def advance(_places: settings.Places, *, last: str | None = last, watch: Stopwatch = watch) -> None:
            # a day that was interrupted has its morning already
            if last is not None and str(clock.as_of()) == last:
                with watch.step("advance"):
                    detached.steer(url, "advance", "POST", {"days": 1})

        # the company lives on while dbt reads the project
        with run.started("simulate", watch, is_new=True, builds=True, prepare=advance) as this:
            summary = run.everything(this)
        found = go_live.status(this.places)
        if found.may_be_approved and not found.standing.is_live:
            with run.delivering("go-live") as places:
                go_live.approve(
                    places, by=APPROVER, evidence=f"simulated days 1 to {number}, published {found.version}"
                )
            found = go_live.status(this.places)
        verdict = summary.verdict
        day = Simulated(
            day=number,
            as_of=str(this.as_of),
            exit_code=summary.exit_code,
            seconds=round(time.monotonic() - began, 1),
            phases=watch.seconds,
            processor_seconds=watch.processor_seconds,
            warnings=[f"{check.name}: {check.message}" for check in verdict.warnings] if verdict else [],
            shortest_streak=min((each.periods for each in found.streaks if each.grain == "day"), default=0),
            is_live=found.standing.is_live,
            breaks=summary.breaks,
            messages=summary.messages,
        )
        with (this.places.data_dir / DAYS).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(day)) + "\n")
        # of a break also whether the team was told
        mode, told = "live" if day.is_live else "shadow", day.messages if day.exit_code or day.breaks else []
        progress.note(
            f"day {number:>3}  {this.as_of:%Y-%m-%d}  {day.seconds:5.1f} s  {day.shortest_streak:>3} in a row  {mode}"
            + "".join(f"  {sentence}" for sentence in told)
        )
        done.append(day)


def _show(answer: dict[str, Any], status: Status) -> None:
    out = console()
    mode = "live" if status.standing.is_live else "in shadow mode"
    out.print(
        f"{answer['days']} days in {answer['seconds']:,.0f} s; real destinations would be {mode}:"
        f" {status.standing.reason}. Everything is in {answer['data_dir']}.",
        markup=False,
        soft_wrap=True,
    )
    for streak in status.missing:
        out.print(f"  {streak.metric} by {streak.grain}: {streak.periods} of {streak.required}", markup=False)
