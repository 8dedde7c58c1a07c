"""The command: every examination, one line each, and an exit code."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from lifecycle import settings
from lifecycle.answering import Json, answering, console
from lifecycle.doctor import machine, stores, vendors
from lifecycle.doctor.finding import FAIL, OK, WARN, Finding

if TYPE_CHECKING:
    from lifecycle.settings import Places

MARKS = {OK: "[green]ok[/]", WARN: "[yellow]look[/]", FAIL: "[red]mend[/]"}


def doctor(
    is_offline: Annotated[bool, typer.Option("--offline", help="Call nobody; look at this machine only.")] = False,
    as_json: Json = False,
) -> None:
    """Look at configuration, keys, versions, clock, disk, warehouse and ledger, and say what to do."""
    with answering(as_json=as_json):
        found = examine(settings.places(), is_offline=is_offline)
        failed = [each for each in found if each.state == FAIL]
        if as_json:
            print(json.dumps({"findings": [asdict(each) for each in found], "failed": len(failed)}))  # noqa: T201
        else:
            _show(found)
        if failed:
            raise typer.Exit(1)


def examine(places: Places, *, is_offline: bool = False) -> list[Finding]:
    """Everything; vendors are only called with settings that can be read."""
    configured = machine.configuration()
    found = [*configured, *machine.versions(), *machine.disk(places)]
    if not is_offline and all(each.state != FAIL for each in configured):
        answers, skews = vendors.calls()
        found += [*answers, *machine.clock_findings(skews)]
    return [*found, *stores.warehouse(places), *stores.published(places), *stores.ledger(places), *stores.runs(places)]


def _show(found: list[Finding]) -> None:
    out = console()
    table = Table(box=None, header_style="dim", pad_edge=False)
    for heading in ("", "what", "", "finding"):
        table.add_column(heading, overflow="fold")
    for each in found:
        said = f"{each.text} {each.remedy}".strip()
        table.add_row(Text.from_markup(MARKS[each.state]), each.area, each.subject, said)
    out.print(table)
    failed, odd = (sum(each.state == state for each in found) for state in (FAIL, WARN))
    out.print(f"{len(found)} things looked at, {failed} to mend, {odd} to look at.")
