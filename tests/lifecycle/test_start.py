"""A command loads what it needs and no more: what counts is which modules are there, which no slow machine changes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from lifecycle import cli

BIG = ("dbt", "dlt", "duckdb", "pandas", "pyarrow", "requests", "sqlalchemy", "starlette", "altair")
ASK = """
import json, sys
from lifecycle.cli import app
try:
    app(json.loads(sys.argv[1]))
except SystemExit as end:
    print(json.dumps([end.code, [name for name in json.loads(sys.argv[2]) if name in sys.modules]]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("command", "code", "allowed"),
    [
        ("--help", 0, set()),
        ("sandbox down", 0, set()),
        ("check", 0, {"duckdb"}),
        ("status", 0, {"duckdb", "sqlalchemy"}),
        ("run", 2, {"duckdb", "sqlalchemy"}),  # a setting is wrong
    ],
)
def test_a_command_loads_no_library_that_it_does_not_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, code: int, allowed: set[str]
) -> None:
    monkeypatch.setenv("LIFECYCLE__DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ALERTS__AFTER_HOURS", "never")
    monkeypatch.setenv("ALERTS__URLS", "")
    asked = [sys.executable, "-c", ASK, json.dumps(command.split()), json.dumps(BIG)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=600)
    ended, loaded = json.loads(done.stderr.splitlines()[-1])
    assert (ended, set(loaded) - allowed) == (code, set()), done.stderr


def test_the_first_words_of_every_command_are_those_of_its_own_help() -> None:
    group = get_command(cli.app)
    assert isinstance(group, TyperGroup)
    for name, (_, words) in cli.COMMANDS.items():
        named = group.commands[name]
        assert isinstance(named, cli.Later)
        assert named.load().help.split("\n\n")[0].replace("\n", " ") == words
