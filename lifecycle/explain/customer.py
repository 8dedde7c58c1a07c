"""Why these records are one customer, where it stands, and what each team may and may not do about it now."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import typer
from rich.table import Table

from lifecycle import settings
from lifecycle.answering import Json, answering, console, say
from lifecycle.errors import CannotRunError
from lifecycle.explain import evidence, standing

if TYPE_CHECKING:
    from pathlib import Path

    from lifecycle.explain.evidence import Evidence, Link, Record

SHOWN = 40  # rows of a list on a terminal; --json has them all

Warehouse = Annotated[bool, typer.Option("--warehouse", help="Read the last build, published or not.")]


def explain_customer(
    subject: Annotated[
        str, typer.Argument(help="A customer's id (also a former one), an address, or a record: stripe:customer:cus_1.")
    ],
    warehouse: Warehouse = False,
    as_json: Json = False,
) -> None:
    """Say which records are this customer and why, where it stands by which proof, and what may be done about it."""
    with answering(as_json=as_json):
        path = _file(from_warehouse=warehouse)
        with duckdb.connect(str(path), read_only=True) as connection:
            evidence.require_marts(connection)
            found = evidence.find(connection, subject)
            if len(found) == 1:
                explained = evidence.gather(connection, found[0])
                stands = standing.gather(connection, found[0].customer_id)
        if len(found) != 1:
            ids = [each.customer_id for each in found]
            text = f"Nobody is known as '{subject}'. Ids and addresses are in the published customer_identities."
            if found:
                some = ", ".join(ids[:SHOWN]) + (", ..." if len(ids) > SHOWN else "")
                text = f"'{subject}' is {found[0].found_by} of {len(ids)} customers: {some}."
            say({"subject": subject, "customers": ids, "message": text}, text, as_json=as_json)
            raise typer.Exit(1)
        if as_json:
            values = {**as_values(explained), "standing": asdict(stands) if stands else None}
            print(json.dumps(values, default=str))  # noqa: T201
        else:
            show(explained)
            console().print()
            for line in standing.lines(stands) if stands else ():
                console().print(line, markup=False, soft_wrap=True)


def as_values(explained: Evidence) -> dict[str, Any]:
    """The evidence as plain values; times and decimals are left to the JSON encoder."""
    return asdict(explained)


def show(explained: Evidence) -> None:
    """Print it for a person."""
    out = console()
    subject = explained.subject
    out.print(f"{subject.customer_id}: {len(explained.records):,} records, found by {subject.found_by}.")
    out.print(f"Named after its oldest member {explained.oldest}.\n", markup=False)
    table = _table("record", "known since", "how", "sure", "chain from the oldest member")
    for record in explained.records[:SHOWN]:
        sure = f"{record.match_confidence.normalize():f}"
        table.add_row(record.key, _day(record.first_seen_at), record.match_method, sure, chain_of(record))
    out.print(table)
    if len(explained.records) > SHOWN:
        out.print(f"  and {len(explained.records) - SHOWN:,} more (--json lists them all)")
    for title, lines in (
        ("Decided by people, or told by the product:", [_decision(link) for link in explained.decided]),
        ("Other ids that mean this customer, or did:", [_alias(alias) for alias in explained.aliases]),
        ("Conflicts:", [_conflict(conflict) for conflict in explained.conflicts]),
        ("Not believed:", _refusals(explained.refused)),
    ):
        if lines:
            out.print(f"\n{title}")
            for line in lines[:SHOWN]:
                out.print(f"  {line}", markup=False)


def chain_of(record: Record) -> str:
    """The chain in words: by which rule to which node, how sure, since when."""
    if record.chain is None:
        return f"through {record.matched_via}" if record.matched_via else "stands for itself"
    return ", ".join(f"by {_rule(step.link)} to {step.reached}" for step in record.chain) or "this is it"


def _rule(link: Link) -> str:
    since = f", {_day(link.since_at)}" if link.since_at else ""
    until = f" until {_day(link.valid_to)}" if link.valid_to else ""
    return f"{link.link_type} ({link.confidence.normalize():f}{since}{until})"


def _decision(link: Link) -> str:
    what = "are one" if link.is_used else "are two"
    return f"{link.from_node} and {link.to_node} {what} since {_day(link.since_at)}, {link.decided_by}: {link.reason}"


def _alias(alias: dict[str, Any]) -> str:
    until = f" until {_day(alias['valid_to'])}" if alias["valid_to"] else ""
    return f"{alias['alias_customer_id']} since {_day(alias['valid_from'])}{until} ({alias['origin']})"


def _conflict(conflict: dict[str, Any]) -> str:
    customers = f" ({conflict['customer_count']} customers)" if conflict["customer_count"] > 1 else ""
    return f"{conflict['conflict_kind']}: {conflict['subject']}, {conflict['settlement']}{customers}"


def _refusals(links: list[Link]) -> list[str]:
    """Refused links by what they point at: a free-mail domain on forty records is one line."""
    counts = Counter((link.to_node, link.verdict) for link in links)
    return [
        f"{node}: {verdict} ({number} {'record' if number == 1 else 'records'})"
        for (node, verdict), number in sorted(counts.items())
    ]


def _file(*, from_warehouse: bool) -> Path:
    places = settings.places()
    path = places.warehouse if from_warehouse else places.complete_file.resolve()
    if not path.exists():
        raise CannotRunError(
            "Nothing is built yet: `lifecycle build` makes it."
            if from_warehouse
            else "Nothing is published yet: `lifecycle run` does it all; --warehouse reads what is only built."
        )
    return path


def _table(*columns: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _day(value: Any) -> str:
    return f"{value:%Y-%m-%d}" if value else "no time"
