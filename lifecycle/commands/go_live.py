"""The commands about going live: `go-live status|approve|override|withdraw`."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from lifecycle import activate, go_live, run, settings
from lifecycle.answering import Json, answering, console, say
from lifecycle.errors import CannotRunError
from lifecycle.go_live.record import NotYetError

if TYPE_CHECKING:
    from lifecycle.go_live.record import Entry

By = Annotated[str, typer.Option("--by", help="Who decides.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]

go_live_app = typer.Typer(help="Whether real destinations may get anything, and who decided it.", no_args_is_help=True)


@go_live_app.command("status")
def status_command(as_json: Json = False) -> None:
    """Show how long each metric has agreed with the company's own reports, what broke it, and what is live."""
    with answering(as_json=as_json):
        places = settings.places()
        found = go_live.status(places)
        modes = _modes(places, found)
        if as_json:
            print(json.dumps({**go_live.as_json(found), "destinations": modes}))  # noqa: T201
            return
        _show(found, modes)


@go_live_app.command("approve")
def approve_command(
    by: By,
    evidence: Annotated[str, typer.Option("--evidence", help="What was looked at, and where it is kept.")],
    as_json: Json = False,
) -> None:
    """Let real destinations go live: refused until every metric has agreed for as long as the criteria ask."""
    with answering(as_json=as_json), run.delivering("go-live") as places:
        try:
            entry = go_live.approve(places, by=by, evidence=evidence)
        except NotYetError as refused:
            say({"error": str(refused)}, str(refused), as_json=as_json)
            raise typer.Exit(1) from None
        _said(entry, as_json=as_json)


@go_live_app.command("override")
def override_command(
    by: By,
    reason: Reason,
    until: Annotated[str, typer.Option("--until", help="The last day it holds, as 2026-12-31.")],
    as_json: Json = False,
) -> None:
    """Let real destinations go live until a day, whatever the figures say."""
    with answering(as_json=as_json), run.delivering("go-live") as places:
        try:
            last = date.fromisoformat(until)
        except ValueError:
            raise CannotRunError(f"--until {until} is no date; give it as 2026-12-31.") from None
        _said(go_live.override(places, by=by, reason=reason, until=last), as_json=as_json)


@go_live_app.command("withdraw")
def withdraw_command(by: By, reason: Reason, as_json: Json = False) -> None:
    """Put real destinations back into shadow mode."""
    with answering(as_json=as_json), run.delivering("go-live") as places:
        _said(go_live.withdraw(places, by=by, reason=reason), as_json=as_json)


def _modes(places: settings.Places, found: go_live.Status) -> dict[str, dict[str, Any]]:
    real = settings.real_destinations()
    policies = activate.policies(places, found.as_of) if found.as_of else {}
    return {
        name: {"is_real": name in real, "mode": "live" if name in policies and policies[name].live else "shadow"}
        for name in settings.DESTINATIONS
    }


def _show(found: go_live.Status, modes: dict[str, dict[str, Any]]) -> None:
    out = console()
    mode = "live" if found.standing.is_live else "in shadow mode"
    out.print(f"Real destinations are {mode}: {found.standing.reason}.", markup=False, soft_wrap=True)
    for name, each in modes.items():
        where = "real" if each["is_real"] else "on this machine"
        out.print(f"  {name:<11}{each['mode']:<8}{where}", markup=False)
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in ("metric", "by", "in a row", "needed", "judged until", "what broke it last"):
        table.add_column(column, justify="right" if column in {"in a row", "needed"} else "left", overflow="fold")
    for streak in found.streaks:
        broken = f"{streak.gap} was not judged in time" if streak.gap else str(streak.last_break or "")
        if streak.restated:
            broken = f"{streak.restated} was restated (of {streak.restated_periods}). {broken}".rstrip()
        until = str(streak.last_period or "never")
        table.add_row(streak.metric, streak.grain, str(streak.periods), str(streak.required), until, broken)
    out.print(table)


def _said(entry: Entry, *, as_json: bool) -> None:
    until = f" until {entry.until}" if entry.until else ""
    say(asdict(entry), f"Written down: {entry.kind} by {entry.by}{until}.", as_json=as_json)
