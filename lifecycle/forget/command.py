"""`lifecycle forget SUBJECT`: a person goes out of everything this project keeps, and stays out.

The order is such that an erasure which was interrupted can only be finished, never undone: first whom it is about is
written down for the owner's eyes and the way back is shut (hashes that every extract is held against), then the ledger,
the warehouse, a new version built from what is left, and only then the versions that still knew the person. What was
written down goes last, when the proof is there. `--resume` goes through all of it again; each step does no harm twice.
"""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activation import upkeep
from ingest import forgotten, ops
from ingest.forgotten import Forgotten
from lifecycle import run, settings
from lifecycle.answering import Json, answering, say
from lifecycle.errors import CannotRunError
from lifecycle.forget import names, proof, scrub, shred, words
from lifecycle.forget.subject import Subject, UnknownError, find
from lifecycle.ledger import existing_ledger
from lifecycle.publication.hyper import FILE_NAME as EXTRACT
from lifecycle.remembered import profiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lifecycle.settings import Places

PENDING = "pending.json"
# what is searched by itself or was made for this purpose
SEPARATE = ("warehouse.duckdb", "published", "ledger.sqlite", "erasures", "sandbox", "run.lock")
SPOOL = "spool"


def forget_command(
    subject: Annotated[
        str | None,
        typer.Argument(help="A person by address, id or record (zendesk:user:7), or a customer's id for all of it."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Finish an erasure that was interrupted.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Erase a person, or a customer with everybody in it, for good; what was erased where is written in a receipt."""
    with answering(as_json=as_json) as progress:
        with run.started("forget", progress, is_new=False, builds=True) as this:
            pending = this.places.erasures / PENDING
            try:
                person = _whom(this.places, pending, subject, resume=resume)
            except UnknownError as error:
                say({"erased": False, "reason": str(error)}, str(error), as_json=as_json)
                raise typer.Exit(1) from None
            if not (yes or resume):
                _ask(person, as_json=as_json)
            person.save(pending)
            receipt = forget(this, person)
            where = this.places.erasures / f"{person.erasure_id}.json"
            where.write_text(json.dumps(receipt, indent=2), encoding="utf-8")
            if receipt["finished_at"]:
                shred.shred(pending)
        say({**receipt, "receipt": str(where)}, _closing(receipt, where), as_json=as_json)
        if not receipt["finished_at"]:
            raise typer.Exit(1)


def forget(this: run.Run, person: Subject) -> dict[str, Any]:
    """Erase; the receipt. It has no `finished_at` while the gate keeps the version from being replaced.

    Raises:
        RemainsError: if something of the person is still found. Nothing is wrong with starting it again.
    """
    places, progress = this.places, this.progress
    receipt: dict[str, Any] = {
        "erasure_id": person.erasure_id,
        "scope": person.scope,
        "as_of": str(this.as_of),
        "started_at": _now(),
        "finished_at": None,
    }
    with progress.step("shut the way back"):
        known = forgotten.remember(places.data_dir, person.erasure_id, person.marks)
        receipt["marks"] = len(person.marks(known))
        receipt["named_in_seeds"] = _seeds(person)
    with progress.step("erase from the ledger"):
        receipt["ledger_deliveries"] = _ledger(places, known, person, this.as_of)
    with progress.step("erase from the warehouse"):
        with run.warehouse(places) as connection:
            profiles.let_go(connection)
            names.keep(connection, places.data_dir, scrub.own_words(known, person.texts))
            receipt["raw_rows"] = scrub.scrub_raw(connection, known, person)
        receipt["readers_cut_off"] = scrub.rewrite(places.warehouse)
    again = _new_run(this)
    receipt["run_id"] = again.run_id
    with progress.step("build without them"):
        built = run.build(again)
        verdict = run.judge(again, built)
    if not verdict.is_open:
        receipt["reason"] = run.refuse(again, verdict)
        return receipt
    with progress.step("publish"):
        receipt["version"] = run.make_public(again, verdict)
    with progress.step("overwrite what knew them"):
        receipt["versions_overwritten"], cut_off = _versions(places, str(receipt["version"]))
        receipt["readers_cut_off"] += cut_off
        receipt["files_overwritten"] = _files(places, person)
    with progress.step("prove it"):
        receipt["proof"] = _prove(places, person)
    receipt["still_at_the_vendors"] = _vendors(person)
    receipt["finished_at"] = _now()
    return receipt


def _whom(places: Places, pending: Path, subject: str | None, *, resume: bool) -> Subject:
    if pending.exists() and not resume:
        raise CannotRunError("An erasure was interrupted: `lifecycle forget --resume` finishes it first.")
    if resume:
        if not pending.exists():
            raise CannotRunError("No erasure was interrupted.")
        return Subject.load(pending)
    if subject is None:
        raise CannotRunError("Say who is to be forgotten: an address, a record such as zendesk:user:7, or an id.")
    with run.warehouse(places) as connection:
        built = connection.execute(
            "select count(*) from duckdb_tables() where schema_name = 'intermediate'"
            " and table_name in ('int_identities__resolved', 'int_identifiers__extracted')"
        ).fetchall()[0][0]
        if built < 2:
            raise CannotRunError("The last build is incomplete, so nobody can be found: `lifecycle build` first.")
        return find(connection, subject, f"erasure-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}")


def _ask(person: Subject, *, as_json: bool) -> None:
    what = "the whole customer" if person.scope == "customer" else "one person"
    text = (
        f"This erases {what} ({len(person.records)} records in the silos, {len(person.texts)} addresses and ids) and"
        " cannot be taken back."
    )
    if as_json:
        raise CannotRunError(text + " With --json, say --yes.")
    typer.confirm(text + " Go on?", abort=True)


def _new_run(this: run.Run) -> run.Run:
    """The same instant, built once more under a name of its own."""
    run_id = f"run-{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
    with run.warehouse(this.places) as connection:
        before = connection.execute(
            "select project_version from raw_ops.runs where run_id = ?", [this.run_id]
        ).fetchall()
        ops.record(
            connection,
            "runs",
            [
                {
                    "run_id": run_id,
                    "as_of": this.as_of,
                    "started_at": datetime.now(UTC).replace(tzinfo=None),
                    "project_version": before[0][0] if before else None,
                }
            ],
        )
    return run.Run(this.places, run_id, this.as_of, this.progress, this.models)


def _ledger(places: Places, known: Forgotten, person: Subject, now: datetime) -> int:
    """Deliveries to the person, or of the whole customer."""
    with existing_ledger(places) as ledger:
        if ledger is None:
            return 0
        replaced = scrub.own_words(known, person.texts)
        whole = set(person.customers) if person.scope == "customer" else set()
        return upkeep.forget_matching(
            ledger, now, lambda customer, texts: customer in whole or any(replaced(text) != text for text in texts)
        )


def _versions(places: Places, serving: str) -> tuple[list[str], int]:
    """Overwrite every published version but the new one; their names, and how many readers that cut off."""
    gone, cut_off = [], 0
    for path in sorted((places.published / "versions").iterdir()):
        if path.name != serving:
            cut_off += shred.shred_tree(path)[1]
            gone.append(path.name)
    return gone, cut_off


def _files(places: Places, person: Subject) -> dict[str, int]:
    """Overwrite the loaders' working files and what else names the person; files by place."""
    counts: dict[str, int] = {}
    for directory in (places.data_dir / "dlt").iterdir() if (places.data_dir / "dlt").is_dir() else ():
        if directory.is_dir():
            counts["dlt"] = counts.get("dlt", 0) + shred.shred_tree(directory)[0]
    for path in _others(places):
        if not shred.mentions(path, person.tokens):
            continue
        place = path.relative_to(places.data_dir).parts[0] if path.is_relative_to(places.data_dir) else path.parts[-2]
        counts[place] = counts.get(place, 0) + 1
        if place == SPOOL:
            _without_lines(path, person)
        else:
            shred.shred(path)
    return counts


def _without_lines(path: Path, person: Subject) -> None:
    """A spool holds what is not loaded yet, so only the lines that name the person go; each stands for itself."""
    fresh = path.with_name(path.name + ".new")
    theirs = words.pattern(person.texts)
    with path.open("rb") as old, fresh.open("wb") as new:
        for line in old:
            if theirs is None or not theirs.search(line.decode("utf-8", "replace")):
                new.write(line)
    shutil.copymode(path, fresh)
    shred.shred(path)
    fresh.rename(path)


def _others(places: Places) -> Iterator[Path]:
    """Files of this project that have no format of their own here: logs, artefacts, reports, the spool."""
    roots = [path for path in places.data_dir.iterdir() if path.name not in SEPARATE]
    roots += [settings.PROJECT_DIR / name for name in ("target", "logs")]
    for root in roots:
        for path in [root, *root.rglob("*")] if root.is_dir() else [root]:
            if path.is_file() and not path.is_symlink() and not path.name.startswith("ledger.sqlite"):
                yield path


def _prove(places: Places, person: Subject) -> dict[str, Any]:
    current = (places.published / "current").resolve()
    ledgers = sorted(places.data_dir.glob("ledger.sqlite*"))
    receipts = [path for path in places.erasures.iterdir() if path.name != PENDING]
    scratch = places.data_dir / "erasures" / "proof"
    scratch.mkdir(mode=0o700, exist_ok=True)
    try:
        found = proof.prove(
            [places.warehouse, *sorted(current.glob("*.duckdb"))],
            sorted(current.glob("*.parquet")),
            [*ledgers, *receipts, *sorted(current.glob(EXTRACT)), *sorted(current.glob("*.html")), *_others(places)],
            person.tokens,
            scratch,
        )
    finally:
        shred.shred_tree(scratch)
    return asdict(found)


def _seeds(person: Subject) -> list[str]:
    """Seeds that name the person: they are in version control, where only people can change them."""
    seeds = settings.PROJECT_DIR / "seeds"
    return [
        str(path.relative_to(settings.PROJECT_DIR))
        for path in sorted(seeds.rglob("*.csv"))
        if shred.mentions(path, person.tokens)
    ]


def _vendors(person: Subject) -> dict[str, int]:
    """How many records each silo goes on holding until it is asked as well."""
    counts: dict[str, int] = {}
    for record in person.records:
        silo = record.partition(":")[0]
        counts[silo] = counts.get(silo, 0) + 1
    return counts


def _closing(receipt: dict[str, Any], where: Path) -> str:
    if not receipt["finished_at"]:
        return (
            f"{receipt['reason']} The person is gone from the warehouse and still in the published version:"
            " `lifecycle forget --resume` finishes it."
        )
    searched = sum(receipt["proof"]["searched"].values()) / 1e6
    held = ", ".join(f"{number} in {silo}" for silo, number in receipt["still_at_the_vendors"].items()) or "nothing"
    erased = (
        f"Erased: {sum(receipt['raw_rows'].values()):,} raw rows, {receipt['ledger_deliveries']:,} deliveries,"
        f" {len(receipt['versions_overwritten'])} published versions,"
        f" {sum(receipt['files_overwritten'].values()):,} other files. Version {receipt['version']} serves."
    )
    proven = (
        f"{receipt['proof']['tokens']} texts were searched for in {searched:,.0f} MB of uncompressed copies and files,"
        " and none was found."
    )
    lines = [
        erased,
        proven,
        f"The silos still hold {held}: ask them too. What comes back from there is anonymous here.",
    ]
    if receipt["named_in_seeds"]:
        lines.append(f"Named in seeds, to be edited by hand: {', '.join(receipt['named_in_seeds'])}.")
    return "\n".join([*lines, f"The receipt is {where}."])


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
