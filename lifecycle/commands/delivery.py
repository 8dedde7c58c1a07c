"""The commands about delivering: `plan`, `sync`, `dead list|retry|drop`."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from activation import upkeep
from activation.actions import State
from activation.desired import Published
from activation.pacing import RunTime
from activation.plan import Verdict
from activation.sync import PlanChangedError, look_ahead
from activation.transport import EMAIL
from lifecycle import activate, alerts, delivered, run, settings
from lifecycle.answering import Json, answering, console, say
from lifecycle.errors import CannotRunError
from lifecycle.ledger import open_ledger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from activation.ledger import Ledger
    from activation.plan import Delivery, Entry
    from activation.sync import Outlook

Only = Annotated[list[str] | None, typer.Option("--only", help="A destination by name; may be repeated.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Action ids, as `lifecycle dead list` shows them.")]
All = Annotated[bool, typer.Option("--all", help="Every dead letter (of the destination, if one is named).")]
To = Annotated[str | None, typer.Option("--destination", help="Only this destination.")]

dead_app = typer.Typer(help="Deliveries that do not go on by themselves.", no_args_is_help=True)


def plan_command(
    only: Only = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show what is new in changed payloads.")] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Write the plan here, for `lifecycle sync --plan`.")] = None,
    as_json: Json = False,
) -> None:
    """Say what `sync` would send, and what is held back and why. Changes nothing."""
    with answering(as_json=as_json):
        places = settings.places()
        as_of = run.published_as_of(places)
        _check_names(only)
        shown: list[dict[str, Any]] = []

        def look(deliveries: list[Delivery], known: Mapping[str, Entry]) -> None:
            if as_json or diff:
                shown.extend(_delivery(each, known.get(each.action.action_id), diff=diff) for each in deliveries)

        ledger = open_ledger(places)
        try:
            delivered.require(places, ledger)
            with activate.destinations(RunTime(as_of)) as served:
                published = Published.newest(places.complete_file)
                outlook = look_ahead(
                    published,
                    ledger,
                    activate.policies(places, as_of),
                    activate.guards(),
                    as_of,
                    only=only or (),
                    on_planned=look,
                )
                document = outlook.as_json(served)
        finally:
            ledger.close()
        if out is not None:
            out.write_text(json.dumps(document, indent=2), encoding="utf-8")
        if as_json:
            print(json.dumps({**document, "deliveries": shown}))  # noqa: T201
        else:
            _show(outlook, document, run.held_back(places))
            for each in shown if diff else ():
                _show_diff(each)


def sync_command(
    only: Only = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Send at most so many deliveries.")] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="Only if this plan still holds.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overrule the guards of the blast radius.")] = False,
    as_json: Json = False,
) -> None:
    """Deliver what the published file asks for."""
    with answering(as_json=as_json) as progress:
        _check_names(only)
        expected = None if plan is None else _fingerprint(plan)
        try:
            with run.delivering("sync") as places, progress.step("activate"):
                done = activate.activate(
                    places,
                    run.published_as_of(places),
                    progress,
                    only=only or (),
                    limit=limit,
                    is_forced=force,
                    expected=expected,
                )
        except PlanChangedError as changed:
            say({"error": str(changed)}, str(changed), as_json=as_json)
            raise typer.Exit(1) from None
        counts: Counter[str] = Counter()
        for (_, _, verdict, _), number in done.outlook.counts.items():
            counts[verdict] += number
        text = ", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())) or "Nothing is desired."
        found = [alerts.Trouble(f"alarm:{re.sub(r'[0-9]+', '#', alarm)}", alarm) for alarm in done.alarms]
        told = alerts.digest(places, "sync", "Customer lifecycle, sync:", found)
        text = "\n".join(line for line in (text, *done.alarms, told) if line)
        document = {
            "verdicts": counts,
            "destinations": [asdict(tally) for tally in done.tallies],
            "guards": done.outlook.trips,
            "alarms": done.alarms,
        }
        say(document, text.rstrip(), as_json=as_json)
        if not done.is_clean:
            raise typer.Exit(1)


@dead_app.command("list")
def dead_list(to: To = None, as_json: Json = False) -> None:
    """Show the dead letters with the vendors' words."""
    with answering(as_json=as_json):
        ledger = open_ledger(settings.places())
        try:
            letters = upkeep.dead_letters(ledger, to)
        finally:
            ledger.close()
        if as_json:
            print(json.dumps([{**asdict(each), "updated_at": str(each.updated_at)} for each in letters]))  # noqa: T201
            return
        table = Table(box=None, header_style="dim", pad_edge=False)
        for column in ("action id", "destination", "action", "customer", "state", "attempts", "reason"):
            table.add_column(column, overflow="fold")
        for each in letters:
            cells = (each.action_id, each.destination, each.action, each.customer_id, each.state)
            table.add_row(*cells, str(each.attempt_count), each.reason)
        console().print(table if letters else "There are no dead letters.")


