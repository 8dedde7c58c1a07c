"""`lifecycle check`: is the playbook, as it stands in the files, one that can run? In seconds, without a warehouse."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from lifecycle.answering import Json, answering, console
from lifecycle.playbook import sheets
from lifecycle.playbook.verdict import judge


def check(as_json: Json = False) -> None:
    """Judge the playbook's seeds: what is wrong, in which file, row and field, and what to do about it."""
    with answering(as_json=as_json):
        playbook = sheets.read()
        found = judge(playbook)
        files = [sheet for sheet in playbook if sheets.is_playbook(sheet)]
        rows = sum(len(sheet.rows) for sheet in files)
        if as_json:
            print(json.dumps({"files": len(files), "rows": rows, "findings": [asdict(each) for each in found]}))  # noqa: T201
        else:
            out = console()
            for finding in found:
                out.print(str(finding), soft_wrap=True)
            verdict = f"{len(found)} to mend." if found else "It can run."
            out.print(f"{rows} rows in {len(files)} files. {verdict}")
        if found:
            raise typer.Exit(1)
