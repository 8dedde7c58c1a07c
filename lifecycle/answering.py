"""How every command ends: done, or one sentence that says why not. Never a traceback on a person's terminal."""

from __future__ import annotations

import json
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import duckdb
import typer
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from activation.desired import DesiredError
from ingest.errors import IngestError
from lifecycle import publish, run, settings
from lifecycle.clock import ClockError
from lifecycle.dbt import DbtError
from lifecycle.forget import proof
from lifecycle.go_live_record import GoLiveError
from lifecycle.lock import HeldError
from lifecycle.progress import Lines
from sandbox.serve import ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXPECTED = (
    settings.ConfigurationError,
    ClockError,
    DbtError,
    DesiredError,
    GoLiveError,
    HeldError,
    IngestError,
    ServerError,
    publish.PublishError,
    proof.RemainsError,
    run.CannotRunError,
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]


@contextmanager
def answering(*, as_json: bool) -> Iterator[Lines]:
    """Run a command's body: what can be expected to go wrong ends in one sentence and exit code 2."""
    try:
        yield Lines(quiet=as_json)
    except EXPECTED as error:
        _fail(str(error), as_json=as_json)
    except KeyboardInterrupt:
        _fail("Interrupted; running it again goes on where this ended.", as_json=as_json)
    except (OSError, duckdb.Error, SQLAlchemyError) as error:
        # a full disk, a file that is no database: the kind says it, the text of a database error may hold data
        where = _keep_traceback()
        detail = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        _fail(f"It could not go on: {detail}. Details are in {where}.", as_json=as_json)


def say(value: Any, text: str, *, as_json: bool) -> None:
    """Print a command's answer: the value as JSON for programs, the text for people."""
    print(json.dumps(value) if as_json else text)  # noqa: T201


def _fail(sentence: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"error": sentence}))  # noqa: T201
    else:
        Console(stderr=True, highlight=False, soft_wrap=True).print(sentence, style="red", markup=False)
    raise typer.Exit(2)


def _keep_traceback() -> Path:
    try:
        path = settings.places().data_dir / "last_error.log"
        path.write_text(traceback.format_exc(), encoding="utf-8")
    except (OSError, settings.ConfigurationError):
        return Path("the system's log")
    return path