@dead_app.command("retry")
def dead_retry(ids: Ids = None, everything: All = False, to: To = None, as_json: Json = False) -> None:
    """Let dead letters be sent again by the next sync that still wants them."""
    _decide(upkeep.retry, "goes back into the queue", ids, everything=everything, to=to, as_json=as_json)


@dead_app.command("drop")
def dead_drop(ids: Ids = None, everything: All = False, to: To = None, as_json: Json = False) -> None:
    """Never send these payloads again."""
    _decide(upkeep.drop, "dropped", ids, everything=everything, to=to, as_json=as_json)


def _decide(
    change: Any, outcome: str, ids: list[str] | None, *, everything: bool, to: str | None, as_json: bool
) -> None:
    with answering(as_json=as_json):
        if bool(ids) == everything:
            raise CannotRunError("Name the action ids, or say --all.")
        with run.delivering("dead") as places:
            ledger = open_ledger(places)
            try:
                chosen = [each.action_id for each in upkeep.dead_letters(ledger, to)] if everything else ids or []
                number = change(ledger, chosen, _now(ledger))
            finally:
                ledger.close()
        say({"changed": number}, f"{number} of {len(chosen)}: {outcome}.", as_json=as_json)
        if number < len(chosen):
            raise typer.Exit(1)


def _now(ledger: Ledger) -> datetime:
    """The ledger's present: its times follow the run's clock, which may be behind or ahead of the machine's."""
    latest = ledger.latest()
    return latest if latest is not None else datetime.now(UTC).replace(tzinfo=None)


def _check_names(only: list[str] | None) -> None:
    unknown = sorted(set(only or ()) - set(settings.DESTINATIONS))
    if unknown:
        raise CannotRunError(
            f"There is no destination {unknown[0]}; there are {', '.join(sorted(settings.DESTINATIONS))}."
        )


def _fingerprint(path: Path) -> str:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["fingerprint"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CannotRunError(f"{path} is no plan: `lifecycle plan --out {path}` writes one.") from None
    return str(found)


def _delivery(delivery: Delivery, entry: Entry | None, *, diff: bool) -> dict[str, Any]:
    action = delivery.action
    shown: dict[str, Any] = {
        "action_id": action.action_id,
        "destination": action.destination,
        "action": action.action,
        "customer_id": action.customer_id,
        "verdict": str(delivery.verdict),
        "reason": delivery.reason,
    }
    if diff and delivery.verdict in {Verdict.NEW, Verdict.CHANGED}:
        before = _flat(entry.action.body) if entry is not None and entry.state is not State.PLANNED else {}
        after = _flat(action.body)
        shown["diff"] = {
            name: [before.get(name), after.get(name)]
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        }
    return shown


def _flat(value: Any, name: str = "") -> dict[str, str]:
    """A payload's fields by their paths; addresses are nobody's business on a terminal."""
    if isinstance(value, dict):
        return {
            path: text
            for key, inner in value.items()
            for path, text in _flat(inner, f"{name}.{key}" if name else str(key)).items()
        }
    return {name: EMAIL.sub("[address]", value if isinstance(value, str) else json.dumps(value))}


def _show(outlook: Outlook, document: dict[str, Any], held_back: list[tuple[str, str, int]]) -> None:
    out = console()
    title = f"Plan as of {outlook.as_of} UTC"
    table = Table(title=title, title_justify="left", box=None, header_style="dim", pad_edge=False)
    for column in ("destination", "action", "verdict", "number", "reason"):
        table.add_column(column, justify="right" if column == "number" else "left")
    for (destination, action, verdict, reason), number in sorted(outlook.counts.items()):
        table.add_row(destination, action, verdict, f"{number:,}", reason)
    for action, reason, number in held_back:
        table.add_row("", action, "suppressed", f"{number:,}", reason)
    out.print(table)
    for name, estimate in document["estimates"].items():
        out.print(f"{name:<11} at least {estimate['seconds']:,.0f} s, bound by {estimate['limit']}", markup=False)
    for sentence in outlook.trips.values():
        out.print(f"Held back: {sentence} `lifecycle sync --force` overrules it.", markup=False)
    out.print(f"{sum(outlook.to_send.values()):,} would be sent by `lifecycle sync`.")


def _show_diff(shown: dict[str, Any]) -> None:
    if not shown.get("diff"):
        return
    out = console()
    out.print(f"{shown['verdict']} {shown['action']} {shown['customer_id']} ({shown['action_id']})", markup=False)
    for name, (before, after) in shown["diff"].items():
        out.print(f"  {name}: {'' if before is None else before} -> {'' if after is None else after}", markup=False)
